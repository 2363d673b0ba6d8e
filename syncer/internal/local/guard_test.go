package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// TestSymlinkAttack replaces directories of the target by symlinks to the outside, and to
// another place inside: nothing is written or deleted through them.
func TestSymlinkAttack(t *testing.T) {
	for name, elsewhere := range map[string]string{"outside": "../outside", "inside": "other"} {
		for _, whole := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " full ", whole), func(t *testing.T) {
				src, dst := dirs(t)
				victim := filepath.Join(dst, elsewhere)
				write(t, filepath.Join(victim, "f"), "victim")
				write(t, filepath.Join(victim, "g"), "victim")
				write(t, filepath.Join(victim, "d", "h"), "victim")
				age(t, victim)
				before := victim + ".before"
				copyTree(t, victim, before)
				must(t, os.Symlink(elsewhere, filepath.Join(dst, "d")))
				must(t, os.Symlink(filepath.Join(elsewhere, "f"), filepath.Join(dst, "f")))
				write(t, filepath.Join(src, "d", "f"), "source")
				write(t, filepath.Join(src, "d", "d", "h"), "source")
				write(t, filepath.Join(src, "f"), "source")
				o := archive
				if whole {
					if name == "inside" {
						o.Delete = false // "other" is extraneous
					}
					res, _ := full(t, src, dst, o)
					requireClean(t, res)
				} else {
					res, _ := partial(t, src, dst, o, source.Path{Name: "d/f"}, source.Path{Name: "d/g"},
						source.Path{Name: "d/d", Tree: true}, source.Path{Name: "f", Content: true})
					requireClean(t, res)
				}
				requireEqual(t, before, victim)
				if got := read(t, filepath.Join(dst, "d", "f")); got != "source" {
					t.Errorf("got %q", got)
				}
			})
		}
	}
}

// TestSwappedMeanwhile swaps directories of the target for symlinks while pushes run. Run
// it with -race; what counts is that nothing outside ever changes.
func TestSwappedMeanwhile(t *testing.T) {
	src, dst := dirs(t)
	outside := mkdir(t, filepath.Dir(dst), "outside")
	write(t, filepath.Join(outside, "f0"), "victim")
	write(t, filepath.Join(outside, "extra", "x"), "victim")
	age(t, outside)
	before := outside + ".before"
	copyTree(t, outside, before)
	for i := range 20 {
		write(t, filepath.Join(src, "d", fmt.Sprint("f", i)), "source")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d, hidden := filepath.Join(dst, "d"), filepath.Join(dst, "hidden")
		for ctx.Err() == nil {
			_ = os.Rename(d, hidden)
			_ = os.Symlink(outside, d)
			_ = os.RemoveAll(hidden)
			_ = os.Remove(d)
			_ = os.MkdirAll(filepath.Join(d, "extra"), 0o755)
		}
	}()
	for range 150 {
		s := openSource(t, src, sourceOptions(archive))
		_, err := openTarget(t, dst, archive).Full(t.Context(), s, time.Time{})
		must(t, err)
	}
	cancel()
	<-done
	requireEqual(t, before, outside)
}

// TestUnreadableSource: while a directory cannot be read nothing is deleted in its place on the target, and
// its neighbours are brought over nevertheless. With --ignore-errors what can be seen to be gone
// is deleted, no more: rsync deletes all that it does not see.
func TestUnreadableSource(t *testing.T) {
	if !asNobody(t) {
		return
	}
	src, dst := dirs(t)
	write(t, filepath.Join(src, "closed", "f"), "x")
	write(t, filepath.Join(src, "nosearch", "f"), "x")
	write(t, filepath.Join(src, "open", "f"), "x")
	write(t, filepath.Join(src, "unreadable"), "x")
	write(t, filepath.Join(dst, "closed", "old", "f"), "old")
	write(t, filepath.Join(dst, "nosearch", "old"), "old")
	write(t, filepath.Join(dst, "open", "old"), "old")
	must(t, os.Chmod(filepath.Join(src, "closed"), 0o300))
	must(t, os.Chmod(filepath.Join(src, "nosearch"), 0o600))
	must(t, os.Chmod(filepath.Join(src, "unreadable"), 0))
	t.Cleanup(func() {
		for _, root := range []string{src, dst} {
			os.Chmod(filepath.Join(root, "closed"), 0o700)
			os.Chmod(filepath.Join(root, "nosearch"), 0o700)
		}
	})
	for _, when := range []option.When{option.Before, option.During, option.Delay, option.After} {
		o := archive
		o.DeleteWhen = when
		push := func(want []string) {
			t.Helper()
			res, _ := full(t, src, dst, o)
			var got []string
			for _, p := range res.Problems {
				got = append(got, p.Path)
				if !errors.Is(p.Err, fs.ErrPermission) {
					t.Errorf("problem: %v", p)
				}
			}
			requireSameLines(t, want, got)
			must(t, os.Chmod(filepath.Join(dst, "closed"), 0o700))
			must(t, os.Chmod(filepath.Join(dst, "nosearch"), 0o700))
		}
		push([]string{"closed", "nosearch/f", "unreadable"})
		for name, want := range map[string]bool{"closed/old/f": true, "nosearch/old": true, "open/old": false} {
			if exists(filepath.Join(dst, name)) != want {
				t.Errorf("%d: %s is there: %v", when, name, !want)
			}
		}
		if !exists(filepath.Join(dst, "open", "f")) {
			t.Errorf("%d: the readable directory was not dealt with", when)
		}

		o.IgnoreErrors = true
		// What cannot be looked at stays: the name of a file in a directory that cannot be searched.
		push([]string{"closed", "nosearch/f", "nosearch/old", "unreadable"})
		for name, want := range map[string]bool{"closed/old/f": false, "nosearch/old": true, "open/old": false} {
			if exists(filepath.Join(dst, name)) != want {
				t.Errorf("%d: %s is there: %v", when, name, !want)
			}
		}
		write(t, filepath.Join(dst, "closed", "old", "f"), "old")
		write(t, filepath.Join(dst, "open", "old"), "old")
	}
}

// TestReadOnlyDirectories: what forbids its owner to write is opened for the time being
// and closed again, in the new tree and over changes, deletes and replacements in it.
func TestReadOnlyDirectories(t *testing.T) {
	if !asNobody(t) {
		return
	}
	src, dst := dirs(t)
	ro := func(root, name string, mode os.FileMode) {
		path := filepath.Join(root, name)
		must(t, os.Chmod(path, mode))
		t.Cleanup(func() { os.Chmod(path, 0o755) })
	}
	write(t, filepath.Join(src, "ro", "sub", "f"), "x")
	write(t, filepath.Join(src, "ro", "f"), "x")
	write(t, filepath.Join(src, "ro", "gone", "f"), "x")
	write(t, filepath.Join(src, "ro", "turns"), "x")
	age(t, src)
	for _, d := range []string{"ro/sub", "ro/gone", "ro"} {
		ro(src, d, 0o555)
	}
	t.Cleanup(func() {
		for _, d := range []string{"ro", "ro/sub", "ro/gone", "ro/turns"} {
			os.Chmod(filepath.Join(dst, d), 0o755)
		}
	})
	res, _ := full(t, src, dst, archive)
	requireClean(t, res)
	requireEqual(t, src, dst)

	must(t, os.Chmod(filepath.Join(src, "ro"), 0o755))
	must(t, os.Chmod(filepath.Join(src, "ro", "sub"), 0o755))
	must(t, os.Chmod(filepath.Join(src, "ro", "gone"), 0o755))
	write(t, filepath.Join(src, "ro", "sub", "f"), "changed")
	write(t, filepath.Join(src, "ro", "new"), "new")
	must(t, os.RemoveAll(filepath.Join(src, "ro", "gone")))
	must(t, os.Remove(filepath.Join(src, "ro", "turns")))
	write(t, filepath.Join(src, "ro", "turns", "f"), "into a directory")
	must(t, os.Chmod(filepath.Join(src, "ro", "sub"), 0o555))
	must(t, os.Chmod(filepath.Join(src, "ro"), 0o500))
	copyTree(t, dst, dst+".2")
	t.Cleanup(func() {
		for _, d := range []string{"ro", "ro/sub", "ro/gone"} {
			os.Chmod(filepath.Join(dst+".2", d), 0o755)
		}
	})
	res, _ = full(t, src, dst, archive)
	requireClean(t, res)
	requireEqual(t, src, dst)
	res, _ = partial(t, src, dst+".2", archive, source.Path{Name: "ro/sub/f"}, source.Path{Name: "ro/new"},
		source.Path{Name: "ro/gone"}, source.Path{Name: "ro/turns", Tree: true})
	requireClean(t, res)
	requireEqual(t, src, dst+".2")

	res, lines := full(t, src, dst, archive)
	requireClean(t, res)
	if len(lines) > 0 {
		t.Errorf("a second push still found %q", lines)
	}
}

// TestUnprivileged: owners and foreign groups are silently left as they are, devices are
// skipped, what belongs to somebody else is a problem and stops nothing.
func TestUnprivileged(t *testing.T) {
	if !asNobody(t) {
		return
	}
	src, dst := dirs(t)
	write(t, filepath.Join(src, "f"), "x")
	write(t, filepath.Join(src, "d", "f"), "x")
	var messages []string
	o := archive
	o.Sink.Message = func(text string, _ bool) { messages = append(messages, text) }
	s := openSource(t, "/dev", source.Options{Set: option.Set{Devices: true}})
	plan, err := s.Plan(t.Context(), []source.Path{{Name: "null"}})
	must(t, err)
	plan.Parents = nil // /dev itself takes no part without -r
	res, err := openTarget(t, dst, o).Partial(t.Context(), s, plan, time.Time{})
	must(t, err)
	requireClean(t, res)
	if diff := cmp.Diff([]string{"skipping non-regular file null"}, messages); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	res, _ = full(t, src, dst, o)
	requireClean(t, res)
	requireEqual(t, src, dst)
}

// TestFullDisk fills a small file system: some files are problems, then no more are tried,
// no half file stands, deletes go on, and with room it converges.
func TestFullDisk(t *testing.T) {
	src, dst := dirs(t)
	mount(t, "tmpfs", dst, "tmpfs", 0, "size=2m")
	for i := range 200 {
		write(t, filepath.Join(src, fmt.Sprintf("f%03d", i)), strings.Repeat("x", 40_000))
	}
	write(t, filepath.Join(src, "z", "keep"), "x")
	write(t, filepath.Join(dst, "z", "old"), "x")
	s := openSource(t, src, sourceOptions(archive))
	res, err := openTarget(t, dst, archive).Full(t.Context(), s, time.Time{})
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("error %v, want ENOSPC; %d problems, first %v", err, len(res.Problems), res.Problems[:min(3, len(res.Problems))])
	}
	if n := len(res.Problems); n < failuresInARow || n > 3*failuresInARow {
		t.Errorf("%d problems: not ended early", n)
	}
	for _, p := range res.Problems {
		if !errors.Is(p.Err, unix.ENOSPC) {
			t.Errorf("problem: %v", p)
		}
	}
	if exists(filepath.Join(dst, "z", "old")) {
		t.Error("deleting did not go on")
	}
	names, err := os.ReadDir(dst)
	must(t, err)
	for _, n := range names {
		if info, err := n.Info(); err != nil || !n.IsDir() && info.Size() != 40_000 || strings.HasPrefix(n.Name(), ".") {
			t.Errorf("%s: not whole (%v)", n.Name(), err)
		}
	}
	must(t, unix.Mount("", dst, "", unix.MS_REMOUNT, "size=50m"))
	res, _ = full(t, src, dst, archive)
	requireClean(t, res)
	requireEqual(t, src, dst)
}

// TestReadOnlyTarget ends at once.
func TestReadOnlyTarget(t *testing.T) {
	src, dst := dirs(t)
	for i := range 100 {
		write(t, filepath.Join(src, fmt.Sprint("d", i), "f"), "x")
	}
	mount(t, "tmpfs", dst, "tmpfs", unix.MS_RDONLY, "")
	res, err := openTarget(t, dst, archive).Full(t.Context(), openSource(t, src, sourceOptions(archive)), time.Time{})
	if !errors.Is(err, unix.EROFS) {
		t.Errorf("error %v, want EROFS", err)
	}
	if n := len(res.Problems); n == 0 || n > 3 {
		t.Errorf("%d problems", n)
	}
}

// TestMountOnTarget: an extraneous directory that something is mounted in is not emptied.
func TestMountOnTarget(t *testing.T) {
	for name, bind := range map[string]bool{"tmpfs": false, "bind mount of the same file system": true} {
		t.Run(name, func(t *testing.T) {
			src, dst := dirs(t)
			where := mkdir(t, dst, "extra", "mounted")
			write(t, filepath.Join(dst, "extra", "f"), "x")
			if bind {
				other := mkdir(t, filepath.Dir(dst), "other")
				mount(t, other, where, "", unix.MS_BIND, "")
			} else {
				mount(t, "tmpfs", where, "tmpfs", 0, "")
			}
			write(t, filepath.Join(where, "precious"), "x")
			res, _ := full(t, src, dst, archive)
			if !exists(filepath.Join(where, "precious")) {
				t.Error("deleted what is mounted")
			}
			if exists(filepath.Join(dst, "extra", "f")) {
				t.Error("what is beside the mount was to go")
			}
			if len(res.Problems) != 1 || res.Problems[0].Path != "extra/mounted" {
				t.Errorf("problems: %v", res.Problems)
			}
		})
	}
}

// TestOneFileSystem: what is mounted in the source does not take part, and its twin's
// content is left alone.
func TestOneFileSystem(t *testing.T) {
	src, dst := dirs(t)
	mount(t, "tmpfs", mkdir(t, src, "m"), "tmpfs", 0, "")
	write(t, filepath.Join(src, "m", "f"), "x")
	write(t, filepath.Join(dst, "m", "old"), "x")
	o := archive
	o.OneFileSystem = true
	res, _ := full(t, src, dst, o)
	requireClean(t, res)
	if exists(filepath.Join(dst, "m", "f")) || !exists(filepath.Join(dst, "m", "old")) {
		t.Error("crossed into the mounted file system")
	}
}

// TestNameTooLong: a name that the target cannot hold is a problem of its own.
func TestNameTooLong(t *testing.T) {
	src, dst := dirs(t)
	write(t, filepath.Join(src, "f"), "x")
	must(t, os.Symlink("x", filepath.Join(src, "l")))
	s := openSource(t, src, sourceOptions(archive))
	plan, err := s.Plan(t.Context(), []source.Path{{Name: "f"}, {Name: "l"}})
	must(t, err)
	plan.Entries[1].More().Link = strings.Repeat("x", unix.PathMax) // no symlink can be that long
	res, err := openTarget(t, dst, archive).Partial(t.Context(), s, plan, time.Time{})
	must(t, err)
	if len(res.Problems) != 1 || res.Problems[0].Path != "l" || !errors.Is(res.Problems[0].Err, unix.ENAMETOOLONG) {
		t.Errorf("problems: %v", res.Problems)
	}
	if !exists(filepath.Join(dst, "f")) {
		t.Error("the other file did not arrive")
	}
}

// TestOrder: items come in the order of the file list, whichever worker is faster, with
// deletes right after their directory.
func TestOrder(t *testing.T) {
	src, dst := dirs(t)
	for _, name := range []string{"b/2", "b/1", "a", "z", "b/c/3", "d/4"} {
		write(t, filepath.Join(src, name), strings.Repeat(name, 1+len(name)*20_000))
	}
	write(t, filepath.Join(dst, "b", "old"), "x")
	write(t, filepath.Join(dst, "b", "dir", "old"), "x")
	age(t, src)
	want := []string{
		".d..t...... ./", ">f+++++++++ a", ">f+++++++++ z",
		".d..t...... b/", "*deleting   b/dir/old", "*deleting   b/dir/", "*deleting   b/old",
		">f+++++++++ b/1", ">f+++++++++ b/2", "cd+++++++++ b/c/", ">f+++++++++ b/c/3",
		"cd+++++++++ d/", ">f+++++++++ d/4",
	}
	res, lines := full(t, src, dst, archive)
	requireClean(t, res)
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// TestNothingHeld: a push of many directories gives every descriptor back.
func TestNothingHeld(t *testing.T) {
	src, dst := dirs(t)
	for i := range 300 {
		write(t, filepath.Join(src, fmt.Sprint("d", i), "e", "f"), "x")
	}
	target := openTarget(t, dst, archive)
	s := openSource(t, src, sourceOptions(archive))
	before := openDescriptors(t)
	res, err := target.Full(t.Context(), s, time.Time{})
	must(t, err)
	requireClean(t, res)
	write(t, filepath.Join(src, "d1", "e", "f"), "changed")
	plan, err := s.Plan(t.Context(), []source.Path{{Name: "d1/e/f", Content: true}, {Name: "d2/gone"}, {Name: "d3", Tree: true}})
	must(t, err)
	res, err = target.Partial(t.Context(), s, plan, time.Time{})
	must(t, err)
	requireClean(t, res)
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	requireEqual(t, src, dst)
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(names)
}

// TestOneFileSystemSparesMounts: with -x what is mounted in the target stays, and is no problem.
func TestOneFileSystemSparesMounts(t *testing.T) {
	requireRoot(t)
	src, dst := dirs(t)
	for _, name := range []string{"a", "gone/b"} {
		mount(t, "none", mkdir(t, dst, name), "tmpfs", 0, "")
		write(t, filepath.Join(dst, name, "f"), "x")
	}
	write(t, filepath.Join(dst, "gone", "f"), "x")
	o := archive
	for _, o.OneFileSystem = range []bool{true, false} {
		res, _ := full(t, src, dst, o)
		if (len(res.Problems) == 0) != o.OneFileSystem {
			t.Errorf("-x %v: problems %v", o.OneFileSystem, res.Problems)
		}
		if !exists(filepath.Join(dst, "a/f")) || !exists(filepath.Join(dst, "gone/b/f")) || exists(filepath.Join(dst, "gone/f")) {
			t.Errorf("-x %v: what is mounted, and that alone, was to stay", o.OneFileSystem)
		}
	}
}
