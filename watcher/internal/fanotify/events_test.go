package fanotify

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// each runs a test on ext4, or what the temporary directory is on, and on tmpfs: the root is a
// directory of its filesystem, with others beside it.
func each(t *testing.T, f func(t *testing.T, root, out string)) {
	t.Parallel()
	needRoot(t)
	for name, base := range map[string]string{"temp": tempDir(t), "shm": shm(t)} {
		t.Run(name, func(t *testing.T) {
			root, out := filepath.Join(base, "root"), filepath.Join(base, "out")
			mkdir(t, root)
			mkdir(t, out)
			f(t, root, out)
		})
	}
}

// shm is a directory on tmpfs.
func shm(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "fanotify-test-")
	must(tb, err)
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestFiles(t *testing.T) {
	each(t, func(t *testing.T, root, out string) {
		h := start(t, Config{Root: root})
		f := root + "/f"
		write(t, f, "text")
		h.want("f CREATE|MODIFY|CLOSE_WRITE")
		write(t, f, "other")
		h.want("f MODIFY|CLOSE_WRITE")
		must(t, os.Truncate(f, 1))
		h.want("f MODIFY")
		must(t, os.Chmod(f, 0o600))
		must(t, os.Chtimes(f, h.time(), h.time()))
		must(t, unix.Setxattr(f, "user.k", []byte("v"), 0))
		h.want("f ATTRIB")
		must(t, os.Symlink("nowhere", root+"/link"))
		h.want("link CREATE")
		must(t, os.Link(f, root+"/hard"))
		h.want("hard CREATE")
		must(t, os.Link(f, out+"/hard"))
		write(t, out+"/hard", "by another name")
		h.want()
		must(t, os.Remove(f))
		h.want("f DELETE")
		must(t, os.WriteFile(root+"/\xff\n", nil, 0o600))
		h.want("\xff\n CREATE|CLOSE_WRITE")
	})
}

func TestContent(t *testing.T) {
	each(t, func(t *testing.T, root, _ string) {
		write(t, root+"/f", "0123456789")
		h := start(t, Config{Root: root})
		f, err := os.OpenFile(root+"/f", os.O_RDWR, 0)
		must(t, err)
		must(t, unix.Fallocate(int(f.Fd()), 0, 0, 8192))
		h.want("f MODIFY")
		mem, err := unix.Mmap(int(f.Fd()), 0, 8192, unix.PROT_WRITE, unix.MAP_SHARED)
		must(t, err)
		mem[0] = 'x'
		must(t, f.Close())
		h.want()
		must(t, unix.Munmap(mem))
		h.want("f CLOSE_WRITE")

		fd, err := unix.Open(root, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		must(t, err)
		must(t, unix.Linkat(fd, "", unix.AT_FDCWD, root+"/linked", unix.AT_EMPTY_PATH))
		h.want("linked CREATE")
		must(t, unix.Close(fd))
		got := h.take()
		if len(got) != 1 || got[0].Path[0] != '#' || got[0].Mask != unix.FAN_CLOSE_WRITE {
			t.Errorf("a nameless file is closed under its number, got %q", show(got))
		}
	})
}

func TestRenames(t *testing.T) {
	each(t, func(t *testing.T, root, out string) {
		write(t, root+"/a", "a")
		write(t, root+"/b", "b")
		mkdir(t, root+"/d")
		h := start(t, Config{Root: root})
		if !h.g.Pairs() {
			t.Fatal("this kernel has no FAN_RENAME")
		}
		rename := func(from, to string) {
			t.Helper()
			must(t, os.Rename(from, to))
		}
		rename(root+"/a", root+"/d/a")
		h.want("a -> d/a RENAME")
		rename(root+"/d/a", root+"/b")
		h.want("d/a -> b RENAME")
		rename(root+"/b", out+"/b")
		h.want("b ->  RENAME")
		rename(out+"/b", root+"/c")
		h.want("c RENAME")
		write(t, root+"/e", "")
		h.take()
		must(t, unix.Renameat2(unix.AT_FDCWD, root+"/c", unix.AT_FDCWD, root+"/e", unix.RENAME_EXCHANGE))
		h.want("c -> e RENAME", "e -> c RENAME")
		rename(root+"/d", root+"/d2")
		h.want("d -> d2/ RENAME")
	})
}

// TestHalves is a kernel before 5.17.
func TestHalves(t *testing.T) {
	each(t, func(t *testing.T, root, out string) {
		mkdir(t, root+"/d/e")
		h := start(t, Config{Root: root, noRename: true})
		if h.g.Pairs() {
			t.Error("Pairs is true")
		}
		write(t, root+"/d/e/f", "")
		h.want("d/e/f CREATE|CLOSE_WRITE")
		must(t, os.Rename(root+"/d", root+"/x"))
		h.want("d/ MOVED_FROM", "x/ MOVED_TO")
		write(t, root+"/x/e/f", "1")
		h.want("x/e/f MODIFY|CLOSE_WRITE")
		must(t, os.Rename(root+"/x", out+"/x"))
		h.want("x/ MOVED_FROM")
		write(t, out+"/x/e/f", "2")
		h.want()
		must(t, os.Rename(out+"/x", root+"/y"))
		h.want("y/ MOVED_TO")
		write(t, root+"/y/e/f", "3")
		h.want("y/e/f MODIFY|CLOSE_WRITE")
	})
}

// TestDirectories renames directories below which others are known.
func TestDirectories(t *testing.T) {
	each(t, func(t *testing.T, root, out string) {
		h := start(t, Config{Root: root})
		mkdir(t, root+"/a/b/c")
		write(t, root+"/a/b/c/f", "")
		h.want("a/ CREATE", "a/b/ CREATE", "a/b/c/ CREATE", "a/b/c/f CREATE|CLOSE_WRITE")
		must(t, os.Chmod(root+"/a/b", 0o700))
		h.want("a/b/ ATTRIB")
		touch := func(path string) {
			t.Helper()
			must(t, os.Chmod(path, 0o600))
		}
		must(t, os.Rename(root+"/a", root+"/z"))
		touch(root + "/z/b/c/f")
		h.want("a -> z/ RENAME", "z/b/c/f ATTRIB")
		must(t, os.Rename(root+"/z", out+"/z"))
		touch(out + "/z/b/c/f")
		h.want("z -> / RENAME")
		must(t, os.Rename(out+"/z", out+"/y"))
		touch(out + "/y/b/c/f")
		h.want()
		must(t, os.Rename(out+"/y", root+"/in"))
		touch(root + "/in/b/c/f")
		h.want("in/ RENAME", "in/b/c/f ATTRIB")
		must(t, os.RemoveAll(root+"/in/b"))
		if got := show(h.take()); len(got) == 0 || got[len(got)-1] != "in/b/ DELETE" {
			t.Errorf("what is in a removed directory may be told, the directory must, got %q", got)
		}
		mkdir(t, root+"/in/b")
		write(t, root+"/in/b/f", "")
		h.want("in/b/ CREATE", "in/b/f CREATE|CLOSE_WRITE")
	})
}

// TestExchangedDirectories has two known directories take each other's place.
func TestExchangedDirectories(t *testing.T) {
	each(t, func(t *testing.T, root, out string) {
		mkdir(t, root+"/a/x")
		mkdir(t, out+"/b/x")
		h := start(t, Config{Root: root})
		write(t, root+"/a/x/f", "")
		write(t, out+"/b/x/g", "")
		h.want("a/x/f CREATE|CLOSE_WRITE")
		must(t, unix.Renameat2(unix.AT_FDCWD, root+"/a", unix.AT_FDCWD, out+"/b", unix.RENAME_EXCHANGE))
		h.want("a -> / RENAME", "a/ RENAME")
		write(t, root+"/a/x/g", "1")
		write(t, out+"/b/x/f", "1")
		h.want("a/x/g MODIFY|CLOSE_WRITE")
	})
}

// TestRootMoves renames the root and a directory above it, there and back.
func TestRootMoves(t *testing.T) {
	each(t, func(t *testing.T, base, _ string) {
		root := base + "/up/root"
		mkdir(t, root+"/d/e")
		h := start(t, Config{Root: root})
		write(t, root+"/d/f", "")
		h.want("d/f CREATE|CLOSE_WRITE")
		for _, move := range [][2]string{{root, base + "/up/away"}, {base + "/up", base + "/down"}} {
			must(t, os.Rename(move[0], move[1]))
			moved := filepath.Join(move[1], root[len(move[0]):])
			write(t, moved+"/d/e/f", "not seen under its old name")
			must(t, os.Rename(move[1], move[0]))
			got := slices.DeleteFunc(show(h.take()), func(line string) bool { return !strings.HasSuffix(line, " RENAME") })
			if !slices.Equal(got, []string{". -> / RENAME", "./ RENAME"}) {
				t.Fatalf("the root's going and coming are told, got %q", got)
			}
			must(t, os.Chmod(root+"/d/e/f", 0o600))
			h.want("d/e/f ATTRIB")
		}
		must(t, os.Chmod(root, 0o700))
		h.want("./ ATTRIB")
	})
}

func TestHidden(t *testing.T) {
	each(t, func(t *testing.T, root, out string) {
		mkdir(t, root+"/cache/d")
		var asked atomic.Int32
		hidden := func(rel string) bool {
			if rel == "cache/d" {
				asked.Add(1)
			}
			_, ok := below("cache", rel)
			return ok
		}
		h := start(t, Config{Root: root, Hidden: hidden})
		for range 3 {
			write(t, root+"/cache/d/f", "")
			h.want()
		}
		if n := asked.Load(); n != 1 || h.g.Stats().Dropped < 3 {
			t.Errorf("want one question, got %d; %+v", n, h.g.Stats())
		}
		must(t, os.Rename(root+"/cache/d/f", root+"/f"))
		h.want("f RENAME")
		must(t, os.Rename(root+"/cache/d", root+"/d"))
		h.want("d/ RENAME")
		write(t, root+"/d/g", "")
		h.want("d/g CREATE|CLOSE_WRITE")
		must(t, os.Rename(root+"/d", root+"/cache/d"))
		h.want("d -> / RENAME")
		write(t, root+"/cache/d/g", "1")
		h.want()
	})
}

// TestOutside makes noise beside the root.
func TestOutside(t *testing.T) {
	each(t, func(t *testing.T, root, out string) {
		h := start(t, Config{Root: root})
		mkdir(t, out+"/d")
		mkdir(t, root+"2")
		for range 20 {
			write(t, out+"/d/f", "text")
			write(t, root+"2/f", "text")
			must(t, os.Rename(out+"/d", out+"/e"))
			must(t, os.Rename(out+"/e", out+"/d"))
			h.sync(".")
		}
		h.want()
		if s := h.g.Stats(); s.Dropped < 100 {
			t.Errorf("the noise was not met: %+v", s)
		}
	})
}

func TestAccess(t *testing.T) {
	each(t, func(t *testing.T, root, _ string) {
		write(t, root+"/f", "text")
		read := func() {
			t.Helper()
			_, err := os.ReadFile(root + "/f")
			must(t, err)
			_, err = os.ReadDir(root)
			must(t, err)
		}
		h := start(t, Config{Root: root})
		read()
		h.want()
		h.stop()

		h = start(t, Config{Root: root, Ops: unix.FAN_OPEN | unix.FAN_ACCESS | unix.FAN_CLOSE_NOWRITE})
		read()
		h.want()
		cat(t, root+"/f")
		// The root may be there too: what this process has open is closed by a child, where one is
		// being made.
		if got := show(h.take()); !slices.Contains(got, "f OPEN|ACCESS|CLOSE_NOWRITE") {
			t.Errorf("another process's reading is told, got %q", got)
		}
	})
}

func TestNoModify(t *testing.T) {
	each(t, func(t *testing.T, root, _ string) {
		h := start(t, Config{Root: root, NoModify: true})
		write(t, root+"/f", "text")
		h.want("f CREATE|CLOSE_WRITE")
		must(t, os.Truncate(root+"/f", 0))
		h.want()
	})
}
