package watcher

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

func TestNew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mkdir(t, dir+"/real")
	write(t, dir+"/file", "")
	must(t, os.Symlink("real", dir+"/link"))
	must(t, os.Symlink("nowhere", dir+"/dangling"))
	for _, test := range []struct {
		name, root string
		interval   time.Duration
		want       string // the resolved root; none wants an error
	}{
		{name: "directory", root: dir + "/real", want: dir + "/real"},
		{name: "trailing slash", root: dir + "/real/", want: dir + "/real"},
		{name: "link", root: dir + "/link/", want: dir + "/real"},
		{name: "absent", root: dir + "/absent/root", want: dir + "/absent/root"},
		{name: "dangling link", root: dir + "/dangling", want: dir + "/dangling"},
		{name: "file", root: dir + "/file"},
		{name: "below a file", root: dir + "/file/x"},
		{name: "none"},
		{name: "negative interval", root: dir + "/real", interval: -1},
	} {
		w, err := New(Config{Root: test.root, PollInterval: test.interval})
		switch {
		case test.want == "" && err == nil:
			t.Errorf("%s: New(%q): want an error", test.name, test.root)
		case test.want != "" && err != nil:
			t.Errorf("%s: New(%q): %v", test.name, test.root, err)
		case test.want != "" && w.cfg.Root != test.want:
			t.Errorf("%s: New(%q): root is %q, want %q", test.name, test.root, w.cfg.Root, test.want)
		}
	}
}

func TestFirstEmission(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	mkdir(t, root+"/a/b/c")
	h := newHarness(t, Config{Root: root})
	h.run()
	h.await("first emission", func() bool { return h.rootChanges() > 0 })
	if len(h.first) != 1 || h.first[0] != (Change{Path: ".", Tree: true}) {
		t.Errorf("first emission is %v", h.first)
	}
	if s := h.w.Stats(); s.Watches != 4 || !s.RootPresent || s.Root.Ino == 0 {
		t.Errorf("unexpected %+v", s)
	}
	if err := h.w.Run(context.Background(), h.emit); !errors.Is(err, ErrRunning) {
		t.Errorf("second Run: %v", err)
	}
	h.stop()
	if s := h.w.Stats(); s.Watches != 0 || s.RootPresent {
		t.Errorf("stopped, and has %+v", s)
	}
	h.run() // and again
	h.await("another first emission", func() bool { return h.rootChanges() > 1 })
}

func TestStopWhileAbsent(t *testing.T) {
	t.Parallel()
	h := newHarness(t, Config{Root: filepath.Join(t.TempDir(), "absent")})
	h.run()
	h.await("error", func() bool { return len(h.logged(zapcore.ErrorLevel, "root is absent")) == 1 })
	h.stop()
}

// TestRootGone makes the root go, and the same directory come back.
func TestRootGone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		gone, back func(root string) error
	}{
		{
			name: "renamed",
			gone: func(root string) error { return os.Rename(root, root+".away") },
			back: func(root string) error { return os.Rename(root+".away", root) },
		}, {
			name: "parent renamed",
			gone: func(root string) error { return os.Rename(filepath.Dir(root), filepath.Dir(root)+".away") },
			back: func(root string) error { return os.Rename(filepath.Dir(root)+".away", filepath.Dir(root)) },
		}, {
			name: "file in its place",
			gone: func(root string) error {
				return errors.Join(os.Rename(root, root+".away"), os.WriteFile(root, nil, 0o600))
			},
			back: func(root string) error { return errors.Join(os.Remove(root), os.Rename(root+".away", root)) },
		}, {
			name: "link in its place",
			gone: func(root string) error {
				return errors.Join(os.Rename(root, root+".away"), os.Symlink(root+".away", root))
			},
			back: func(root string) error { return errors.Join(os.Remove(root), os.Rename(root+".away", root)) },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := filepath.Join(t.TempDir(), "parent", "root")
			mkdir(t, root+"/d")
			h := start(t, Config{Root: root})
			must(t, test.gone(root))
			h.await("absence", func() bool { return !h.w.Stats().RootPresent })
			if got := h.take(); len(got) != 0 {
				t.Errorf("emitted while the root was gone: %v", got)
			}
			if got := h.logged(zapcore.ErrorLevel, "root is absent"); len(got) != 1 {
				t.Errorf("want one error, got:\n%s", h.logText())
			}
			must(t, test.back(root))
			h.await("the root's change", func() bool { return h.has(Change{Path: ".", Tree: true}) })
			h.expectSeen("d/f")
		})
	}
}

// expectSeen writes a file and wants its change.
func (h *harness) expectSeen(rel string) {
	h.Helper()
	h.sync()
	h.take()
	write(h, filepath.Join(h.root, rel), "")
	h.sync()
	if !h.has(Change{Path: rel, Content: true}) {
		h.Errorf("%s is not seen: %v", rel, h.take())
	}
}

// TestAbsenceToldOnce looks for a root that went, and for one that is not there: one reason, one line.
func TestAbsenceToldOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mkdir(t, dir+"/root")
	must(t, os.Symlink("root", dir+"/link"))
	h, s := startSession(t, dir+"/link")
	must(t, os.Rename(dir+"/root", dir+"/away"))
	for range 3 {
		s.look(t.Context())
	}
	if got := h.logged(zapcore.ErrorLevel, "root is absent"); len(got) != 1 {
		t.Errorf("want one error, got:\n%s", h.logText())
	}
}

func TestRootReplaced(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	mkdir(t, root+"/old")
	h := start(t, Config{Root: root})
	before := h.w.Stats().Root
	must(t, os.Rename(root, root+".away"))
	mkdir(t, root+"/new")
	h.await("the root's change", func() bool { return h.has(Change{Path: ".", Tree: true}) })
	if now := h.w.Stats().Root; now == before {
		t.Errorf("identity is still %+v", now)
	}
	if got := h.logged(zapcore.ErrorLevel, "root is absent"); len(got) != 1 {
		t.Errorf("want one error, got:\n%s", h.logText())
	}
	if got := h.take(); len(got) != 1 {
		t.Errorf("want the root's change only, got %v", got)
	}
	h.expectSeen("new/f")
}

// TestNoEmissionWithoutRoot holds back hints that are older than the root's absence, or younger.
func TestNoEmissionWithoutRoot(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "parent", "root")
	mkdir(t, root)
	h, s := startSession(t, root)
	must(t, os.Rename(filepath.Dir(root), filepath.Dir(root)+".away"))
	s.marks.add(Change{Path: "f", Tree: true})
	if s.flush() || len(h.take()) != 0 || s.stats.RootPresent {
		t.Error("emitted without a root")
	}
	must(t, os.Rename(filepath.Dir(root)+".away", filepath.Dir(root)))
	s.look(t.Context())
	if !s.flush() || h.rootChanges() != 2 || len(h.take()) != 1 {
		t.Error("want the root's change only")
	}
}

// TestRootAwayAndBack is too quick for any look at the path; the kernel ends the watch all the same.
func TestRootAwayAndBack(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	mkdir(t, root+"/d")
	h := start(t, Config{Root: root})
	must(t, unix.Rename(root, root+".away"))
	must(t, unix.Rename(root+".away", root))
	h.await("the root's change", func() bool { return h.has(Change{Path: ".", Tree: true}) })
	h.expectSeen("f")
	h.expectSeen("d/f")
}

func TestRootAbsentAtStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := filepath.Join(dir, "link", "root")
	h := newHarness(t, Config{Root: root})
	h.run()
	h.await("error", func() bool { return len(h.logged(zapcore.ErrorLevel, "root is absent")) == 1 })
	mkdir(t, filepath.Join(dir, "real", "root", "d"))
	must(t, os.Symlink("real", filepath.Join(dir, "link")))
	h.await("first emission", func() bool { return h.rootChanges() == 1 })
	if len(h.first) != 1 {
		t.Errorf("first emission is %v", h.first)
	}
	h.expectSeen("d/f")
}
