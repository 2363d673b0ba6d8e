package syncer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/local"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// localDir is a local directory as a target. Between pushes it holds nothing open, so
// that the target's file system can be unmounted; it is the same directory as before, or
// nothing is written.
type localDir struct {
	cfg    *Config
	path   string
	single bool // the source is a single file, path may be its new name
	umask  uint32
	abs    string
	root   *source.Identity // who the target is; nil before the first push
	most   room             // the most that was free in failed pushes since the last that reached its end
	swept  local.Swept
}

func newLocal(cfg *Config, p place) pusher {
	// Reading the umask means setting it: once, before anything runs beside us.
	mask := unix.Umask(0o022)
	unix.Umask(mask)
	abs, err := filepath.Abs(cfg.Target.Path)
	if err != nil {
		abs = cfg.Target.Path
	}
	return &localDir{cfg: cfg, path: cfg.Target.Path, single: p.renames(), umask: uint32(mask), abs: abs}
}

func (l *localDir) full(ctx context.Context, src *source.Tree, j job) (Report, error) {
	return l.push(&j, func(t *local.Target) (local.Result, error) { return t.Full(ctx, src, j.since) })
}

func (l *localDir) partial(ctx context.Context, src *source.Tree, plan source.Plan, j job) (Report, error) {
	// Removing looks at what stands there, and at the rules for that.
	plan.Missing = append(plan.Missing, plan.Unsure...)
	if len(plan.Missing)+len(plan.Entries)+len(plan.Trees)+len(plan.Levels) == 0 {
		return Report{}, nil
	}
	return l.push(&j, func(t *local.Target) (local.Result, error) {
		if err := l.move(ctx, t, src, &j); err != nil {
			return local.Result{}, err
		}
		return t.Partial(ctx, src, plan, j.since)
	})
}

func (l *localDir) push(j *job, do func(*local.Target) (local.Result, error)) (Report, error) {
	t, err := l.open(j)
	if err != nil {
		return Report{}, err
	}
	defer t.Close()
	res, err := do(t)
	res.Stats.Sent = res.Stats.Literal // no wire, but what was written is what was sent
	if err == nil {
		l.most = room{}
	}
	rep := Report{Stats: res.Stats, Problems: res.Problems, Changed: res.Changed, DeletesHeld: res.DeletesHeld > 0}
	return rep, report.Fail(CodeFile, err, "")
}

func (l *localDir) open(j *job) (*local.Target, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	open := local.Open
	if l.single {
		open = local.OpenFile
	}
	t, err := open(l.path, l.options(j))
	if err != nil {
		hint := ""
		if errors.Is(err, fs.ErrNotExist) {
			hint = "of the target only the last directory is made; --mkpath makes all"
		}
		return nil, report.Fail(CodeFile, fmt.Errorf("open the target: %w", err), hint)
	}
	if l.root == nil && l.cfg.Keep && !l.single {
		if id, err := source.Identify(l.path); err == nil {
			l.root = &id
		}
	}
	return t, nil
}

// check refuses a target that is no longer the directory that was written to: its file
// system was unmounted, and what is sent would fill the disk below.
func (l *localDir) check() error {
	if l.root == nil {
		return nil
	}
	id, err := source.Identify(l.path)
	if err == nil && l.root.Same(id) {
		return nil
	}
	if err == nil {
		err = errReplaced
	}
	return report.Fail(CodeFile, fmt.Errorf("the target %q is not the directory that was written to before: %w", l.path, err),
		"is it mounted? It goes on when the directory is back, or after a restart")
}

func (l *localDir) options(j *job) local.Options {
	o := local.Options{Set: l.cfg.Options, Umask: l.umask, Sink: l.cfg.Sink, Swept: &l.swept}
	o.Delete, o.Filter, o.BackupDir = j.prune, l.cfg.Filter.At(l.abs), j.backupDir
	return o
}
