package syncer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/rsh"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
)

// shellFailure explains why a remote shell could not be started, or found no connection.
func shellFailure(ctx context.Context, sh *rsh.Shell, sink Sink, err error) error {
	var exit *rsh.ExitError
	switch {
	case ended(ctx) != nil:
		return report.Fail(CodeSignal, ended(ctx), "")
	case errors.As(err, &exit):
		tellOwn(sh, sink, exit.Said)
		return shellEnded(sh, sink, exit.Code, exit.Said, nil)
	case errors.Is(err, rsh.ErrNoMaster):
		return report.Fail(CodeConTimeout, report.Because(fmt.Errorf("remote shell %q: %w", sh, err), errUnreachable), "")
	}
	return report.Fail(report.CodeIPC, fmt.Errorf("start the remote shell %q: %w", sh, err), "is it installed? -e says which one to use")
}

// shellEnded is the failure of a run whose shell ended. As with rsync the shell's exit code counts
// where it says more than "the stream ended": ssh's 255, a shell's 127 (rsync 3.5.0 cleanup.c).
// err is how that was noticed.
func shellEnded(sh *rsh.Shell, sink Sink, code int, said []string, err error) error {
	text := fmt.Sprintf("the remote shell %q ended with exit code %d", sh, code)
	if code < 0 {
		text = fmt.Sprintf("the remote shell %q was killed", sh)
	}
	if n := len(said); n > 0 && !shown(sink) {
		text += ": " + said[n-1]
	}
	failure := errors.New(text)
	if err != nil && code <= 0 { // else the code is the reason
		var f *Failure
		if errors.As(err, &f) {
			err = f.Err
		}
		failure = fmt.Errorf("%w: %w", failure, err)
	}
	hint, cause := shellCause(sh.Host(), code, said)
	return &Failure{Code: max(CodeStream, Code(code)), Err: report.Because(failure, cause), Hint: hint}
}

// unframed makes one line of a warning that ssh puts into a frame of "@", as that of a host key that
// changed, with all that belongs to it.
func unframed(said []string) []string {
	const frame = "@@@"
	first := slices.IndexFunc(said, func(line string) bool { return strings.HasPrefix(line, frame) })
	if first < 0 {
		return said
	}
	var words []string
	for _, line := range said[first:] {
		if text := strings.Trim(line, "@ "); text != "" {
			words = append(words, text)
		}
	}
	return append(slices.Clone(said[:first]), strings.Join(words, " "))
}

// shellCause says what it means that a shell ended so, for Classify, and what an operator can do about it.
// This is the one place where words of ssh, or of the shell behind it, are looked at.
func shellCause(host string, code int, said []string) (hint string, cause error) {
	all := strings.Join(said, "\n")
	noHost := &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	noAnswer := &net.DNSError{Err: "temporary failure", Name: host, IsTemporary: true}
	for _, h := range []struct {
		says  string
		cause error
		hint  string
	}{
		{"HOST IDENTIFICATION HAS CHANGED", errHostKeyChanged, "the host's key is not the one in known_hosts: find out why, then ssh-keygen -R HOST"},
		{"Host key verification failed", errHostKeyUnknown, "the host's key is not in known_hosts: log in once by hand"},
		{"Permission denied (", errKeyRefused, "nobody is asked for a password: the key has to be in the agent, or in a file without a passphrase, and in authorized_keys there"},
		{"Temporary failure in name resolution", unreachable(noAnswer), "check the resolver here"},
		{"Could not resolve hostname", unreachable(noHost), "check the host's name"},
		{"Connection refused", unreachable(unix.ECONNREFUSED), "is sshd running there, on that port?"},
		{"Connection timed out", unreachable(unix.ETIMEDOUT), "is the host up, and its port open?"},
		{"No route to host", unreachable(unix.EHOSTUNREACH), "is the host up?"},
		{"Network is unreachable", unreachable(unix.ENETUNREACH), "is the network up?"},
		{"not responding", unix.ETIMEDOUT, "is the host up?"},
		{"unknown option", errOldRsync, "the rsync there is too old for an option"},
	} {
		if strings.Contains(all, h.says) {
			return h.hint, h.cause
		}
	}
	if Code(code) == report.CodeNoCommand || code == 126 || strings.Contains(all, "command not found") {
		return "is rsync installed there? --rsync-path says where", errNoRsync
	}
	if Code(code) == report.CodeShell {
		return "", unix.ECONNRESET // ssh's own failure, in words that we don't know
	}
	for _, line := range slices.Backward(said) {
		if reason := sender.Reason(line); reason != nil {
			return "", reason
		}
	}
	return "", nil
}

func unreachable(err error) error { return report.Because(err, errUnreachable) }
