package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// longAgo is when everything in a sandbox was made.
var longAgo = time.Date(2020, 2, 3, 4, 5, 6, 789, time.UTC)

// sandbox is a directory that two programs get a copy of each, to do the same in it. All
// is in a directory "in" of it, so that ".." is nobody else's.
//
//	src/f src/dir/g src/link  a tree
//	one                       a file
//	to-src to-one to-nothing  symlinks
//	dst/old dst/src/mine      a target that exists; to-dst leads there
//	file                      one that cannot be a directory
func sandbox(t testing.TB) string {
	t.Helper()
	outer := t.TempDir()
	root := filepath.Join(outer, "in")
	must(t, errors.Join(
		os.MkdirAll(filepath.Join(root, "src/dir"), 0o750),
		os.MkdirAll(filepath.Join(root, "dst/src"), 0o755),
	))
	for name, mode := range map[string]fs.FileMode{
		"src/f": 0o640, "src/dir/g": 0o755, "one": 0o600, "dst/old": 0o644, "dst/src/mine": 0o644, "file": 0o644,
	} {
		path := filepath.Join(root, name)
		must(t, errors.Join(os.WriteFile(path, []byte("this is "+name), mode), os.Chmod(path, mode)))
	}
	for name, to := range map[string]string{
		"src/link": "f", "to-src": "src", "to-one": "one", "to-nothing": "nothing", "to-dst": "dst",
	} {
		must(t, os.Symlink(to, filepath.Join(root, name)))
	}
	settle(t, outer, func(time.Time) bool { return true })
	return outer
}

// settle sets the times of what was changed at a time that is old news.
func settle(t testing.TB, root string, is func(time.Time) bool) {
	t.Helper()
	var paths []string
	must(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	}))
	ts := unix.NsecToTimespec(longAgo.UnixNano())
	for _, path := range paths {
		fi, err := os.Lstat(path)
		must(t, err)
		if is(fi.ModTime()) {
			must(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
		}
	}
}

// justNow says that a time was not given by anybody. Two runs differ in these.
func justNow(at time.Time) bool { return time.Since(at) < time.Hour }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// outcome is what a program did.
type outcome struct {
	code           int
	stdout, stderr string
}

func runIn(t testing.TB, dir, program string, args ...string) outcome {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd := lockstepCmd(dir, append(os.Environ(), "LANG=C.UTF-8"), &stdout, &stderr, args...)
	if program != "lockstep" {
		path, err := exec.LookPath(program)
		must(t, err)
		cmd.Path, cmd.Args[0] = path, program
	}
	code, err := exitCode(cmd.Run())
	must(t, err)
	return outcome{code, stdout.String(), stderr.String()}
}

// TestPlaces pushes from each form of a source to each form of a target: what comes of it
// must be what comes of rsync -a, and the exit code too.
func TestPlaces(t *testing.T) {
	syncertest.SkipUnderRace(t, "where a target is makes no difference to what runs beside one another")
	syncertest.NeedRsync(t)
	targets := []string{
		"new", "new/", "dst", "dst/", "dst/new/", "dst/src", "dst/old", "file", "file/", "to-dst", "to-one",
		"to-nothing", "none/new", "..",
	}
	for _, source := range []string{
		"src", "src/", "src/.", "src/dir/..", ".", "src/dir", "one", "src/../one", "to-src", "to-src/", "to-one", "to-nothing",
	} {
		t.Run(strings.ReplaceAll(source, "/", "|"), func(t *testing.T) {
			t.Parallel()
			for _, target := range targets {
				samePlace(t, source, target)
			}
		})
	}
}

func samePlace(t *testing.T, source, target string) {
	t.Helper()
	theirs, mine := sandbox(t), sandbox(t)
	got := runIn(t, filepath.Join(mine, "in"), "lockstep", source, target)
	if refused(source, target) {
		if got.code != 1 {
			t.Errorf("%q to %q: code %d, it should be refused\n%s", source, target, got.code, got.stderr)
		}
		return
	}
	want := runIn(t, filepath.Join(theirs, "in"), "rsync", "-a@-1", source, target)
	sameTrees(t, fmt.Sprintf("%q to %q", source, target), theirs, mine, want, got)
}

// refused are the pairs that rsync takes: the target is where the source is, or in it.
func refused(source, target string) bool {
	switch target {
	case "..":
		return false
	case "to-one":
		return source == "." || path.Base(source) == "one"
	case "to-nothing":
		return source == "." || source == target
	}
	return source == "."
}

// sameTrees compares what two programs made of their sandboxes.
func sameTrees(t *testing.T, what, theirs, mine string, want, got outcome) {
	t.Helper()
	for _, root := range []string{theirs, mine} {
		settle(t, root, justNow)
	}
	diffs, err := syncertest.Compare(theirs, mine, treeOptions())
	must(t, err)
	// For some of the targets that cannot be had rsync's code is 3 instead.
	sameCode := got.code == want.code || got.code == int(syncer.CodeFile) && want.code == int(syncer.CodeSelect)
	if len(diffs) > 0 || !sameCode {
		t.Errorf("%s: code %d, rsync's is %d; rsync's tree != ours:\n%srsync: %slockstep: %s",
			what, got.code, want.code, syncertest.Format(diffs), want.stderr, got.stderr)
	}
}

// TestNoSource: rsync makes the target nevertheless; lockstep leaves it alone.
func TestNoSource(t *testing.T) {
	for _, source := range []string{"nothing", "nothing/", "to-nothing/", "one/", "to-one/"} {
		for _, target := range []string{"new/", "dst", "none/new", "file"} {
			root, untouched := sandbox(t), sandbox(t)
			got := runIn(t, filepath.Join(root, "in"), "lockstep", "--delete", source, target)
			if got.code != 23 || !strings.Contains(got.stderr, "nothing was sent and nothing deleted") {
				t.Errorf("%q to %q: code %d, want 23\n%s", source, target, got.code, got.stderr)
			}
			syncertest.RequireEqual(t, untouched, root, treeOptions())
		}
	}
}

// TestPlacesOfDaemon is TestPlaces for paths within a module.
func TestPlacesOfDaemon(t *testing.T) {
	syncertest.SkipUnderRace(t, "where a target is makes no difference to what runs beside one another")
	syncertest.NeedRsync(t)
	for _, source := range []string{"src", "src/", "one", "to-src", "to-src/", "."} {
		t.Run(strings.ReplaceAll(source, "/", "|"), func(t *testing.T) {
			t.Parallel()
			theirs, mine := sandbox(t), sandbox(t)
			d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{
				{Name: "theirs", Path: filepath.Join(theirs, "in/dst")}, {Name: "mine", Path: filepath.Join(mine, "in/dst")},
			}})
			for _, path := range []string{"", "/", "/new", "/new2/", "/src", "/old", "/none/new", "/../x", "/./y/"} {
				url := strings.TrimSuffix(d.URL(""), "/")
				got := runIn(t, filepath.Join(mine, "in/src/dir"), "lockstep", within(source), url+"/mine"+path)
				want := runIn(t, filepath.Join(theirs, "in/src/dir"), "rsync", "-a@-1", within(source), url+"/theirs"+path)
				sameTrees(t, fmt.Sprintf("%q to %q", source, path), theirs, mine, want, got)
			}
		})
	}
}

// within is a source seen from src/dir.
func within(source string) string {
	if source == "." {
		return source
	}
	return "../../" + source
}
