package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

func rulesOf(t *testing.T, build func(b *filter.Builder) error) *filter.List {
	t.Helper()
	var b filter.Builder
	if err := build(&b); err != nil {
		t.Fatal(err)
	}
	return b.Build()
}

// must takes the error of a step that prepares a test.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The classic "these files, of all directories" hides files by "*" but no directory: a
// directory that is gone is deleted all the same.
func TestDeletedDirectoryUnderIncludeRules(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	write(t, filepath.Join(src, "d", "x.php"), "x")
	write(t, filepath.Join(src, "keep.php"), "x")
	s := newPair(t, src, dst, func(c *Config) {
		c.Filter = rulesOf(t, func(b *filter.Builder) error {
			must(t, b.Include("*/"))
			must(t, b.Include("*.php"))
			return b.Exclude("*")
		})
	})
	mustPush(t, s, Full())
	must(t, os.RemoveAll(filepath.Join(src, "d")))
	mustPush(t, s, Batch{Paths: []Path{{Name: "d", Tree: true}, {Name: "d/x.php", Tree: true}}, Oldest: time.Now()})
	if exists(t, filepath.Join(dst, "d")) {
		t.Error("the deleted directory stays on the target")
	}
}

// A rule for directories says nothing about a file of that name; and a directory of that
// name, on the target alone, stays.
func TestDeletedNameUnderDirectoryRule(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	write(t, filepath.Join(src, "build"), "a file")
	write(t, filepath.Join(src, "a", "keep"), "x")
	s := newPair(t, src, dst, func(c *Config) {
		c.Filter = rulesOf(t, func(b *filter.Builder) error { return b.Exclude("build/") })
	})
	mustPush(t, s, Full())
	write(t, filepath.Join(dst, "a", "build", "object"), "o")
	must(t, os.Remove(filepath.Join(src, "build")))
	mustPush(t, s, paths("build", "a/build"))
	if exists(t, filepath.Join(dst, "build")) {
		t.Error("the deleted file stays on the target")
	}
	if !exists(t, filepath.Join(dst, "a", "build", "object")) {
		t.Error("a directory that a rule protects was deleted")
	}
}

// A directory that was put in the place of another is compared by content, whatever the
// sizes and times of its files say, and however old they are.
func TestReplacedDirectory(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	when := time.Unix(1700000000, 0)
	write(t, filepath.Join(src, "d", "f"), "old")
	must(t, os.Chtimes(filepath.Join(src, "d", "f"), when, when))
	write(t, filepath.Join(dir, "other", "f"), "new")
	must(t, os.Chtimes(filepath.Join(dir, "other", "f"), when, when))
	s := newPair(t, src, dst, nil)
	mustPush(t, s, Full())
	must(t, os.Rename(filepath.Join(src, "d"), filepath.Join(dir, "d.away")))
	must(t, os.Rename(filepath.Join(dir, "other"), filepath.Join(src, "d")))
	// as if other/f was written two minutes before the rename
	mustPush(t, s, Batch{Paths: []Path{{Name: "d", Tree: true, Content: true}}, Oldest: time.Now().Add(2 * time.Minute)})
	if b, err := os.ReadFile(filepath.Join(dst, "d", "f")); err != nil || string(b) != "new" {
		t.Errorf("the target has %q, %v", b, err)
	}
}

// The time of a directory follows what came and went in it, also what takes no part and,
// without --delete, what is not deleted.
func TestDirectoryTimeFollows(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	write(t, filepath.Join(src, "d", "f"), "x")
	s := newPair(t, src, dst, func(c *Config) {
		c.Delete = false
		c.Filter = rulesOf(t, func(b *filter.Builder) error { return b.Exclude("*.swp") })
	})
	mustPush(t, s, Full())
	for _, name := range []string{"d/tmp", "d/f.swp"} {
		write(t, filepath.Join(src, name), "x")
		must(t, os.Remove(filepath.Join(src, name)))
		mustPush(t, s, paths(name))
		a, err := os.Stat(filepath.Join(src, "d"))
		must(t, err)
		b, err := os.Stat(filepath.Join(dst, "d"))
		must(t, err)
		if !a.ModTime().Equal(b.ModTime()) {
			t.Errorf("after %s: time %v, on the target %v", name, a.ModTime(), b.ModTime())
		}
	}
}

// A file system that is unmounted below the source while a push runs deletes nothing.
func TestUnmountDuringPush(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts a tmpfs")
	}
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	disk := filepath.Join(src, "z", "disk")
	must(t, os.MkdirAll(disk, 0o755))
	if err := unix.Mount("lockstep-test", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a tmpfs cannot be mounted here: %v", err)
	}
	defer unix.Unmount(disk, unix.MNT_DETACH)
	write(t, filepath.Join(disk, "f"), "f")
	once := false
	s := newPair(t, src, dst, func(c *Config) {
		c.Sink.Item = func(it Item) {
			if it.Name == "a/0" && !once {
				once = true
				if err := unix.Unmount(disk, 0); err != nil {
					t.Error(err)
				}
			}
		}
	})
	mustPush(t, s, Full())
	for i := range 3000 {
		write(t, filepath.Join(src, "a", fmt.Sprint(i)), "x")
	}
	rep, err := s.Push(t.Context(), Full())
	if !once {
		t.Fatal("no unmount")
	}
	if !exists(t, filepath.Join(dst, "z/disk/f")) {
		t.Errorf("deleted what was mounted: %v %v", rep.Problems, err)
	}
}

// alwaysGone is a target that says of a path that it vanished, each time.
type alwaysGone struct{}

func (alwaysGone) full(context.Context, *source.Tree, job) (Report, error) { return Report{}, nil }
func (alwaysGone) partial(context.Context, *source.Tree, source.Plan, job) (Report, error) {
	return Report{Problems: []Problem{{Path: "f", Err: fs.ErrNotExist}}}, nil
}

type spin struct {
	waits []time.Duration
}

func (s *spin) Next(context.Context) (Batch, error) {
	if len(s.waits) >= 10 {
		return Batch{}, io.EOF
	}
	return paths("f"), nil
}
func (s *spin) Defer(b Batch, after time.Duration)  { s.waits = append(s.waits, after) }
func (s *spin) Hold(time.Duration, <-chan struct{}) {}

// What seems to vanish again and again is not tried twenty times a second for ever.
func TestVanishingHasItsBackoff(t *testing.T) {
	src, _, s := pair(t)
	write(t, src+"/f", "x")
	s.target = alwaysGone{}
	now := epoch
	s.now = func() time.Time {
		now = now.Add(time.Hour) // each try is in its time
		return now
	}
	var f spin
	if err := s.Run(t.Context(), &f, func(Outcome) {}); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if f.waits[9] < time.Second {
		t.Errorf("waits: %v", f.waits)
	}
}
