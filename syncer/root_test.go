package syncer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// pair is a source and a local target that has what the source has, and one thing more.
func pair(t *testing.T) (src, dst string, s *Syncer) {
	t.Helper()
	dir := t.TempDir()
	src, dst = filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	write(t, filepath.Join(src, "a", "b"), "b")
	write(t, filepath.Join(dst, "a", "b"), "b")
	write(t, filepath.Join(dst, "a", "extra"), "extra")
	return src, dst, newPair(t, src, dst, nil)
}

func newPair(t *testing.T, src, dst string, change func(*Config)) *Syncer {
	t.Helper()
	cfg := Config{Source: src + "/", Target: Target{Path: dst}, Options: Archive(), Keep: true}
	cfg.Delete = true
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func exists(t *testing.T, name string) bool {
	t.Helper()
	_, err := os.Lstat(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func mustPush(t *testing.T, s *Syncer, b Batch) {
	t.Helper()
	rep, err := s.Push(t.Context(), b)
	if err != nil || !rep.Whole() {
		t.Fatalf("push: %+v, %v", rep, err)
	}
}

func mustRefuse(t *testing.T, s *Syncer, b Batch, want error) {
	t.Helper()
	if _, err := s.Push(t.Context(), b); !errors.Is(err, want) {
		t.Fatalf("push: error %v, want %v", err, want)
	}
}

// A source that is renamed away, or replaced by another directory, deletes nothing, for a
// full push and for the deletion of a path; when it is back it goes on.
func TestRootGoneOrReplaced(t *testing.T) {
	src, dst, s := pair(t)
	mustPush(t, s, Full())
	if exists(t, filepath.Join(dst, "a", "extra")) {
		t.Fatal("the first push did not delete what was too much")
	}
	away := src + ".away"
	if err := os.Rename(src, away); err != nil {
		t.Fatal(err)
	}
	refused := func() {
		t.Helper()
		mustRefuse(t, s, Full(), ErrRoot)
		mustRefuse(t, s, paths("a", "a/b"), ErrRoot)
		if !exists(t, filepath.Join(dst, "a", "b")) {
			t.Fatal("the target lost a file")
		}
	}
	refused()
	if err := os.Mkdir(src, 0o755); err != nil { // an empty directory in its place
		t.Fatal(err)
	}
	refused()
	if err := os.Remove(src); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, src); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(src, "a", "b")); err != nil {
		t.Fatal(err)
	}
	mustPush(t, s, paths("a/b"))
	if exists(t, filepath.Join(dst, "a", "b")) {
		t.Error("the root is back, but a deletion did not arrive")
	}
}

// An empty source with --delete: one push refuses; a watch pushes but prunes nothing as
// long as the source may not be who it seems; --allow-empty says that it is meant.
func TestEmptySource(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	if err := os.Mkdir(src, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dst, "precious"), "p")
	precious := func() {
		t.Helper()
		if !exists(t, filepath.Join(dst, "precious")) {
			t.Fatal("the target was emptied")
		}
	}
	once := newPair(t, src, dst, func(c *Config) { c.Keep = false })
	mustRefuse(t, once, Full(), ErrEmptySource)
	precious()

	watch := newPair(t, src, dst, nil)
	mustPush(t, watch, Full())
	precious()
	write(t, filepath.Join(src, "new"), "n")
	mustPush(t, watch, paths("new"))
	mustPush(t, watch, Full())
	precious()
	if !exists(t, filepath.Join(dst, "new")) || !watch.Suspect() {
		t.Errorf("new arrived: %v; suspect: %v", exists(t, filepath.Join(dst, "new")), watch.Suspect())
	}
	// Not even a name that comes and goes deletes its twin: it may be one of the target's own.
	write(t, filepath.Join(dst, "uploads", "old"), "o")
	write(t, filepath.Join(src, "uploads", "new"), "n")
	mustPush(t, watch, Batch{Paths: []Path{{Name: "uploads", Tree: true}}})
	if err := os.RemoveAll(filepath.Join(src, "uploads")); err != nil {
		t.Fatal(err)
	}
	mustPush(t, watch, paths("uploads"))
	precious()
	if !exists(t, filepath.Join(dst, "uploads", "old")) {
		t.Error("a name of the target's own was deleted")
	}
	// Another directory in its place, as when it is mounted at last, is a new beginning.
	if err := os.Rename(src, src+".below"); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(src, "real"), "r")
	mustPush(t, watch, Full())
	if exists(t, filepath.Join(dst, "precious")) || watch.Suspect() {
		t.Error("the real source is there, but the target is not pruned")
	}

	// Where the target is empty as well there is nothing to be careful about.
	fresh := t.TempDir()
	both := newPair(t, filepath.Join(fresh, "src"), filepath.Join(fresh, "dst"), nil)
	if err := os.Mkdir(filepath.Join(fresh, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	mustPush(t, both, Full())
	write(t, filepath.Join(fresh, "src", "f"), "f")
	mustPush(t, both, paths("f"))
	if err := os.Remove(filepath.Join(fresh, "src", "f")); err != nil {
		t.Fatal(err)
	}
	mustPush(t, both, paths("f"))
	if exists(t, filepath.Join(fresh, "dst", "f")) || both.Suspect() {
		t.Error("a fresh pair is not trusted")
	}

	if err := os.Remove(filepath.Join(src, "real")); err != nil {
		t.Fatal(err)
	}
	meant := newPair(t, src, dst, func(c *Config) { c.Keep, c.AllowEmpty = false, true })
	mustPush(t, meant, Full())
	if exists(t, filepath.Join(dst, "real")) {
		t.Error("--allow-empty did not empty the target")
	}
}

// A target that is unmounted or replaced is not written to: its disk would not be the one meant.
func TestTargetReplaced(t *testing.T) {
	_, dst, s := pair(t)
	mustPush(t, s, Full())
	if err := os.Rename(dst, dst+".away"); err != nil {
		t.Fatal(err)
	}
	var f *Failure
	for range 2 {
		if _, err := s.Push(t.Context(), Full()); !errors.As(err, &f) || f.Code != CodeFile {
			t.Fatalf("push to a target that is gone: %v, want code %d", err, CodeFile)
		}
		os.Mkdir(dst, 0o755)
	}
	if exists(t, filepath.Join(dst, "a")) {
		t.Error("another directory was written to")
	}
}

// A file system that is unmounted below the source leaves an empty directory, or none:
// neither deletes anything on the target, and a directory beside it goes on.
func TestNestedUnmount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts a tmpfs")
	}
	src, dst, s := pair(t)
	disk := filepath.Join(src, "a", "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("lockstep-test", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a tmpfs cannot be mounted here: %v", err)
	}
	defer unix.Unmount(disk, unix.MNT_DETACH)
	write(t, filepath.Join(disk, "d", "f"), "f")
	mustPush(t, s, Full())
	if err := unix.Unmount(disk, 0); err != nil {
		t.Fatal(err)
	}
	twin := filepath.Join(dst, "a", "disk", "d", "f")
	for _, b := range []Batch{
		Full(), paths("a/disk/d/f", "a/disk/d"), paths("a/disk"),
		{Paths: []Path{{Name: "a", Tree: true}}}, {Paths: []Path{{Name: "a/disk", Tree: true}}},
	} {
		for range 2 {
			if _, err := s.Push(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if !exists(t, twin) {
				t.Fatalf("the target lost what was mounted, with %+v", b)
			}
			os.Remove(disk) // the second time the mount point itself is gone
		}
		if err := os.Mkdir(disk, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(src, "c"), "c")
	mustPush(t, s, paths("c"))
	if !exists(t, filepath.Join(dst, "c")) {
		t.Error("a file elsewhere did not arrive")
	}
	if err := unix.Mount("lockstep-test", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	mustPush(t, s, Full())
	if exists(t, twin) {
		t.Error("the mount is back, without the file, but the target still has it")
	}
}

func TestLocate(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "d", "f"), "")
	if err := os.Symlink("d", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for in, want := range map[string]place{
		"d":       {root: dir, prefix: "d"},
		"d/":      {root: dir + "/d"},
		"d/.":     {root: dir + "/d"},
		"d//":     {root: dir + "/d"},
		".":       {root: dir},
		"d/..":    {root: dir},
		"d/f":     {root: dir + "/d", prefix: "f", single: true},
		"link":    {root: dir, prefix: "link", single: true},
		"link/":   {root: dir + "/link"},
		"missing": {root: dir, prefix: "missing"},
		"/":       {root: "/"},
	} {
		got, err := locate(in, &Options{})
		got.scope = nil
		if err != nil || got != want {
			t.Errorf("locate(%q) = %+v, %v, want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "a\x00b"} {
		if _, err := locate(in, &Options{}); err == nil {
			t.Errorf("locate(%q) gives no error", in)
		}
	}
}
