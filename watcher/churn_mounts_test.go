package watcher

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// TestChurnMounts is TestChurn while filesystems come and go at random directories, and the root is renamed
// away and back, or replaced. With bind mounts one directory has several names, which fanotify cannot tell
// apart: it gives way to inotify, which polls all but one of them.
func TestChurnMounts(t *testing.T) {
	for _, backend := range []string{BackendInotify, BackendFanotify} {
		for _, bind := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/bind=%v", backend, bind), func(t *testing.T) {
				t.Parallel()
				if !inChild(t, ownNamespaces()) {
					return
				}
				churnMounts(t, backend, bind, *churnTime)
			})
		}
	}
}

// mounter changes what is mounted, and where the root is, until done.
type mounter struct {
	dir    string // of root and out
	bind   bool
	rnd    *rand.Rand
	mu     sync.Mutex // held while the root is away: who is told of changes does not look then
	points []string
	ops    int
}

func (m *mounter) run(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Duration(m.rnd.IntN(20)) * time.Millisecond):
		}
		m.ops++
		switch n := m.rnd.IntN(12); {
		case n < 4 && len(m.points) < 12:
			m.mount("")
		case n < 6 && m.bind && len(m.points) < 12:
			m.mount(churnPath(m.dir, m.rnd))
		case n < 10 && len(m.points) > 0:
			i := m.rnd.IntN(len(m.points))
			_ = unix.Unmount(m.points[i], unix.MNT_DETACH) // it may have been renamed: then it stays
			m.points = slices.Delete(m.points, i, i+1)
		case n == 10:
			m.moveRoot()
		}
	}
}

// mount mounts a directory, or a filesystem of its own, at some directory.
func (m *mounter) mount(from string) {
	point := churnPath(m.dir, m.rnd)
	_ = os.MkdirAll(point, 0o755)
	if from == "" {
		if unix.Mount("lockstep", point, "tmpfs", 0, "size=16m") != nil {
			return
		}
		_ = os.MkdirAll(point+"/a/b", 0o755)
		_ = os.WriteFile(point+"/a/f", fmt.Append(nil, m.ops), 0o644)
	} else if unix.Mount(from, point, "", unix.MS_BIND, "") != nil {
		return
	}
	m.points = append(m.points, point)
}

func (m *mounter) moveRoot() {
	m.mu.Lock()
	defer m.mu.Unlock()
	root, away := m.dir+"/root", m.dir+"/away"
	if unix.Rename(root, away) != nil {
		return
	}
	if m.rnd.IntN(2) == 0 {
		time.Sleep(time.Duration(m.rnd.IntN(30)) * time.Millisecond)
	}
	if unix.Rename(away, root) != nil { // the writers made another one
		_ = unix.Renameat2(unix.AT_FDCWD, away, unix.AT_FDCWD, root, unix.RENAME_EXCHANGE)
		_ = os.RemoveAll(away)
	}
}

func churnMounts(t *testing.T, backend string, bind bool, length time.Duration) {
	seed := *churnSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-churn.seed=%d", seed)
	dir := t.TempDir()
	mount(t, dir) // fanotify works in a namespace for what was mounted there
	mkdir(t, dir+"/root")
	mkdir(t, dir+"/out")
	h := newHarness(t, Config{Root: dir + "/root", Backend: backend, PollInterval: 200 * time.Millisecond})
	h.run()
	h.await("first emission", func() bool { return h.rootChanges() > 0 })
	r := newReplica(dir + "/root")

	done := make(chan struct{})
	time.AfterFunc(length, func() { close(done) })
	m := &mounter{dir: dir, bind: bind, rnd: rand.New(rand.NewPCG(seed, 99))}
	ops := make([]int, 3)
	var writers sync.WaitGroup
	for i := range ops {
		writers.Go(func() { ops[i] = churn(dir, rand.New(rand.NewPCG(seed, uint64(i))), done) })
	}
	writers.Go(func() { m.run(done) })
	apply := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		r.apply(h.take())
	}
	for open := true; open; {
		select {
		case <-done:
			open = false
		case <-time.After(20 * time.Millisecond):
		}
		apply()
	}
	writers.Wait()
	h.awaitEqual(r)
	h.probeAll()
	h.stop()
	t.Logf("%v operations, %d on mounts, %d entries left, %+v", ops, m.ops, len(r.entries), h.w.Stats())
	for _, e := range h.logged(zapcore.WarnLevel, "inotify is used") {
		t.Logf("%s: %v", e.Message, e.ContextMap()["error"])
	}
}

// awaitEqual waits until the replica is what is on the disk.
func (h *harness) awaitEqual(r *replica) {
	h.Helper()
	deadline := time.Now().Add(patience / 2)
	for {
		r.apply(h.take())
		disk := scan(h.root)
		if maps.Equal(r.entries, disk) {
			return
		}
		if time.Now().After(deadline) {
			h.Fatalf("replica differs (-disk +replica):\n%s\n%+v\n%s", cmp.Diff(disk, r.entries), h.w.Stats(), h.logText())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// probeAll makes a file in every directory, and waits until each was told, be it by polling.
func (h *harness) probeAll() {
	h.Helper()
	blind := make(map[string]bool)
	for path, e := range scan(h.root) {
		// A directory that was removed and is mounted still takes no file.
		if e.Mode.IsDir() && os.WriteFile(filepath.Join(h.root, path, "probe"), nil, 0o600) == nil {
			blind[path] = true
		}
	}
	deadline := time.Now().Add(patience / 2)
	for len(blind) > 0 {
		changes := h.take()
		for dir := range blind {
			_, told := changes[dir+"/probe"]
			if told || anyAbove(dir, func(p string) bool { return changes[p].Tree }) {
				delete(blind, dir)
			}
		}
		if time.Now().After(deadline) {
			h.Errorf("blind directories: %q\n%+v\n%s", slices.Sorted(maps.Keys(blind)), h.w.Stats(), h.logText())
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
