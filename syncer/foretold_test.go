package syncer

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// again is a later run over the same source and target.
func again(t *testing.T, src, dst string, before *Syncer, change func(*Config)) *Syncer {
	t.Helper()
	return newPair(t, src, dst, func(c *Config) {
		c.Root, c.Mounts = before.Root(), before.Mounts()
		if c.Root == "" {
			t.Fatal("the run before does not know its source")
		}
		if change != nil {
			change(c)
		}
	})
}

// Between two runs the source is replaced: by nothing, by an empty directory, by one with other
// content, by one that is made anew and may get the same inode. Nothing is sent and nothing deleted,
// until it is back, or until it is said that the new one is meant.
func TestReplacedBetweenRuns(t *testing.T) {
	src, dst, first := pair(t)
	if first.Root() != "" {
		t.Errorf("the source is known before a push: %q", first.Root())
	}
	mustPush(t, first, Full())
	away := src + ".away"
	must(t, os.Rename(src, away))
	for name, put := range map[string]func(){
		"nothing":         func() {},
		"an empty one":    func() { must(t, os.Mkdir(src, 0o755)) },
		"another content": func() { write(t, filepath.Join(src, "other"), "o") },
	} {
		put()
		s := again(t, src, dst, first, nil)
		for _, b := range []Batch{Full(), paths("a", "a/b", "other")} {
			_, err := s.Push(t.Context(), b)
			if !errors.Is(err, ErrRoot) {
				t.Errorf("%s in its place: %v, want %v", name, err, ErrRoot)
			}
			if name != "nothing" && (err == nil || !strings.Contains(err.Error(), "--new-source") || !strings.Contains(err.Error(), "it was inode ")) {
				t.Errorf("%s in its place: the error says not what to do: %v", name, err)
			}
		}
		if !exists(t, filepath.Join(dst, "a", "b")) || exists(t, filepath.Join(dst, "other")) {
			t.Fatalf("%s in its place: the target was changed", name)
		}
		must(t, os.RemoveAll(src))
	}
	write(t, filepath.Join(src, "other"), "o")
	fresh := again(t, src, dst, first, func(c *Config) { c.NewSource = true })
	mustPush(t, fresh, Full())
	if exists(t, filepath.Join(dst, "a")) || !exists(t, filepath.Join(dst, "other")) {
		t.Error("--new-source did not take the new directory")
	}
	if fresh.Root() == first.Root() {
		t.Error("the new source is kept under the old one's name")
	}
	must(t, os.RemoveAll(src))
	must(t, os.Rename(away, src))
	back := again(t, src, dst, first, nil)
	mustPush(t, back, Full())
	if !exists(t, filepath.Join(dst, "a", "b")) || exists(t, filepath.Join(dst, "other")) {
		t.Error("the source is back, but the target is not as it is")
	}
	// An empty directory that is who it was is not believed either: perhaps it was not meant.
	must(t, os.RemoveAll(filepath.Join(src, "a")))
	emptied := again(t, src, dst, back, nil)
	mustPush(t, emptied, Full())
	if !exists(t, filepath.Join(dst, "a", "b")) || !emptied.Suspect() || emptied.Root() == "" {
		t.Error("a source that was empty at the start emptied the target")
	}
}

// A directory that is made anew at once may get the inode of the one before; its time of birth tells.
func TestSameInodeAgain(t *testing.T) {
	src, dst, first := pair(t)
	mustPush(t, first, Full())
	must(t, os.RemoveAll(src))
	must(t, os.Mkdir(src, 0o755))
	mustRefuse(t, again(t, src, dst, first, nil), Full(), ErrRoot)
	mustRefuse(t, first, Full(), ErrRoot)
	if !exists(t, filepath.Join(dst, "a", "b")) {
		t.Error("the target was emptied")
	}
}

func TestRootUnreadable(t *testing.T) {
	dir := t.TempDir()
	for _, root := range []string{"x", "ino=", "ino=1 uuid=00", "dev=1", "ino=1 born=never"} {
		if _, err := New(Config{Source: dir, Target: Target{Path: "x"}, Root: root, Options: Archive()}); err == nil {
			t.Errorf("root %q is taken", root)
		}
	}
	if _, err := New(Config{Source: dir, Target: Target{Path: "x"}, Mounts: []string{"../x"}, Options: Archive()}); err == nil {
		t.Error("a mount outside the source is taken")
	}
}

// A file system that was mounted below the source in an earlier run, and is not now, deletes nothing;
// when it is back it goes on; --delete-unmounted forgets it.
func TestUnmountedBetweenRuns(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts a tmpfs")
	}
	src, dst, first := pair(t)
	disk := filepath.Join(src, "a", "disk")
	must(t, os.Mkdir(disk, 0o755))
	mountTmpfs(t, disk)
	write(t, filepath.Join(disk, "d", "f"), "f")
	mustPush(t, first, Full())
	must(t, unix.Unmount(disk, 0))
	twin := filepath.Join(dst, "a", "disk", "d", "f")

	second := again(t, src, dst, first, nil)
	for _, b := range []Batch{Full(), paths("a/disk/d/f", "a/disk"), {Paths: []Path{{Name: "a", Tree: true}}}} {
		if _, err := second.Push(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if !exists(t, twin) {
			t.Fatalf("the target lost what was mounted, with %+v", b)
		}
	}
	if got := second.Unmounted(); !slices.Equal(got, []string{"a/disk"}) {
		t.Errorf("unmounted are %q", got)
	}
	mountTmpfs(t, disk)
	write(t, filepath.Join(disk, "new"), "n")
	third := again(t, src, dst, second, nil)
	mustPush(t, third, Full())
	if exists(t, twin) || !exists(t, filepath.Join(dst, "a", "disk", "new")) || len(third.Unmounted()) > 0 {
		t.Error("it is mounted again, but the target is not as it is")
	}
	must(t, unix.Unmount(disk, 0))
	last := again(t, src, dst, third, func(c *Config) { c.DeleteUnmounted = true })
	mustPush(t, last, Full())
	if exists(t, filepath.Join(dst, "a", "disk", "new")) || len(last.Mounts()) > 0 {
		t.Errorf("--delete-unmounted: what was there is still, or remembered: %q", last.Mounts())
	}
	mustPush(t, again(t, src, dst, last, nil), Full())
}

func mountTmpfs(t *testing.T, where string) {
	t.Helper()
	if err := unix.Mount("lockstep-test", where, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a tmpfs cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(where, unix.MNT_DETACH) })
}

// Without its marker a source is not believed, in a first run neither; the marker need not take part,
// and what is behind a symlink is none.
func TestMarker(t *testing.T) {
	for name, source := range map[string]string{"content": "/", "directory": ""} {
		t.Run(name, func(t *testing.T) {
			src, dst, _ := pair(t)
			to, twin := dst, dst
			if source == "" {
				to = src + ".new"
				twin = filepath.Join(to, filepath.Base(src))
				write(t, filepath.Join(twin, "a", "b"), "b")
			}
			s := newPair(t, src, to, func(c *Config) { c.Source, c.Marker = src+source, ".here/marker" })
			precious := filepath.Join(twin, "a", "b")
			must(t, os.Remove(filepath.Join(src, "a", "b")))
			mustRefuse(t, s, Full(), ErrRoot)
			outside := t.TempDir()
			write(t, filepath.Join(outside, "marker"), "")
			must(t, os.Symlink(outside, filepath.Join(src, ".here")))
			mustRefuse(t, s, Full(), ErrRoot)
			if !exists(t, precious) {
				t.Fatal("the target was emptied")
			}
			must(t, os.Remove(filepath.Join(src, ".here")))
			write(t, filepath.Join(src, ".here", "marker"), "")
			mustPush(t, s, Full())
			if exists(t, precious) {
				t.Error("the marker is there, but nothing was deleted")
			}
			must(t, os.Remove(filepath.Join(src, ".here", "marker")))
			mustRefuse(t, s, paths(".here"), ErrRoot)
			if !exists(t, filepath.Join(twin, ".here", "marker")) {
				t.Error("the marker was deleted on the target")
			}
		})
	}
	for _, bad := range []string{"/abs", "../x", "a/../b", ".", "a/", ""} {
		if CheckMarker(bad) == nil {
			t.Errorf("the marker %q is taken", bad)
		}
	}
}
