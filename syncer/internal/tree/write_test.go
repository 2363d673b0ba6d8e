package tree

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCopySparse: what comes out is what went in, blocks of zeros are holes, and From leaves
// what is before it alone.
func TestCopySparse(t *testing.T) {
	const block = 4096
	piece := func(n int, c byte) []byte { return bytes.Repeat([]byte{c}, n) }
	for name, test := range map[string]struct {
		data   []byte
		blocks int64 // of 4096 bytes that are to be there
	}{
		"empty":            {nil, 0},
		"zeros":            {piece(10*block, 0), 0},
		"a byte of zero":   {piece(1, 0), 0},
		"a byte":           {piece(1, 1), 1},
		"middle":           {bytes.Join([][]byte{piece(5*block, 0), piece(block, 1), piece(5*block+7, 0)}, nil), 1},
		"across a block":   {bytes.Join([][]byte{piece(5*block-1, 0), piece(2, 1), piece(5*block, 0)}, nil), 2},
		"dense":            {piece(50*block+1, 1), 51},
		"larger than read": {bytes.Join([][]byte{piece(bufferSize-1, 0), piece(2, 1), piece(2*bufferSize, 0), piece(1, 2)}, nil), 3},
	} {
		for _, from := range []int{0, 1, block + 1} {
			t.Run(fmt.Sprint(name, " from ", from), func(t *testing.T) {
				if from > len(test.data) {
					t.Skip("nothing to append")
				}
				dir := t.TempDir()
				path := filepath.Join(dir, "src")
				must(t, os.WriteFile(path, test.data, 0o600))
				src, err := os.Open(path)
				must(t, err)
				defer src.Close()
				dst, err := os.Create(filepath.Join(dir, "dst"))
				must(t, err)
				defer dst.Close()
				_, err = dst.Write(test.data[:from])
				must(t, err)
				var c Copier
				c.noClone.Store([2]uint64{0, 0}, true)
				n, err := c.Copy(t.Context(), Job{Dst: int(dst.Fd()), Src: int(src.Fd()), Size: int64(len(test.data)), From: int64(from), Sparse: true})
				if err != nil || n != int64(len(test.data)) {
					t.Errorf("copied up to %d, %v", n, err)
				}
				if got := read(t, dst.Name()); got != string(test.data) {
					t.Errorf("%d bytes differ from %d", len(got), len(test.data))
				}
				var st unix.Stat_t
				must(t, unix.Fstat(int(dst.Fd()), &st))
				if got := st.Blocks * 512 / block; from == 0 && got != test.blocks {
					t.Errorf("%d blocks, want %d", got, test.blocks)
				}
			})
		}
	}
}

// TestOpenInPlace keeps the inode, never follows a symlink, and opens no FIFO.
func TestOpenInPlace(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "f"), []byte("old and long"), 0o400))
	must(t, os.Link(filepath.Join(dir, "f"), filepath.Join(dir, "other")))
	must(t, os.Symlink("f", filepath.Join(dir, "l")))
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	d, err := OpenRoot(dir)
	must(t, err)
	defer d.Close()
	for _, name := range []string{"l", "fifo", "."} {
		if f, err := d.OpenInPlace(name); err == nil {
			f.Discard()
			t.Errorf("%s was opened", name)
		}
	}
	f, err := d.OpenInPlace("f")
	must(t, err)
	must(t, unix.Ftruncate(f.Fd(), 3))
	must(t, f.Finish(Attrs{UID: -1, GID: -1, Mode: 0o440, Times: true, Sec: 5}, true))
	f.Discard()
	if got := read(t, filepath.Join(dir, "other")); got != "old" {
		t.Errorf("the other name has %q", got)
	}
	st, err := d.Lstat("f")
	must(t, err)
	if st.Mode&PermBits != 0o440 || st.Mtim.Sec != 5 {
		t.Errorf("%+v", st)
	}
}

// TestFollowLinks: only what stays below the root, and only where the root says so.
func TestFollowLinks(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "root")
	must(t, os.MkdirAll(filepath.Join(root, "real", "sub"), 0o755))
	must(t, os.Mkdir(filepath.Join(base, "outside"), 0o755))
	must(t, os.Symlink("real", filepath.Join(root, "in")))
	must(t, os.Symlink("../outside", filepath.Join(root, "out")))
	must(t, os.Symlink(filepath.Join(root, "real"), filepath.Join(root, "absolute")))
	d, err := OpenRoot(root)
	must(t, err)
	defer d.Close()
	if sub, err := d.Open("in/sub"); err == nil {
		sub.Close()
		t.Error("a symlink was followed without FollowLinks")
	}
	d.FollowLinks()
	for name, want := range map[string]error{"in": nil, "in/sub": nil, "out": unix.EXDEV, "absolute": unix.EXDEV, "out/..": unix.EINVAL} {
		sub, err := d.Open(name)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if err == nil {
			sub.Close()
		}
	}
	sub, err := d.Open(".")
	must(t, err)
	defer sub.Close()
	if inner, err := sub.Open("in"); err == nil {
		inner.Close()
		t.Error("a directory below follows symlinks")
	}
}
