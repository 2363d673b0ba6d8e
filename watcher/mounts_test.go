package watcher

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

func mount(t *testing.T, path string) {
	t.Helper()
	if err := unix.Mount("lockstep", path, "tmpfs", 0, ""); err != nil {
		t.Skipf("tmpfs cannot be mounted in a namespace here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
}

// unmount tries until the index has looked at what is there, which takes descriptors.
func unmount(t *testing.T, path string) {
	t.Helper()
	err := unix.Unmount(path, 0)
	for deadline := time.Now().Add(patience); errors.Is(err, unix.EBUSY) && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
		err = unix.Unmount(path, 0)
	}
	must(t, err)
}

func TestRootUnmounted(t *testing.T) {
	t.Parallel()
	if !inChild(t, ownNamespaces()) {
		return
	}
	root := t.TempDir()
	mount(t, root)
	mkdir(t, root+"/d")
	write(t, root+"/d/f", "one")
	h := start(t, Config{Root: root})
	mounted := h.w.Stats().Root
	unmount(t, root)
	h.await("error", func() bool { return len(h.logged(zapcore.ErrorLevel, "root is absent")) == 1 })
	for path := range h.take() {
		if path != "." {
			t.Errorf("emitted at the unmount: %q", path)
		}
	}
	// The empty directory below the mount is a root too, of another identity.
	h.await("the mount point", func() bool { s := h.w.Stats(); return s.RootPresent && s.Root != mounted })
	h.sync()
	h.take()

	mount(t, root)
	mkdir(t, root+"/d")
	h.await("the root's change", func() bool { return h.has(Change{Path: ".", Tree: true}) && h.w.Stats().Watches == 2 })
	h.expectSeen("d/f")
}

// TestRemounted unmounts and mounts again at once: nobody may have seen the table between, and every
// watch is gone.
func TestRemounted(t *testing.T) {
	t.Parallel()
	if !inChild(t, ownNamespaces()) {
		return
	}
	root := t.TempDir()
	mkdir(t, root+"/m")
	mount(t, root+"/m")
	mkdir(t, root+"/m/d")
	h := start(t, Config{Root: root})
	unmount(t, root+"/m")
	mount(t, root+"/m")
	mkdir(t, root+"/m/d")
	h.await("the mount's change", func() bool { return h.has(Change{Path: "m", Tree: true}) })
	h.await("watches", func() bool { return h.w.Stats().Watches == 3 })
	h.expectSeen("m/d/f")
}

// TestCheckMounts is TestRemounted for sure: the session sees the same table before and after.
func TestCheckMounts(t *testing.T) {
	t.Parallel()
	if !inChild(t, ownNamespaces()) {
		return
	}
	root := t.TempDir()
	mkdir(t, root+"/m")
	mount(t, root+"/m")
	h, s := startSession(t, root)
	unmount(t, root+"/m")
	mount(t, root+"/m")
	mkdir(t, root+"/m/d")
	h.await("silent end of the watch", func() bool { return !s.inotify.inst.watched(map[string]bool{root + "/m": true})[root+"/m"] })
	s.mountsMoved = true
	s.checkMounts(t.Context())
	if got := s.marks.take(); len(got) != 1 || got[0] != (Change{Path: "m", Tree: true, Content: true}) || s.inotify.watches() != 3 {
		t.Errorf("want the mount watched anew, got %v, %d watches", got, s.inotify.watches())
	}
}

// startSession builds a session that the test drives itself, in place of run.
func startSession(t *testing.T, root string) (*harness, *session) {
	t.Helper()
	h := newHarness(t, Config{Root: root})
	s := newSession(h.w, h.emit)
	t.Cleanup(s.close)
	s.look(t.Context())
	if !s.flush() || h.rootChanges() != 1 {
		t.Fatalf("no first emission; logs:\n%s", h.logText())
	}
	h.take()
	return h, s
}

func TestMountBelow(t *testing.T) {
	t.Parallel()
	if !inChild(t, ownNamespaces()) {
		return
	}
	root := t.TempDir()
	mkdir(t, root+"/a/m/hidden")
	h := start(t, Config{Root: root})
	mount(t, root+"/a/m")
	h.await("the mount's change", func() bool { return h.has(Change{Path: "a/m", Tree: true}) })
	h.expectSeen("a/m/f")
	unmount(t, root+"/a/m")
	h.await("the unmount's change", func() bool { return h.has(Change{Path: "a/m", Tree: true}) })
	h.await("watches", func() bool { return h.w.Stats().Watches == 4 })
	h.expectSeen("a/m/hidden/f")
}

func TestOneFileSystem(t *testing.T) {
	t.Parallel()
	if !inChild(t, ownNamespaces()) {
		return
	}
	root := t.TempDir()
	mkdir(t, root+"/m")
	mount(t, root+"/m")
	mkdir(t, root+"/m/d/e")
	h := start(t, Config{Root: root, OneFileSystem: true})
	if s := h.w.Stats(); s.Watches != 1 || s.Polled != 0 {
		t.Errorf("want the root's watch only, got %+v", s)
	}
	write(t, root+"/m/d/f", "")
	h.sync()
	if got := h.take(); len(got) != 0 {
		t.Errorf("want no change of another filesystem, got %v", got)
	}
	unmount(t, root+"/m")
	h.await("the unmount's change", func() bool { return h.has(Change{Path: "m", Tree: true}) })
	h.expectSeen("m/f")
}

// TestMountedTwice has one directory under two paths: only one of them can be watched.
func TestMountedTwice(t *testing.T) {
	t.Parallel()
	if !inChild(t, ownNamespaces()) {
		return
	}
	root := t.TempDir()
	mkdir(t, root+"/a/d")
	mkdir(t, root+"/b/loop")
	for _, point := range []string{"/b", "/b/d"} {
		from := root + "/a"
		if point == "/b/d" {
			from = root // a loop
		}
		if err := unix.Mount(from, root+point, "", unix.MS_BIND, ""); err != nil {
			t.Skipf("bind mounts are not allowed here: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(root+point, unix.MNT_DETACH) })
	}
	h := start(t, Config{Root: root, PollInterval: 50 * time.Millisecond})
	// Below a there is d, below b the root once more, which is watched already. Which of the two is looked at first, is watched.
	if s := h.w.Stats(); s.Watches != 2 && s.Watches != 3 || s.Polled == 0 {
		t.Errorf("want the root and a with a/d, or b, watched and the rest polled, got %+v", s)
	}
	if got := h.logged(zapcore.WarnLevel, "cannot be watched"); len(got) == 0 || got[0].ContextMap()["reason"] != pollTwice.String() {
		t.Errorf("want a warning, got:\n%s", h.logText())
	}
	seen := make(map[string]bool)
	write(t, root+"/b/f", "")
	h.await("change under both names", func() bool {
		for path, c := range h.take() {
			seen["a"] = seen["a"] || path == "a/f" || path == "a" && c.Tree
			seen["b"] = seen["b"] || path == "b/f" || path == "b" && c.Tree
		}
		return seen["a"] && seen["b"]
	})
}

// TestWholeSystem watches "/", whose names fsnotify joins with two slashes.
func TestWholeSystem(t *testing.T) {
	t.Parallel()
	if !inChild(t, ownNamespaces()) {
		return
	}
	dir := t.TempDir()
	mkdir(t, dir+"/d/e")
	if err := unix.Chroot(dir); err != nil {
		t.Skipf("chroot: %v", err)
	}
	must(t, os.Chdir("/"))
	h := start(t, Config{Root: "/"})
	if s := h.w.Stats(); s.Watches != 3 {
		t.Errorf("want 3 watches, got %+v", s)
	}
	h.expectSeen("f")
	h.expectSeen("d/e/f")
	mkdir(t, "/new/d")
	h.sync()
	h.expectSeen("new/d/f")
	if got := h.logged(zapcore.WarnLevel, "mounts are not watched"); len(got) != 1 {
		t.Errorf("there is no /proc, and nobody says so:\n%s", h.logText())
	}
	must(t, unix.Rename("/new", "/newer"))
	h.sync()
	if got := h.take(); !got["new"].Tree || !got["newer"].Tree {
		t.Errorf("rename gives %v", got)
	}
	h.expectSeen("newer/d/g")
}

func TestChangedMounts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		before, now map[string]string
		want        []string
	}{
		{name: "none", before: map[string]string{"/a": "1"}, now: map[string]string{"/a": "1"}},
		{name: "new", now: map[string]string{"/a": "1", "/a/b": "2", "/ab": "3"}, want: []string{"/a", "/ab"}},
		{name: "gone", before: map[string]string{"/a": "1", "/b": "1"}, now: map[string]string{"/a": "1"}, want: []string{"/b"}},
		{name: "stacked", before: map[string]string{"/a": "1;"}, now: map[string]string{"/a": "1;2;"}, want: []string{"/a"}},
	} {
		got := mountTable{below: test.before}.changed(mountTable{below: test.now})
		if diff := cmp.Diff(test.want, slices.Clip(got), cmpEmpty); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestReadMounts(t *testing.T) {
	t.Parallel()
	if !inChild(t, ownNamespaces()) {
		return
	}
	dir := t.TempDir()
	point := filepath.Join(dir, "a b\nc\\d \xff")
	mkdir(t, point)
	mount(t, point)
	got, err := readMounts(dir)
	must(t, err)
	if got.below[point] == "" || got.above == "" {
		t.Errorf("mount point missing in %+v", got)
	}
	if again, _ := readMounts(dir); !cmp.Equal(got, again, cmp.AllowUnexported(mountTable{})) {
		t.Errorf("tables differ: %+v, %+v", got, again)
	}
}

// TestRemotes: what others may change without an event is compared at each interval, and named once.
func TestRemotes(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	mkdir(t, root+"/nfs")
	mkdir(t, root+"/skip")
	h, s := startSession(t, root)
	s.excluded = func(path string, _ bool) bool { return path == "skip" }
	s.mounts.remote = []string{root + "/nfs", root + "/skip"}
	for range 2 {
		s.warnRemote()
		s.poll(t.Context())
		if got := s.suspects.take(); len(got) != 1 || got[0] != (Change{Path: "nfs", Tree: true}) {
			t.Errorf("to be compared: %v", got)
		}
	}
	if got := h.logged(zapcore.WarnLevel, "network or FUSE"); len(got) != 1 || got[0].ContextMap()["path"] != root+"/nfs" {
		t.Errorf("want one warning, got:\n%s", h.logText())
	}
	s.remoteRoot = true
	s.poll(t.Context())
	if got := s.suspects.take(); len(got) != 1 || got[0].Path != "." {
		t.Errorf("to be compared: %v", got)
	}
	for name, want := range map[string]bool{
		"nfs4": true, "cifs": true, "smb3": true, "9p": true, "fuse.sshfs": true, "fuse": true, "ext4": false, "fuseblk": false, "tmpfs": false,
	} {
		if isRemoteType(name) != want {
			t.Errorf("isRemoteType(%q) is %v", name, !want)
		}
	}
}
