package fanotify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

const markerPrefix = ".marker-"

// harness runs a Group and collects its events.
type harness struct {
	testing.TB
	root string
	g    *Group

	before  func() // called before a batch is collected
	cancel  context.CancelFunc
	stopped chan error
	arrived chan struct{} // one token: something came

	mu      sync.Mutex // guards all below
	events  []Event
	markers map[string]bool
	n       int
}

// needRoot skips where fanotify cannot work. Root has no excuse.
func needRoot(tb testing.TB) {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Skip("not root: marks on filesystems need CAP_SYS_ADMIN")
	}
}

func start(tb testing.TB, cfg Config) *harness {
	tb.Helper()
	needRoot(tb)
	g, err := Open(cfg)
	must(tb, err)
	h := newHarness(tb, g, cfg.Root)
	h.run()
	return h
}

func newHarness(tb testing.TB, g *Group, root string) *harness {
	return &harness{
		TB: tb, root: root, g: g, stopped: make(chan error, 1),
		arrived: make(chan struct{}, 1), markers: make(map[string]bool),
	}
}

func (h *harness) run() {
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	go func() { h.stopped <- h.g.Run(ctx, h.collect) }()
	h.Cleanup(h.stop)
}

func (h *harness) stop() {
	if h.cancel == nil {
		return
	}
	h.cancel()
	h.cancel = nil
	if err := <-h.stopped; err != nil {
		h.Errorf("Run: %v", err)
	}
	must(h, h.g.Close())
}

func (h *harness) collect(list []Event) {
	if h.before != nil {
		h.before()
	}
	h.mu.Lock()
	for _, e := range list {
		if strings.HasPrefix(filepath.Base(e.Path), markerPrefix) {
			h.markers[e.Path] = true
			continue
		}
		h.events = append(h.events, e)
	}
	h.mu.Unlock()
	select {
	case h.arrived <- struct{}{}:
	default:
	}
}

// take waits for all that happened before, and returns what came since the last take.
func (h *harness) take() []Event {
	h.Helper()
	h.sync(".")
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.events
	h.events = nil
	return all
}

// sync makes a marker in a directory and waits for its event: events of one group come in order. A marker that finds a
// small queue full, perhaps of what others do on the same file system, is lost: it is made again after a while.
func (h *harness) sync(dir string) {
	h.Helper()
	h.n++
	rel := filepath.Join(dir, fmt.Sprintf("%s%d", markerPrefix, h.n))
	path := filepath.Join(h.root, rel)
	var again time.Time
	h.await("marker "+rel, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.markers[rel] {
			return true
		}
		if now := time.Now(); now.After(again) {
			if !again.IsZero() {
				must(h, os.Remove(path))
			}
			must(h, unix.Mknod(path, unix.S_IFREG|0o600, 0))
			again = now.Add(500 * time.Millisecond)
		}
		return false
	})
	must(h, os.Remove(path))
}

func (h *harness) await(what string, ok func() bool) {
	h.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-h.arrived:
		case err := <-h.stopped:
			h.stopped <- err
			h.Fatalf("Run ended while waiting for %s: %v", what, err)
		case <-deadline.C:
			h.Fatalf("no %s within %v; stats %+v", what, patience, h.g.Stats())
		}
	}
}

// show writes events as text, those with equal names merged: what the kernel merges depends on when
// it is read.
func show(list []Event) []string {
	var names []string
	masks := make(map[string]uint64)
	for _, e := range list {
		name := e.Path
		if e.From != "" {
			name = e.From + " -> " + e.Path
		}
		if e.Dir {
			name += "/"
		}
		if e.Deep {
			name += " deep"
		}
		if masks[name] == 0 {
			names = append(names, name)
		}
		masks[name] |= e.Mask
	}
	for i, name := range names {
		names[i] = strings.TrimSpace(name + " " + maskText(masks[name]))
	}
	return names
}

func maskText(mask uint64) string {
	var words []string
	for _, bit := range []struct {
		bit  uint64
		name string
	}{
		{unix.FAN_CREATE, "CREATE"}, {unix.FAN_DELETE, "DELETE"}, {unix.FAN_RENAME, "RENAME"},
		{unix.FAN_MOVED_FROM, "MOVED_FROM"}, {unix.FAN_MOVED_TO, "MOVED_TO"}, {unix.FAN_MODIFY, "MODIFY"},
		{unix.FAN_CLOSE_WRITE, "CLOSE_WRITE"}, {unix.FAN_ATTRIB, "ATTRIB"}, {unix.FAN_Q_OVERFLOW, "LOST"},
		{unix.FAN_OPEN, "OPEN"}, {unix.FAN_ACCESS, "ACCESS"}, {unix.FAN_CLOSE_NOWRITE, "CLOSE_NOWRITE"},
	} {
		if mask&bit.bit != 0 {
			words = append(words, bit.name)
			mask &^= bit.bit
		}
	}
	if mask != 0 {
		words = append(words, fmt.Sprintf("%#x", mask))
	}
	return strings.Join(words, "|")
}

// want compares what came since the last time with lines as of show; none is nothing.
func (h *harness) want(lines ...string) {
	h.Helper()
	if got := show(h.take()); !slices.Equal(got, lines) {
		h.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func mkdir(tb testing.TB, path string) {
	tb.Helper()
	must(tb, os.MkdirAll(path, 0o755))
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	must(tb, os.WriteFile(path, []byte(text), 0o644))
}

// tempDir is t.TempDir without symbolic links.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := filepath.EvalSymlinks(tb.TempDir())
	must(tb, err)
	return dir
}

const childEnv = "FANOTIFY_TEST_CHILD"

// inChild re-executes the running test in a process with attr, and reports whether this is that
// process. The parent gets false once the child has passed, and must return.
func inChild(t *testing.T, attr *syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv(childEnv) == t.Name() {
		return true
	}
	needRoot(t)
	attr.Pdeathsig = syscall.SIGKILL
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), childEnv+"="+t.Name())
	cmd.Dir = "/"
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.ENOSPC):
		t.Skipf("no namespace to be had: %v", err)
	case err != nil:
		t.Fatalf("child: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("child skipped:\n%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name())):
		t.Fatalf("child ran no test:\n%s", out)
	}
	return false
}

// ownMounts gives a process a mount namespace: nobody else sees what it mounts.
func ownMounts() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
}

func mount(tb testing.TB, source, target, fstype string, flags uintptr, data string) {
	tb.Helper()
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		tb.Fatalf("mount %s at %s: %v", fstype, target, err)
	}
}

// newTmpfs mounts a tmpfs of its own and returns where.
func newTmpfs(tb testing.TB) string {
	tb.Helper()
	dir := tempDir(tb)
	mount(tb, "tmpfs", dir, "tmpfs", 0, "size=256m")
	tb.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// time is one that no file has by itself.
func (h *harness) time() time.Time { return time.Unix(1e9, 0) }

// cat reads a file in another process.
func cat(tb testing.TB, path string) {
	tb.Helper()
	out, err := exec.Command("cat", path).CombinedOutput()
	if err != nil {
		tb.Fatalf("cat: %v %s", err, out)
	}
}
