package watcher

import (
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// TestFallBack takes from fanotify what it needs while the tree is churned: inotify goes on, says why, and
// nothing is lost between the two.
func TestFallBack(t *testing.T) {
	for _, test := range []struct {
		name string
		take func(t *testing.T, dir string)
		why  string // in the log
	}{
		{"privileges", dropCapabilities, "needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH"},
		{"filesystem", mountOverlay, "a filesystem below the root: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			needFanotify(t)
			if !inChild(t, ownMounts()) {
				return
			}
			if _, _, err := syscall.AllThreadsSyscall(unix.SYS_GETPID, 0, 0, 0); test.name == "privileges" && errors.Is(err, unix.ENOTSUP) {
				t.Skip("with cgo the capabilities of all threads cannot be changed")
			}
			dir := t.TempDir()
			mkdir(t, dir+"/root/m")
			mkdir(t, dir+"/out")
			h := newHarness(t, Config{Root: dir + "/root", Backend: BackendFanotify})
			h.run()
			h.await("first emission", func() bool { return h.rootChanges() > 0 })
			r := newReplica(dir + "/root")
			done := make(chan struct{})
			var writers sync.WaitGroup
			for i := range 2 {
				writers.Go(func() { churn(dir, rand.New(rand.NewPCG(1, uint64(i))), done) })
			}
			taken := false
			for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				r.apply(h.take())
				if !taken && time.Until(end) < 500*time.Millisecond {
					taken = true
					test.take(t, dir)
				}
			}
			close(done)
			writers.Wait()
			h.await("inotify", func() bool { return h.w.Stats().Backend == BackendInotify })
			h.awaitEqual(r)
			h.probeAll()
			got := h.logged(zapcore.WarnLevel, "inotify is used: fanotify does not work")
			if len(got) != 1 {
				t.Fatalf("want one warning, got:\n%s", h.logText())
			}
			if why, _ := got[0].ContextMap()["error"].(string); !strings.Contains(why, test.why) {
				t.Errorf("the reason is %q", why)
			}
		})
	}
}

// dropCapabilities takes from all threads what fanotify needs.
func dropCapabilities(t *testing.T, _ string) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	must(t, unix.Capget(&head, &data[0]))
	for _, c := range []uint{unix.CAP_SYS_ADMIN, unix.CAP_DAC_READ_SEARCH} {
		data[c/32].Effective &^= 1 << (c % 32)
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data[0])), 0)
	runtime.KeepAlive(&data)
	if errno != 0 {
		t.Fatal(errno)
	}
}

// mountOverlay mounts an overlay, whose handles cannot be opened: fanotify(7) has no mark for it.
func mountOverlay(t *testing.T, dir string) {
	for _, d := range []string{"lower/d", "upper", "work"} {
		mkdir(t, dir+"/"+d)
	}
	point := dir + "/root/overlay"
	_ = os.MkdirAll(point, 0o755)
	if err := unix.Mount("overlay", point, "overlay", 0, "lowerdir="+dir+"/lower,upperdir="+dir+"/upper,workdir="+dir+"/work"); err != nil {
		t.Skipf("no overlay to be had: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_DETACH) })
}
