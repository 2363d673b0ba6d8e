package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/rsh"
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
		return report.Fail(CodeConTimeout, fmt.Errorf("remote shell %q: %w", sh, err), "")
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
	return &Failure{Code: max(CodeStream, Code(code)), Err: failure, Hint: shellHint(code, said)}
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

// shellHint says what an operator can do about what ssh, or the shell behind it, says.
func shellHint(code int, said []string) string {
	all := strings.Join(said, "\n")
	for _, h := range []struct{ says, hint string }{
		{"HOST IDENTIFICATION HAS CHANGED", "the host's key is not the one in known_hosts: find out why, then ssh-keygen -R HOST"},
		{"Host key verification failed", "the host's key is not in known_hosts: log in once by hand"},
		{"Permission denied (", "nobody is asked for a password: the key has to be in the agent, or in a file without a passphrase, and in authorized_keys there"},
		{"Could not resolve hostname", "check the host's name"},
		{"Connection refused", "is sshd running there, on that port?"},
		{"Connection timed out", "is the host up, and its port open?"},
		{"No route to host", "is the host up?"},
		{"unknown option", "the rsync there is too old for an option"},
	} {
		if strings.Contains(all, h.says) {
			return h.hint
		}
	}
	if Code(code) == report.CodeNoCommand || code == 126 || strings.Contains(all, "command not found") {
		return "is rsync installed there? --rsync-path says where"
	}
	return ""
}
