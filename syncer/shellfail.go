package syncer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/rsh"
)

// codeIPC is rsync's for a program that could not be started.
const codeIPC Code = 14

// shellFailure explains why a remote shell could not be started, or found no connection.
func shellFailure(ctx context.Context, sh *rsh.Shell, sink Sink, err error) error {
	var exit *rsh.ExitError
	switch {
	case ended(ctx) != nil:
		return report.Fail(CodeSignal, ended(ctx), "")
	case errors.As(err, &exit):
		tell(sink, exit.Said)
		return shellEnded(sh, exit.Code, exit.Said, nil)
	case errors.Is(err, rsh.ErrNoMaster):
		return report.Fail(CodeConTimeout, fmt.Errorf("remote shell %q: %w", sh, err), "")
	}
	return report.Fail(codeIPC, fmt.Errorf("start the remote shell %q: %w", sh, err), "is it installed? -e says which one to use")
}

// shellEnded is the failure of a run whose shell ended. As with rsync the shell's exit code counts
// where it says more than "the stream ended": ssh's 255, a shell's 127 (rsync 3.5.0 cleanup.c).
func shellEnded(sh *rsh.Shell, code int, said []string, err error) error {
	text := fmt.Sprintf("the remote shell %q ended with exit code %d", sh, code)
	if code < 0 {
		text = fmt.Sprintf("the remote shell %q was killed", sh)
	}
	if n := len(said); n > 0 {
		text += ": " + said[n-1]
	}
	failure := errors.New(text)
	if err != nil {
		var f *Failure
		if errors.As(err, &f) {
			err = f.Err
		}
		failure = fmt.Errorf("%w: %w", failure, err)
	}
	return &Failure{Code: max(CodeStream, Code(code)), Err: failure, Hint: shellHint(code, said)}
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
	if code == 127 || code == 126 || strings.Contains(all, "command not found") {
		return "is rsync installed there? --rsync-path says where"
	}
	return ""
}
