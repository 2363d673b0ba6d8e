package syncer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/rsh"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// daemon is a module of an rsync daemon: one connection a run.
type daemon struct {
	cfg    *Config
	addr   string
	dialer net.Dialer
	module sender.Module
	shell  *rsh.Shell // the daemon is started through it; nil: it listens
	warm   *warm      // nil: no connection is opened ahead

	// knocked is what a look for the daemon left open, for the next push; nil: nothing.
	knocked   wire.Conn
	knockedAt time.Time
}

func newDaemon(cfg *Config) (*daemon, error) {
	t := cfg.Target
	own := *cfg // a connection is opened ahead while pushes change what they ask for
	d := &daemon{
		cfg:    &own,
		addr:   t.Addr(cfg.Port),
		module: sender.Module{Name: t.Module, Path: t.Path, User: t.User, Password: cfg.Password},
	}
	if cfg.Rsh != "" {
		var err error
		d.shell, err = newRsh(cfg)
		return d, err
	}
	if err := d.setDialer(); err != nil {
		return nil, report.Fail(CodeUsage, err, "")
	}
	if cfg.Keep && !cfg.NoPrewarm {
		d.warm = newWarm(d.greet)
	}
	return d, nil
}

func (d *daemon) close() error {
	if c := d.takeKnocked(); c != nil {
		c.Close()
	}
	if d.warm != nil {
		d.warm.close()
	}
	if d.shell != nil {
		return d.shell.Close()
	}
	return nil
}

func (d *daemon) run(ctx context.Context, src *source.Tree, o sender.Options, j *sender.Job) (sender.Result, error) {
	if d.module.Wild() {
		if j.List.Len() == 1 && !j.List.At(0).IsDir() && !strings.HasSuffix(d.module.Path, "/") {
			return sender.Result{}, report.Fail(CodeUsage, fmt.Errorf("a file's new name on a daemon cannot hold *, ? or [: %q", d.module.Path),
				"end it with a slash if it is a directory")
		}
		if err := d.makePath(ctx, src, &o); err != nil {
			return sender.Result{}, err
		}
	}
	if s := d.ready(ctx, &o); s != nil {
		res, err := s.push(ctx, src, o, d.module.Path, j)
		if err == nil || s.session.Answered() || ctx.Err() != nil || errors.Is(err, sender.ErrNoMissingArgs) {
			d.prepare(err)
			return res, err
		}
		// It had died without a word of it: nothing was done, and nobody is to notice.
		if errors.Is(err, os.ErrDeadlineExceeded) {
			d.warm.pause() // or the daemon takes its time, and the next one would be in vain, too
		}
	}
	res, err := d.connect(ctx, src, o, d.module.Path, j)
	d.prepare(err)
	return res, err
}

// ready is the connection that was opened ahead, if there is one.
func (d *daemon) ready(ctx context.Context, o *sender.Options) *greeted {
	if d.warm == nil {
		return nil
	}
	g := d.warm.take(ctx)
	if g != nil && o.Sink.Message != nil {
		for _, text := range g.said {
			o.Sink.Message(text, false)
		}
	}
	return g
}

// prepare opens the next connection ahead after a run that ended with err.
func (d *daemon) prepare(err error) {
	if d.warm != nil && err == nil {
		d.warm.prepare()
	}
}

// makePath makes the target's directory, if need be, where its name holds wildcards: as the
// path argument such a name serves only once it is there. In a file list it is a name.
func (d *daemon) makePath(ctx context.Context, src *source.Tree, like *sender.Options) error {
	var entries sender.Entries
	name := strings.Trim(path.Clean("/"+d.module.Path), "/")
	for dir := name; dir != ""; dir = parent(dir) {
		e := flist.Entry{Name: dir, Mode: unix.S_IFDIR | 0o777, Flags: flist.Partial}
		if dir != name {
			e.Flags |= flist.Top // implied: it is there, or it is an error
		}
		entries.Add(e)
	}
	o := sender.Options{Set: option.Defaults(), Protocol: like.Protocol}
	o.Recurse, o.DryRun, o.Timeout = true, like.DryRun, like.Timeout
	said := ""
	o.Sink.Message = func(text string, isError bool) {
		if isError {
			said = text
		}
	}
	res, err := d.connect(ctx, src, o, "", &sender.Job{List: sender.NewList(entries)})
	if err == nil && res.Partial {
		err = report.Fail(CodeFile, fmt.Errorf("make the target's directory: %s", said), "of the target only the last directory is made")
	}
	return err
}
