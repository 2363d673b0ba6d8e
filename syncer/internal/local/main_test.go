package local

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// archive is rsync's -a --delete.
var archive = Options{Set: option.Set{Recurse: true, Links: true, Perms: true, Times: true, Owner: true, Group: true, Devices: true, Specials: true, Delete: true, MaxDelete: -1, MaxSize: -1, ModifyWindow: -1}, Umask: 0o022}

func sourceOptions(o Options) source.Options {
	return source.Options{Set: o.Set}
}

func openSource(t testing.TB, root string, o source.Options) *source.Tree {
	t.Helper()
	s, err := source.Open(root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openTarget(t testing.TB, root string, o Options) *Target {
	t.Helper()
	target, err := Open(root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { target.Close() })
	return target
}

// full pushes src to dst and returns what came of it, the lines of rsync -i included.
func full(t testing.TB, src, dst string, o Options) (Result, []string) {
	t.Helper()
	lines := record(&o)
	res, err := openTarget(t, dst, o).Full(t.Context(), openSource(t, src, sourceOptions(o)), time.Time{})
	if err != nil {
		t.Fatalf("full push: %v", err)
	}
	return res, *lines
}

func record(o *Options) *[]string {
	lines := new([]string)
	o.Sink.Item = func(it report.Item) { *lines = append(*lines, it.String()) }
	return lines
}

// partial plans paths and pushes the plan.
func partial(t testing.TB, src, dst string, o Options, paths ...source.Path) (Result, []string) {
	t.Helper()
	lines := record(&o)
	s := openSource(t, src, sourceOptions(o))
	plan, err := s.Plan(t.Context(), paths)
	if err != nil {
		t.Fatal(err)
	}
	res, err := openTarget(t, dst, o).Partial(t.Context(), s, plan, time.Time{})
	if err != nil {
		t.Fatalf("partial push: %v", err)
	}
	return res, *lines
}

func requireClean(t testing.TB, res Result) {
	t.Helper()
	for _, p := range res.Problems {
		t.Errorf("problem: %v", p)
	}
	if len(res.Changed) > 0 || res.DeletesHeld > 0 {
		t.Errorf("changed %q, %d deletes held", res.Changed, res.DeletesHeld)
	}
}

func requireEqual(t testing.TB, src, dst string) {
	t.Helper()
	syncertest.RequireEqual(t, src, dst, syncertest.CompareOptions{IgnoreOwners: os.Geteuid() != 0})
}

// dirs makes a source and a target directory.
func dirs(t testing.TB) (src, dst string) {
	t.Helper()
	base := t.TempDir()
	src, dst = filepath.Join(base, "src"), filepath.Join(base, "dst")
	mkdir(t, src)
	mkdir(t, dst)
	return src, dst
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mkdir(t testing.TB, elem ...string) string {
	t.Helper()
	dir := filepath.Join(elem...)
	must(t, os.MkdirAll(dir, 0o755))
	return dir
}

// write makes a file and the directories above it.
func write(t testing.TB, path, data string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(data), 0o644))
}

func setTime(t testing.TB, path string, at time.Time) {
	t.Helper()
	ts := unix.NsecToTimespec(at.UnixNano())
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
}

// age gives everything below root an mtime that nothing else has: files written within
// one tick of the kernel's clock would look equal.
func age(t testing.TB, root string) {
	t.Helper()
	at := time.Unix(1_000_000_000, 0)
	must(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		at = at.Add(time.Second + time.Nanosecond)
		setTime(t, path, at)
		return err
	}))
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func requireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// nobody is a user without any right.
const nobody = 65534

// asNobody runs the calling test once more, as a user bound by permissions, and says
// whether this is that run. Without root every run is.
func asNobody(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		return true
	}
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	must(t, os.Chown(dir, nobody, nobody))
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("as uid %d: %v\n%s", nobody, err, out)
	}
	return false
}

// mount mounts a file system for the length of the test.
func mount(t testing.TB, what, where, kind string, flags uintptr, data string) {
	t.Helper()
	requireRoot(t)
	if err := unix.Mount(what, where, kind, flags, data); err != nil {
		if errors.Is(err, unix.EPERM) {
			t.Skip("needs the right to mount")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(where, unix.MNT_DETACH) })
}

// requireSameLines compares without regard to order.
func requireSameLines(t testing.TB, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
