package syncer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/rsh"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// shell is an rsync that a remote shell starts: one command a run, over a connection that is
// kept if the shell can.
type shell struct {
	cfg  *Config
	rsh  *rsh.Shell
	peer sender.Shell // and what is known of it from earlier runs
}

func newShell(cfg *Config) (*shell, error) {
	sh, err := newRsh(cfg)
	return &shell{cfg: cfg, rsh: sh}, err
}

func newRsh(cfg *Config) (*rsh.Shell, error) {
	sh, err := rsh.New(rsh.Config{
		Rsh: cfg.Rsh, User: cfg.Target.User, Host: cfg.Target.Host,
		Family: cfg.Family, Address: cfg.Address, ConTimeout: cfg.ConTimeout, Keep: cfg.Keep,
	})
	return sh, report.Fail(CodeUsage, err, "")
}

func rsyncPath(cfg *Config) string { return cmp.Or(cfg.RsyncPath, "rsync") }

func (s *shell) close() error { return s.rsh.Close() }

// probe implements probed: only the shell knows the way.
func (s *shell) probe(error) func(context.Context) bool { return nil }

// reach implements probed.
func (s *shell) reach(ctx context.Context) error {
	err := s.rsh.Connect(ctx)
	tellOwn(s.rsh, s.cfg.Sink, s.rsh.Said())
	if err != nil {
		return shellFailure(ctx, s.rsh, s.cfg.Sink, err)
	}
	return nil
}

// Abandon removes what all Syncers of this process have on the disk for their connections: for a
// process that is to end at once, without Close.
func Abandon() { rsh.Abandon() }

func (s *shell) run(ctx context.Context, src *source.Tree, o sender.Options, j *sender.Job) (sender.Result, error) {
	res, err := s.command(ctx, src, o, j)
	if errors.Is(err, sender.ErrOldPeer) {
		s.peer.Old = true
		res, err = s.command(ctx, src, o, j)
	}
	s.peer.Modern = err == nil && res.Modern
	return res, err
}

// command starts the rsync there and runs a job with it.
func (s *shell) command(ctx context.Context, src *source.Tree, o sender.Options, j *sender.Job) (sender.Result, error) {
	conn, err := s.rsh.Start(ctx, s.peer.Command(rsyncPath(s.cfg), o, j, s.cfg.Target.Path))
	tellOwn(s.rsh, o.Sink, s.rsh.Said())
	if err != nil {
		return sender.Result{}, shellFailure(ctx, s.rsh, o.Sink, err)
	}
	var res sender.Result
	session, err := s.greet(ctx, conn, o)
	if err == nil {
		res, err = session.Push(ctx, o, "", j, src)
	}
	return res, afterShell(ctx, s.rsh, conn, o.Sink, &res, j, err)
}

// greet waits for the rsync there, no longer than ConTimeout where the shell does not keep to it
// by itself.
func (s *shell) greet(ctx context.Context, conn *rsh.Conn, o sender.Options) (*sender.Session, error) {
	if s.cfg.ConTimeout > 0 && !s.rsh.SSH() {
		late := report.Fail(CodeConTimeout, fmt.Errorf("no rsync answers behind %q within %v", s.rsh, s.cfg.ConTimeout), "")
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.cfg.ConTimeout, late)
		defer cancel()
	}
	return sender.Greet(ctx, conn, o, &s.peer)
}

// tell hands on what a shell said. What was told by paths is no error for a sink that has them.
func tell(sink Sink, said []string, told map[string]bool) {
	if sink.Message == nil {
		return
	}
	for _, line := range said {
		sink.Message(line, !told[line])
	}
}

// blameAll finds the paths that the peer's messages are about: the lines of told are, true where that makes
// them no error for the sink. all says that no message of an rsync is
// about anything else; what others say on its standard error does not count.
func blameAll(j *sender.Job, said []string) (told map[string]bool, all bool) {
	told, all = map[string]bool{}, true
	for _, line := range said {
		switch {
		case strings.HasPrefix(line, "rsync error: "):
		case j.Blame != nil && (j.Blame([]byte(line)) || j.Blame([]byte(unprintable(line)))):
			told[line] = j.Hush
		case strings.HasPrefix(line, "rsync"), strings.HasPrefix(line, "ERROR"), strings.HasPrefix(line, "could not "),
			strings.HasPrefix(line, "cannot "), strings.HasPrefix(line, rsh.TooMuch):
			all = false
		}
	}
	return told, all
}

// unprintable undoes wire.Printable; where the line was as it is the result is no name of anything.
func unprintable(line string) string {
	if text, err := strconv.Unquote(`"` + line + `"`); err == nil {
		return text
	}
	return line
}

// tellOwn hands on what the remote shell said on its own account. Of another shell than ssh it is not
// known whose words they are.
func tellOwn(sh *rsh.Shell, sink Sink, said []string) {
	if sink.SSH == nil || !sh.SSH() {
		tell(sink, said, nil)
		return
	}
	for _, line := range unframed(said) {
		sink.SSH(line)
	}
}

// shown says that the words of a shell were shown to somebody who sees them right before the error.
func shown(sink Sink) bool { return sink.Message != nil && sink.SSH == nil }

// afterShell ends a shell's command and explains the error of its run.
func afterShell(ctx context.Context, sh *rsh.Shell, conn *rsh.Conn, sink Sink, res *sender.Result, j *sender.Job, err error) error {
	code := conn.End()
	said := conn.Said()
	told, all := blameAll(j, said)
	switch {
	case errors.Is(err, sender.ErrOldPeer), errors.Is(err, sender.ErrNoMissingArgs):
		return err
	case err != nil && saysUnknown(said, missingArgs):
		return sender.ErrNoMissingArgs
	}
	if Code(code) == report.CodeShell {
		tellOwn(sh, sink, said)
	} else {
		tell(sink, said, told)
	}
	if err == nil {
		return judge(sh, sink, code, said, len(told) > 0 && all, res)
	}
	if ctx.Err() != nil || !hungUp(err) {
		return err
	}
	return shellEnded(sh, sink, code, said, err)
}

// judge takes in the exit code of a run that reached its end. A peer behind a shell says on its standard
// error what it could not do, not in messages (rsync(1), --stderr), and its exit code is all
// that can be relied on.
func judge(sh *rsh.Shell, sink Sink, code int, said []string, blamed bool, res *sender.Result) error {
	switch Code(code) {
	case CodeOK, CodeVanished: // that it has from us
	case CodeMaxDelete:
		res.IOError |= wire.IOErrorDelLimit
	case CodePartial: // it may have this from us, too
		res.Partial = res.Partial || !blamed && (len(said) > 0 || len(res.Problems) == 0)
	default:
		return shellEnded(sh, sink, code, said, nil)
	}
	return nil
}

// hungUp says that the other side closed the connection without saying why in rsync's words.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.EPIPE)
}

// saysUnknown looks for a peer that is too old for an option (rsync 3.0.9 to 3.5.0, popt's words).
func saysUnknown(said []string, option string) bool {
	return slices.ContainsFunc(said, func(line string) bool { return strings.Contains(line, "--"+option+": unknown option") })
}
