package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// makeDeep makes a chain of directories n deep, each with a file, and, if comb, a directory beside the
// next one with a file in it. It is removed at the end, which os.RemoveAll cannot.
func makeDeep(t *testing.T, n int, comb bool) string {
	t.Helper()
	root := tempDir(t)
	fd, err := openRoot(root)
	must(t, err)
	t.Cleanup(func() { removeDeep(t, root) })
	for range n {
		must(t, unix.Mkdirat(fd, "d", 0o700))
		create(t, fd, "f")
		if comb {
			must(t, unix.Mkdirat(fd, "a", 0o700))
			create(t, fd, "a/g")
		}
		next, err := openAt(fd, "d", toLook)
		must(t, err)
		unix.Close(fd)
		fd = next
	}
	unix.Close(fd)
	return root
}

func create(t *testing.T, fd int, name string) {
	t.Helper()
	f, err := unix.Openat(fd, name, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	must(t, err)
	unix.Close(f)
}

// removeDeep takes a chain apart from its top: d/d becomes d.
func removeDeep(t *testing.T, root string) {
	for {
		err := os.Rename(root+"/d/d", root+"/next")
		must(t, os.RemoveAll(root+"/d"))
		if err != nil {
			return
		}
		must(t, os.Rename(root+"/next", root+"/d"))
	}
}

// TestDeep is 10,000 levels deep: paths far longer than PATH_MAX, and more directories above one
// another than a process may have descriptors.
func TestDeep(t *testing.T) {
	t.Parallel()
	const levels = 10_000
	root := makeDeep(t, levels, false)
	x := built(t, Config{Root: root})
	if want := 2 * levels; x.Len() != want {
		t.Errorf("%d entries, want %d", x.Len(), want)
	}
	deep := strings.Repeat("d/", levels-1) + "f"
	x.Forget(deep, false)
	got, _ := compare(t, x, ".")
	if diff := cmp.Diff(reports(Difference{Path: deep, Content: true}), got); diff != "" {
		t.Errorf("reported %d, want the deepest file", len(got))
	}
	x.Forget(deep, false)
	x.Look([]string{deep})
	if got, _ := compare(t, x, strings.Repeat("d/", levels-1)+"d"); len(got) > 0 {
		t.Errorf("%d differ", len(got))
	}
	removeDeep(t, root)
	got, _ = compare(t, x, ".")
	if !got["d"].Tree || !got["d"].Gone || x.Len() != 1 {
		t.Errorf("gone: %v, %d left", got["d"], x.Len())
	}
}

// TestComb is deeper than descriptors are kept, and has something to do at each level on the way
// back.
func TestComb(t *testing.T) {
	t.Parallel()
	levels := 3000
	if testing.Short() {
		levels = 300
	}
	root := makeDeep(t, levels, true)
	var most atomic.Int64
	x := New(Config{Root: root, Now: later})
	_, err := x.Compare(t.Context(), ".", func(int) {
		list, _ := os.ReadDir("/proc/self/fd")
		most.Store(max(most.Load(), int64(len(list))))
	}, nil)
	must(t, err)
	if want := 4 * levels; x.Len() != want {
		t.Errorf("%d entries, want %d", x.Len(), want)
	}
	if most.Load() > 500 { // other tests have some
		t.Errorf("%d descriptors", most.Load())
	}
	if got, _ := compare(t, x, "."); len(got) > 0 {
		t.Errorf("differs: %d", len(got))
	}
}

func TestOpenBelow(t *testing.T) {
	t.Parallel()
	root := tempDir(t)
	mkdir(t, root+"/a/b/c")
	must(t, os.Symlink("a", root+"/l"))
	fd, err := openRoot(root)
	must(t, err)
	defer unix.Close(fd)
	openers := map[string]func(int, string, int) (int, error){"below": openBelow, "stepwise": openStepwise}
	for name, open := range openers {
		for path, want := range map[string]error{
			"a": nil, "a/b/c": nil, "l": unix.ENOTDIR, "l/b": unix.ELOOP, "a/x/c": unix.ENOENT, "a/b/c/d": unix.ENOENT,
		} {
			sub, err := open(fd, path, toList)
			if err == nil {
				unix.Close(sub)
			}
			if !errors.Is(err, want) && !(want == unix.ELOOP && errors.Is(err, unix.ENOTDIR)) {
				t.Errorf("%s: open %s: %v, want %v", name, path, err, want)
			}
		}
	}
}

// TestMutator compares while the tree changes, and holds each Compare to it that what it took in was
// reported.
func TestMutator(t *testing.T) {
	t.Parallel()
	root := tempDir(t)
	makeTree(t, root, 60, 5)
	x := built(t, Config{Root: root, Now: time.Now})
	rounds := 15
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		before := dump(t, x)
		got := make(map[string]Difference)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { mutate(ctx, root) })
		}
		for range 5 {
			_, err := x.Compare(t.Context(), ".", nil, gather(got))
			must(t, err)
		}
		cancel()
		wg.Wait()
		after := dump(t, x)
		for path, p := range after {
			if old, ok := before[path]; (!ok || old != p) && !covered(got, path) {
				t.Fatalf("%s was taken in without a report", path)
			}
		}
		for path := range before {
			if _, ok := after[path]; !ok && !covered(got, path) {
				t.Fatalf("%s was dropped without a report", path)
			}
		}
	}
	time.Sleep(2 * fineClock)
	compare(t, x, ".")
	equalsDisk(t, x, root)
	if got, _ := compare(t, x, "."); len(got) > 0 {
		t.Errorf("differs: %v", got)
	}
}

// gather puts what several Compares report together.
func gather(got map[string]Difference) func(Difference) {
	return func(d Difference) {
		d.Tree = d.Tree || got[d.Path].Tree
		got[d.Path] = d
	}
}

func covered(got map[string]Difference, path string) bool {
	if _, ok := got[path]; ok {
		return true
	}
	for path != "." {
		path, _ = splitPath(path)
		if got[path].Tree {
			return true
		}
	}
	return false
}

// mutate changes the tree of makeTree until ctx is done.
func mutate(ctx context.Context, root string) {
	dir := func() string { return fmt.Sprintf("%s/directory-000/subdirectory-%02d", root, rand.IntN(60)) }
	file := func() string { return fmt.Sprintf("%s/file-%d.txt", dir(), rand.IntN(5)) }
	for ctx.Err() == nil {
		switch rand.IntN(7) {
		case 0, 1:
			_ = os.WriteFile(file(), make([]byte, rand.IntN(100)), 0o600)
		case 2:
			_ = os.Rename(file(), file())
		case 3:
			_ = unix.Renameat2(unix.AT_FDCWD, dir(), unix.AT_FDCWD, dir(), unix.RENAME_EXCHANGE)
		case 4:
			_ = os.Rename(dir(), dir()+"/moved")
		case 5:
			_ = os.RemoveAll(dir())
		case 6:
			_ = os.MkdirAll(dir()+"/x/y", 0o700)
		}
	}
}

// TestTreeIsReportedLast: who acts on a Tree difference at once must see all that the index took in
// for it.
func TestTreeIsReportedLast(t *testing.T) {
	t.Parallel()
	root := tempDir(t)
	x := built(t, Config{Root: root})
	makeTree(t, root+"/new", 300, 1)
	var looked atomic.Int64
	_, err := x.Compare(t.Context(), ".", func(n int) { looked.Add(int64(n)) }, func(d Difference) {
		if d.Path == "new" && (!d.Tree || looked.Load() < 603) {
			t.Errorf("reported %+v after %d of 603 entries", d, looked.Load())
		}
	})
	must(t, err)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	root := tempDir(t)
	makeTree(t, root, 300, 3)
	x := built(t, Config{Root: root})
	before := dump(t, x)
	for i := range 300 {
		write(t, fmt.Sprintf("%s/directory-%03d/subdirectory-%02d/file-0.txt", root, i/100, i%100), "differs")
	}
	makeTree(t, root+"/new", 300, 1)
	got := make(map[string]Difference)
	var most int
	for stop := 1; ; stop *= 2 {
		ctx, cancel := context.WithCancel(t.Context())
		var parts atomic.Int64
		scan, err := x.Compare(ctx, ".", func(int) {
			if parts.Add(1) >= int64(stop) {
				cancel()
			}
		}, gather(got))
		cancel()
		most = max(most, scan.Dirs)
		for path, p := range dump(t, x) {
			if before[path] != p && !covered(got, path) && !strings.HasPrefix(path, "new") {
				t.Fatalf("%s was taken in without a report", path)
			}
		}
		if len(scan.Unreadable) > 0 {
			t.Errorf("unreadable: %q", scan.Unreadable)
		}
		if !errors.Is(err, context.Canceled) {
			must(t, err)
			break
		}
	}
	if len(got) < 300 || !got["new"].Tree || most < 600 {
		t.Errorf("%d reported, new: %+v, at most %d listed", len(got), got["new"], most)
	}
	equalsDisk(t, x, root)
}

const childEnv = "INDEX_TEST_CHILD"

// inChild re-executes the running test in a process with attr, and reports whether this is that
// process. The parent gets false once the child has passed, and must return.
func inChild(t *testing.T, attr *syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv(childEnv) == t.Name() {
		return true
	}
	attr.Pdeathsig = syscall.SIGKILL
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), childEnv+"="+t.Name())
	cmd.Dir = "/"
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOSPC):
		t.Skipf("cannot start a process of its own: %v", err)
	case err != nil:
		t.Fatalf("child: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("child skipped:\n%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name())):
		t.Fatalf("child ran no test:\n%s", out)
	}
	return false
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 && os.Getenv(childEnv) == "" {
		inChild(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
		return
	}
	root := t.TempDir()
	for _, dir := range []string{"r", "x"} {
		mkdir(t, root+"/"+dir+"/d")
		write(t, root+"/"+dir+"/d/f", "")
		write(t, root+"/"+dir+"/f", "")
	}
	t.Cleanup(func() { _, _ = os.Chmod(root+"/r", 0o700), os.Chmod(root+"/x", 0o700) })
	x := built(t, Config{Root: root})
	n := x.Len()
	must(t, os.Chmod(root+"/r", 0o400)) // names, but no look at them
	must(t, os.Chmod(root+"/x", 0o100)) // no names
	for range 2 {
		got, scan := compare(t, x, ".")
		delete(got, "r")
		delete(got, "x")
		if len(got) > 0 || x.Len() != n {
			t.Errorf("reported %v, %d of %d left", got, x.Len(), n)
		}
		unreadable := strings.Join(scan.Unreadable, " ")
		if !strings.Contains(unreadable, "r") || !strings.Contains(unreadable, "x") {
			t.Errorf("unreadable: %q", scan.Unreadable)
		}
	}
	must(t, os.Chmod(root+"/r", 0o700))
	must(t, os.Chmod(root+"/x", 0o700))
	got, _ := compare(t, x, ".")
	if diff := cmp.Diff(reports(Difference{Path: "r"}, Difference{Path: "x"}), got); diff != "" {
		t.Errorf("readable again (-want +got):\n%s", diff)
	}
	equalsDisk(t, x, root)

	// A new one is reported, and what is in it once it can be read.
	mkdir(t, root+"/n/d")
	must(t, os.Chmod(root+"/n", 0))
	t.Cleanup(func() { _ = os.Chmod(root+"/n", 0o700) })
	if got, _ := compare(t, x, "."); !got["n"].Tree {
		t.Errorf("new and unreadable: %v", got)
	}
	must(t, os.Chmod(root+"/n", 0o700))
	if got, _ := compare(t, x, "."); !got["n/d"].Tree {
		t.Errorf("new, then readable: %v", got)
	}
}

func TestMount(t *testing.T) {
	t.Parallel()
	if !inChild(t, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}) {
		return
	}
	root := t.TempDir()
	mkdir(t, root+"/d/m")
	write(t, root+"/d/m/f", "")
	all := built(t, Config{Root: root})
	one := built(t, Config{Root: root, OneFileSystem: true})
	if err := unix.Mount("index", root+"/d/m", "tmpfs", 0, ""); err != nil {
		t.Skipf("mount: %v", err)
	}
	write(t, root+"/d/m/g", "")
	want := reports(Difference{Path: "d/m", Tree: true, Content: true})
	for name, x := range map[string]*Index{"all": all, "one": one} {
		got, _ := compare(t, x, "d/m/g")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: mounted (-want +got):\n%s", name, diff)
		}
		held := dump(t, x)
		if _, ok := held["d/m/g"]; ok != (name == "all") {
			t.Errorf("%s: d/m/g is held: %v", name, ok)
		}
		if _, ok := held["d/m"]; !ok {
			t.Errorf("%s: d/m is not held", name)
		}
	}
	must(t, unix.Unmount(root+"/d/m", 0))
	for name, x := range map[string]*Index{"all": all, "one": one} {
		got, _ := compare(t, x, ".")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: unmounted (-want +got):\n%s", name, diff)
		}
		equalsDisk(t, x, root)
	}
	if _, err := os.Stat(filepath.Join(root, "d/m/f")); err != nil {
		t.Error(err)
	}
}
