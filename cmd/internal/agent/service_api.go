package agent

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/debounce"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/watcher"
)

var _ api.Service = (*Service)(nil)

// find gives the syncs of a name, or all.
func (v *Service) find(sync string) ([]*unit, error) {
	units := v.list()
	if sync == "" {
		return units, nil
	}
	for _, u := range units {
		if u.cfg.Name == sync {
			return []*unit{u}, nil
		}
	}
	return nil, fmt.Errorf("sync %q: %w", sync, api.ErrUnknown)
}

// each does something with a target, or all, of a sync, or of all.
func (v *Service) each(sync, target string, do func(*unit, *replica) error) error {
	units, err := v.find(sync)
	if err != nil {
		return err
	}
	found := target == ""
	var errs []error
	for _, u := range units {
		o, why := u.state()
		for i := range u.cfg.Targets {
			switch {
			case target != "" && u.cfg.Targets[i].Target != target:
				continue
			case o == nil:
				errs = append(errs, u.closedError(why))
			default:
				errs = append(errs, do(u, o.targets[i]))
			}
			found = true
		}
	}
	if !found {
		return fmt.Errorf("target %q: %w", target, api.ErrUnknown)
	}
	return errors.Join(errs...)
}

// closedError says that a sync does not run, and why.
func (u *unit) closedError(why error) error {
	if why == nil {
		why = errors.New("it has been stopped")
	}
	return fmt.Errorf("sync %q does not run: %w", u.cfg.Name, why)
}

// Flush implements api.Service.
func (v *Service) Flush(ctx context.Context, name string) ([]api.Flushed, error) {
	units, err := v.find(name)
	if err != nil {
		return nil, err
	}
	lists := make([][]api.Flushed, len(units))
	errs := make([]error, len(units))
	var all sync.WaitGroup
	for i, u := range units {
		all.Go(func() { lists[i], errs[i] = u.flush(ctx) })
	}
	all.Wait()
	var list []api.Flushed
	for _, l := range lists {
		list = append(list, l...)
	}
	return list, errors.Join(errs...)
}

// flush has all that was changed before now brought to the targets.
func (u *unit) flush(ctx context.Context) ([]api.Flushed, error) {
	begun := time.Now()
	list := make([]api.Flushed, len(u.cfg.Targets))
	errs := make([]error, len(list))
	o, why := u.state()
	var seen error // why the watcher did not tell all
	switch {
	case u.pause.is():
		seen = api.ErrPaused
	case o == nil:
		seen = fmt.Errorf("%w: %w", api.ErrNotThere, u.closedError(why))
	default:
		if err := o.barrier(ctx); err != nil {
			seen = fmt.Errorf("%w: what was changed is not known: %w", api.ErrNotThere, err)
		}
	}
	var all sync.WaitGroup
	for i := range list {
		all.Go(func() {
			err := seen
			if err == nil {
				err = o.targets[i].flush(ctx)
			}
			list[i] = api.Flushed{Sync: u.cfg.Name, Target: u.cfg.Targets[i].Target, Done: err == nil, Took: time.Since(begun).Seconds()}
			if err != nil {
				list[i].Text = strings.ReplaceAll(err.Error(), "\n", "; ")
				errs[i] = fmt.Errorf("%s: %w", list[i].Target, err)
			}
		})
	}
	all.Wait()
	if seen != nil {
		return list, fmt.Errorf("sync %q: %w", u.cfg.Name, seen)
	}
	return list, errors.Join(errs...)
}

// barrier returns when all that happened before it is in the queues.
func (o *opened) barrier(ctx context.Context) error {
	watched, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.drained, cancel)()
	err := o.watch.Barrier(watched)
	if err != nil && o.drained.Err() != nil {
		return watcher.ErrEnded
	}
	return err
}

// Pause implements api.Service.
func (v *Service) Pause(sync string) error { return v.setPause(sync, true) }

// Resume implements api.Service.
func (v *Service) Resume(sync string) error { return v.setPause(sync, false) }

func (v *Service) setPause(sync string, on bool) error {
	units, err := v.find(sync)
	if err != nil {
		return err
	}
	for _, u := range units {
		if !u.pause.set(on) {
			continue
		}
		text := "resumed"
		if on {
			text = "paused: changes are gathered, and nothing is pushed"
		}
		u.log.Named("agent").Info(text, zap.String("root", u.settings().Source))
		if o, _ := u.state(); o != nil {
			for _, r := range o.targets {
				r.feed.interrupt()
			}
		}
	}
	return nil
}

// Resync implements api.Service.
func (v *Service) Resync(sync, target, name string, checksum bool) error {
	return v.each(sync, target, func(u *unit, r *replica) error {
		below, err := r.below(name)
		if err != nil {
			return err
		}
		return r.resync(below, checksum)
	})
}

// below is a path relative to the watched directory: it is so already, or absolute and below that.
func (r *replica) below(name string) (string, error) {
	if filepath.IsAbs(name) {
		rel, err := filepath.Rel(r.push.WatchRoot(), filepath.Clean(name))
		if err != nil {
			return "", fmt.Errorf("path %q: %w", name, err)
		}
		name = rel
	}
	name = path.Clean(name)
	if name == ".." || strings.HasPrefix(name, "../") || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("path %q is not below the source %q: %w", name, r.s.Source, api.ErrUnknown)
	}
	return name, nil
}

// resync has the target compared with the source at name and below.
func (r *replica) resync(name string, checksum bool) error {
	if name == "." {
		r.verify.ask(checksum)
		r.feed.interrupt()
		return nil
	}
	r.line.Add(debounce.Change{Path: name, Tree: true, Content: checksum})
	return nil
}

// Release implements api.Service.
func (v *Service) Release(sync, target string) ([]api.Released, error) {
	list := []api.Released{}
	err := v.each(sync, target, func(u *unit, r *replica) error {
		list = append(list, api.Released{Sync: u.cfg.Name, Target: r.s.Target, Held: r.release()})
		return nil
	})
	return list, err
}

// Queue implements api.Service.
func (v *Service) Queue(sync, target string, most int) ([]api.Queued, error) {
	list := []api.Queued{}
	err := v.each(sync, target, func(u *unit, r *replica) error {
		for i, e := range r.line.List() {
			if i >= most {
				break
			}
			list = append(list, api.Queued{Sync: u.cfg.Name, Target: r.s.Target, Path: syncer.Quote(e.Path), Tree: e.Tree, Since: e.First, Sent: e.Taken})
		}
		return nil
	})
	return list, err
}
