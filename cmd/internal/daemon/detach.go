package daemon

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultWait is how long the parent waits for the child to be ready: boot goes on then. A tree of millions of files takes
// longer to be watched.
const DefaultWait = 30 * time.Second

// codeIPC is rsync's code for a program that could not be started.
const codeIPC = 14

// childEnv tells the child that it is one: its parent's number; and then Ready, its own. What the child starts finds neither
// to be its own.
const childEnv = "LOCKSTEP_DAEMON_OF"

// readyFD is where the child tells that it is ready: the end of a pipe.
const readyFD = 3

const readyWord = "ready\n"

// DetachOptions say what is started, and what is waited for.
type DetachOptions struct {
	// Paths are all that the program goes on to find by name once Detach has returned, the PID file among them; "" is none. Where each is
	// absolute the child moves to "/", so that no file system is kept busy. One that is relative (filepath.Abs before) keeps it where
	// it was started. What is read before Detach is called is read from there in any case.
	Paths  []string
	Wait   time.Duration // 0: DefaultWait
	Stderr io.Writer     // gets what the child says until it is ready; nil: standard error
}

// Detach starts this program again with the same arguments and environment, in a session of its own, with /dev/null for standard input and
// output. Its standard error is passed on until it is ready, and leads nowhere then: what it has to say later belongs in a log file.
//
// In the child it returns parent false, at once. In the parent it returns when the child has called Ready: code 0; or when it has ended
// before: with its exit code; or when Wait is over: code 0, and an error that says so, since the child goes on. It is to be called
// before secrets are wiped from the environment, and before anything is opened.
func Detach(o DetachOptions) (parent bool, code int, err error) {
	if os.Getenv(childEnv) == strconv.Itoa(os.Getppid()) {
		return false, 0, o.becomeDaemon()
	}
	code, err = o.start()
	return true, code, err
}

// becomeDaemon is the child's part.
func (o *DetachOptions) becomeDaemon() error {
	os.Setenv(childEnv, strconv.Itoa(os.Getpid()))
	unix.CloseOnExec(readyFD)
	// Where the parent does not wait any longer, a word on standard error must not end us. Ignored, the signal would be ignored by all that
	// we start.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	// A script at boot may leave it at 0. Any other is somebody's choice.
	if mask := unix.Umask(0o022); mask != 0 {
		unix.Umask(mask)
	}
	if slices.ContainsFunc(o.Paths, func(path string) bool { return path != "" && !filepath.IsAbs(path) }) {
		return nil
	}
	return os.Chdir("/")
}

// start is the parent's part.
func (o *DetachOptions) start() (code int, err error) {
	program, err := os.Executable()
	if err != nil {
		return codeIPC, err
	}
	stderr := o.Stderr
	if stderr == nil {
		stderr = os.Stderr
	}
	ready, readyEnd, err := os.Pipe()
	if err != nil {
		return codeIPC, err
	}
	defer ready.Close()
	said, saidEnd, err := os.Pipe()
	if err != nil {
		readyEnd.Close()
		return codeIPC, err
	}
	defer said.Close()
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", childEnv, os.Getpid()))
	cmd.Stderr, cmd.ExtraFiles = saidEnd, []*os.File{readyEnd}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	readyEnd.Close()
	saidEnd.Close()
	if err != nil {
		return codeIPC, err
	}
	return o.await(cmd, ready, said, stderr)
}

// await waits for the child.
func (o *DetachOptions) await(cmd *exec.Cmd, ready, said *os.File, stderr io.Writer) (int, error) {
	words := make(chan struct{})
	go func() {
		defer close(words)
		_, _ = io.Copy(stderr, said) // until the child ends, or gives it up
	}()
	defer func() {
		_ = said.SetReadDeadline(time.Now().Add(time.Second)) // what it started may hold it
		<-words
	}()
	wait := o.Wait
	if wait == 0 {
		wait = DefaultWait
	}
	if err := ready.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return codeIPC, err
	}
	word, err := bufio.NewReader(ready).ReadString('\n')
	switch {
	case word == readyWord:
		return 0, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		_ = said.SetReadDeadline(time.Now())
		return 0, fmt.Errorf("process %d is not ready after %v, and goes on: its log tells", cmd.Process.Pid, wait)
	}
	err = cmd.Wait() // it has ended, or is about to
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode(), nil
	}
	return codeIPC, fmt.Errorf("the daemon ended before it was ready: %w", err)
}

// tellParent says that the child is ready, and takes leave of what was the terminal's.
func tellParent() error {
	if os.Getenv(childEnv) != strconv.Itoa(os.Getpid()) {
		return nil
	}
	os.Unsetenv(childEnv)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	parent := os.NewFile(readyFD, "ready")
	defer parent.Close()
	_, err = io.Copy(parent, strings.NewReader(readyWord))
	if errors.Is(err, unix.EPIPE) {
		err = nil // it did not wait so long
	}
	return errors.Join(err, unix.Dup3(int(null.Fd()), 2, 0))
}
