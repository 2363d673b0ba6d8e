package agent

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// Status implements api.Service. It takes no lock that is held while something is waited for: neither a push, nor
// the disk, nor a queue that is being sorted.
func (v *Service) Status() api.Agent {
	v.mu.Lock()
	units, loaded, loadError := v.units, v.loaded, v.loadError
	v.mu.Unlock()
	a := api.Agent{
		Version: v.o.Version, PID: os.Getpid(), Since: v.began, Config: v.o.Config, LoadError: loadError, Ready: true,
		Goroutines: runtime.NumGoroutine(), Descriptors: descriptors(), Resident: resident(), Syncs: make([]api.Sync, 0, len(units)),
	}
	if v.o.Config != "" {
		a.Loaded = loaded
	}
	limit := watchLimit()
	for _, u := range units {
		a.Ready = a.Ready && u.ready.is()
		s := u.status()
		s.Watch.Limit = limit
		a.Syncs = append(a.Syncs, s)
	}
	return a
}

func (u *unit) status() api.Sync {
	o, err := u.state()
	s := api.Sync{Name: u.cfg.Name, Source: u.settings().Source, Paused: u.pause.is(), Targets: make([]api.Target, 0, len(u.cfg.Targets))}
	switch {
	case o != nil:
		u.watchStatus(&s, o)
	case err != nil:
		s.Error = err.Error()
	default:
		s.Error = "it has been stopped"
	}
	if o == nil {
		for i := range u.cfg.Targets {
			s.Targets = append(s.Targets, u.closedStatus(&u.cfg.Targets[i], s.Error))
		}
	}
	worst := slices.MaxFunc(s.Targets, func(a, b api.Target) int { return badness(a.State) - badness(b.State) })
	s.State, s.Text = worst.State, worst.Text
	if len(s.Targets) > 1 && s.Error == "" && worst.State != api.StateInStep {
		s.Text = worst.Target + ": " + worst.Text
	}
	if s.Error != "" {
		s.State, s.Text = api.StateRetrying, s.Error
	}
	return s
}

// watchStatus adds how its source is watched, and how its targets are doing.
func (u *unit) watchStatus(s *api.Sync, o *opened) {
	w := o.watch.Stats()
	s.Watch = api.Watch{
		Ready: w.RootPresent && w.Emitted > 0, Backend: w.Backend, Watches: int64(w.Watches), Polled: int64(w.Polled),
		Events: int64(w.Events), Overflows: int64(w.Overflows), Rebuilds: int64(w.Rebuilds),
	}
	if w.Absent != "" {
		s.Error = "the source is not watched until it is there: " + w.Absent
	}
	for _, r := range o.targets {
		s.Targets = append(s.Targets, r.status())
	}
}

// closedStatus is that of a target whose sync does not run.
func (u *unit) closedStatus(s *Settings, why string) api.Target {
	return api.Target{
		Sync: u.cfg.Name, Source: s.Source, Target: s.Target, PID: os.Getpid(), Goroutines: runtime.NumGoroutine(),
		State: api.StateRetrying, Text: "the sync does not run, and is tried again: " + why,
	}
}

// badness is how badly off a state is: see the State constants.
func badness(state string) int {
	return slices.Index([]string{
		api.StateStopped, api.StateInStep, api.StateVerifying, api.StatePushing, api.StateStarting,
		api.StatePaused, api.StateHeld, api.StatePartial, api.StateRetrying,
	}, state)
}

// watchLimit is fs.inotify.max_user_watches; 0 where it cannot be read.
func watchLimit() int64 {
	n, _ := strconv.ParseInt(firstField("/proc/sys/fs/inotify/max_user_watches", 0), 10, 64)
	return n
}

// resident is the memory of the process; 0 where it cannot be read.
func resident() int64 {
	pages, _ := strconv.ParseInt(firstField("/proc/self/statm", 1), 10, 64)
	return pages * int64(os.Getpagesize())
}

// firstField is a word of a file in proc(5), "" if there is none.
func firstField(name string, n int) string {
	text, err := os.ReadFile(name)
	if fields := strings.Fields(string(text)); err == nil && n < len(fields) {
		return fields[n]
	}
	return ""
}

// descriptors is how many files the process has open; 0 where that is not to be seen.
func descriptors() int {
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return 0
	}
	return len(names) - 1 // d itself
}

// rate is bytes in a second, of what took that long.
func rate(bytes int64, took time.Duration) float64 {
	return float64(bytes) / max(took.Seconds(), 0.001)
}
