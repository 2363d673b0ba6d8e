package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/control"
	"github.com/lockstep-sync/lockstep/cmd/internal/places"
	"github.com/lockstep-sync/lockstep/syncer"
)

// steered is a service that notes what it is told.
type steered struct {
	mu    sync.Mutex // guards what follows
	agent api.Agent
	calls []string
	err   error
	flush func(ctx context.Context) ([]api.Flushed, error)
}

func (s *steered) note(format string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
	return s.err
}

func (s *steered) Status() api.Agent { return s.agent }
func (s *steered) Flush(ctx context.Context, sync string) ([]api.Flushed, error) {
	err := s.note("flush %s", sync)
	if s.flush != nil {
		return s.flush(ctx)
	}
	return []api.Flushed{{Sync: "www", Target: "b::www", Done: err == nil}}, err
}
func (s *steered) Pause(sync string) error  { return s.note("pause %s", sync) }
func (s *steered) Resume(sync string) error { return s.note("resume %s", sync) }
func (s *steered) Resync(sync, target, path string, checksum bool) error {
	return s.note("resync %s %s %s %v", sync, target, path, checksum)
}
func (s *steered) Release(sync, target string) ([]api.Released, error) {
	return []api.Released{{Sync: "www", Target: "b::www", Held: []api.Held{{Path: "old", Names: 3}}}}, s.note("release %s %s", sync, target)
}
func (s *steered) Queue(sync, target string, most int) ([]api.Queued, error) {
	return []api.Queued{{Sync: "www", Target: "b::www", Path: "a\nb", Tree: true, Since: time.Now().Add(-3 * time.Second)}}, s.note("queue %s %s %d", sync, target, most)
}
func (s *steered) Reload(context.Context) (api.Reloaded, error) {
	return api.Reloaded{Started: []string{"new"}, Kept: []string{"www"}}, s.note("reload")
}
func (s *steered) Stop() { s.note("stop") }
func (s *steered) LogLevel(component, level string) (map[string]string, error) {
	return map[string]string{"": "info", "push": "debug"}, s.note("log-level %s %s", component, level)
}

// steer runs an agent with s at the default socket, for a test.
func steer(t *testing.T, s *steered) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv(places.RunDirEnv, dir)
	t.Setenv("STATE_DIRECTORY", filepath.Join(dir, "state"))
	l, err := control.Listen(defaultSocket(), "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- control.Serve(ctx, l, control.Handler(s, nil)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}

// verb runs a command line.
func verb(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

func twoSyncs() api.Agent {
	now := time.Now()
	www := api.Sync{Name: "www", Source: "/srv/www/", State: api.StateRetrying, Watch: api.Watch{Ready: true, Backend: "inotify", Watches: 12, Limit: 1000}, Targets: []api.Target{
		{Sync: "www", Source: "/srv/www/", Target: "b::www", State: api.StateRetrying, Text: "connection refused (network)", PID: 1, Since: now, Paths: 3, Oldest: now.Add(-time.Minute),
			Error: &api.Error{Class: "network", Text: "connection refused", Remedy: "start the daemon", Since: now, Tries: 4, Next: now.Add(time.Minute)}},
		{Sync: "www", Source: "/srv/www/", Target: "/mnt/www", State: api.StateInStep, Text: "everything is on the target", PID: 1, Since: now, LastSuccess: now},
	}}
	sub := api.Sync{Name: "sub", Source: "/srv/www/sub", State: api.StateInStep, Targets: []api.Target{{Sync: "sub", Source: "/srv/www/sub", Target: "/mnt/sub", State: api.StateInStep, Text: "everything is on the target", PID: 1, Since: now, LastSuccess: now}}}
	return api.Agent{Version: "1.2", PID: 1, Since: now, Ready: true, Config: "/etc/lockstep/lockstep.yaml", Loaded: now, Syncs: []api.Sync{www, sub}}
}

// TestControlVerbs runs each verb: what the agent is told, what is printed, how it ends.
func TestControlVerbs(t *testing.T) {
	s := &steered{agent: twoSyncs()}
	steer(t, s)
	for _, c := range []struct {
		args   string
		code   int
		told   []string
		prints string
	}{
		{"status", 23, nil, "remedy"},
		{"status sub", 0, nil, "sub: /srv/www/sub → /mnt/sub"},
		{"status www /mnt/www", 0, nil, "watching     inotify: 12 directories of 1000"},
		{"status www b::www", 23, nil, "start the daemon"},
		{"status --json /srv/www/", 23, nil, `"target": "b::www"`},
		{"status none", 3, nil, `a sync or source "none"; there are sub, www`},
		{"failed", 0, nil, ""},
		{"pause", 0, []string{"pause "}, "all: paused"},
		{"pause www", 0, []string{"pause www"}, "www: paused"},
		{"resume /srv/www/", 0, []string{"resume www"}, "www: pushes again"},
		{"resync --checksum", 0, []string{"resync    true"}, "all: is being compared"},
		{"resync www b::www", 0, []string{"resync www b::www  false"}, "www: is being compared"},
		{"resync /srv/www/img/2024", 0, []string{"resync www  img/2024 false"}, "www: img/2024"},
		{"resync /srv/www/sub/x /mnt/sub", 0, []string{"resync sub /mnt/sub x false"}, "sub: x"},
		{"resync /srv/www", 0, []string{"resync www   false"}, "www: is"},
		{"resync /srv", 3, nil, "nothing is known"},
		{"release", 0, []string{"release  "}, "www → b::www: released old: 3 names"},
		{"release www b::www", 0, []string{"release www b::www"}, "released old"},
		{"queue --most=7 www", 0, []string{"queue www  7"}, `b::www: a\#012b and all below, for 3s`},
		{"queue --json", 0, []string{"queue   20"}, `"path": "a\nb"`},
		{"flush", 0, []string{"flush "}, "www → b::www: everything is there"},
		{"flush --wait --timeout=1m www", 0, []string{"flush www"}, "everything is there"},
		{"reload", 0, []string{"reload"}, "started: new"},
		{"log-level", 0, []string{"log-level  "}, "all=info\npush=debug\n"},
		{"log-level push=debug warn", 0, []string{"log-level  ", "log-level push debug", "log-level  warn"}, "push=debug"},
		{"stop", 0, []string{"stop"}, "ends"},

		{"flush --timeout=soon", 1, nil, "no time"},
		{"flush a b", 1, nil, "at most a sync or its source is wanted, there are 2 arguments"},
		{"stop www", 1, nil, "at most options are wanted"},
		{"pause --json", 1, nil, "unknown option"},
		{"queue --most=0", 1, nil, "no number from 1"},
		{"log-level push=", 1, []string{"log-level  "}, "has no level"},
	} {
		s.calls = nil
		args := strings.Fields(c.args)
		code, stdout, stderr := verb(args...)
		if code != c.code || !strings.Contains(stdout+stderr, c.prints) {
			t.Errorf("%s: code %d, want %d; it should print %q:\n%s%s", c.args, code, c.code, c.prints, stdout, stderr)
		}
		if !slices.Equal(s.calls, c.told) {
			t.Errorf("%s: the agent was told %q, want %q", c.args, s.calls, c.told)
		}
		if slices.Contains(args, "--json") && c.code != 1 && !json.Valid([]byte(stdout)) {
			t.Errorf("%s prints no JSON:\n%s", c.args, stdout)
		}
	}
}

// TestControlCodes has errors of an agent end a verb as its usage says.
func TestControlCodes(t *testing.T) {
	s := &steered{agent: twoSyncs()}
	steer(t, s)
	for _, c := range []struct {
		args string
		err  error
		code int
	}{
		{"reload", api.ErrSettings, 1}, {"flush --wait", api.ErrNotThere, 23}, {"flush --wait", api.ErrPaused, 23}, {"flush --wait --json", api.ErrNotThere, 23},
		{"flush --wait --timeout=1m", context.DeadlineExceeded, 30}, {"flush", context.DeadlineExceeded, 23}, {"pause www", errors.New("no"), 10}, {"queue", errors.ErrUnsupported, 10},
	} {
		s.err = c.err
		if code, stdout, stderr := verb(strings.Fields(c.args)...); code != c.code || !strings.Contains(stderr, fmt.Sprintf("code %d", c.code)) {
			t.Errorf("%s when it says %v: code %d, want %d:\n%s%s", c.args, c.err, code, c.code, stdout, stderr)
		}
	}
	s.err = nil
	s.flush = func(ctx context.Context) ([]api.Flushed, error) {
		<-ctx.Done()
		return []api.Flushed{{Sync: "www", Target: "b::www", Text: "3 paths are to be pushed", Took: 0.1}}, ctx.Err()
	}
	code, stdout, _ := verb("flush", "--timeout=100ms")
	if code != 30 || !strings.Contains(stdout, "not there: 3 paths are to be pushed") {
		t.Errorf("flush when the time is over: code %d:\n%s", code, stdout)
	}
	for _, args := range [][]string{{"stop"}, {"reload"}, {"log-level"}, {"status"}, {"flush", "--wait"}, {"pause"}} {
		if code, _, stderr := verb(append(args, "--control=/nonexistent/control.sock")...); code != 3 || !strings.Contains(stderr, "/nonexistent/control.sock") {
			t.Errorf("%q where nobody listens: code %d: %s", args, code, stderr)
		}
	}
}

// TestControlTable shows many targets in a table, with what needs somebody below it, and quickly.
func TestControlTable(t *testing.T) {
	a := twoSyncs()
	for i := range 50 {
		name := fmt.Sprintf("sync%02d", i)
		one := api.Sync{Name: name, Source: "/srv/" + name, State: api.StateInStep}
		for j := range 3 {
			one.Targets = append(one.Targets, api.Target{Sync: name, Source: one.Source, Target: fmt.Sprintf("host%d::%s", j, name), State: api.StateInStep, LastSuccess: time.Now()})
		}
		a.Syncs = append(a.Syncs, one)
	}
	a.Syncs[7].Targets[1].State, a.Syncs[7].Targets[1].Held = api.StateHeld, []api.Held{{Path: "x"}}
	a.Syncs[9].Targets[1].Failed = []syncer.Failed{{Path: "p", Reason: "no room"}}
	s := &steered{agent: a}
	steer(t, s)
	began := time.Now()
	code, stdout, stderr := verb("status")
	t.Logf("took %v\n%s", time.Since(began), stdout)
	if code != 23 || strings.Count(stdout, "in-step ") < 150 {
		t.Errorf("code %d:\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{"STATE", "151 in-step, 1 held, 1 retrying", "lockstep release sync05", "remedy: start the daemon"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not there", want)
		}
	}
	if code, stdout, _ := verb("failed"); code != 23 || !strings.Contains(stdout, "host1::sync07: p: no room") {
		t.Errorf("failed: code %d:\n%s", code, stdout)
	}
}

// TestControlForbidden says who may, to who may not.
func TestControlForbidden(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("becoming somebody else needs root")
	}
	steer(t, &steered{agent: twoSyncs()})
	open(t, filepath.Dir(defaultSocket()))
	var out bytes.Buffer
	c := lockstepCmd("/", os.Environ(), &out, &out, "status")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	code, err := exitCode(c.Run())
	if err != nil || code != 10 || !strings.Contains(out.String(), "may be used by root and the group of that socket alone") {
		t.Errorf("code %d, %v: %s", code, err, out.String())
	}
}
