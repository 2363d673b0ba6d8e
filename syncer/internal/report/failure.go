package report

import (
	"cmp"
	"errors"
	"fmt"
)

// Code is an exit code of rsync(1), which lockstep's are.
type Code int

const (
	CodeOK          Code = 0
	CodeUsage       Code = 1
	CodeProtocol    Code = 2  // protocol incompatibility
	CodeSelect      Code = 3  // selecting input or output files
	CodeUnsupported Code = 4  // the requested action is not supported
	CodeStart       Code = 5  // starting the client-server protocol: refused, unknown module, authentication
	CodeSocket      Code = 10 // socket I/O
	CodeFile        Code = 11 // file I/O
	CodeStream      Code = 12 // the protocol's data stream
	CodeIPC         Code = 14 // a program could not be started
	CodeSignal      Code = 20 // SIGINT or SIGTERM
	CodePartial     Code = 23 // partial transfer due to error
	CodeVanished    Code = 24 // partial transfer due to vanished source files
	CodeMaxDelete   Code = 25 // --max-delete stopped deletions
	CodeTimeout     Code = 30 // nothing moved for --timeout
	CodeConTimeout  Code = 35 // no connection within --contimeout

	// What a remote shell ends with counts as it is.
	CodeNoCommand Code = 127 // the shell there found no rsync
	CodeShell     Code = 255 // ssh's own
)

// words are what rsync 3.5.0 says when it ends with a code: rsync(1), "EXIT VALUES", has them in nearly the same form.
var words = map[Code]string{
	CodeUsage:       "syntax or usage error",
	CodeProtocol:    "protocol incompatibility",
	CodeSelect:      "errors selecting input/output files, dirs",
	CodeUnsupported: "requested action not supported",
	CodeStart:       "error starting client-server protocol",
	CodeSocket:      "error in socket IO",
	CodeFile:        "error in file IO",
	CodeStream:      "error in rsync protocol data stream",
	13:              "errors with program diagnostics",
	CodeIPC:         "error in IPC code",
	15:              "sibling process crashed",
	16:              "sibling process terminated abnormally",
	19:              "received SIGUSR1",
	CodeSignal:      "received SIGINT, SIGTERM, or SIGHUP",
	21:              "waitpid() failed",
	22:              "error allocating core memory buffers",
	CodePartial:     "some files/attrs were not transferred (see previous errors)",
	CodeVanished:    "some files vanished before they could be transferred",
	CodeMaxDelete:   "the --max-delete limit stopped deletions",
	CodeTimeout:     "timeout in data send/receive",
	CodeConTimeout:  "timeout waiting for daemon connection",
	124:             "remote shell failed",
	125:             "remote shell killed",
	126:             "remote command could not be run",
	CodeNoCommand:   "remote command not found",
}

// Words are rsync's for a code, with the code, as people search logs for them.
func (c Code) Words() string {
	return fmt.Sprintf("%s (code %d)", cmp.Or(words[c], "unexplained error"), int(c))
}

// Failure is an error that ends a push, with the exit code that rsync would give and,
// where an operator can do something, what.
type Failure struct {
	Code Code
	Err  error
	Hint string // "" where there is none; a clause without a full stop
}

func (f *Failure) Error() string {
	if f.Hint == "" {
		return f.Err.Error()
	}
	return fmt.Sprintf("%v (%s)", f.Err, f.Hint)
}

func (f *Failure) Unwrap() error { return f.Err }

// Fail makes a Failure of err; nil stays nil, and a Failure stays what it is.
func Fail(code Code, err error, hint string) error {
	if err == nil {
		return nil
	}
	var f *Failure
	if errors.As(err, &f) {
		return err
	}
	return &Failure{Code: code, Err: err, Hint: hint}
}

// Because makes err answer to errors.Is and errors.As for cause too, which its text tells already: where words for
// people were read, it keeps what they mean.
func Because(err, cause error) error {
	if err == nil || cause == nil {
		return err
	}
	return &because{err, cause}
}

type because struct {
	error
	cause error
}

func (b *because) Unwrap() []error { return []error{b.error, b.cause} }
