package syncertest

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// tally counts what a churn has tried.
type tally struct {
	mu       sync.Mutex
	ok, miss map[string]int
}

func newTally() *tally { return &tally{ok: map[string]int{}, miss: map[string]int{}} }

func (c *tally) add(op ChurnOp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if op.Err == nil {
		c.ok[op.Name]++
	} else {
		c.miss[op.Name]++
	}
}

func TestChurnDoesEverything(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	count := newTally()
	churn := Churn{Root: root, Outside: outside, Seed: 42, MaxOps: 3000, Trace: count.add}
	ops, err := churn.Run(t.Context())
	must(t, err)
	sum := 0
	for _, act := range churnActs() {
		if act.name == "chown" && os.Geteuid() != 0 {
			continue
		}
		if count.ok[act.name] < 10 {
			t.Errorf("%q succeeded %d times and missed %d times", act.name, count.ok[act.name], count.miss[act.name])
		}
		sum += count.ok[act.name]
	}
	if ops != sum {
		t.Errorf("Run says %d ops, the trace %d", ops, sum)
	}
	if ops < 4*3000/2 {
		t.Errorf("of %d tries only %d succeeded", 4*3000, ops)
	}
	t.Logf("%d ops; ok %v; missed %v", ops, count.ok, count.miss)

	// Nothing changes after Run: not one time stamp.
	first, second := snapshot(t, root), snapshot(t, root)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the tree changes after Run:\n%s", diff)
	}
}

type stat struct {
	Mode uint32
	Size int64
	Ctim unix.Timespec
}

func snapshot(t *testing.T, root string) map[string]stat {
	t.Helper()
	dir, err := openDir(unix.AT_FDCWD, root, 0)
	must(t, err)
	defer unix.Close(dir)
	all, err := listTree(dir, ".", "")
	must(t, err)
	stats := map[string]stat{}
	for _, path := range all {
		p, err := at(dir, path, false)
		must(t, err)
		st, err := p.lstat()
		p.close()
		must(t, err)
		stats[path] = stat{st.Mode, st.Size, st.Ctim}
	}
	return stats
}

// The tree stays about as large as it should be, and has names and types of all kinds.
func TestChurnKeepsItsSize(t *testing.T) {
	for _, entries := range []int{60, 400} {
		root, outside := t.TempDir(), t.TempDir()
		dir, err := openDir(unix.AT_FDCWD, root, 0)
		must(t, err)
		defer unix.Close(dir)
		var sizes []int
		types := map[uint32]int{}
		for round := range 5 {
			churn := Churn{Root: root, Outside: outside, Seed: uint64(round), MaxEntries: entries, MaxOps: entries + 200}
			_, err := churn.Run(t.Context())
			must(t, err)
			stats := snapshot(t, root)
			sizes = append(sizes, len(stats))
			for _, st := range stats {
				types[st.Mode&unix.S_IFMT]++
			}
		}
		t.Logf("MaxEntries %d: %v; types %v", entries, sizes, types)
		for _, size := range sizes[1:] {
			if size < entries/2 || size > entries*3/2 {
				t.Errorf("MaxEntries %d: sizes %v", entries, sizes)
			}
		}
		for _, typ := range []uint32{unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK, unix.S_IFIFO} {
			if types[typ] == 0 {
				t.Errorf("no entry of type %#o", typ)
			}
		}
	}
}

// What each writer decides depends on the seed and its number alone.
func TestChurnDecisions(t *testing.T) {
	type decision struct{ Name, To string }
	run := func(seed uint64) [][]decision {
		var mu sync.Mutex
		all := make([][]decision, 3)
		churn := Churn{Root: t.TempDir(), Outside: t.TempDir(), Seed: seed, Writers: 3, MaxOps: 300, MaxEntries: 50}
		churn.Trace = func(op ChurnOp) {
			mu.Lock()
			defer mu.Unlock()
			all[op.Writer] = append(all[op.Writer], decision{op.Name, op.To})
		}
		_, err := churn.Run(t.Context())
		must(t, err)
		return all
	}
	first := run(5)
	if diff := cmp.Diff(first, run(5)); diff != "" {
		t.Errorf("same seed, other decisions:\n%s", diff)
	}
	if cmp.Equal(first, run(6)) {
		t.Error("other seed, same decisions")
	}
	if cmp.Equal(first[0], first[1]) {
		t.Error("two writers decide alike")
	}
}

// One writer alone makes the same tree each time, but for the times.
func TestChurnOfOneIsReproducible(t *testing.T) {
	var roots [2]string
	for i := range roots {
		roots[i] = t.TempDir()
		churn := Churn{Root: roots[i], Outside: t.TempDir(), Seed: 9, Writers: 1, MaxOps: 3000, MaxEntries: 200}
		_, err := churn.Run(t.Context())
		must(t, err)
	}
	diffs, err := Compare(roots[0], roots[1], CompareOptions{MaxDifferences: 10_000})
	must(t, err)
	diffs = slices.DeleteFunc(diffs, func(d Difference) bool { return d.Kind == Mtime })
	if len(diffs) > 0 {
		t.Errorf("trees differ:\n%s", Format(diffs))
	}
}

func TestChurnStopsAndPaces(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tries := make(chan ChurnOp)
	churn := Churn{Root: t.TempDir(), Writers: 2, Rate: 2000, Trace: func(op ChurnOp) { tries <- op }}
	type result struct {
		ops int
		err error
	}
	done := make(chan result)
	start := time.Now()
	go func() {
		ops, err := churn.Run(ctx)
		done <- result{ops, err}
	}()
	for range 100 {
		<-tries
	}
	if took := time.Since(start); took < 40*time.Millisecond {
		t.Errorf("100 tries at 2000 a second in %v", took)
	}
	cancel()
	for {
		select {
		case <-tries: // those under way
			continue
		case r := <-done:
			if r.err != nil || r.ops == 0 {
				t.Errorf("Run = %d, %v", r.ops, r.err)
			}
		}
		break
	}
}

func TestChurnRefuses(t *testing.T) {
	dir := t.TempDir()
	inside := filepath.Join(dir, "inside")
	must(t, os.Mkdir(inside, 0o755))
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(inside, link))
	tests := []struct {
		name  string
		churn Churn
	}{
		{"nothing", Churn{}},
		{"root directory", Churn{Root: "/"}},
		{"no such root", Churn{Root: filepath.Join(dir, "none")}},
		{"outside is inside", Churn{Root: dir, Outside: inside}},
		{"outside is inside by a link", Churn{Root: dir, Outside: link}},
		{"root is inside outside", Churn{Root: inside, Outside: dir}},
		{"same", Churn{Root: dir, Outside: dir}},
		{"other file system", Churn{Root: dir, Outside: "/proc/self"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.churn.MaxOps = 1
			if _, err := tt.churn.Run(t.Context()); err == nil {
				t.Error("no error")
			}
		})
	}
}

// However its symlinks point, a churn changes nothing beside its tree.
func TestChurnStaysInside(t *testing.T) {
	top := t.TempDir()
	victim, root := filepath.Join(top, "victim"), filepath.Join(top, "root")
	must(t, os.MkdirAll(victim, 0o755))
	must(t, os.Mkdir(root, 0o755))
	for i := range 5 {
		must(t, os.Mkdir(filepath.Join(victim, dirName(i)), 0o755))
		for _, leaf := range hardNames() {
			must(t, os.WriteFile(filepath.Join(victim, dirName(i), leaf), []byte("x"), 0o644))
		}
	}
	before := snapshot(t, victim)
	for i := range 5 { // where directories are expected there are symlinks to the victim
		must(t, os.Symlink(victim, filepath.Join(root, dirName(i))))
	}
	churn := Churn{Root: root, Seed: 3, MaxOps: 1500}
	_, err := churn.Run(t.Context())
	must(t, err)
	if diff := cmp.Diff(before, snapshot(t, victim)); diff != "" {
		t.Errorf("beside the tree:\n%s", diff)
	}
}

// A write that no race explains ends the run with an error that says where.
func TestChurnReportsErrors(t *testing.T) {
	churn := Churn{Root: t.TempDir()}
	run, err := churn.open()
	must(t, err)
	defer run.close()
	act := &churnAct{name: "act", do: func(*churnWriter, churnStep) error { return unix.ENOSPC }}
	err = run.writer(7).try(churnStep{act: act, path: "a\nb"})
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), `writer 7: act "a\nb"`) {
		t.Errorf("%v", err)
	}
	act.do = func(*churnWriter, churnStep) error { return io.ErrUnexpectedEOF }
	if err := run.writer(0).try(churnStep{act: act}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}

// The whole of the package at once: what churn makes, the stock client brings to a daemon.
func TestChurnedTreeThroughDaemon(t *testing.T) {
	root, dst := t.TempDir(), t.TempDir()
	asRoot := os.Geteuid() == 0
	churn := Churn{Root: root, Outside: t.TempDir(), Seed: 77, MaxOps: 1500, PlainLinks: !asRoot}
	_, err := churn.Run(t.Context())
	must(t, err)
	d := StartDaemon(t, DaemonConfig{Chroot: asRoot, Modules: []Module{{Name: "m", Path: dst}}})
	// Without a modify window of -1 the times of what is made within one second stay wrong.
	if out, code := push(t, "", "-a", "--modify-window=-1", root+"/", d.URL("m")); code != 0 {
		t.Fatalf("rsync exits with %d: %s", code, out)
	}
	RequireEqual(t, root, dst, CompareOptions{IgnoreOwners: !asRoot})
}
