package state

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var manyNames = flag.Int("names", 8000, "how many names TestNames has in one directory")

// TestNames has names of any bytes, of 255, and many of them in one directory.
func TestNames(t *testing.T) {
	t.Parallel()
	root := tempDir(t)
	odd := []string{"new\nline", "\xff\xfe", strings.Repeat("n", 255), "\x01", "a\x01b", " ", "a", "ä"}
	for _, dir := range append([]string{"."}, odd...) {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
		for _, name := range odd {
			write(t, filepath.Join(root, dir, name[:min(254, len(name))]+"f"), "")
		}
	}
	many := *manyNames
	must(t, os.Mkdir(root+"/many", 0o755))
	for i := range many {
		write(t, fmt.Sprintf("%s/many/%d", root, i), "")
	}
	s := opened(t, Config{Dir: tempDir(t), Root: root, Quiet: time.Millisecond})
	push(t, s, Path{".", true})
	settled(t, s)
	checkFile(t, s)
	if got := differs(t, s); len(got) > 0 {
		t.Errorf("%v", got)
	}
	var want []Path
	for i := 0; i < many; i += 1000 {
		want = append(want, Path{Name: fmt.Sprintf("many/%d", i)})
		write(t, fmt.Sprintf("%s/many/%d", root, i), "x")
	}
	must(t, os.Remove(root+"/\xff\xfe/new\nlinef"))
	want = append(want, Path{Name: "\xff\xfe"}, Path{Name: "\xff\xfe/new\nlinef"})
	slices.SortFunc(want, func(a, b Path) int { return strings.Compare(a.Name, b.Name) })
	if got := differs(t, s); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	push(t, s, want...)
	settled(t, s)
	if n, err := s.Count("many"); n != int64(many)+1 || err != nil {
		t.Errorf("%d names, %v", n, err)
	}
	dirs := map[string]int64{}
	after := ""
	must(t, s.Dirs("", func(d DirEntries) bool { after = d.Dir; return d.Dir == "." }))
	must(t, s.Dirs(after, func(d DirEntries) bool { dirs[d.Dir] = d.Entries; return true }))
	if dirs["many"] != int64(many) || len(dirs) != len(odd) {
		t.Errorf("%v after %q", dirs, after)
	}
	must(t, os.RemoveAll(root+"/many"))
	push(t, s, Path{Name: "many"}, Path{Name: "\xff\xfe", Tree: true})
	settled(t, s)
	checkFile(t, s)
	if got := differs(t, s); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

// TestDeep is deeper than names are kept: what is below stays in doubt, and the rest does not.
func TestDeep(t *testing.T) {
	t.Parallel()
	root := tempDir(t)
	fd, err := openRoot(root)
	must(t, err)
	t.Cleanup(func() {
		for os.Rename(root+"/d/d", root+"/next") == nil {
			must(t, os.RemoveAll(root+"/d"))
			must(t, os.Rename(root+"/next", root+"/d"))
		}
	})
	const levels = maxName/2 + 500
	for range levels {
		must(t, unix.Mkdirat(fd, "d", 0o700))
		next, err := openAt(fd, "d", toLook)
		must(t, err)
		unix.Close(fd)
		fd = next
	}
	unix.Close(fd)
	s := opened(t, Config{Dir: tempDir(t), Root: root, Quiet: time.Millisecond})
	push(t, s, Path{".", true})
	eventually(t, "never known", s.Known)
	deep := Path{"d" + strings.Repeat("/d", maxName/2-1), true}
	if got := s.Dirty(); !slices.Equal(got, []Path{deep}) {
		t.Errorf("in doubt: %d, %.20v", len(got), got)
	}
	if got := differs(t, s); !slices.Equal(got, []Path{deep}) {
		t.Errorf("differs: %d, %.20v", len(got), got)
	}
	name := strings.Repeat("d/", 1500)[:2999]
	if p := differs(t, s, Path{Name: name}); len(p) > 0 {
		t.Errorf("%d", len(p))
	}
}

// TestUnreadable runs as nobody: what cannot be read is a tree that differs, and is not gone.
func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestUnreadable$", "-test.v")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, Pdeathsig: syscall.SIGKILL}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestUnreadable") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	root := tempDir(t)
	for _, dir := range []string{"r", "x", "ok"} {
		must(t, os.MkdirAll(root+"/"+dir+"/d", 0o755))
		write(t, root+"/"+dir+"/d/f", "")
		write(t, root+"/"+dir+"/f", "")
	}
	readable := func() { must(t, errors.Join(os.Chmod(root+"/r", 0o755), os.Chmod(root+"/x", 0o755))) }
	t.Cleanup(readable)
	s := opened(t, Config{Dir: tempDir(t), Root: root, Quiet: time.Millisecond})
	push(t, s, Path{".", true})
	settled(t, s)
	must(t, os.Chmod(root+"/r", 0o400)) // names, but no look at them
	must(t, os.Chmod(root+"/x", 0o100)) // no names
	want := []Path{{"r", true}, {"x", true}}
	if got := differs(t, s); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	push(t, s, Path{".", true})
	eventually(t, "never settles", func() bool { return slices.Equal(s.Dirty(), want) })
	readable()
	push(t, s, want...)
	settled(t, s)
	if got := differs(t, s); len(got) > 0 || s.Total() != 12 {
		t.Errorf("%v, %d", got, s.Total())
	}
}

// TestNoSpace fills the file system of the state: Begin says so, and all goes on once there is space.
func TestNoSpace(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small tmpfs")
	}
	root, dir := tempDir(t), t.TempDir()
	must(t, unix.Mount("state", dir, "tmpfs", 0, "size=400k"))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	makeTree(t, root, 20, 20)
	s := opened(t, Config{Dir: dir, Root: root, Quiet: time.Millisecond})
	push(t, s, Path{".", true})
	settled(t, s)
	if err := os.WriteFile(dir+"/full", make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	// Until the pages that are free in the file are used up, it goes on.
	var err error
	begun := 0
	for ; err == nil && begun < 10_000; begun++ {
		var p *Push
		if p, err = s.Begin(context.Background(), []Path{{Name: fmt.Sprintf("none/%0200d", begun)}}); err == nil {
			p.Abandon()
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("after %d: %v", begun, err)
	}
	doubted := len(s.Dirty())
	if doubted != begun-1 || !s.Known() {
		t.Errorf("%d begun, %d in doubt", begun, doubted)
	}
	eventually(t, "no error of a settlement", func() bool { return errors.Is(s.Err(), unix.ENOSPC) })
	must(t, os.Remove(dir+"/full"))
	eventually(t, "does not go on", func() bool { return s.Err() == nil && len(s.Dirty()) == begun })
	must(t, s.Close())
	s = opened(t, s.cfg)
	if got := len(s.Dirty()); got != begun || !s.Known() || s.Total() != 421 {
		t.Errorf("opened again: %d in doubt, %d names, known %v", got, s.Total(), s.Known())
	}
	push(t, s, Path{".", true})
	settled(t, s)
	checkFile(t, s)
}

// TestOneFileSystem has a file system mounted below the root.
func TestOneFileSystem(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a tmpfs")
	}
	root := tempDir(t)
	must(t, os.MkdirAll(root+"/d/m", 0o755))
	write(t, root+"/d/m/f", "")
	s := opened(t, Config{Dir: tempDir(t), Root: root, Quiet: time.Millisecond, OneFileSystem: true})
	push(t, s, Path{".", true})
	settled(t, s)
	must(t, unix.Mount("state", root+"/d/m", "tmpfs", 0, ""))
	mounted := true
	t.Cleanup(func() {
		if mounted {
			must(t, unix.Unmount(root+"/d/m", unix.MNT_DETACH))
		}
	})
	write(t, root+"/d/m/g", "")
	if got := differs(t, s); !slices.Equal(got, []Path{{"d/m", true}}) {
		t.Errorf("mounted: %v", got)
	}
	push(t, s, Path{"d", true})
	settled(t, s)
	if got := differs(t, s); len(got) > 0 || s.Total() != 2 {
		t.Errorf("pushed: %v, %d", got, s.Total())
	}
	mounted = false
	must(t, unix.Unmount(root+"/d/m", 0))
	if got := differs(t, s); !slices.Equal(got, []Path{{"d/m", true}}) {
		t.Errorf("unmounted: %v", got)
	}
}
