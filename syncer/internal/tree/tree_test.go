package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openDir makes a directory and opens it.
func openDir(t testing.TB) (string, *Dir) {
	t.Helper()
	path := t.TempDir()
	d, err := OpenRoot(path)
	must(t, err)
	t.Cleanup(func() { d.Close() })
	return path, d
}

func write(t testing.TB, path, data string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(data), 0o644))
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// keepOwner leaves owners alone.
func keepOwner(mode uint32) Attrs { return Attrs{UID: -1, GID: -1, Mode: mode} }

func TestWriteFile(t *testing.T) {
	for _, name := range []string{"f", ".f", "a\nb", "\xff", strings.Repeat("n", 255), strings.Repeat("é", 127), "." + strings.Repeat("x", 254)} {
		path, d := openDir(t)
		want := keepOwner(0o4751)
		want.Times, want.Sec, want.Nsec = true, 1_600_000_000, 987_654_321
		must(t, d.WriteFile(name, &want, false, func(fd int) error {
			var st unix.Stat_t
			must(t, unix.Fstat(fd, &st))
			if st.Mode&PermBits != tempMode {
				t.Errorf("while it is written: mode %o", st.Mode)
			}
			if _, err := os.Lstat(filepath.Join(path, name)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("visible before it is whole: %v", err)
			}
			return writeAll(fd, []byte("data"))
		}))
		if diff := cmp.Diff([]string{name}, names(t, path)); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
		var st unix.Stat_t
		must(t, unix.Stat(filepath.Join(path, name), &st))
		if st.Mode&PermBits != 0o4751 || st.Mtim.Sec != want.Sec || st.Mtim.Nsec != 987_654_321 || st.Size != 4 {
			t.Errorf("%q: %+v", name, st)
		}
	}
}

// TestWriteFileFails: at every step that can fail the old file stays and nothing else does.
func TestWriteFileFails(t *testing.T) {
	boom := errors.New("boom")
	for name, test := range map[string]struct {
		prepare func(path string)
		fill    func(fd int) error
		want    error
	}{
		"fill": {fill: func(fd int) error { return errors.Join(writeAll(fd, []byte("half")), boom) }, want: boom},
		"rename over a directory": {
			prepare: func(p string) { must(t, os.Remove(p)); must(t, os.Mkdir(p, 0o755)) },
			fill:    func(int) error { return nil },
			want:    unix.EISDIR,
		},
		"the descriptor went": {fill: func(fd int) error { return unix.Close(fd) }, want: unix.EBADF},
	} {
		t.Run(name, func(t *testing.T) {
			path, d := openDir(t)
			write(t, filepath.Join(path, "f"), "old")
			if test.prepare != nil {
				test.prepare(filepath.Join(path, "f"))
			}
			want := keepOwner(0o600)
			if err := d.WriteFile("f", &want, false, test.fill); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if diff := cmp.Diff([]string{"f"}, names(t, path)); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			if test.prepare == nil && read(t, filepath.Join(path, "f")) != "old" {
				t.Error("the old file changed")
			}
		})
	}
	_, d := openDir(t)
	want := keepOwner(0o600)
	if err := d.WriteFile("no/dir", &want, false, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path instead of a name: %v", err)
	}
}

func TestTempName(t *testing.T) {
	for in, want := range map[string]string{
		"f":                             ".f",
		"":                              "",
		".hidden":                       ".hidden",
		"..a":                           "..a",
		strings.Repeat("n", 238):        "." + strings.Repeat("n", 238),
		strings.Repeat("n", 255):        "." + strings.Repeat("n", 238),
		"n" + strings.Repeat("é", 127):  ".n" + strings.Repeat("é", 118), // not in the middle of é
		strings.Repeat("\x80", 255):     "." + strings.Repeat("\x80", 234),
		"." + strings.Repeat("\xff", 1): ".\xff",
	} {
		got := tempName(in)
		if stem := got[:len(got)-6]; stem != want+".lockstep-" || len(got) > nameMax || !isTemp(got) {
			t.Errorf("%q: %q (%d bytes), want %q and six letters", in, got, len(got), want)
		}
		if utf8.ValidString(in) != utf8.ValidString(got) {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestIsTemp(t *testing.T) {
	for name, want := range map[string]bool{
		".f.lockstep-Ab3dEf": true, ".lockstep-abcdef": true, "..x.lockstep-012345": true,
		"f.lockstep-Ab3dEf": false, ".f.lockstep-Ab3dE": false, ".f.lockstep-Ab3dEfg": false, ".f.lockstep-Ab-dEf": false,
		".f.Ab3dEf": false, ".lockstep-": false, "": false, ".": false, "..": false, "abcdef": false, ".f.lockstep-Ab3dé": false,
	} {
		if got := isTemp(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// What somebody is at work on is no leftover, from its creation until it has its name; what nobody holds
// is one at once, and what has no lock when it is old.
func TestLeftovers(t *testing.T) {
	path, d := openDir(t)
	left := func() []string {
		t.Helper()
		again, err := OpenRoot(path)
		must(t, err)
		defer again.Close()
		names, err := again.Leftovers()
		must(t, err)
		return names
	}
	f, err := d.CreateTemp("held")
	must(t, err)
	g, err := d.CreateTemp("finished")
	must(t, err)
	must(t, g.Finish(keepOwner(0o600), false))
	for _, name := range []string{".dead.lockstep-abcdef", ".user.abcdef", "user.lockstep-abcdef"} {
		must(t, os.WriteFile(filepath.Join(path, name), []byte("x"), 0o600))
	}
	must(t, os.Mkdir(filepath.Join(path, ".dir.lockstep-abcdef"), 0o700))
	must(t, os.Symlink("x", filepath.Join(path, ".young.lockstep-abcdef")))
	if got := left(); !slices.Equal(got, []string{".dead.lockstep-abcdef"}) {
		t.Errorf("leftovers %q", got)
	}
	must(t, g.Rename(d, "finished"))
	must(t, f.Finish(keepOwner(0o600), false))
	must(t, f.Rename(d, "held"))
	if f.held >= 0 || g.held >= 0 {
		t.Error("a lock is still held")
	}
	h, err := d.CreateTemp("dropped")
	must(t, err)
	must(t, h.Finish(keepOwner(0o600), false))
	h.Discard()
	if h.held >= 0 {
		t.Error("a lock is still held after Discard")
	}
}

func TestNodes(t *testing.T) {
	path, d := openDir(t)
	want := keepOwner(0o617)
	want.Times, want.Sec, want.Nsec = true, 1_600_000_000, 5
	for i := range 2 { // new, then over what is there
		for name, mode := range map[string]uint32{"fifo": unix.S_IFIFO, "socket": unix.S_IFSOCK} {
			must(t, d.Mknod(name, mode, 0, want))
			var st unix.Stat_t
			must(t, unix.Lstat(filepath.Join(path, name), &st))
			if st.Mode != mode|0o617 || st.Mtim.Sec != want.Sec || st.Mtim.Nsec != 5 {
				t.Errorf("%s: %+v", name, st)
			}
		}
		must(t, d.Symlink(fmt.Sprint("to", i), "link", want))
		if to, err := d.Readlink("link"); err != nil || to != fmt.Sprint("to", i) {
			t.Errorf("link: %q, %v", to, err)
		}
	}
	if diff := cmp.Diff([]string{"fifo", "link", "socket"}, names(t, path)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	must(t, os.Mkdir(filepath.Join(path, "d"), 0o755))
	if err := d.Symlink("x", "d", want); !errors.Is(err, unix.EISDIR) {
		t.Errorf("over a directory: %v", err)
	}
	if err := d.Mknod("long", unix.S_IFIFO|1, 0, want); err != nil {
		t.Errorf("stray permission bits: %v", err)
	}
	long := strings.Repeat("t", 4000)
	must(t, d.Symlink(long, "long", want))
	if to, err := d.Readlink("long"); err != nil || to != long {
		t.Errorf("long link: %d bytes, %v", len(to), err)
	}
	if n := len(names(t, path)); n != 5 {
		t.Errorf("%d names: temporary ones are left", n)
	}
}

// TestOpenFile never waits for the other end of a FIFO, and reads regular files alone.
func TestOpenFile(t *testing.T) {
	path, d := openDir(t)
	write(t, filepath.Join(path, "f"), "x")
	must(t, unix.Mkfifo(filepath.Join(path, "fifo"), 0o600))
	must(t, os.Symlink("f", filepath.Join(path, "link")))
	must(t, os.Mkdir(filepath.Join(path, "d"), 0o755))
	for name, ok := range map[string]bool{"f": true, "fifo": false, "link": false, "d": false, "none": false} {
		fd, err := d.OpenFile(name)
		if (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			unix.Close(fd)
		}
	}
}

// TestSetAttrs sets mode and time of each type without following or opening it.
func TestSetAttrs(t *testing.T) {
	path, d := openDir(t)
	victim := filepath.Join(t.TempDir(), "victim")
	write(t, victim, "x")
	must(t, os.Chmod(victim, 0o640))
	var before, after unix.Stat_t
	must(t, unix.Stat(victim, &before))
	write(t, filepath.Join(path, "f"), "x")
	must(t, unix.Mkfifo(filepath.Join(path, "fifo"), 0))
	must(t, unix.Mknod(filepath.Join(path, "socket"), unix.S_IFSOCK, 0))
	must(t, os.Mkdir(filepath.Join(path, "d"), 0))
	must(t, os.Symlink(victim, filepath.Join(path, "link")))
	for _, name := range []string{"f", "fifo", "socket", "d", "link", "."} {
		have, err := d.Lstat(name)
		must(t, err)
		want := keepOwner(0o3751)
		want.Times, want.Sec, want.Nsec = true, -5, 1
		must(t, d.SetAttrs(name, &have, want))
		got, err := d.Lstat(name)
		must(t, err)
		if name != "link" && got.Mode&PermBits != 0o3751 || got.Mtim.Sec != -5 || got.Mtim.Nsec != 1 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if err := d.Chmod("link", 0o777); err == nil {
		t.Error("chmod of a symlink did something")
	}
	must(t, unix.Stat(victim, &after))
	if before.Mode != after.Mode || before.Mtim != after.Mtim || before.Ctim != after.Ctim {
		t.Error("the target of the symlink changed")
	}
}

// TestChmodProc is the way of kernels without fchmodat2(2).
func TestChmodProc(t *testing.T) {
	path, d := openDir(t)
	must(t, unix.Mkfifo(filepath.Join(path, "fifo"), 0))
	victim := filepath.Join(t.TempDir(), "victim")
	write(t, victim, "x")
	must(t, os.Symlink(victim, filepath.Join(path, "link")))
	must(t, d.chmodProc("fifo", 0o642, unix.EOPNOTSUPP))
	must(t, d.chmodProc(".", 0o755, unix.EOPNOTSUPP))
	if st, err := d.Lstat("fifo"); err != nil || st.Mode&PermBits != 0o642 {
		t.Errorf("mode %o, %v", st.Mode, err)
	}
	if err := d.chmodProc("link", 0o600, unix.EOPNOTSUPP); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("symlink: %v", err)
	}
	if info, err := os.Stat(victim); err != nil || info.Mode() != 0o644 {
		t.Errorf("the target of the symlink changed: %v, %v", info.Mode(), err)
	}
}

// TestOpenNoSymlinks: links that stay inside are not followed either.
func TestOpenNoSymlinks(t *testing.T) {
	path, d := openDir(t)
	must(t, os.MkdirAll(filepath.Join(path, "real", "sub"), 0o755))
	must(t, os.Symlink("real", filepath.Join(path, "link")))
	for rel, ok := range map[string]bool{"real": true, "real/sub": true, ".": true, "link": false, "link/sub": false, "..": false, "real/..": false} {
		got, err := d.Open(rel)
		if (err == nil) != ok {
			t.Errorf("%s: %v", rel, err)
		}
		if err == nil {
			got.Close()
		}
	}
	parent, err := d.OpenParent("real/sub")
	must(t, err)
	defer parent.Close()
	if _, err := parent.Lstat("sub"); err != nil {
		t.Error(err)
	}
	if _, err := d.OpenParent("link/sub"); err == nil {
		t.Error("the parent was found through a symlink")
	}
}

func TestNames(t *testing.T) {
	path, d := openDir(t)
	want := map[string]bool{}
	for i := range 3000 { // more than one buffer
		name := fmt.Sprintf("%d\n\xff%s", i, strings.Repeat("x", i%200))
		want[name] = true
		must(t, os.WriteFile(filepath.Join(path, name), nil, 0o600))
	}
	got := map[string]bool{}
	again, err := d.Open(".")
	must(t, err)
	defer again.Close()
	list, err := again.Names()
	must(t, err)
	for _, name := range list {
		got[name] = true
	}
	if diff := cmp.Diff(want, got); diff != "" || len(list) != len(want) {
		t.Errorf("%d names (-want +got):\n%s", len(list), diff)
	}
}

func TestCopy(t *testing.T) {
	for _, dir := range []string{"", "/dev/shm"} {
		for _, size := range []int64{0, 1, 4095, bufferSize - 1, bufferSize, kernelCopyFrom, kernelCopyFrom + 1, kernelChunk, kernelChunk + 12345} {
			for name, want := range map[string]int64{"whole": size, "grown": size / 2, "shrunk": size + 1000} {
				t.Run(fmt.Sprintf("%s/%s/%d", dir, name, size), func(t *testing.T) {
					src, dst := files(t, dir, size)
					var c Copier
					var told int64
					n, err := c.Copy(t.Context(), Job{Dst: int(dst.Fd()), Src: int(src.Fd()), SrcDev: 1, DstDev: 2, Size: want,
						Sparse: len(name) == 5, Tell: func(done int64) { told = done }})
					must(t, err)
					if n != min(size, want) || told > n {
						t.Errorf("copied %d, told %d", n, told)
					}
					if got, want := read(t, dst.Name()), read(t, src.Name())[:min(size, want)]; got != want {
						t.Errorf("%d bytes differ from %d", len(got), len(want))
					}
				})
			}
		}
	}
}

// files makes a source of size patterned bytes, in the temporary directory, and an empty
// target in dir, which may be another file system.
func files(t *testing.T, dir string, size int64) (src, dst *os.File) {
	t.Helper()
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 7 / 3)
	}
	path := filepath.Join(t.TempDir(), "src")
	write(t, path, string(data))
	src, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { src.Close() })
	if dir == "" {
		dir = t.TempDir()
	}
	dst, err = os.CreateTemp(dir, "dst")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { dst.Close(); os.Remove(dst.Name()) })
	return src, dst
}

func TestCopyStops(t *testing.T) {
	for _, size := range []int64{1000, bufferSize * 3, kernelChunk * 2} {
		src, dst := files(t, "", size)
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("stop")
		cancel(stop)
		var c Copier
		c.noClone.Store([2]uint64{0, 0}, true)
		if n, err := c.Copy(ctx, Job{Dst: int(dst.Fd()), Src: int(src.Fd()), Size: size}); n != 0 || !errors.Is(err, stop) {
			t.Errorf("copied %d, %v", n, err)
		}
	}
}

// TestCopySides: an error says whose it is.
func TestCopySides(t *testing.T) {
	src, dst := files(t, "", 1000)
	var c Copier
	if _, err := c.Copy(t.Context(), Job{Dst: int(src.Fd()), Src: int(src.Fd()), Size: 10}); err == nil || errors.Is(err, ErrSource) {
		t.Errorf("a target that cannot be written: %v", err)
	}
	if _, err := c.Copy(t.Context(), Job{Dst: int(dst.Fd()), Src: -1, Size: 10}); !errors.Is(err, ErrSource) {
		t.Errorf("a source that cannot be read: %v", err)
	}
}

func TestSame(t *testing.T) {
	for _, size := range []int64{0, 1, bufferSize, bufferSize + 1, 3*bufferSize + 5} {
		for _, at := range []int64{-1, 0, size / 2, size - 1} {
			src, dst := files(t, "", size)
			data := []byte(read(t, src.Name()))
			same := at < 0 || at >= size
			if !same {
				data[at]++
			}
			must(t, os.WriteFile(dst.Name(), data, 0o600))
			var c Copier
			got, err := c.Same(t.Context(), int(src.Fd()), int(dst.Fd()), size)
			if err != nil || got != same {
				t.Errorf("size %d, byte %d differs: %v, %v", size, at, got, err)
			}
		}
	}
	src, dst := files(t, "", 10)
	var c Copier
	if got, err := c.Same(t.Context(), int(src.Fd()), int(dst.Fd()), 10); got || err != nil {
		t.Errorf("a shorter target: %v, %v", got, err)
	}
}
