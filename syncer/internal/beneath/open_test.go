package beneath

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openers are the two ways to the same answer.
var openers = map[string]func(dirfd int, path string, flags int, mode uint32) (int, error){
	"openat2":  Open,
	"stepwise": openStepwise,
}

func rootFD(t testing.TB, dir string) int {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpen(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "root")
	must(t, os.MkdirAll(filepath.Join(root, "d", "e"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "d", "f"), nil, 0o644))
	must(t, os.WriteFile(filepath.Join(base, "outside"), nil, 0o644))
	for name, target := range map[string]string{
		"tofile": "d/f", "todir": "d", "out": "..", "outfile": "../outside", "abs": base, "loop": "loop", "d/up": "../d",
	} {
		must(t, os.Symlink(target, filepath.Join(root, name)))
	}
	fd := rootFD(t, root)
	const dir = unix.O_RDONLY | unix.O_DIRECTORY
	for _, test := range []struct {
		path  string
		flags int
		want  error
	}{
		{"d/f", unix.O_RDONLY, nil},
		{"d/e", dir, nil},
		{".", dir, nil},
		{"none", unix.O_RDONLY, unix.ENOENT},
		{"none/f", unix.O_RDONLY, unix.ENOENT},
		{"d/f/x", unix.O_RDONLY, unix.ENOTDIR},
		{"d/f", dir, unix.ENOTDIR},
		{"tofile", unix.O_RDONLY, unix.ELOOP},
		{"outfile", unix.O_RDONLY, unix.ELOOP},
		{"loop", unix.O_RDONLY, unix.ELOOP},
		{"todir", dir, unix.ENOTDIR},
		{"todir/f", unix.O_RDONLY, unix.ENOTDIR},
		{"out/outside", unix.O_RDONLY, unix.ENOTDIR},
		{"abs/outside", unix.O_RDONLY, unix.ENOTDIR},
		{"d/up/f", unix.O_RDONLY, unix.ENOTDIR},
		{"d/new", unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL, nil},
		{"todir/new", unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL, unix.ENOTDIR},
	} {
		for name, open := range openers {
			t.Run(test.path+" "+name, func(t *testing.T) {
				mode := uint32(0)
				if test.flags&unix.O_CREAT != 0 {
					mode = 0o600
					defer os.Remove(filepath.Join(root, test.path))
				}
				got, err := open(fd, test.path, test.flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
				if err == nil {
					unix.Close(got)
				}
				// What stands in the way is told as ELOOP or as ENOTDIR, by the way it was found.
				if !errors.Is(err, test.want) && !(isInTheWay(err) && isInTheWay(test.want)) {
					t.Errorf("error %v, want %v", err, test.want)
				}
			})
		}
	}
}

func isInTheWay(err error) bool { return errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) }

func TestCheck(t *testing.T) {
	for path, ok := range map[string]bool{
		".": true, "a": true, "a/b": true, "..a": true, "...": true, ".a/b.": true, "a\nb/\xff": true,
		"": false, "/": false, "/a": false, "a/": false, "a//b": false, "a/./b": false, "./a": false, "..": false,
		"a/..": false, "../a": false, "a/../b": false, "a\x00b": false, "a/.": false,
	} {
		if err := Check(path); (err == nil) != ok {
			t.Errorf("%q: %v", path, err)
		}
		fd, err := Open(-1, path, unix.O_RDONLY, 0)
		if err == nil {
			unix.Close(fd)
		}
		if refused := errors.Is(err, unix.EINVAL); refused == ok {
			t.Errorf("open %q: %v", path, err)
		}
	}
}

// FuzzCheck: what passes names something strictly below, as the standard library sees it.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", ".", "a/b", "..", "a/../b", "/", "a//b", "a\x00", "a/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if Check(path) != nil {
			return
		}
		if !filepath.IsLocal(path) || filepath.Clean(path) != path || strings.Contains(path, "\x00") {
			t.Errorf("%q passed", path)
		}
	})
}

// TestLongPath: a path too long for one system call is walked.
func TestLongPath(t *testing.T) {
	root := t.TempDir()
	fd := rootFD(t, root)
	name := strings.Repeat("n", 250)
	path := ""
	for range 20 { // 5,000 bytes
		path += name
		at, err := OpenDir(fd, filepath.Dir(path))
		must(t, err)
		must(t, unix.Mkdirat(at, name, 0o755))
		unix.Close(at)
		path += "/"
	}
	got, err := OpenDir(fd, strings.TrimSuffix(path, "/"))
	must(t, err)
	unix.Close(got)
	if _, err := OpenDir(fd, path+strings.Repeat("n", 256)); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("a component of 256 bytes: %v", err)
	}
	if got, err := OpenDir(fd, path+"none"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("fd %d, %v; want ENOENT", got, err)
	}
}

// TestLease: EAGAIN of a lease is an error, not a reason to try for ever.
func TestLease(t *testing.T) {
	root := t.TempDir()
	f, err := os.OpenFile(filepath.Join(root, "f"), os.O_CREATE|os.O_WRONLY, 0o600)
	must(t, err)
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Skipf("the file system has no leases: %v", err)
	}
	defer unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	got, err := Open(rootFD(t, root), "f", unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if !errors.Is(err, unix.EAGAIN) {
		t.Errorf("fd %d, %v; want EAGAIN", got, err)
	}
}

// TestDescriptors: no path leaves descriptors of the walk behind.
func TestDescriptors(t *testing.T) {
	root := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(root, "a", "b", "c"), 0o755))
	fd := rootFD(t, root)
	for _, path := range []string{"a", "a/b/c", "a/b/none", "none/b/c", "a/b/c/d/e"} {
		before := descriptors(t)
		for _, open := range openers {
			if got, err := open(fd, path, unix.O_RDONLY|unix.O_DIRECTORY, 0); err == nil {
				unix.Close(got)
			}
		}
		if after := descriptors(t); after != before {
			t.Errorf("%q: %d descriptors before, %d after", path, before, after)
		}
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(names)
}

func TestOpenDirSameMount(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"plain", "tmpfs", "bind"} {
		must(t, os.Mkdir(filepath.Join(root, name), 0o755))
	}
	must(t, os.Symlink("plain", filepath.Join(root, "link")))
	must(t, os.WriteFile(filepath.Join(root, "file"), nil, 0o644))
	fd := rootFD(t, root)
	for name, want := range map[string]error{"plain": nil, "none": unix.ENOENT, "file": unix.ENOTDIR, "link": unix.ENOTDIR, "..": unix.EINVAL} {
		got, err := OpenDirSameMount(fd, name)
		if err == nil {
			unix.Close(got)
		}
		if !errors.Is(err, want) && !(isInTheWay(err) && isInTheWay(want)) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	mount(t, "tmpfs", filepath.Join(root, "tmpfs"), "tmpfs", 0)
	mount(t, filepath.Join(root, "plain"), filepath.Join(root, "bind"), "", unix.MS_BIND)
	for _, name := range []string{"tmpfs", "bind"} {
		if got, err := OpenDirSameMount(fd, name); !errors.Is(err, unix.EXDEV) {
			t.Errorf("%q: fd %d, %v; want EXDEV", name, got, err)
		}
	}
}

func mount(t testing.TB, what, where, kind string, flags uintptr) {
	t.Helper()
	if err := unix.Mount(what, where, kind, flags, ""); err != nil {
		t.Skipf("mounting: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(where, unix.MNT_DETACH) })
}
