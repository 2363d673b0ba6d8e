package index

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// model is the dumbest index: a map of paths to what lstat said.
type model struct {
	root string
	held map[string]modelEntry
}

type modelEntry struct {
	st            unix.Stat_t
	unknown, tree bool
}

func (e modelEntry) isDir() bool     { return e.st.Mode&unix.S_IFMT == unix.S_IFDIR }
func (e modelEntry) isRegular() bool { return e.st.Mode&unix.S_IFMT == unix.S_IFREG }
func (e modelEntry) id() [2]uint64   { return [2]uint64{uint64(e.st.Dev), e.st.Ino} }

func (e modelEntry) same(f modelEntry) bool {
	a, b := e.st, f.st
	a.Atim, b.Atim, a.Nlink, b.Nlink, a.Blocks, b.Blocks = unix.Timespec{}, unix.Timespec{}, 0, 0, 0, 0
	return !e.unknown && a == b
}

// lstat looks at path without following symbolic links anywhere in it.
func (m *model) lstat(path string) (modelEntry, bool) {
	var e modelEntry
	abs := m.root
	if err := unix.Lstat(abs, &e.st); err != nil {
		return e, false
	}
	for name := range elements(path) {
		if !e.isDir() {
			return e, false
		}
		abs += "/" + name
		if err := unix.Lstat(abs, &e.st); err != nil {
			return e, false
		}
	}
	return e, true
}

func (m *model) drop(path string) {
	for p := range m.held {
		if p == path || below(p, path) {
			delete(m.held, p)
		}
	}
}

func below(path, dir string) bool {
	return path != dir && (dir == "." || strings.HasPrefix(path, dir+"/"))
}

func (m *model) look(path string) {
	if path != "." {
		parent, _ := splitPath(path)
		held, ok := m.held[parent]
		if !ok || !held.isDir() {
			return
		}
		now, there := m.lstat(parent)
		if there && now.isDir() && now.id() != held.id() {
			return
		}
	}
	old, ok := m.held[path]
	now, there := m.lstat(path)
	switch {
	case ok && old.isDir() && (!there || !now.isDir() || now.id() != old.id()):
		return // what was in it is left to compare
	case !there:
		m.drop(path)
		return
	case ok:
		now.tree = old.tree && now.isDir()
	}
	m.held[path] = now
}

func (m *model) forget(path string, tree bool) {
	e, ok := m.held[path]
	if !ok {
		return
	}
	e.unknown = true
	e.tree = e.tree || tree && e.isDir()
	m.held[path] = e
}

// compare returns what Compare has to report, and does what it does.
func (m *model) compare(path string) map[string]Difference {
	at := "."
	for name := range elements(path) {
		held, ok := m.held[at]
		now, there := m.lstat(at)
		if !ok || !there || !held.isDir() || !now.isDir() || held.id() != now.id() {
			break
		}
		at = joinPath(at, name)
	}
	disk := make(map[string]modelEntry)
	_ = filepath.WalkDir(filepath.Join(m.root, at), func(abs string, _ os.DirEntry, err error) error {
		rel, _ := filepath.Rel(m.root, abs)
		if e, ok := m.lstat(rel); ok {
			disk[rel] = e
		}
		return nil
	})
	want := make(map[string]Difference)
	m.diff(at, disk, want)
	m.drop(at)
	for p, e := range disk {
		m.held[p] = e
	}
	return want
}

func (m *model) diff(path string, disk map[string]modelEntry, want map[string]Difference) {
	held, was := m.held[path]
	now, is := disk[path]
	dir := was && held.isDir() || is && now.isDir()
	d := Difference{Path: path, Tree: dir, Content: dir || was && held.isRegular() || is && now.isRegular(), Gone: !is}
	switch {
	case !was && !is:
		return
	case was && is && held.isDir() && now.isDir() && held.id() == now.id() && !held.tree:
		if !held.same(now) {
			want[path] = Difference{Path: path}
		}
		names := make(map[string]bool)
		for p := range m.held {
			names[p] = true
		}
		for p := range disk {
			names[p] = true
		}
		for p := range names {
			if parent, _ := splitPath(p); p != "." && parent == path {
				m.diff(p, disk, want)
			}
		}
		return
	case was && is && !dir && held.same(now):
		return
	}
	want[path] = d
}

// TestModel edits a tree at random, and compares what an index makes of it with what the model does.
func TestModel(t *testing.T) {
	t.Parallel()
	base := tempDir(t)
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		x := New(Config{Root: root, Now: later, Workers: rapid.IntRange(1, 4).Draw(t, "workers")})
		m := &model{root: root, held: make(map[string]modelEntry)}
		// Few names, so that things meet; one is long, so that directories have several chunks.
		name := rapid.SampledFrom([]string{"a", "b", "c", "d\xff", "e" + strings.Repeat("x", 250), "f"})
		path := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(name, 1, 4).Draw(t, "names"), "/")
		})
		orRoot := rapid.OneOf(path, rapid.Just("."))
		edit := func(f func(abs string) error) func(*rapid.T) {
			return func(t *rapid.T) { _ = f(filepath.Join(root, path.Draw(t, "path"))) }
		}
		equal := func(t *rapid.T, path string) {
			got := make(map[string]Difference)
			want := m.compare(path)
			_, err := x.Compare(context.Background(), path, nil, collect(t, got))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("Compare(%q) reports (-want +got):\n%s", path, diff)
			}
		}
		size := 0
		actions := map[string]func(*rapid.T){
			"write": edit(func(abs string) error {
				size++
				return os.WriteFile(abs, make([]byte, size), 0o600)
			}),
			"fill": edit(func(abs string) error { // several chunks
				for i := range 40 {
					_ = os.WriteFile(abs+strings.Repeat("z", 1+i*4), nil, 0o600)
				}
				return nil
			}),
			"mkdir":    edit(func(abs string) error { return os.Mkdir(abs, 0o700) }),
			"mkdirAll": edit(func(abs string) error { return os.MkdirAll(abs, 0o700) }),
			"remove":   edit(os.RemoveAll),
			"chmod":    edit(func(abs string) error { return os.Chmod(abs, 0o711) }),
			"symlink":  edit(func(abs string) error { return os.Symlink("a", abs) }),
			"socket":   edit(func(abs string) error { return unix.Mknod(abs, unix.S_IFSOCK|0o600, 0) }), // opening a FIFO would block
			"rename": func(t *rapid.T) {
				from, to := path.Draw(t, "from"), path.Draw(t, "to")
				err := os.Rename(filepath.Join(root, from), filepath.Join(root, to))
				if errors.Is(err, os.ErrExist) {
					_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(root, from), unix.AT_FDCWD, filepath.Join(root, to), unix.RENAME_EXCHANGE)
				}
			},
			"look": func(t *rapid.T) {
				paths := rapid.SliceOfN(orRoot, 1, 6).Draw(t, "paths")
				if x.root != nil {
					for path := range siblings(paths) {
						for _, p := range path {
							m.look(p)
						}
					}
				}
				x.Look(paths)
			},
			"forget": func(t *rapid.T) {
				p, tree := orRoot.Draw(t, "path"), rapid.Bool().Draw(t, "tree")
				m.forget(p, tree)
				x.Forget(p, tree)
			},
			"compare": func(t *rapid.T) { equal(t, orRoot.Draw(t, "path")) },
		}
		t.Repeat(actions)
		equal(t, ".")
		equal(t, ".")
		held := dump(t, x)
		for p, e := range m.held {
			if !held[p].same(fingerprintOf(&e.st)) {
				t.Errorf("%q: not held as it is", p)
			}
		}
		if len(held) != len(m.held) {
			t.Errorf("%d held, want %d", len(held), len(m.held))
		}
	})
}
