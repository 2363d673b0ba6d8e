package watcher

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
)

// lowerLimit sets a limit of this process's own user namespace.
func lowerLimit(t *testing.T, name string, value int) {
	t.Helper()
	path := "/proc/sys/user/max_inotify_" + name
	if err := os.WriteFile(path, fmt.Append(nil, value), 0); err != nil {
		t.Skipf("a user namespace's own %s cannot be set: %v", path, err)
	}
}

func TestWatchLimit(t *testing.T) {
	t.Parallel()
	if !inChild(t, ownNamespaces()) {
		return
	}
	root := t.TempDir()
	for i := range 10 {
		mkdir(t, fmt.Sprintf("%s/d%d/e/f", root, i))
	}
	lowerLimit(t, "watches", 16)
	h := start(t, Config{Root: root, PollInterval: 50 * time.Millisecond})
	if s := h.w.Stats(); s.Watches != 15 || s.Polled == 0 { // and the barrier's
		t.Errorf("want 15 watches and the rest polled, got %+v", s)
	}
	errs := h.logged(zapcore.ErrorLevel, "raise user.max_inotify_watches")
	if len(errs) != 1 || errs[0].ContextMap()["directories"] != int64(31) || errs[0].ContextMap()["current"] != int64(16) {
		t.Errorf("want one error that tells limit and directories, got:\n%s", h.logText())
	}
	if got := h.logged(zapcore.WarnLevel, "polled"); len(got) != 1 {
		t.Errorf("want one summary of what is polled, got:\n%s", h.logText())
	}

	h.await("index", func() bool { return h.w.Stats().Indexed }) // polling compares with it
	polled := make(map[string]bool)
	h.await("each directory is polled or watched", func() bool {
		for i := range 10 {
			write(t, fmt.Sprintf("%s/d%d/e/f/file", root, i), "")
		}
		for path, c := range h.take() {
			for p := path; c.Tree && p != "."; p = parentOf(p) {
				polled[p] = true
			}
			polled[strings.SplitN(path, "/", 2)[0]] = true
		}
		return len(polled) >= 10
	})
	mkdir(t, root+"/new")
	h.await("new directory that finds no watch", func() bool { return h.has(Change{Path: "new", Tree: true}) })
	if got := h.logged(zapcore.ErrorLevel, ""); len(got) != 1 {
		t.Errorf("the limit is told once, got:\n%s", h.logText())
	}

	lowerLimit(t, "watches", 1000)
	h.await("watching of all", func() bool { s := h.w.Stats(); return s.Polled == 0 && s.Watches == 32 })
	h.await("the good news", func() bool { return len(h.logged(zapcore.InfoLevel, "watched again")) == 1 })
	h.sync()
	h.take()
	write(t, root+"/d3/e/f/file", "again")
	h.sync()
	if !h.has(Change{Path: "d3/e/f/file", Content: true}) {
		t.Errorf("event missing, got %v", h.take())
	}
}

// TestWatchLimitRebuild overflows while the tree has more than half of all watches: the instance before
// must not stand in the way of the new one.
func TestWatchLimitRebuild(t *testing.T) {
	t.Parallel()
	if !inChild(t, ownNamespaces()) {
		return
	}
	root := t.TempDir()
	for i := range 10 {
		mkdir(t, fmt.Sprintf("%s/d%d", root, i))
	}
	lowerLimit(t, "watches", 12)
	h, gate := startGated(t, Config{Root: root})
	overflow(h, gate)
	h.await("rebuild", func() bool { s := h.w.Stats(); return s.Rebuilds > 0 && s.Watches == 11 && s.Polled == 0 })
	if got := h.logged(zapcore.ErrorLevel, ""); len(got) != 0 {
		t.Errorf("unexpected errors:\n%s", h.logText())
	}
}

func TestInstanceLimit(t *testing.T) {
	t.Parallel()
	if !inChild(t, ownNamespaces()) {
		return
	}
	root := t.TempDir()
	mkdir(t, root+"/d")
	lowerLimit(t, "instances", 0)
	h := start(t, Config{Root: root, PollInterval: 50 * time.Millisecond})
	polls := h.rootChanges() + 2
	h.await("polling of the root", func() bool { return h.rootChanges() >= polls })
	if got := h.logged(zapcore.ErrorLevel, "raise user.max_inotify_instances"); len(got) != 1 || got[0].ContextMap()["current"] != int64(0) {
		t.Errorf("want one error, got:\n%s", h.logText())
	}
	lowerLimit(t, "instances", 10)
	h.await("an instance", func() bool { return h.w.Stats().Watches == 2 })
	h.sync()
	write(t, root+"/d/f", "")
	h.sync()
	if !h.has(Change{Path: "d/f", Content: true}) {
		t.Errorf("event missing, got %v", h.take())
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 && os.Getenv(childEnv) == "" {
		nobody := uint32(65534)
		inChild(t, &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL,
		})
		return
	}
	root := t.TempDir()
	secret := filepath.Join(root, "secret")
	mkdir(t, secret+"/d")
	must(t, os.Chmod(secret, 0))
	t.Cleanup(func() { _ = os.Chmod(secret, 0o700) })
	h := start(t, Config{Root: root, PollInterval: 20 * time.Millisecond})
	if s := h.w.Stats(); s.Polled != 1 || s.Watches != 1 {
		t.Errorf("want one of each, got %+v", s)
	}
	if got := h.logged(zapcore.WarnLevel, "cannot be watched"); len(got) != 1 || got[0].ContextMap()["path"] != secret {
		t.Errorf("want a warning that names it, got:\n%s", h.logText())
	}
	must(t, os.Chmod(secret, 0o700))
	h.await("change", func() bool { return h.has(Change{Path: "secret", Tree: true}) })
	h.await("watches", func() bool { s := h.w.Stats(); return s.Polled == 0 && s.Watches == 3 })
	h.sync()
	write(t, secret+"/d/f", "")
	h.sync()
	if !h.has(Change{Path: "secret/d/f", Content: true}) {
		t.Errorf("event missing, got %v", h.take())
	}
	// A directory that is watched stays so.
	must(t, os.Chmod(secret, 0))
	h.sync()
	if s := h.w.Stats(); s.Watches != 3 {
		t.Errorf("want 3 watches, got %+v", s)
	}
}

// TestLongPath has a directory whose absolute path the kernel does not take.
func TestLongPath(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	name := strings.Repeat("n", 200)
	deep, err := os.OpenRoot(root)
	must(t, err)
	for range 25 {
		must(t, deep.Mkdir(name, 0o755))
		next, err := deep.OpenRoot(name)
		must(t, err)
		must(t, deep.Close())
		deep = next
	}
	t.Cleanup(func() { deep.Close() })
	h := start(t, Config{Root: root, PollInterval: 50 * time.Millisecond})
	if s := h.w.Stats(); s.Polled != 1 || s.Watches < 15 {
		t.Fatalf("want the deepest polled, got %+v", s)
	}
	n := h.w.Stats().Watches
	polled := strings.Repeat("/"+name, n)[1:]
	h.await("poll", func() bool { return h.has(Change{Path: polled, Tree: true}) })
	if got := h.logged(zapcore.WarnLevel, "cannot be watched"); len(got) != 1 {
		t.Errorf("want one warning, got:\n%s", h.logText())
	}
}

// TestLongName makes and removes names that fit their directory, but no path.
func TestLongName(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := root
	for len(dir)+101+255 < 4096 {
		dir += "/" + strings.Repeat("n", 100)
	}
	dir += "/" + strings.Repeat("n", 4000-len(dir)-1)
	mkdir(t, dir)
	h := start(t, Config{Root: root, PollInterval: 50 * time.Millisecond})
	in, err := os.OpenRoot(dir)
	must(t, err)
	defer in.Close()
	name := strings.Repeat("x", 255)
	rel := dir[len(root)+1:] + "/" + name

	f, err := in.Create(name)
	must(t, err)
	must(t, f.Close())
	h.sync()
	if !h.has(Change{Path: rel, Content: true}) {
		t.Errorf("file not seen: %d changes", len(h.take()))
	}
	must(t, in.Remove(name))
	must(t, in.Mkdir(name, 0o755))
	h.sync()
	if s := h.w.Stats(); s.Polled != 1 {
		t.Errorf("want the directory polled, got %+v", s)
	}
	h.take()
	h.await("poll", func() bool { return h.has(Change{Path: rel, Tree: true}) })
	must(t, in.Remove(name))
	h.sync()
	if s := h.w.Stats(); s.Polled != 0 {
		t.Errorf("want nothing polled, got %+v", s)
	}
}

// TestUnreadableAbove makes a directory below one that loses its permissions before the event is looked at. Then
// nobody can say what it is; once that is possible again it is watched.
func TestUnreadableAbove(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 && os.Getenv(childEnv) == "" {
		nobody := uint32(65534)
		inChild(t, &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL,
		})
		return
	}
	root := t.TempDir()
	mkdir(t, root+"/d")
	h, gate := startGated(t, Config{Root: root, PollInterval: 20 * time.Millisecond})
	mkdir(t, root+"/d/new")
	must(t, os.Chmod(root+"/d", 0))
	t.Cleanup(func() { _ = os.Chmod(root+"/d", 0o700) })
	close(gate.open)
	h.await("polling", func() bool { return h.w.Stats().Polled == 1 })
	must(t, os.Chmod(root+"/d", 0o700))
	h.await("watches", func() bool { s := h.w.Stats(); return s.Polled == 0 && s.Watches == 3 })
	h.sync()
	h.take()
	write(t, root+"/d/new/f", "")
	h.sync()
	if !h.has(Change{Path: "d/new/f", Content: true}) {
		t.Errorf("event missing, got %v", h.take())
	}
}
