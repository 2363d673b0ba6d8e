package agent

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/debounce"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

var flushRounds = flag.Int("flush.rounds", 40, "how often TestFlushIsABarrier writes, flushes and compares")

// TestFlushIsABarrier writes, flushes and looks at the target, while others write about a thousand files a second: what was written
// before is there, by content. One of the files is written all the time, one again and again, and some are new, in new
// directories too.
func TestFlushIsABarrier(t *testing.T) {
	s := newServed(t)
	module := t.TempDir()
	d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Chroot: os.Geteuid() == 0, Modules: []syncertest.Module{{Name: "m", Path: module}}})
	s.sync("a", "a1", d.URL("m"))
	s.start(ServiceOptions{})
	s.flushed("a")

	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	defer writing.Wait()
	defer stop()
	var writes atomic.Int64
	begun := time.Now()
	for w := range 4 {
		writing.Go(func() { s.scribble(ctx, w, &writes) })
	}
	took := make([]time.Duration, 0, *flushRounds)
	for i := range *flushRounds {
		name := []string{"mine", fmt.Sprint("new", i), fmt.Sprintf("dir%d/sub/new", i)}[i%3]
		content := fmt.Sprint("round ", i)
		s.put("a", name, content)
		start := time.Now()
		s.flushed("a")
		took = append(took, time.Since(start))
		for _, dir := range []string{s.path("dst", "a1"), module} {
			if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != content {
				t.Fatalf("round %d: the flush says that all is there, and in %s %s holds %q (%v)", i, dir, name, got, err)
			}
		}
		if i%10 == 9 {
			if err := os.Remove(s.path("src", "a", name)); err != nil {
				t.Fatal(err)
			}
			s.flushed("a")
			if s.has("a1", name) != "" {
				t.Fatalf("round %d: the flush says that all is there, and %s is not deleted", i, name)
			}
		}
	}
	rate := float64(writes.Load()) / time.Since(begun).Seconds()
	slices.Sort(took)
	t.Logf("%d flushes beside %.0f writes/s: median %v, worst %v", len(took), rate, took[len(took)/2], took[len(took)-1])
	if got := s.Status().Syncs[0].Targets[0].Totals; got.Pushes == 0 {
		t.Errorf("totals: %+v", got)
	}
}

// scribble writes some 250 files a second, one of them open all the time.
func (s *served) scribble(ctx context.Context, writer int, writes *atomic.Int64) {
	dir := s.path("src", "a", fmt.Sprint("writer", writer))
	_ = os.MkdirAll(dir, 0o755)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return
	}
	defer log.Close()
	tick := time.NewTicker(8 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		fmt.Fprintln(log, n)
		name := filepath.Join(dir, fmt.Sprint(n%100))
		_ = os.WriteFile(name, []byte(fmt.Sprint(n)), 0o644)
		if n%50 == 49 {
			_ = os.Rename(name, name+".old")
		}
		writes.Add(2)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// What a flush waits for, batch by batch.
func TestFlushDebts(t *testing.T) {
	entry := func(p string, tree, taken bool) debounce.Entry {
		return debounce.Entry{Path: p, Tree: tree, Taken: taken}
	}
	take := func(paths ...string) (list []debounce.Change) {
		for _, p := range paths {
			list = append(list, debounce.Change{Path: p, Tree: p[len(p)-1] == '/'})
			list[len(list)-1].Path = filepath.Clean(p)
		}
		return list
	}
	lacks := func(path string, class syncer.Class) []syncer.Failed {
		return []syncer.Failed{{Path: path, Paths: 1, Class: class, Reason: "so", Last: time.Now().Add(time.Hour)}}
	}
	back := func(name string, tree bool) []syncer.Path { return []syncer.Path{{Name: name, Tree: tree}} }
	tests := []struct {
		name   string
		list   []debounce.Entry
		rounds []round
		want   debts // still owed; nil: the flush has ended
		err    bool
	}{
		{"all arrives", []debounce.Entry{entry("a", false, false)}, []round{{taken: take("a", "b"), arrived: true}}, nil, false},
		{"below a tree that was pushed", []debounce.Entry{entry("d/a", false, false)}, []round{{taken: take("d/"), arrived: true}}, nil, false},
		{"another path arrives", []debounce.Entry{entry("a", false, false)}, []round{{taken: take("b"), arrived: true}}, debts{"a": false}, false},
		{"the batch on its way does not count for what is queued again", []debounce.Entry{entry("a", false, true), entry("a", false, false)},
			[]round{{taken: take("a"), arrived: true}}, debts{"a": false}, false},
		{"and then it is there", []debounce.Entry{entry("a", false, true), entry("a", false, false)},
			[]round{{taken: take("a"), arrived: true}, {taken: take("a"), arrived: true}}, nil, false},
		{"the batch on its way fails", []debounce.Entry{entry("a", false, true)}, []round{{taken: take("a")}}, debts{"a": false}, false},
		{"a part of a tree comes back", []debounce.Entry{entry("d", true, false)},
			[]round{{taken: take("d/"), back: back("d/x", false), arrived: true}}, debts{"d/x": false}, false},
		{"what was not owed comes back", []debounce.Entry{entry("a", false, false)},
			[]round{{taken: take("a", "b"), back: back("b", false), arrived: true}}, nil, false},
		{"it comes back as a tree", []debounce.Entry{entry("d/a", false, false)},
			[]round{{taken: take("d/a"), back: back("d", true), arrived: true}}, debts{"d": true}, false},
		{"it fails for a while", []debounce.Entry{entry("a", false, false)},
			[]round{{taken: take("a"), back: back("a", false), arrived: true, failed: lacks("a", syncer.ClassTransient)}}, debts{"a": false}, false},
		{"it fails until somebody mends it", []debounce.Entry{entry("a", false, false)},
			[]round{{taken: take("a"), back: back("a", false), arrived: true, failed: lacks("a", syncer.ClassOperator)}}, nil, true},
		{"that of two, one is still on its way", []debounce.Entry{entry("a", false, false), entry("b", false, false)},
			[]round{{taken: take("a"), back: back("a", false), arrived: true, failed: lacks("a", syncer.ClassOperator)}}, debts{"a": false, "b": false}, false},
		{"its deletion is held", []debounce.Entry{entry("a", false, false)},
			[]round{{taken: take("a"), arrived: true, held: []api.Held{{Path: "a", Names: 1}}}}, nil, true},
		{"another one is held since", []debounce.Entry{entry("a", false, false)},
			[]round{{taken: take("a", "b"), arrived: true, held: []api.Held{{Path: "b", Names: 1}}}}, nil, false},
		{"the target needs somebody", []debounce.Entry{entry("a", false, false)},
			[]round{{taken: take("a"), err: &api.Error{Class: syncer.ClassConfiguration.String(), Text: "no such module"}}}, nil, true},
		{"the target is away", []debounce.Entry{entry("a", false, false)},
			[]round{{taken: take("a"), err: &api.Error{Class: syncer.ClassTransient.String(), Text: "refused"}}}, debts{"a": false}, false},
	}
	for _, tt := range tests {
		f := newFlush(tt.list, nil)
		for i := range tt.rounds {
			f.settle(&tt.rounds[i])
		}
		select {
		case err := <-f.ended:
			if tt.want != nil || (err != nil) != tt.err {
				t.Errorf("%s: it has ended with %v", tt.name, err)
			}
		default:
			if tt.want == nil || !cmp.Equal(tt.want, f.next) {
				t.Errorf("%s: %v is owed, want %v", tt.name, f.next, tt.want)
			}
		}
	}
}
