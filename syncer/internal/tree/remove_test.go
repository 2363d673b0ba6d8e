package tree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// recorder makes a Remover that writes down what it does.
func recorder(d *Dir) (*Remover, *[]string) {
	log := new([]string)
	return &Remover{
		Root: d,
		Left: -1,
		Removed: func(path string, mode uint32) {
			if mode&unix.S_IFMT == unix.S_IFDIR {
				path += "/"
			}
			*log = append(*log, path)
		},
		Kept:   func(path string) { *log = append(*log, "kept "+path) },
		Failed: func(path string, err error) { *log = append(*log, "failed "+path+": "+err.Error()) },
	}, log
}

func makeTree(t *testing.T, root string, files ...string) {
	t.Helper()
	for _, f := range files {
		if strings.HasSuffix(f, "/") {
			must(t, os.MkdirAll(filepath.Join(root, f), 0o755))
		} else {
			write(t, filepath.Join(root, f), "x")
		}
	}
}

func TestRemove(t *testing.T) {
	tree := []string{"d/b/2", "d/b/1", "d/a/", "d/z", "d/y"}
	keep := func(names ...string) func(string, bool) bool {
		return func(path string, _ bool) bool {
			for _, name := range names {
				if path == name {
					return true
				}
			}
			return false
		}
	}
	all := []string{"d/b/2", "d/b/1", "d/b/", "d/a/", "d/z", "d/y", "d/"}
	for _, test := range []struct {
		name string
		set  func(*Remover)
		want []string
		held int64
		left []string // of d
		gone bool
	}{
		{name: "all", want: all, gone: true},
		{name: "dry run", set: func(r *Remover) { r.DryRun = true }, want: all, gone: true, left: []string{"a", "b", "y", "z"}},
		{name: "enough", set: func(r *Remover) { r.Left = 7 }, want: all, gone: true},
		{name: "limit", set: func(r *Remover) { r.Left = 2 }, want: all[:2], held: 4, left: []string{"a", "b", "y", "z"}},
		{name: "one short", set: func(r *Remover) { r.Left = 6 }, want: all[:6], held: 1, left: []string{}},
		{name: "none", set: func(r *Remover) { r.Left = 0 }, held: 5, left: []string{"a", "b", "y", "z"}},
		{name: "dry run with limit", set: func(r *Remover) { r.DryRun, r.Left = true, 2 }, want: all[:2], held: 4, left: []string{"a", "b", "y", "z"}},
		{name: "itself protected", set: func(r *Remover) { r.Protected = keep("d") }, left: []string{"a", "b", "y", "z"}},
		{
			name: "pinned below", set: func(r *Remover) { r.Pinned = keep("d/b/1") },
			want: []string{"d/b/2", "kept d/b", "d/a/", "d/z", "d/y", "kept d"}, left: []string{"b"},
		},
		{
			name: "protected below does not count", set: func(r *Remover) { r.Protected = keep("d/b/1") }, want: all, gone: true,
		},
		{
			name: "pinned directory", set: func(r *Remover) { r.Pinned = keep("d/b") },
			want: []string{"d/a/", "d/z", "d/y", "kept d"}, left: []string{"b"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			path, d := openDir(t)
			makeTree(t, path, tree...)
			makeTree(t, path, "beside")
			r, log := recorder(d)
			if test.set != nil {
				test.set(r)
			}
			if gone := r.Remove(t.Context(), "d"); gone != test.gone {
				t.Errorf("gone: %v", gone)
			}
			if diff := cmp.Diff(test.want, *log); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
			if r.Held != test.held {
				t.Errorf("held %d, want %d", r.Held, test.held)
			}
			if test.left == nil {
				if diff := cmp.Diff([]string{"beside"}, names(t, path)); diff != "" {
					t.Errorf("left (-want +got):\n%s", diff)
				}
				return
			}
			if left := names(t, filepath.Join(path, "d")); !cmp.Equal(test.left, append([]string{}, left...)) {
				t.Errorf("left %q, want %q", left, test.left)
			}
		})
	}
}

// TestRemoveLinks: symlinks go, what they point to stays.
func TestRemoveLinks(t *testing.T) {
	path, d := openDir(t)
	outside := t.TempDir()
	write(t, filepath.Join(outside, "f"), "x")
	makeTree(t, path, "inside/f", "d/x")
	must(t, os.Symlink(outside, filepath.Join(path, "d", "out")))
	must(t, os.Symlink("../inside", filepath.Join(path, "d", "in")))
	must(t, os.Symlink(outside, filepath.Join(path, "top")))
	r, log := recorder(d)
	r.Remove(t.Context(), "d")
	r.Remove(t.Context(), "top")
	r.Remove(t.Context(), "none")
	if diff := cmp.Diff([]string{"d/x", "d/out", "d/in", "d/", "top"}, *log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	read(t, filepath.Join(outside, "f"))
	read(t, filepath.Join(path, "inside", "f"))

	must(t, os.Symlink(outside, filepath.Join(path, "way")))
	if r.Remove(t.Context(), "way/f") {
		t.Error("deleted through a symlink")
	}
	read(t, filepath.Join(outside, "f"))
}

// TestRemoveDeep removes what is deeper than one path can be.
func TestRemoveDeep(t *testing.T) {
	path, d := openDir(t)
	const depth = 1500 // 4,500 bytes of path
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	for range depth {
		must(t, unix.Mkdirat(fd, "dd", 0o755))
		next, err := unix.Openat(fd, "dd", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		must(t, err)
		unix.Close(fd)
		fd = next
	}
	unix.Close(fd)
	r, log := recorder(d)
	if !r.Remove(t.Context(), "dd") || len(*log) != depth {
		t.Errorf("%d removed, last %.100q", len(*log), (*log)[max(len(*log)-1, 0):])
	}
}

func TestMakeWay(t *testing.T) {
	path, d := openDir(t)
	makeTree(t, path, "empty/", "full/f", "pinned/f", "pinned/g", "limit/f", "limit/g")
	r, log := recorder(d)
	r.Pinned = func(path string, _ bool) bool { return path == "pinned/f" }
	must(t, r.MakeWay(t.Context(), "empty", false))
	if err := r.MakeWay(t.Context(), "full", false); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("a full directory without deleting: %v", err)
	}
	must(t, r.MakeWay(t.Context(), "full", true))
	if err := r.MakeWay(t.Context(), "pinned", true); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("what a rule keeps: %v", err)
	}
	r.Left = 1
	if err := r.MakeWay(t.Context(), "limit", true); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("more than the limit: %v", err)
	}
	if diff := cmp.Diff([]string{"full/f", "pinned/g", "limit/g"}, *log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"limit", "pinned"}, names(t, path)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestRemoveMounted(t *testing.T) {
	path, d := openDir(t)
	makeTree(t, path, "d/m/", "d/f")
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	where := filepath.Join(path, "d", "m")
	if err := unix.Mount("tmpfs", where, "tmpfs", 0, ""); err != nil {
		t.Skipf("mounting: %v", err)
	}
	defer unix.Unmount(where, unix.MNT_DETACH)
	write(t, filepath.Join(where, "precious"), "x")
	r, log := recorder(d)
	if r.Remove(t.Context(), "d") || r.MakeWay(t.Context(), "d/m", true) == nil {
		t.Error("a mount point was removed")
	}
	if diff := cmp.Diff([]string{"failed d/m: " + ErrMountPoint.Error(), "d/f"}, *log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	read(t, filepath.Join(where, "precious"))
}

func TestRemoveStops(t *testing.T) {
	path, d := openDir(t)
	makeTree(t, path, "d/1", "d/2", "d/3")
	r, _ := recorder(d)
	ctx, cancel := context.WithCancel(t.Context())
	removed := 0
	r.Removed = func(string, uint32) { removed++; cancel() }
	if r.Remove(ctx, "d") || removed != 1 {
		t.Errorf("removed %d after the end", removed)
	}
}
