package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/confine"
	"github.com/lockstep-sync/lockstep/syncer"
)

// ServiceOptions are what a Service has beside its syncs. The zero value is for tests.
type ServiceOptions struct {
	Version, Config string // for api.Agent
	Process         Process
	// Load reads the config again, for Reload. Its error says what is wrong with it. nil: there is nothing to load.
	Load func() ([]SyncConfig, Process, error)
	Log  *zap.Logger // nil: silence
	// Levels sets log levels, for LogLevel. nil: there is none that can be set.
	Levels func(component, level string) (map[string]string, error)
	Pushed func(api.Push)    // is told of each push, by several goroutines; nil: nobody
	Items  func(syncer.Item) // is told of what pushes bring about, by several goroutines; nil: nobody
}

// Service keeps the targets of any number of syncs in step, and implements api.Service.
type Service struct {
	o       ServiceOptions
	env     *environment
	process Process // what holds; what is read later may say otherwise
	began   time.Time
	only    bool // one sync, and what keeps it from running is fatal
	ready   *latch
	stopped *latch

	reloading chan struct{} // one token: whoever has it changes units

	mu        sync.Mutex // guards what follows; held for moments
	units     []*unit    // in the order of the config
	start     func(*unit)
	loaded    time.Time
	loadError string
	errs      error // of units that ended
	needs     confine.Needs
}

// NewService opens the syncs, whose settings are valid each by itself, and starts nothing. One that cannot be opened is
// tried again while the Service runs; an error is about all of them. Run has to be called, it closes what is open.
func NewService(syncs []SyncConfig, o ServiceOptions) (*Service, error) {
	return newService(syncs, o, false)
}

func newService(syncs []SyncConfig, o ServiceOptions, only bool) (*Service, error) {
	if err := check(syncs); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	v := &Service{
		o: o, process: o.Process, began: time.Now(), only: only, ready: newLatch(), stopped: newLatch(), loaded: time.Now(), reloading: make(chan struct{}, 1),
		env: &environment{log: o.Log, items: o.Items, pushed: o.Pushed, tuner: newTuner(o.Log.Named("agent")), turns: newTurns(), named: !only, tuned: o.Process.User != ""},
	}
	v.env.syncs.Store(int64(len(syncs)))
	if only {
		v.env.pairs = v
	}
	for _, cfg := range syncs {
		v.units = append(v.units, newUnit(v.inProcess(cfg), v.env))
	}
	openAll(v.units)
	if only {
		if _, err := v.units[0].state(); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// inProcess gives a sync what is set for the whole process.
func (v *Service) inProcess(cfg SyncConfig) SyncConfig {
	cfg.Targets = slices.Clone(cfg.Targets)
	for i := range cfg.Targets {
		s := &cfg.Targets[i]
		s.StateDir, s.User, s.Confine = cmp.Or(v.process.StateDir, s.StateDir), v.process.User, v.process.Confine
		s.Watch = true
	}
	return cfg
}

func (v *Service) closeAll() {
	for _, u := range v.list() {
		u.close(nil)
	}
}

// list is the syncs there are now.
func (v *Service) list() []*unit {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.units
}

// Run takes from the process what it does not need, and keeps all targets in step until stop is done, or Stop is
// called; then what is pending is pushed within the grace time. When ctx ends, it ends at once. It returns an
// error where it could not begin, or ctx's.
func (v *Service) Run(ctx, stop context.Context) error {
	if err := v.giveUpPrivileges(ctx); err != nil {
		v.closeAll()
		return err
	}
	stopping, stopAll := context.WithCancel(stop)
	defer stopAll()
	var running sync.WaitGroup
	start := func(u *unit) {
		one, stopOne := context.WithCancel(stopping)
		u.stop = stopOne
		running.Go(func() {
			defer stopOne()
			if err := u.run(ctx, one); err != nil {
				v.ended(err)
			}
		})
	}
	v.mu.Lock()
	v.start = start
	units := v.units
	for _, u := range units {
		start(u)
	}
	v.mu.Unlock()
	running.Go(func() { v.waitReady(stopping, units) })

	select {
	case <-stop.Done():
	case <-ctx.Done():
	case <-v.stopped.ch:
	case <-v.allOver(): // with an error of the only one
	}
	v.mu.Lock()
	v.start = nil // no reload begins anything from here on
	v.mu.Unlock()
	stopAll()
	running.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.errs
}

// allOver is closed when a Service that is about one sync has no more to do.
func (v *Service) allOver() <-chan struct{} {
	if !v.only {
		return nil
	}
	return v.list()[0].over
}

// ended takes why a unit ended in an error: that of its context.
func (v *Service) ended(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.errs == nil {
		v.errs = err
	}
}

// giveUpPrivileges confines the process, once for all syncs that are there now.
func (v *Service) giveUpPrivileges(ctx context.Context) error {
	var configs []SyncConfig
	for _, u := range v.list() {
		configs = append(configs, u.cfg)
	}
	n, err := v.process.needs(configs)
	if err != nil {
		return err
	}
	if v.o.Config != "" {
		n.Read = append(n.Read, filepath.Dir(v.o.Config))
	}
	v.mu.Lock()
	v.needs = n
	v.mu.Unlock()
	if v.process.User != "" {
		if err := v.handOver(ctx, n.User); err != nil {
			return err
		}
	}
	rights, err := apply(n)
	if err != nil {
		return err
	}
	logPrivileges(v.o.Log.Named("agent"), rights)
	return nil
}

// handOver does what the user that the process becomes could not do.
func (v *Service) handOver(ctx context.Context, user *confine.User) error {
	for _, u := range v.list() {
		o, _ := u.state()
		if o == nil {
			continue
		}
		if !u.settings().NoTune {
			v.env.tuner.tune(ctx, o.targets.root(), o.targets.excluded)
		}
		if err := o.targets.handOver(user); err != nil {
			return err
		}
	}
	if dir := (&Settings{StateDir: v.process.StateDir}).stateDir(); !v.only && dir != "" { // what a reload adds has to find its place
		if err := os.Chown(dir, user.UID, user.GID); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("--user=%s: hand over the state: %w", user, err)
		}
	}
	return nil
}

// Ready is closed when each sync that there was at the start watches its source, or has said why it cannot.
func (v *Service) Ready() <-chan struct{} { return v.ready.ch }

// waitReady sets ready in its time.
func (v *Service) waitReady(ctx context.Context, units []*unit) {
	for _, u := range units {
		select {
		case <-u.ready.ch:
		case <-ctx.Done():
			return
		}
	}
	v.ready.set()
}

// stuckAfter is how long nothing may come about that should: longer than any walk of a tree, and than any wait that is
// meant.
const stuckAfter = 5 * time.Minute

// Alive says that watchers and pushes make progress: that nothing in the process waits for itself. A target that
// cannot be reached, or takes long, is no matter of that; it would be the same after a restart.
func (v *Service) Alive() bool {
	for _, u := range v.list() {
		o, _ := u.state()
		if o == nil {
			continue
		}
		if s := o.watch.Stats(); !s.Looked.IsZero() && time.Since(s.Looked) > stuckAfter {
			return false
		}
		for _, r := range o.targets {
			if r.stuck() {
				return false
			}
		}
	}
	return true
}

// stuck says that something is due for long, and nothing is done about it.
func (r *replica) stuck() bool {
	return r.line.Overdue() > stuckAfter && r.feed.inFlight.Load() == 0 && !r.pause.is() && r.record.failing() == nil
}

// Stop implements api.Service.
func (v *Service) Stop() { v.stopped.set() }

// LogLevel implements api.Service.
func (v *Service) LogLevel(component, level string) (map[string]string, error) {
	if v.o.Levels == nil {
		return nil, fmt.Errorf("log levels: %w: none can be set here", api.ErrUnknown)
	}
	return v.o.Levels(component, level)
}
