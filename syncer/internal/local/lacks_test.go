package local

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func setXattr(t *testing.T, path, name, value string) {
	t.Helper()
	must(t, unix.Lsetxattr(path, name, []byte(value), 0))
}

func xattr(path, name string) string {
	b := make([]byte, 256)
	n, err := unix.Lgetxattr(path, name, b)
	if err != nil {
		return ""
	}
	return string(b[:n])
}

func lstat(t *testing.T, path string) (st unix.Stat_t) {
	t.Helper()
	must(t, unix.Lstat(path, &st))
	return st
}

// TestChownKeepsCapabilities: chown(2) takes them away, and they are not set only where they
// differed before.
func TestChownKeepsCapabilities(t *testing.T) {
	requireRoot(t)
	const name = "security.capability"
	src, dst := dirs(t)
	capability := string(binary.LittleEndian.AppendUint64(nil, 1<<42|0x02000001)) + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	for _, root := range []string{src, dst} {
		write(t, filepath.Join(root, "f"), "x")
	}
	must(t, os.Chown(filepath.Join(src, "f"), 5, 5))
	for _, root := range []string{src, dst} {
		setXattr(t, filepath.Join(root, "f"), name, capability)
	}
	age(t, src)
	age(t, dst)
	o := archive
	o.Xattrs = true
	res, _ := full(t, src, dst, o)
	requireClean(t, res)
	path := filepath.Join(dst, "f")
	if xattr(path, name) != capability || lstat(t, path).Uid != 5 {
		t.Errorf("owner %d, capabilities %q, want %q", lstat(t, path).Uid, xattr(path, name), capability)
	}
}

// TestFakeSuperTempDir: what is written in --temp-dir is given nothing that is only to be
// written down.
func TestFakeSuperTempDir(t *testing.T) {
	requireRoot(t)
	src, dst := dirs(t)
	write(t, filepath.Join(src, "f"), "x")
	must(t, os.Chown(filepath.Join(src, "f"), 5, 6))
	must(t, os.Chmod(filepath.Join(src, "f"), 0o755|os.ModeSetuid))
	o := archive
	o.FakeSuper, o.TempDir = true, t.TempDir()
	res, _ := full(t, src, dst, o)
	requireClean(t, res)
	path := filepath.Join(dst, "f")
	st := lstat(t, path)
	if st.Uid != 0 || st.Gid != 0 || st.Mode&0o7777 != 0o755 {
		t.Errorf("%d:%d, mode %o: it was given what is to be written down", st.Uid, st.Gid, st.Mode)
	}
	if got, want := xattr(path, "user.rsync.%stat"), "104755 0,0 5:6"; got != want {
		t.Errorf("written down %q, want %q", got, want)
	}
}

// TestDelayedLeaderStays: the old file at the name of a leader that cannot be put in its place
// is nothing to link to.
func TestDelayedLeaderStays(t *testing.T) {
	requireRoot(t)
	src, dst := dirs(t)
	write(t, filepath.Join(dst, "a"), "old")
	age(t, dst)
	write(t, filepath.Join(src, "a"), "new one")
	for _, name := range []string{"b", "c"} {
		must(t, os.Link(filepath.Join(src, "a"), filepath.Join(src, name)))
	}
	backups := t.TempDir()
	mount(t, "none", mkdir(t, backups, "a"), "tmpfs", 0, "")
	o := archive
	o.HardLinks, o.DelayUpdates, o.BackupDir = true, true, backups
	res, _ := full(t, src, dst, o)
	if len(res.Problems) != 1 || res.Problems[0].Path != "a" {
		t.Errorf("problems %v, want one, of a", res.Problems)
	}
	if got := read(t, filepath.Join(dst, "a")); got != "old" {
		t.Errorf("a holds %q", got)
	}
	b, c := filepath.Join(dst, "b"), filepath.Join(dst, "c")
	if read(t, b) != "new one" || lstat(t, b).Ino != lstat(t, c).Ino {
		t.Errorf("b holds %q, is file %d and c file %d", read(t, b), lstat(t, b).Ino, lstat(t, c).Ino)
	}
}

// TestXattrsOfReadOnly: what its owner may not write to is given its attributes nevertheless.
func TestXattrsOfReadOnly(t *testing.T) {
	if !asNobody(t) {
		return
	}
	src, dst := dirs(t)
	modes := map[string]os.FileMode{"f": 0o444, "d": 0o555}
	for _, root := range []string{src, dst} {
		write(t, filepath.Join(root, "f"), "x")
		mkdir(t, root, "d")
		age(t, root)
	}
	for name, mode := range modes {
		setXattr(t, filepath.Join(src, name), "user.k", "v")
		must(t, os.Chmod(filepath.Join(src, name), mode))
		must(t, os.Chmod(filepath.Join(dst, name), mode))
	}
	o := archive
	o.Xattrs = true
	res, _ := full(t, src, dst, o)
	requireClean(t, res)
	for name, mode := range modes {
		path := filepath.Join(dst, name)
		if got := os.FileMode(lstat(t, path).Mode & 0o7777); got != mode || xattr(path, "user.k") != "v" {
			t.Errorf("%s: mode %o, want %o, attribute %q", name, got, mode, xattr(path, "user.k"))
		}
	}
}

// TestWithoutAttributes: what the target cannot keep beside a file keeps the file from nothing,
// as with rsync, and is told each time.
func TestWithoutAttributes(t *testing.T) {
	requireRoot(t)
	for name, set := range map[string]func(o *Options){
		"beside":   func(*Options) {},
		"in place": func(o *Options) { o.Inplace = true },
		"delayed":  func(o *Options) { o.DelayUpdates = true },
	} {
		t.Run(name, func(t *testing.T) {
			src, dst := dirs(t)
			mount(t, "none", dst, "ramfs", 0, "")
			write(t, filepath.Join(src, "f"), "x")
			setXattr(t, filepath.Join(src, "f"), "user.k", "v")
			must(t, os.Link(filepath.Join(src, "f"), filepath.Join(src, "g")))
			must(t, os.Symlink("f", filepath.Join(src, "l")))
			setXattr(t, filepath.Join(src, "l"), "trusted.k", "v")
			must(t, os.Chmod(filepath.Join(src, "f"), 0o640))
			age(t, src)
			o := archive
			o.Xattrs, o.HardLinks = true, true
			set(&o)
			for range 2 {
				res, _ := full(t, src, dst, o)
				if len(res.Problems) != 2 || res.Problems[0].Path+res.Problems[1].Path != "fl" {
					t.Errorf("problems %v, want those of f and l", res.Problems)
				}
				requireEqual(t, src, dst)
				f, g := lstat(t, filepath.Join(dst, "f")), lstat(t, filepath.Join(dst, "g"))
				if f.Ino != g.Ino {
					t.Error("f and g are two files")
				}
			}
		})
	}
}
