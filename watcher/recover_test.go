package watcher

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/zap/zapcore"
)

// TestOverflowCompared: after an overflow, what differs is told, and nothing else.
func TestOverflowCompared(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for i := range 20 {
		mkdir(t, fmt.Sprintf("%s/d%d/e", root, i))
		for k := range 20 {
			write(t, fmt.Sprintf("%s/d%d/e/f%d", root, i, k), "one")
		}
	}
	h, gate := startGated(t, Config{Root: root})
	overflow(h, gate)
	// These events are lost. A rewrite that keeps size and mtime shows in the ctime.
	st, err := os.Stat(root + "/d1/e/f1")
	must(t, err)
	write(t, root+"/d1/e/f1", "two")
	must(t, os.Chtimes(root+"/d1/e/f1", st.ModTime(), st.ModTime()))
	must(t, os.Remove(root+"/d2/e/f2"))
	must(t, os.Rename(root+"/d3/e", root+"/d3/new"))
	must(t, os.Chmod(root+"/d4/e/f4", 0o600))
	mkdir(t, root+"/d5/made/deep")
	h.await("comparison", func() bool { return h.w.Stats().Comparisons > 0 })
	h.sync()
	got := h.take()
	for _, want := range []Change{
		{Path: "d1/e/f1", Content: true}, {Path: "d2/e/f2"}, {Path: "d3/e", Tree: true}, {Path: "d3/new", Tree: true},
		{Path: "d4/e/f4"}, {Path: "d5/made", Tree: true},
	} {
		c, ok := got[want.Path]
		if !ok || want.Tree && !c.Tree || want.Content && !c.Content {
			t.Errorf("%+v is missing, got %+v", want, c)
		}
	}
	for _, no := range []string{".", "d6", "d1/e/f2", "d7/e/f1"} {
		if c, ok := got[no]; ok && (c.Tree || no != ".") {
			t.Errorf("%+v is told, and did not change", c)
		}
	}
	if s := h.w.Stats(); s.Comparisons != 1 || s.Rebuilds != 1 {
		t.Errorf("want one rebuild and one comparison, got %+v", s)
	}
	if got := h.logged(zapcore.InfoLevel, "tree compared"); len(got) != 1 {
		t.Errorf("want a line about it, got:\n%s", h.logText())
	}
}

// TestOverflowUnindexed: without an index the root is the change.
func TestOverflowUnindexed(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	h, gate := startGated(t, Config{Root: root, NoIndex: true})
	overflow(h, gate)
	h.await("the root's change", func() bool { return h.has(Change{Path: ".", Tree: true}) })
	if s := h.w.Stats(); s.Indexed || s.Comparisons != 0 {
		t.Errorf("an index is used: %+v", s)
	}
}
