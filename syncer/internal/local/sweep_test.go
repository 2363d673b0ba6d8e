package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// What killed pushes left behind goes without --delete: from a directory with the first push that writes
// there, from all with the first full push. What somebody is at work on stays, and so does the user's.
func TestSweep(t *testing.T) {
	src, dst := dirs(t)
	for _, dir := range []string{"a", "b", "c/d"} {
		write(t, filepath.Join(src, dir, "f"), dir)
	}
	o := archive
	o.Delete, o.Swept = false, new(Swept)
	full(t, src, dst, func() Options { o := o; o.Swept = nil; return o }())
	leftover := func(dir string) string { return filepath.Join(dst, dir, ".f.lockstep-AbCdEf") }
	users := filepath.Join(dst, "a", ".f.AbCdEf")
	litter := func() {
		for _, dir := range []string{".", "a", "b", "c/d"} {
			write(t, leftover(dir), "half")
		}
	}
	litter()
	write(t, users, "the user's own")
	at, err := tree.OpenRoot(filepath.Join(dst, "a"))
	must(t, err)
	defer at.Close()
	held, err := at.CreateTemp("held")
	must(t, err)
	defer held.Discard()

	write(t, filepath.Join(src, "a", "f"), "changed")
	_, lines := partial(t, src, dst, o, source.Path{Name: "a/f"})
	if exists(leftover("a")) || !exists(leftover("b")) || strings.Contains(strings.Join(lines, ""), "lockstep") {
		t.Errorf("after a push into a: a has it %v, b has it %v; it tells of %q", exists(leftover("a")), exists(leftover("b")), lines)
	}
	write(t, leftover("a"), "half")
	write(t, filepath.Join(src, "a", "f"), "changed again")
	partial(t, src, dst, o, source.Path{Name: "a/f"})
	if !exists(leftover("a")) {
		t.Error("a was looked at a second time: that costs with each push")
	}
	full(t, src, dst, o)
	for _, dir := range []string{".", "b", "c/d"} {
		if exists(leftover(dir)) {
			t.Errorf("%s has it after a full push", dir)
		}
	}
	if !exists(users) {
		t.Error("a file of the user's is gone")
	}
	must(t, held.Finish(tree.Attrs{UID: -1, GID: -1, Mode: 0o600}, false))
	if err := held.Rename(at, "held"); err != nil {
		t.Errorf("what was being written is gone: %v", err)
	}
	if got, want := mtime(t, filepath.Join(dst, "c", "d")), mtime(t, filepath.Join(src, "c", "d")); got != want {
		t.Errorf("the directory's time is %v, the source's %v", got, want)
	}
	if o.Swept.due("b") {
		t.Error("after a full push it goes on looking")
	}
}

// --temp-dir is looked at, too.
func TestSweepTempDir(t *testing.T) {
	src, dst := dirs(t)
	write(t, filepath.Join(src, "f"), "f")
	o := archive
	o.Delete, o.TempDir, o.Swept = false, mkdir(t, filepath.Dir(dst), "temp"), new(Swept)
	write(t, filepath.Join(o.TempDir, ".f.lockstep-AbCdEf"), "half")
	write(t, filepath.Join(o.TempDir, "f"), "another's")
	partial(t, src, dst, o, source.Path{Name: "f"})
	if exists(filepath.Join(o.TempDir, ".f.lockstep-AbCdEf")) || !exists(filepath.Join(o.TempDir, "f")) {
		t.Error("--temp-dir is not as it should be")
	}
}

func mtime(t *testing.T, path string) time.Time {
	t.Helper()
	fi, err := os.Stat(path)
	must(t, err)
	return fi.ModTime()
}
