package watcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

const markerPrefix = ".marker-"

// harness runs a Watcher and collects what it emits.
type harness struct {
	testing.TB
	root string
	w    *Watcher
	logs *observer.ObservedLogs

	cancel  context.CancelFunc
	stopped chan error
	arrived chan struct{} // one token: something was emitted

	mu      sync.Mutex // guards all below
	changes map[string]Change
	raw     map[string]Change // the last one of each path, as it came
	moves   []Change          // those with From
	first   []Change
	markers map[string]bool
	roots   int // emissions of the root's Tree change
	n       int
}

func newHarness(tb testing.TB, cfg Config) *harness {
	tb.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	cfg.Logger = zap.New(core)
	if cfg.Backend == "" {
		cfg.Backend = BackendInotify // what runs as root would have another one
	}
	w, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return &harness{
		TB: tb, root: cfg.Root, w: w, logs: logs,
		stopped: make(chan error, 1), arrived: make(chan struct{}, 1),
		changes: make(map[string]Change), raw: make(map[string]Change), markers: make(map[string]bool),
	}
}

// start runs a watcher on cfg and waits for the whole tree to be watched.
func start(tb testing.TB, cfg Config) *harness {
	tb.Helper()
	h := newHarness(tb, cfg)
	h.run()
	h.await("first emission", func() bool { return h.rootChanges() > 0 })
	h.take()
	return h
}

func (h *harness) run() {
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	go func() { h.stopped <- h.w.Run(ctx, h.emit) }()
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
}

func (h *harness) emit(list []Change) {
	h.mu.Lock()
	for _, c := range list {
		if h.first == nil {
			h.first = list
		}
		if strings.HasPrefix(c.Path, markerPrefix) {
			h.markers[c.Path] = true
			continue
		}
		if c.From != "" {
			h.moves = append(h.moves, c)
			continue // what moved is told as a change, too
		}
		if c.Path == "." && c.Tree {
			h.roots++
		}
		h.raw[c.Path] = c
		old := h.changes[c.Path]
		h.changes[c.Path] = Change{Path: c.Path, Tree: c.Tree || old.Tree, Content: c.Content || old.Content}
	}
	h.mu.Unlock()
	select {
	case h.arrived <- struct{}{}:
	default:
	}
}

// take returns what was emitted since the last take, merged by path, and without what a Tree change
// above it says anyway.
func (h *harness) take() map[string]Change {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.changes
	h.changes = make(map[string]Change)
	return all
}

// takeMoves returns the pairs that were emitted since the last take, in order.
func (h *harness) takeMoves() []Change {
	h.mu.Lock()
	defer h.mu.Unlock()
	moves := h.moves
	h.moves = nil
	return moves
}

func (h *harness) has(want Change) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.changes[want.Path]
	return ok && (c.Tree || !want.Tree) && (c.Content || !want.Content)
}

func (h *harness) rootChanges() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.roots
}

// await waits until ok says so; it looks after each emission, and at times, for what is no emission.
func (h *harness) await(what string, ok func() bool) {
	h.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-h.arrived:
		case <-look.C:
		case err := <-h.stopped:
			h.stopped <- err
			h.Fatalf("Run ended while waiting for %s: %v", what, err)
		case <-deadline.C:
			h.Fatalf("no %s within %v; stats %+v; logs:\n%s", what, patience, h.w.Stats(), h.logText())
		}
	}
}

// sync waits until all that happened before it has been emitted: the events of one instance come in
// order, so the marker's comes last.
func (h *harness) sync() {
	h.Helper()
	h.n++
	name := fmt.Sprintf("%s%d", markerPrefix, h.n)
	path := filepath.Join(h.root, name)
	must(h, os.WriteFile(path, nil, 0o600))
	h.await("marker "+name, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.markers[name]
	})
	must(h, os.Remove(path))
}

func (h *harness) logText() string {
	var b strings.Builder
	for _, e := range h.logs.All() {
		fmt.Fprintf(&b, "%s %s %v\n", e.Level, e.Message, e.ContextMap())
	}
	return b.String()
}

// logged returns the entries of a level whose message contains text.
func (h *harness) logged(level zapcore.Level, text string) []observer.LoggedEntry {
	return h.logs.Filter(func(e observer.LoggedEntry) bool {
		return e.Level == level && strings.Contains(e.Message, text)
	}).All()
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

const childEnv = "WATCHER_TEST_CHILD"

// inChild re-executes the running test in a process with attr, and reports whether this is that
// process. The parent gets false once the child has passed, and must return.
func inChild(t *testing.T, attr *syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv(childEnv) == t.Name() {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), childEnv+"="+t.Name())
	cmd.Dir = "/"
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOSPC):
		t.Skipf("cannot start a process of its own: %v", err)
	case err != nil:
		t.Fatalf("child: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("child skipped:\n%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name())):
		t.Fatalf("child ran no test:\n%s", out)
	}
	return false
}

// ownNamespaces gives a process user and mount namespaces of its own: it may mount, and lower its own
// limits, and nobody else sees either.
func ownNamespaces() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
}
