package watcher

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// startFan begins to watch root by fanotify, without a session.
func startFan(t *testing.T, root string, excluded func(string, bool) bool) *fan {
	t.Helper()
	needFanotify(t)
	f, err := newFan(t.Context(), &ground{root: root, excluded: excluded, log: zap.NewNop()}, 0)
	must(t, err)
	t.Cleanup(func() {
		f.close()
		f.wait()
	})
	return f
}

// TestFanBarrier raises a barrier while events are still to be read: it must not pass before them.
func TestFanBarrier(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	mkdir(t, root+"/d")
	reached, goOn := make(chan struct{}), make(chan struct{})
	f := startFan(t, root, func(rel string, _ bool) bool {
		if rel == "d" {
			close(reached)
			<-goOn
		}
		return false
	})
	h := &harness{TB: t, w: &Watcher{}}
	for range 3 { // the queue was empty before
		write(t, root+"/f", "")
		n := f.group.Emptied()
		h.await("an empty queue", func() bool { return f.group.Emptied() > n })
	}
	f.pending.take()
	write(t, root+"/d/f", "")
	<-reached
	f.barrier()
	before := f.past
	if f.passed() != before {
		t.Error("the barrier has passed, and what was before it is still to be read")
	}
	close(goOn)
	h.await("the event", func() bool { return !f.pending.empty() })
	if list, _, _ := f.pending.take(); list[0].name != "d/f" {
		t.Errorf("read %v", list)
	}
	h.await("the barrier", func() bool { return f.passed() != before })
}

// ownMounts gives a process a mount namespace, and leaves it its privileges.
func ownMounts() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
}

// TestFanotifyLimit has no group, and no mark, to be had: the message tells what to raise.
func TestFanotifyLimit(t *testing.T) {
	t.Parallel()
	if !inChild(t, ownNamespaces()) {
		return
	}
	root := t.TempDir()
	mount(t, root)
	for _, limit := range []string{"groups", "marks"} {
		path := "/proc/sys/user/max_fanotify_" + limit
		old, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, []byte("0"), 0)
		}
		if err != nil {
			t.Skipf("a user namespace's own limit cannot be set: %v", err)
		}
		h := start(t, Config{Root: root, Backend: BackendFanotify})
		got := h.logged(zapcore.WarnLevel, "inotify is used")
		if len(got) != 1 || !strings.Contains(fmt.Sprint(got[0].ContextMap()["error"]), "raise fs.fanotify.max_user_"+limit) {
			t.Errorf("want one warning that tells how to help it, got:\n%s", h.logText())
		}
		h.expectSeen("f")
		h.stop()
		must(t, os.WriteFile(path, old, 0))
	}
}

func deviceOf(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Dev
}

// TestFanRemounted unmounts and mounts again before anybody looks: the mount table is the same, and the marks
// are gone.
func TestFanRemounted(t *testing.T) {
	t.Parallel()
	needFanotify(t)
	if !inChild(t, ownMounts()) {
		return
	}
	for _, point := range []string{"/m", "/."} {
		root := t.TempDir()
		at := root
		mount(t, root)
		if point == "/m" {
			at = root + point
			mkdir(t, at)
			mount(t, at)
		}
		h := newHarness(t, Config{Root: root, Backend: BackendFanotify})
		s := newSession(h.w, h.emit)
		t.Cleanup(s.close)
		s.look(t.Context())
		// It is about a file system that comes with the device number of the one before: others may snatch that.
		was := deviceOf(t, at)
		for tries := 0; tries == 0 || deviceOf(t, at) != was; tries++ {
			if tries == 100 {
				t.Skip("the device number of the file system was never given again")
			}
			unmount(t, at)
			mount(t, at)
		}
		mkdir(t, at+"/d")
		if got, want := s.backend.unmounted(t.Context(), s.mounts), at; point == "/m" && !cmp.Equal(got, []string{want}) {
			t.Errorf("unmounted gives %q, want %q", got, want)
		}
		s.mountsMoved = true
		s.checkMounts(t.Context())
		if point == "/." {
			<-s.backend.wake()
			s.handle(t.Context())
		}
		s.flush()
		h.take()
		write(t, at+"/d/f", "")
		h.await("the event", func() bool {
			select {
			case <-s.backend.wake():
				s.handle(t.Context())
				s.flush()
			default:
			}
			return h.has(Change{Path: "m/d/f"}) || h.has(Change{Path: "d/f"})
		})
		if s.backend.name() != BackendFanotify || len(h.logged(zapcore.WarnLevel, "")) > 0 {
			t.Errorf("%s: %s", s.backend.name(), h.logText())
		}
	}
}
