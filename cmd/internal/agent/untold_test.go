package agent

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/debounce"
)

// unwatched is a replica of a source that nobody watches: it is told of what the test says.
type unwatched struct {
	*kept
	r *replica
	// end is a SIGTERM; a copy of the state made before is what a kill leaves.
	end func()
}

func (k *kept) unwatched(set func(*Settings)) *unwatched {
	k.t.Helper()
	s := Defaults()
	s.Source, s.Target, s.Watch, s.Delete, s.NoTune, s.StateDir = k.src+"/", k.target+"/", true, true, true, k.state
	set(&s)
	if err := s.Validate(); err != nil {
		k.t.Fatal(err)
	}
	env := &environment{log: zap.NewNop(), turns: newTurns()}
	drain, stop := context.WithCancel(context.Background())
	r, err := newReplica(s, newUnit(SyncConfig{Name: "s", Targets: []Settings{s}}, env), drain)
	if err != nil {
		k.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.run(context.Background()) }()
	ended := false
	u := &unwatched{kept: k, r: r, end: func() {
		if ended {
			return
		}
		ended = true
		stop()
		if err := <-done; err != nil {
			k.t.Error(err)
		}
		r.close()
	}}
	k.t.Cleanup(u.end)
	u.tell(debounce.Change{Path: ".", Tree: true})
	return u
}

func (u *unwatched) tell(changes ...debounce.Change) { u.r.line.Add(changes...) }

// wait waits for something, and not for long.
func (u *unwatched) wait(what string, ok func() bool) {
	u.t.Helper()
	for late := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			u.t.Fatalf("not so: %s", what)
		}
	}
}

// settled waits until the state has all that was pushed.
func (u *unwatched) settled() {
	u.t.Helper()
	u.wait("the state is settled", func() bool { return u.r.memory.known() && u.r.pending() == 0 && len(u.r.memory.store.Dirty()) == 0 })
}

// kill goes on with what a kill -9 leaves.
func (u *unwatched) kill(set func(*Settings)) *unwatched {
	u.t.Helper()
	next := u.state + "+"
	if err := os.CopyFS(next, os.DirFS(u.state)); err != nil {
		u.t.Fatal(err)
	}
	u.end()
	u.state = next
	return u.unwatched(set)
}

// A name that came to the target because its directory was looked at, without anybody having told of it, and that nobody
// tells of when it is gone, is deleted there: whatever is pushed of its directory meanwhile, and whenever lockstep is killed.
func TestUntold(t *testing.T) {
	k := newKept(t, "d/told")
	plain := func(*Settings) {}
	u := k.unwatched(plain)
	u.settled()
	u.write("d/untold")
	u.tell(debounce.Change{Path: "d", Level: true})
	u.wait("it is there", func() bool { return u.has("d/untold") })
	u.remove("d/untold")
	u.write("d/more")
	u.tell(debounce.Change{Path: "d/more"})
	u.wait("the next one is there", func() bool { return u.has("d/more") })
	u.settled()
	u = u.kill(plain)
	u.wait("it is gone", func() bool { return !u.has("d/untold") })
}

// Where a target cannot be looked at in levels, the index says what may be gone.
func TestUntoldWithoutLevels(t *testing.T) {
	k := newKept(t, "d/told", "d/stays")
	u := k.unwatched(func(s *Settings) { s.PruneEmptyDirs = true })
	u.settled()
	u.remove("d/told")
	u.tell(debounce.Change{Path: "d", Level: true})
	u.wait("it is gone", func() bool { return !u.has("d/told") })
	if !u.has("d/stays") {
		t.Error("what is there was deleted")
	}
}

// A directory whose deletions are released is looked at after a restart, although all is compared with what is known
// of the target then, and that knows of nothing to delete there.
func TestReleasedBeforeTheComparison(t *testing.T) {
	k := newKept(t, "d/a")
	set := func(s *Settings) { s.DeleteLimit = Limit{Set: true, Names: 30} }
	u := k.unwatched(set)
	u.settled()
	if err := os.WriteFile(filepath.Join(k.target, "d/unknown"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	u.r.memory.keep(keyDeletions, gateState{Free: []api.Held{{Path: "d"}}})
	u.end()
	u = k.unwatched(set)
	u.wait("it is deleted", func() bool { return !k.has("d/unknown") })
}
