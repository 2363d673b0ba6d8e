package sysctl

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// makeTree makes what its names say: "d/" a directory, "l>target" a symlink, else a file.
func makeTree(t testing.TB, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		var err error
		link, target, isLink := strings.Cut(name, ">")
		switch path := filepath.Join(root, link); {
		case isLink:
			err = os.Symlink(target, path)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		default:
			err = os.WriteFile(path, nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestCountDirectories(t *testing.T) {
	long := strings.Repeat("n", 255)
	tests := []struct {
		name     string
		tree     []string
		excluded []string
		want     int
	}{
		{name: "empty root", want: 1},
		{name: "files do not count", tree: []string{"f", "d/", "d/f"}, want: 2},
		{name: "nested", tree: []string{"a/b/c/", "a/d/", "e/"}, want: 6},
		{name: "symlinks are not followed", tree: []string{"a/b/", "l>a", "a/up>..", "gone>nowhere"}, want: 3},
		{name: "strange names", tree: []string{"new\nline/ /", "\xff\xfe/x/", "..a/...//", long + "/" + long + "/"}, want: 9},
		{
			name: "excluded with all below", tree: []string{"cache/x/y/", "a/cache/z/", "b/"},
			excluded: []string{"cache", "a/cache"}, want: 3,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := makeTree(t, tt.tree...)
			got, err := CountDirectories(t.Context(), root, func(path string, isDir bool) bool {
				if info, err := os.Lstat(filepath.Join(root, path)); err != nil || !info.IsDir() || !isDir {
					t.Errorf("asked for %q, %v, which is not a directory: %v", path, isDir, err)
				}
				return slices.Contains(tt.excluded, path)
			})
			if got != tt.want || err != nil {
				t.Errorf("CountDirectories = %d, %v, want %d", got, err, tt.want)
			}
		})
	}
}

func TestCountDirectoriesRoot(t *testing.T) {
	root := makeTree(t, "file", "dir/sub/", "link>dir", "broken>nowhere")
	tests := []struct {
		root string
		want int
	}{
		{"dir", 2}, {"dir/", 2}, {"link", 2}, {"link/", 2}, {"missing", 0}, {"missing/below", 0}, {"broken", 0}, {"file", 0}, {"file/below", 0},
	}
	for _, tt := range tests {
		if got, err := CountDirectories(t.Context(), root+"/"+tt.root, nil); got != tt.want || err != nil {
			t.Errorf("CountDirectories(%q) = %d, %v, want %d", tt.root, got, err, tt.want)
		}
	}
	loop := filepath.Join(root, "loop")
	if err := os.Symlink("loop", loop); err != nil {
		t.Fatal(err)
	}
	if got, err := CountDirectories(t.Context(), loop, nil); got != 0 || !errors.Is(err, syscall.ELOOP) {
		t.Errorf("CountDirectories of a loop = %d, %v", got, err)
	}
}

// A path longer than the kernel takes at once, below which more is: what cannot be opened counts once.
func TestCountDirectoriesTooDeep(t *testing.T) {
	root := t.TempDir()
	name := strings.Repeat("d", 255)
	dir, err := os.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // each through its parent, as the whole path is too long
		err := dir.Mkdir(name, 0o755)
		below, openErr := dir.OpenRoot(name)
		dir.Close()
		if err := errors.Join(err, openErr); err != nil {
			t.Fatal(err)
		}
		dir = below
	}
	dir.Close()
	opens := (4095 - len(root)) / 256 // directories below root with a path that can be opened
	if got, err := CountDirectories(t.Context(), root, nil); got != 1+opens+1 || err != nil {
		t.Errorf("CountDirectories = %d, %v, want %d", got, err, opens+2)
	}
}

func TestCountDirectoriesAgainstWalk(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var names []string
	for i := range 1200 { // more in the root than one getdents64 call returns
		dir := strings.Repeat("d/", rnd.IntN(1+rnd.IntN(8)))
		names = append(names, fmt.Sprintf("%s%0*d/", dir, 1+rnd.IntN(200), rnd.IntN(1500)), fmt.Sprintf("%sf%d", dir, i))
	}
	slices.Sort(names) // directories before what is in them
	root := makeTree(t, append([]string{strings.Repeat("d/", 8)}, names...)...)
	want := 0
	err := filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if d.IsDir() {
			want++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := CountDirectories(t.Context(), root, nil); got != want || err != nil {
		t.Errorf("CountDirectories = %d, %v, want %d", got, err, want)
	}
}

func TestCountDirectoriesObeysContext(t *testing.T) {
	root := makeTree(t, "a/b/c/d/")
	ctx, cancel := context.WithCancel(t.Context())
	got, err := CountDirectories(ctx, root, func(path string, _ bool) bool {
		if path == "a/b" {
			cancel()
		}
		return false
	})
	if got != 2 || !errors.Is(err, context.Canceled) {
		t.Errorf("CountDirectories = %d, %v, want 2 and the cancellation", got, err)
	}
}

// dirent spells an entry as getdents64(2) lays it out.
func dirent(name string, kind byte) []byte {
	size := (19 + len(name) + 1 + 7) &^ 7
	b := make([]byte, size)
	binary.NativeEndian.PutUint64(b, 4711)
	binary.NativeEndian.PutUint16(b[16:], uint16(size))
	b[18] = kind
	copy(b[19:], name)
	return b
}

func TestEachEntry(t *testing.T) {
	a, dots, long := dirent("a", syscall.DT_DIR), append(dirent(".", syscall.DT_DIR), dirent("..", syscall.DT_DIR)...),
		dirent(strings.Repeat("n", 255), syscall.DT_REG)
	broken := dirent("b", syscall.DT_DIR)
	binary.NativeEndian.PutUint16(broken[16:], 9)
	tests := []struct {
		name string
		in   []byte
		want string
	}{
		{"nothing", nil, ""},
		{"dots are left out", slices.Concat(dots, a), "a:4 "},
		{"types", slices.Concat(a, dirent("\xff\n", syscall.DT_UNKNOWN), long), "a:4 \xff\n:0 " + strings.Repeat("n", 255) + ":8 "},
		{"cut short", slices.Concat(a, long[:30]), "a:4 "},
		{"a length that leads nowhere", slices.Concat(a, broken, a), "a:4 "},
		{"no name", slices.Concat(dirent("", 4), a), "a:4 "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got strings.Builder
			eachEntry(tt.in, func(name []byte, kind byte) { fmt.Fprintf(&got, "%s:%d ", name, kind) })
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzEachEntry(f *testing.F) {
	f.Add(slices.Concat(dirent(".", 4), dirent("a\n", 4), dirent(strings.Repeat("n", 255), 8)))
	f.Add(dirent("cut", 4)[:20])
	f.Fuzz(func(t *testing.T, buf []byte) {
		total := 0
		eachEntry(buf, func(name []byte, _ byte) {
			if total += 19 + len(name); len(name) == 0 || bytes.IndexByte(name, 0) >= 0 || total > len(buf) {
				t.Errorf("name %q out of %d bytes", name, len(buf))
			}
		})
	})
}

// DT_UNKNOWN comes from few file systems only, so the answer to it is tested at its own door.
func TestVisitUnknownType(t *testing.T) {
	root := makeTree(t, "d/sub/", "f", "l>d")
	w := dirWalk{below: len(root) + 1}
	for _, name := range []string{"d", "f", "l", "gone"} {
		w.visit(root, []byte(name), syscall.DT_UNKNOWN)
	}
	w.visit(root+"/d", []byte("sub"), syscall.DT_UNKNOWN)
	if diff := cmp.Diff([]string{root + "/d", root + "/d/sub"}, w.todo); diff != "" {
		t.Errorf("to visit (-want +got):\n%s", diff)
	}
}

// Beside filepath.WalkDir, for scale.
func BenchmarkCountDirectories(b *testing.B) {
	const dirs = 200_000
	root := b.TempDir()
	for i := range dirs / 100 {
		for j := range 99 {
			if err := os.MkdirAll(fmt.Sprintf("%s/d%d/d%d", root, i, j), 0o755); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("200000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if got, err := CountDirectories(b.Context(), root, nil); got != dirs+1 || err != nil {
				b.Fatalf("CountDirectories = %d, %v", got, err)
			}
		}
	})
	b.Run("200000/WalkDir", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := filepath.WalkDir(root, func(string, fs.DirEntry, error) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}
