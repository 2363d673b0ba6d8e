package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// differing is a directory with a source "src" and a target "dst" that differ in every way
// that has a letter of its own, and in names that cannot be printed as they are.
func differing(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	file := func(name, data string, mode fs.FileMode, age time.Duration) {
		path := filepath.Join(root, name)
		at := longAgo.Add(-age)
		must(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(data), mode),
			os.Chmod(path, mode), os.Chtimes(path, at, at)))
	}
	both := func(name string, src, dst func(string)) { src("src/" + name); dst("dst/" + name) }
	is := func(data string, mode fs.FileMode, age time.Duration) func(string) {
		return func(name string) { file(name, data, mode, age) }
	}
	link := func(to string) func(string) {
		return func(name string) {
			path := filepath.Join(root, name)
			must(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(to, path)))
		}
	}
	both("same", is("same", 0o644, 0), is("same", 0o644, 0))
	both("size", is("longer", 0o644, 0), is("short", 0o644, 0))
	both("time", is("time", 0o644, 0), is("time", 0o644, time.Hour))
	both("perms", is("perms", 0o600, 0), is("perms", 0o644, 0))
	both("all", is("new", 0o640, 0), is("older", 0o644, time.Hour))
	both("link-same", link("same"), link("same"))
	both("link-other", link("same"), link("time"))
	both("was-link", is("file", 0o644, 0), link("same"))
	both("is-link", link("same"), is("file", 0o644, 0))
	both("was-dir", is("file", 0o644, 0), is("", 0o644, 0))
	both("dir/same", is("same", 0o644, 0), is("same", 0o644, 0))
	both("dir/deep/changed", is("changed", 0o644, 0), is("was so", 0o644, 0))
	file("src/new", "new", 0o644, 0)
	file("src/new-dir/file", "new", 0o600, 0)
	file("src/new-dir/sub/file", "new", 0o644, 0)
	file("src/new\nline", "", 0o644, 0)
	file("src/bad\xff\xfebytes", "", 0o644, 0)
	file("src/tab\tand \\ and \\#012 and \x01", "", 0o644, 0)
	file("src/ümlaut", "", 0o644, 0)
	link("nowhere\n")("src/new-link")
	must(t, unix.Mkfifo(filepath.Join(root, "src/fifo"), 0o600))
	file("dst/gone", "", 0o644, 0)
	file("dst/gone-dir/sub/file", "", 0o644, 0)
	file("dst/dir/gone\nline", "", 0o644, 0)
	settle(t, root, justNow)
	must(t, os.Chtimes(filepath.Join(root, "dst/dir"), longAgo, longAgo.Add(-time.Minute)))
	must(t, os.Chmod(filepath.Join(root, "dst/dir/deep"), 0o700))
	return root
}

// TestOutput compares what is printed with what rsync prints, line by line.
func TestOutput(t *testing.T) {
	syncertest.NeedRsync(t)
	for _, args := range []string{
		"-i", "-v", "-iv", "-ni", "-nv", "-i --delete", "-v --delete", "-ni --delete", "-nv --delete", "-q --delete",
		"-ic", "-i --no-p", "-i --no-t", "-i --no-l --no-D", "-i --delete --exclude=gone*", "--stats", "--stats --delete",
		"-vn --stats --delete", "-i --no-r", "-i --delete --max-delete=2",
	} {
		for _, kind := range []string{"local", "daemon"} {
			t.Run(kind+" "+args, func(t *testing.T) {
				t.Parallel()
				sameOutput(t, kind == "daemon", strings.Fields(args))
			})
		}
	}
}

func sameOutput(t *testing.T, remote bool, args []string) {
	t.Helper()
	theirs, mine := differing(t), differing(t)
	targets := []string{"dst", "dst"}
	if remote {
		d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{
			{Name: "theirs", Path: filepath.Join(theirs, "dst")}, {Name: "mine", Path: filepath.Join(mine, "dst")},
		}})
		targets = []string{d.URL("theirs"), d.URL("mine")}
	}
	want := runIn(t, theirs, "rsync", append([]string{"-a@-1"}, append(args, "src/", targets[0])...)...)
	got := runIn(t, mine, "lockstep", append(args, "src/", targets[1])...)
	if diff := cmp.Diff(lines(want.stdout), lines(got.stdout)); diff != "" {
		t.Errorf("output (-rsync +lockstep):\n%s\n%s", diff, got.stderr)
	}
	// That deletions stopped rsync's sender does not get to know: it ends with 0.
	held := remote && strings.Contains(want.stderr, "--max-delete limit") && strings.Contains(got.stderr, "--max-delete limit")
	if got.code != want.code && !held {
		t.Errorf("code %d, rsync's is %d\n%s%s", got.code, want.code, want.stderr, got.stderr)
	}
	for _, root := range []string{theirs, mine} {
		settle(t, root, justNow)
	}
	syncertest.RequireEqual(t, theirs, mine, treeOptions())
}

// lines are those of an output, less what each of the two must have its own way: what
// rsync says of its list and of links that are not wanted, and everything that depends on
// bytes of the protocol. Deletions come first: when they are done is each one's affair.
func lines(out string) []string {
	own := regexp.MustCompile(`^(sending incremental file list|File list .*|skipping non-regular file .*|Total bytes .*|sent .*)$`)
	figures := regexp.MustCompile(`  speedup is [0-9.,]+|^(Number of deleted files: [0-9]+) .*`)
	var deleted, kept []string
	for line := range strings.SplitSeq(out, "\n") {
		switch {
		case line == "" || own.MatchString(line):
		case strings.HasPrefix(line, "deleting ") || strings.HasPrefix(line, "*deleting "):
			deleted = append(deleted, line)
		default:
			kept = append(kept, figures.ReplaceAllString(line, "$1"))
		}
	}
	slices.Sort(deleted)
	return append(deleted, kept...)
}
