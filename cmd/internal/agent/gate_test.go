package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/state"
	"github.com/lockstep-sync/lockstep/syncer"
)

// TestGate: what is there passes, what is gone is judged by its topmost name, with what the target is
// known to have there.
func TestGate(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"d/there", "was"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(root, "file"), "")
	names := map[string]int64{".": 100, "gone": 4, "d/gone": 30, "file": 7, "d/x": 1}
	g := &gate{root: root, deletes: true, d: newDeletions(Limit{Set: true, Names: 10}, 0),
		count: func(path string) (int64, int64, bool) { return names[path], names["."], true }}
	batch := func(names ...string) syncer.Batch {
		var b syncer.Batch
		for _, n := range names {
			b.Paths = append(b.Paths, syncer.Path{Name: n, Tree: strings.HasSuffix(n, "/")})
			b.Paths[len(b.Paths)-1].Name = strings.TrimSuffix(n, "/")
		}
		return b
	}
	check := func(p passed, most int64, held []string, want ...string) {
		t.Helper()
		var got, heldPaths []string
		for _, path := range p.batch.Paths {
			got = append(got, path.Name)
		}
		for _, h := range p.held {
			heldPaths = append(heldPaths, h.Path)
		}
		if diff := cmp.Diff(want, got) + cmp.Diff(held, heldPaths); diff != "" {
			t.Error(diff)
		}
		if p.batch.MaxDelete == nil || *p.batch.MaxDelete != most {
			t.Errorf("limit of the push: %v, want %d", p.batch.MaxDelete, most)
		}
	}
	now := noon
	// gone/a/b is deleted with gone; d/gone and what is in it is one deletion, which is too much; file was a
	// directory; never was not on the target.
	check(g.pass(now, batch("d", "d/there/", "gone/a/b", "gone", "d/gone/x", "d/gone", "never")), 10, []string{"d/gone"},
		"d", "d/there", "gone/a/b", "gone", "never")
	check(g.pass(now, batch("file", "d/x")), 6, []string{"d/x"}, "file") // 4 went: 6 more may
	if held := g.held(); len(held) != 2 {
		t.Errorf("held: %+v", held)
	}
}

func TestGateOfWhatWasADirectory(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, "file"), "")
	g := &gate{root: root, deletes: true, d: newDeletions(Limit{Set: true, Names: 5}, 0),
		count: func(string) (int64, int64, bool) { return 7, 100, true }}
	b := syncer.Batch{Paths: []syncer.Path{{Name: "file"}}}
	if p := g.pass(noon, b); len(p.batch.Paths) != 0 || len(p.held) != 1 || p.held[0].Names != 6 {
		t.Errorf("%+v", p)
	}
	g.release()
	p := g.pass(noon.Add(time.Minute), b)
	if len(p.batch.Paths) != 1 || *p.batch.MaxDelete != -1 {
		t.Errorf("%+v", p)
	}
	g.pushed(noon, &p.batch, &syncer.Report{})
	if g.isFree("file") {
		t.Error("released for ever")
	}
}

// TestGateMoves: a name that moved is not lost, so no limit stands against it.
func TestGateMoves(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "new"), 0o755); err != nil {
		t.Fatal(err)
	}
	g := &gate{root: root, deletes: true, d: newDeletions(Limit{Set: true, Names: 5}, time.Hour),
		count: func(string) (int64, int64, bool) { return 70, 100, true }}
	b := syncer.Batch{Paths: []syncer.Path{{Name: "new", Tree: true}, {Name: "old"}}, Moves: []syncer.Move{{From: "old", To: "new"}}}
	// Most of it went from its new place, too.
	if p := g.pass(noon, b); len(p.batch.Paths) != 1 || len(p.later) != 1 || len(p.batch.Gone) != 0 {
		t.Errorf("%+v", p)
	}
	for i := range 69 {
		put(t, filepath.Join(root, "new", strconv.Itoa(i)), "")
	}
	if p := g.pass(noon, b); len(p.batch.Paths) != 2 || *p.batch.MaxDelete != 75 {
		t.Errorf("%+v", p.batch)
	}
}

// TestGateBack: what is back, and is told of by nothing but a look at the directory, is not spared.
func TestGateBack(t *testing.T) {
	root := t.TempDir()
	g := &gate{root: root, deletes: true, d: newDeletions(Limit{}, time.Minute),
		count: func(string) (int64, int64, bool) { return 1, 100, true }}
	g.pass(noon, syncer.Batch{Paths: []syncer.Path{{Name: "f"}, {Name: "gone"}}})
	put(t, filepath.Join(root, "f"), "")
	p := g.pass(noon, syncer.Full())
	if diff := cmp.Diff([]string{"gone"}, p.batch.Spare); diff != "" {
		t.Error(diff)
	}
}

// TestGateCrowd: much that waits does not keep what is due from being deleted, nor is that held.
func TestGateCrowd(t *testing.T) {
	for name, file := range map[string]string{"in one directory": "d/%d", "each in its own": "d%d/f"} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.Mkdir(filepath.Join(root, "d"), 0o755); err != nil {
				t.Fatal(err)
			}
			g := &gate{root: root, deletes: true, d: newDeletions(Limit{}, time.Minute),
				count: func(string) (int64, int64, bool) { return 1, 1 << 20, true }}
			first := syncer.Batch{Paths: []syncer.Path{{Name: "first"}}}
			g.pass(noon, first)
			var crowd syncer.Batch
			for i := range 5 * spareMost {
				name := fmt.Sprintf(file, i)
				if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
					t.Fatal(err)
				}
				crowd.Paths = append(crowd.Paths, syncer.Path{Name: name})
			}
			g.pass(noon.Add(time.Second), crowd)
			now := noon.Add(time.Minute)
			p := g.pass(now, first)
			g.pushed(now, &p.batch, &syncer.Report{DeletesHeld: len(p.batch.Paths) > 0 && p.batch.MaxDelete != nil})
			if held := g.held(); len(held) > 0 || len(p.batch.Paths)+len(p.later) != 1 {
				t.Errorf("held: %v; %+v", held, p)
			}
			for range 3 {
				now = now.Add(time.Minute)
				if p := g.pass(now, crowd); len(p.batch.Paths) == len(crowd.Paths) {
					return
				}
			}
			t.Error("never due")
		})
	}
}

// TestVerifier: slices come one after the other, with pauses, until there are no more; the next one is due
// after its time, or when somebody asks.
func TestVerifier(t *testing.T) {
	dirs := []string{".", "a", "a/b", "c"}
	var ended []api.Verify
	v := &verifier{every: time.Hour, bind: func(*syncer.Batch) {}, ended: func(s api.Verify, err error) { ended = append(ended, s) }}
	v.dirs = func(after string, yield func(state.DirEntries) bool) error {
		for _, d := range dirs {
			if (after == "" || d > after) && !yield(state.DirEntries{Dir: d, Entries: 600}) {
				break
			}
		}
		return nil
	}
	v.begin(api.Verify{Ended: noon})
	now := noon.Add(time.Minute)
	if wait, ok := v.due(now); !ok || wait != 59*time.Minute {
		t.Fatal(wait, ok)
	}
	v.ask(true)
	var seen []string
	for range 10 {
		wait, ok := v.due(now)
		if !ok {
			t.Fatal("nothing is due")
		}
		now = now.Add(wait)
		b := v.next(now)
		if len(b.Paths) == 0 {
			break
		}
		if !b.Verify || !b.Checksum {
			t.Errorf("%+v", b)
		}
		if len(seen) == 2 { // the target is away: it comes again
			v.pushed(now, &syncer.Outcome{Batch: b, Err: os.ErrClosed})
			b = v.next(now)
		}
		for _, p := range b.Paths {
			seen = append(seen, p.Name)
		}
		v.pushed(now, &syncer.Outcome{Batch: b, Took: time.Second, Report: syncer.Report{Stats: syncer.Stats{Changed: 1}}})
		if wait, _ := v.due(now); wait != time.Second {
			t.Errorf("no pause: %v", wait)
		}
	}
	if diff := cmp.Diff(dirs, seen); diff != "" {
		t.Error(diff)
	}
	want := []api.Verify{{Began: noon.Add(time.Minute), Ended: now, Checksum: true, Names: 2404, Mended: 2}}
	if diff := cmp.Diff(want, ended); diff != "" {
		t.Error(diff)
	}
	if wait, _ := v.due(now); wait != time.Hour {
		t.Error(wait)
	}
}

// A subtree that is told of takes the place of a name in the queue that waits for --delete-delay: the name comes again.
func TestGateSwallowed(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	g := &gate{root: root, deletes: true, d: newDeletions(Limit{}, time.Minute),
		count: func(string) (int64, int64, bool) { return 1, 10, true }}
	g.pass(noon, syncer.Batch{Paths: []syncer.Path{{Name: "d/gone"}}})
	for _, tree := range []string{".", "d"} {
		p := g.pass(noon.Add(20*time.Second), syncer.Batch{Paths: []syncer.Path{{Name: tree, Tree: true}}})
		want := []deferred{{syncer.Path{Name: "d/gone", Content: true}, 40 * time.Second}}
		if diff := cmp.Diff(want, p.later, cmp.AllowUnexported(deferred{})); diff != "" {
			t.Errorf("%s: %s", tree, diff)
		}
	}
}
