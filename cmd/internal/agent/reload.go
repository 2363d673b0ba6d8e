package agent

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/confine"
)

// errNotRunning says that a Service was not started yet, or is being stopped.
var errNotRunning = errors.New("it is not running, or about to end")

// Reload implements api.Service. What is read is compared by the names of syncs; those whose settings are what they were
// go on untouched. The others are stopped first, all of them, and what takes their place is opened then: so a target may go
// from one sync to another.
func (v *Service) Reload(ctx context.Context) (api.Reloaded, error) {
	select {
	case v.reloading <- struct{}{}:
		defer func() { <-v.reloading }()
	case <-ctx.Done():
		return api.Reloaded{}, fmt.Errorf("another reload goes on: %w", ctx.Err())
	}
	if v.o.Load == nil {
		return api.Reloaded{}, fmt.Errorf("there is no config that could be read again: %w", api.ErrUnknown)
	}
	syncs, process, err := v.o.Load()
	if err == nil {
		err = check(syncs)
	}
	if err != nil {
		v.mu.Lock()
		v.loadError = err.Error()
		v.mu.Unlock()
		v.o.Log.Named("agent").Error("the config was not loaded again, nothing is changed", zap.Error(err))
		return api.Reloaded{}, fmt.Errorf("%w: %w", api.ErrSettings, err)
	}
	return v.apply(syncs, process)
}

// apply makes syncs what there is.
func (v *Service) apply(syncs []SyncConfig, process Process) (api.Reloaded, error) {
	var r api.Reloaded
	v.env.syncs.Store(int64(len(syncs)))
	was := map[string]*unit{}
	for _, u := range v.list() {
		was[u.cfg.Name] = u
	}
	var units, ending, beginning []*unit
	for _, cfg := range syncs {
		cfg = v.inProcess(cfg)
		u, known := was[cfg.Name]
		delete(was, cfg.Name)
		if known && sameSync(&u.cfg, &cfg) {
			r.Kept = append(r.Kept, cfg.Name)
			units = append(units, u)
			continue
		}
		fresh := newUnit(cfg, v.env)
		if known {
			fresh.pause.set(u.pause.is())
			r.Restarted = append(r.Restarted, cfg.Name)
			ending = append(ending, u)
		} else {
			r.Started = append(r.Started, cfg.Name)
		}
		units, beginning = append(units, fresh), append(beginning, fresh)
	}
	for _, u := range v.list() {
		if was[u.cfg.Name] != nil {
			r.Stopped = append(r.Stopped, u.cfg.Name)
			ending = append(ending, u)
		}
	}
	r.NotApplied = v.notApplied(syncs, process)
	if err := v.exchange(units, ending, beginning); err != nil {
		return api.Reloaded{}, err
	}
	v.o.Log.Named("agent").Info("the config was loaded again", zap.Strings("kept", r.Kept), zap.Strings("started", r.Started),
		zap.Strings("restarted", r.Restarted), zap.Strings("stopped", r.Stopped), zap.Strings("not_applied", r.NotApplied))
	return r, nil
}

// exchange stops units, within their grace time, and begins others.
func (v *Service) exchange(units, ending, beginning []*unit) error {
	v.mu.Lock()
	if v.start == nil {
		v.mu.Unlock()
		return errNotRunning
	}
	for _, u := range ending {
		u.stop()
	}
	v.mu.Unlock()
	for _, u := range ending {
		<-u.over
	}
	openAll(beginning)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.start == nil {
		for _, u := range beginning {
			u.close(nil)
		}
		return errNotRunning
	}
	for _, u := range beginning {
		v.start(u)
	}
	v.units, v.loaded, v.loadError = units, time.Now(), ""
	return nil
}

// sameSync says whether two syncs of a name come to the same.
func sameSync(a, b *SyncConfig) bool {
	if len(a.Targets) != len(b.Targets) || !reflect.DeepEqual(a.Hooks, b.Hooks) {
		return false
	}
	for i := range a.Targets {
		if !sameSettings(a.Targets[i], b.Targets[i]) {
			return false
		}
	}
	return true
}

// sameSettings compares what counts for a sync; what is the process's is left out.
func sameSettings(a, b Settings) bool {
	if len(a.Quieter) != len(b.Quieter) {
		return false
	}
	for i := range a.Quieter {
		if a.Quieter[i].Pattern != b.Quieter[i].Pattern || a.Quieter[i].Wait != b.Quieter[i].Wait {
			return false
		}
	}
	for _, s := range []*Settings{&a, &b} {
		s.Filter.Open, s.Quieter = nil, nil // what the one read, and the others compile, is compared
		s.LogLevel, s.LogFormat, s.LogFile, s.StateDir, s.User, s.Confine = "", "", "", "", "", ""
	}
	return reflect.DeepEqual(a, b)
}

// processKeys are the fields of Process as a config calls them.
var processKeys = [...]string{
	"log-level", "log-format", "log-file", "state-dir", "user", "confine", "control", "control-group",
	"listen", "listen-cert", "listen-key", "listen-client-ca", "listen-token-file",
}

// notApplied are settings of the process that are not what they were, and what was taken from it at the start and
// would be needed now.
func (v *Service) notApplied(syncs []SyncConfig, p Process) (list []string) {
	have, want := reflect.ValueOf(v.process), reflect.ValueOf(p)
	for i, name := range processKeys {
		if !have.Field(i).Equal(want.Field(i)) {
			list = append(list, name)
		}
	}
	v.mu.Lock()
	plan := confine.Decide(v.needs)
	v.mu.Unlock()
	if n, err := v.process.needs(syncs); err == nil {
		for _, lack := range plan.Lacks(n) {
			list = append(list, "confine: the process was left without "+lack)
		}
	}
	return list
}
