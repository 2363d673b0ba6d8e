package tree

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A text that says nothing sensible is an error, and no name is taken for what it is not.
func TestFakeStatRefuses(t *testing.T) {
	root := t.TempDir()
	d, err := OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.FakeSuper()
	for _, text := range []string{"", "x", "100644", "100644 0,0", "100644 0,0 -1:0", "999 0,0 0:0", "40755 0,0 0:0", "100644 0,0 4294967296:0"} {
		path := filepath.Join(root, "f")
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := unix.Lsetxattr(path, fakeStat, []byte(text), 0); err != nil {
			t.Skip("no extended attributes here:", err)
		}
		if st, err := d.Lstat("f"); err == nil {
			t.Errorf("%q: mode %o, owner %d:%d", text, st.Mode, st.Uid, st.Gid)
		}
	}
}

// Directories opened below are of the same mind, and a symlink of another time has no target.
func TestFakeSuperBelow(t *testing.T) {
	root := t.TempDir()
	d, err := OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.FakeSuper()
	if err := d.Mkdir("sub", 0o700); err != nil {
		t.Fatal(err)
	}
	sub, err := d.Open("sub")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	want := Attrs{UID: 3, GID: 4, Mode: 0o4640, Type: unix.S_IFBLK, Rdev: unix.Mkdev(8, 300)}
	if err := sub.Mknod("dev", unix.S_IFBLK, want.Rdev, want); err != nil {
		t.Fatal(err)
	}
	st, err := sub.Lstat("dev")
	if err != nil || st.Mode != unix.S_IFBLK|0o4640 || st.Rdev != want.Rdev || st.Uid != 3 || st.Gid != 4 {
		t.Errorf("mode %o, device %x, owner %d:%d, %v", st.Mode, st.Rdev, st.Uid, st.Gid, err)
	}
	var raw unix.Stat_t
	if err := unix.Lstat(filepath.Join(root, "sub", "dev"), &raw); err != nil || raw.Mode != unix.S_IFREG|0o640 {
		t.Errorf("in truth mode %o, %v", raw.Mode, err)
	}
	if err := os.Symlink("to", filepath.Join(root, "old")); err != nil {
		t.Fatal(err)
	}
	if link, err := d.Readlink("old"); link != "" || err != nil {
		t.Errorf("%q, %v", link, err)
	}
	if err := d.Symlink("there", "new", Attrs{UID: -1, GID: -1, Mode: 0o777, Type: unix.S_IFLNK}); err != nil {
		t.Fatal(err)
	}
	if link, err := d.Readlink("new"); link != "there" || err != nil {
		t.Errorf("%q, %v", link, err)
	}
}

// LinkOver replaces what stands there, and leaves nothing behind.
func TestLinkOver(t *testing.T) {
	root := t.TempDir()
	d, err := OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for name, data := range map[string]string{"a": "1", "b": "2"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"b", "b", "new"} { // the second time it is a link already
		if err := d.LinkOver("a", d, name); err != nil {
			t.Fatal(err)
		}
		a, errA := d.Lstat("a")
		b, errB := d.Lstat(name)
		if errA != nil || errB != nil || a.Ino != b.Ino {
			t.Errorf("%s: %v, %v, inodes %d and %d", name, errA, errB, a.Ino, b.Ino)
		}
	}
	if names, err := os.ReadDir(root); err != nil || len(names) != 3 {
		t.Errorf("%d names, %v", len(names), err)
	}
}
