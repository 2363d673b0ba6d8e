package fanotify

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
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

var (
	churnTime = flag.Duration("churn", time.Second/2, "how long the churn tests change the tree")
	churnSeed = flag.Uint64("churn.seed", 0, "seed of the churn tests; 0 takes one from the clock")
)

// TestChurn is the proof that what dirCache keeps may be kept: while writers change a tree at random,
// and move directories in and out, a replica is kept from the events alone.
func TestChurn(t *testing.T) {
	each(t, func(t *testing.T, base, _ string) { churn(t, base, Config{}, false) })
}

// TestChurnRoot moves the root away and back meanwhile.
func TestChurnRoot(t *testing.T) {
	each(t, func(t *testing.T, base, _ string) { churn(t, base, Config{}, true) })
}

// TestChurnHalves does it as on a kernel without FAN_RENAME.
func TestChurnHalves(t *testing.T) {
	each(t, func(t *testing.T, base, _ string) { churn(t, base, Config{noRename: true}, false) })
}

// TestChurnOverflow does it while events are lost, on a filesystem of its own: what others do on one that is
// shared would leave no room in a queue as short as this.
func TestChurnOverflow(t *testing.T) {
	if !inChild(t, ownMounts()) {
		return
	}
	if s := churn(t, newTmpfs(t), Config{limited: true}, false); s.Lost == 0 {
		t.Errorf("nothing was lost: %+v", s)
	}
}

func churn(t *testing.T, base string, cfg Config, away bool) Stats {
	seed := *churnSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-churn.seed=%d", seed)
	up := base + "/up"
	cfg.Root = up + "/root"
	mkdir(t, cfg.Root)
	mkdir(t, up+"/out")
	cfg.Hidden = func(rel string) bool { return isHidden(rel) }
	open := Open
	if cfg.limited {
		open = func(cfg Config) (*Group, error) { return openLimited(t, cfg, 50), nil }
	}
	g, err := open(cfg)
	must(t, err)
	h := newHarness(t, g, cfg.Root)
	h.run()

	end := time.Now().Add(*churnTime)
	var writers sync.WaitGroup
	for i := range uint64(3) {
		w := &writer{Rand: rand.New(rand.NewPCG(seed, i)), up: up}
		writers.Go(func() {
			for time.Now().Before(end) {
				w.step()
			}
		})
	}
	writers.Go(func() {
		for away && time.Now().Before(end) {
			time.Sleep(50 * time.Millisecond)
			must(t, os.Rename(up, base+"/away"))
			must(t, os.Rename(base+"/away", up))
		}
	})
	r := &replica{root: cfg.Root, entries: walk(cfg.Root, ".")}
	for time.Now().Before(end) {
		time.Sleep(20 * time.Millisecond)
		h.mu.Lock()
		list := h.events
		h.events = nil
		h.mu.Unlock()
		r.apply(list)
	}
	writers.Wait()
	for deadline := time.Now().Add(patience); !g.Idle() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // a marker that finds a small queue full is lost
	}
	r.apply(h.take())
	r.flush()
	if diff := cmp.Diff(walk(cfg.Root, "."), r.entries); diff != "" {
		t.Errorf("disk (-) and replica (+) differ:\n%s", diff)
	}
	probeAll(t, h, r.entries)
	s := h.g.Stats()
	if s.Lost != 0 && !cfg.limited {
		t.Errorf("events were lost: %v", r.err)
	}
	t.Logf("%d entries, %d events, %+v", len(r.entries), r.events, s)
	return s
}

// probeAll makes a file in every directory: none may be told under an old name, or be dropped.
func probeAll(t *testing.T, h *harness, entries map[string]string) {
	t.Helper()
	made := make(map[string]bool)
	for p, kind := range entries {
		if kind == "dir" {
			p = filepath.Join(p, "probe")
			must(t, unix.Mknod(filepath.Join(h.root, p), unix.S_IFREG|0o600, 0))
			made[p] = true
			h.sync(".") // a queue may be small
		}
	}
	for _, e := range h.take() {
		delete(made, e.Path)
	}
	if len(made) != 0 {
		t.Errorf("not told: %v", slices.Sorted(maps.Keys(made)))
	}
}

func isHidden(rel string) bool {
	return rel == "hid" || strings.HasPrefix(rel, "hid/") || strings.HasSuffix(rel, "/hid") || strings.Contains(rel, "/hid/")
}

// writer does one random thing after another; most of them fail now and then.
type writer struct {
	*rand.Rand
	up string
	n  int
}

func (w *writer) path() string {
	names := []string{"a", "b", "c", "hid", "d e"}
	p := w.up + "/root"
	if w.IntN(4) == 0 {
		p = w.up + "/out"
	}
	for range 1 + w.IntN(4) {
		p += "/" + names[w.IntN(len(names))]
	}
	return p
}

func (w *writer) step() {
	p := w.path()
	switch w.IntN(12) {
	case 0, 1, 2:
		for i := len(w.up) + len("/root/"); i < len(p); i++ { // not above: the root may be away
			if p[i] == '/' {
				_ = os.Mkdir(p[:i], 0o755)
			}
		}
		_ = os.Mkdir(p, 0o755)
	case 3, 4, 5, 6:
		w.n++
		_ = os.WriteFile(p+"/"+string(rune('f'+w.IntN(6))), fmt.Append(nil, w.n), 0o644)
	case 7, 8:
		_ = os.Rename(p, w.path())
	case 9:
		_ = unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, w.path(), unix.RENAME_EXCHANGE)
	case 10:
		_ = os.RemoveAll(p)
	case 11:
		_ = os.Remove(p + "/f")
	}
}

// replica is what a consumer knows of the tree.
type replica struct {
	root    string
	entries map[string]string
	dirty   map[string]bool // true for all below, too
	events  int
	err     error // the last that an event had
}

func (r *replica) apply(list []Event) {
	if r.dirty == nil {
		r.dirty = make(map[string]bool)
	}
	r.events += len(list)
	for _, e := range list {
		if e.Err != nil {
			r.err = e.Err
		}
		if e.Lost() || e.Path == "." {
			r.dirty["."] = true
			continue
		}
		tree := e.Deep || e.Dir && e.Mask&(moves|unix.FAN_DELETE) != 0
		for _, p := range []string{e.Path, e.From} {
			if p != "" {
				r.dirty[p] = r.dirty[p] || tree
			}
		}
	}
	r.flush()
}

func (r *replica) flush() {
	for p, tree := range r.dirty {
		now := walk(r.root, p)
		if now == nil {
			return // the root is away
		}
		if _, there := now[p]; !there || tree {
			maps.DeleteFunc(r.entries, func(q, _ string) bool { _, ok := below(p, q); return ok || p == "." })
		} else if now[p] != "dir" {
			maps.DeleteFunc(r.entries, func(q, _ string) bool { return strings.HasPrefix(q, p+"/") })
		}
		if tree {
			maps.Copy(r.entries, now)
		} else if s, ok := now[p]; ok {
			r.entries[p] = s
		}
		delete(r.dirty, p)
	}
}

// walk reads the tree at rel without what is hidden; nil if there is no root, and empty if there is no
// rel.
func walk(root, rel string) map[string]string {
	found := make(map[string]string)
	if isHidden(rel) {
		return found
	}
	_ = filepath.WalkDir(filepath.Join(root, rel), func(path string, d fs.DirEntry, err error) error {
		name, ok := below(root, path)
		switch {
		case err != nil || !ok:
			return nil
		case isHidden(name):
			return fs.SkipDir
		case d.IsDir():
			found[name] = "dir"
			return nil
		}
		if text, err := os.ReadFile(path); err == nil {
			found[name] = string(text)
		}
		return nil
	})
	if _, err := os.Lstat(root); err != nil {
		return nil
	}
	return found
}
