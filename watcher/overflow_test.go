package watcher

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap/zapcore"
)

// gate stands between fsnotify and the goroutine that drains it, and can be shut.
type gate struct {
	made atomic.Int32
	shut chan struct{} // until it is closed, events pass
	open chan struct{}
}

// startGated starts a watcher whose first instance is drained through a gate that is shut after the
// first emission.
func startGated(t *testing.T, cfg Config) (*harness, *gate) {
	h := newHarness(t, cfg)
	g := &gate{open: make(chan struct{}), shut: make(chan struct{})}
	h.w.newInstance = g.instance
	h.run()
	h.await("first emission", func() bool { return h.rootChanges() > 0 })
	if !cfg.NoIndex {
		h.await("index", func() bool { return h.w.Stats().Indexed })
	}
	close(g.shut)
	h.take()
	return h, g
}

func (g *gate) instance() (*fsnotify.Watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil || g.made.Add(1) > 1 {
		return w, err
	}
	from, to := w.Events, make(chan fsnotify.Event)
	w.Events = to
	go func() {
		defer close(to)
		for e := range from {
			select {
			case <-g.shut:
				<-g.open
			default:
			}
			to <- e
		}
	}()
	return w, nil
}

// overflow makes more events than the kernel keeps, and then lets them through.
func overflow(h *harness, g *gate) {
	h.Helper()
	size := readSysctl("fs.inotify.max_queued_events")
	if size > 1<<20 {
		h.Skipf("max_queued_events is %d: too many to overflow", size)
	}
	var files [2]*os.File
	for i := range files {
		f, err := os.Create(filepath.Join(h.root, string(rune('a'+i))))
		must(h, err)
		defer f.Close()
		files[i] = f
	}
	for i := range size + 5000 { // equal events in a row would be merged: inotify(7)
		_, err := files[i%2].Write([]byte("x"))
		must(h, err)
	}
	close(g.open)
}

func TestOverflow(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	mkdir(t, root+"/d/e")
	h, gate := startGated(t, Config{Root: root, NoIndex: true})
	overflow(h, gate)
	mkdir(t, root+"/unseen/d") // its event is lost
	h.await("the root's change", func() bool { return h.has(Change{Path: ".", Tree: true}) })
	h.await("a content from before", func() bool { return h.has(Change{Path: "a", Content: true}) })
	h.sync()
	s := h.w.Stats()
	if s.Overflows == 0 || s.Rebuilds != 1 || s.Watches != 5 || gate.made.Load() != 2 {
		t.Errorf("want one rebuild, got %+v, %d instances", s, gate.made.Load())
	}
	if got := h.logged(zapcore.WarnLevel, "fs.inotify.max_queued_events"); len(got) != 1 {
		t.Errorf("want one warning, got:\n%s", h.logText())
	}
	h.take()
	write(t, root+"/unseen/d/f", "")
	h.sync()
	if !h.has(Change{Path: "unseen/d/f", Content: true}) {
		t.Errorf("blind after overflow: %v", h.take())
	}
}
