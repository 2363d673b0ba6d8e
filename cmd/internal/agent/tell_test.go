package agent

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/hooks"
	"github.com/lockstep-sync/lockstep/syncer"
)

// note is a hook that writes down what it is told.
func (s *served) note() hooks.Hook {
	script := `{ printf '%s %s files=%s error=%s paths=' "$LOCKSTEP_EVENT" "$LOCKSTEP_SYNC" "$LOCKSTEP_FILES" "$LOCKSTEP_ERROR"; tr '\0' ','; echo; } >>"$0"`
	return hooks.Hook{Argv: []string{"/bin/sh", "-c", script, s.path("told")}}
}

// told are the lines of note that begin so.
func (s *served) told(begin string) (lines []string) {
	text, _ := os.ReadFile(s.path("told"))
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, begin) {
			lines = append(lines, line)
		}
	}
	return lines
}

// Hooks are told of what arrives, of a failure once, and of its end.
func TestHooksAreTold(t *testing.T) {
	s := newServed(t)
	a := s.sync("a", "a1")
	a.Hooks = hooks.Set{OnSuccess: s.note(), OnFailure: s.note(), OnRecovered: s.note(), OnDeleteHeld: s.note()}
	a.Targets[0].DeleteLimit = Limit{Set: true, Names: 0}
	var mu sync.Mutex
	var pushes []api.Push
	s.start(ServiceOptions{Pushed: func(p api.Push) {
		mu.Lock()
		defer mu.Unlock()
		pushes = append(pushes, p)
	}})
	s.flushed("")
	s.put("a", "new", "x")
	s.flushed("")
	s.until("success is told", func() bool {
		lines := s.told("success a files=1")
		return len(lines) > 0 && strings.Contains(lines[len(lines)-1], "new,")
	})
	if err := os.Rename(s.path("src", "a"), s.path("src", "away")); err != nil {
		t.Fatal(err)
	}
	if err := s.Resync("a", "", "new", false); err != nil { // something to be pushed
		t.Fatal(err)
	}
	s.until("the failure is told", func() bool { return len(s.told("failure a")) > 0 })
	s.until("it was tried again", func() bool {
		e := s.Status().Syncs[0].Targets[0].Error
		return e != nil && e.Tries > 2
	})
	if err := os.Rename(s.path("src", "away"), s.path("src", "a")); err != nil {
		t.Fatal(err)
	}
	s.until("its end is told", func() bool { return len(s.told("recovered a")) == 1 })
	if lines := s.told("failure"); len(lines) != 1 || !strings.Contains(lines[0], "gone") {
		t.Errorf("failures told: %q", lines)
	}
	if err := os.Remove(s.path("src", "a", "new")); err != nil {
		t.Fatal(err)
	}
	s.until("held deletions are told", func() bool { return len(s.told("delete-held a")) == 1 })
	totals := s.Status().Syncs[0].Targets[0].Totals
	if totals.Failures == 0 || totals.ByClass[syncer.ClassOperator.String()] != totals.Failures || totals.Retries == 0 {
		t.Errorf("totals: %+v", totals)
	}
	s.stop()
	mu.Lock()
	defer mu.Unlock()
	failed := 0
	for _, p := range pushes {
		if p.Class != "" {
			failed++
		}
		if p.Sync != "a" || p.Target == "" {
			t.Errorf("a push of nobody's: %+v", p)
		}
	}
	if int64(failed) != totals.Failures {
		t.Errorf("%d failures were counted, %d told", totals.Failures, failed)
	}
}

// A veto puts a push off, and only that: once it is lifted, what was to be pushed is.
func TestBeforePushVetoes(t *testing.T) {
	s := newServed(t)
	a := s.sync("a", "a1")
	script := `cat >"$0.paths"; test ! -e "$0" || { echo a backup runs; exit 1; }`
	a.Hooks = hooks.Set{BeforePush: hooks.Hook{Argv: []string{"/bin/sh", "-c", script, s.path("veto")}}}
	s.sync("b", "b1")
	s.start(ServiceOptions{})
	s.flushed("")
	put(t, s.path("veto"), "")
	s.put("a", "new", "x")
	s.put("b", "new", "x")
	s.flushed("b")
	s.until("the veto shows", func() bool {
		st := s.Status().Syncs[0]
		return st.State == api.StatePushing && strings.Contains(st.Text, "a backup runs")
	})
	if paths, _ := os.ReadFile(s.path("veto.paths")); !strings.Contains(string(paths), "new\x00") {
		t.Errorf("the hook was told %q", paths)
	}
	if s.has("a1", "new") != "" {
		t.Error("it was pushed")
	}
	if err := os.Remove(s.path("veto")); err != nil {
		t.Fatal(err)
	}
	s.until("it is pushed", func() bool { return s.has("a1", "new") == "x" })
	s.until("nothing is said of it", func() bool { return s.states()["a"] == api.StateInStep })
}
