package syncertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// sampleTree makes a tree with an entry of each type that needs no privilege, all times set.
func sampleTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "sub", "file"), []byte("content"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "other"), []byte("other"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "empty"), nil, 0o644))
	must(t, os.Symlink("sub/file", filepath.Join(dir, "link")))
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	must(t, unix.Mknod(filepath.Join(dir, "socket"), unix.S_IFSOCK|0o644, 0))
	settle(t, dir)
	return dir
}

// settle gives all entries one mtime, symlinks too.
func settle(t *testing.T, dir string) {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		all = append(all, p)
		return err
	}))
	for _, p := range slices.Backward(all) {
		setTime(t, p, 1_700_000_000, 123456789)
	}
}

func setTime(t *testing.T, path string, sec, nsec int64) {
	t.Helper()
	ts := unix.Timespec{Sec: sec, Nsec: nsec}
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func replaceWith(make func(string) error) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		must(t, os.RemoveAll(path))
		must(t, make(path))
	}
}

func write(content string) func(string) error {
	return func(p string) error { return os.WriteFile(p, []byte(content), 0o644) }
}

func device10(minor uint32) func(string) error {
	return func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o644, int(unix.Mkdev(10, minor))) }
}

func TestCompareFinds(t *testing.T) {
	const stamp = "2023-11-14T22:13:20.123456789Z"
	strange := "new\nline\xff"
	tests := []struct {
		name   string
		root   bool // needs root
		opts   CompareOptions
		path   string                   // what is changed in b
		both   func(string) error       // makes path in both trees first
		change func(*testing.T, string) // what is done to it in b
		keep   bool                     // the change is to the mtime: do not set it again
		want   []Difference
	}{
		{name: "equal", path: "sub/file", change: func(*testing.T, string) {}},
		{name: "missing", path: "sub/file", change: func(t *testing.T, p string) { must(t, os.Remove(p)) },
			want: []Difference{{"sub/file", Missing, "file", "absent"}}},
		{name: "missing directory is one difference", path: "sub", change: func(t *testing.T, p string) { must(t, os.RemoveAll(p)) },
			want: []Difference{{"sub", Missing, "directory", "absent"}}},
		{name: "one more", path: strange, change: replaceWith(write("")),
			want: []Difference{{strange, Missing, "absent", "file"}}},
		{name: "name in other bytes", path: "sub/caf\xe9", both: write(""),
			change: func(t *testing.T, p string) { must(t, os.Rename(p, strings.TrimSuffix(p, "\xe9")+"é")) },
			want:   []Difference{{"sub/café", Missing, "absent", "file"}, {"sub/caf\xe9", Missing, "file", "absent"}}},
		{name: "size", path: "sub/file", change: replaceWith(write("content+")),
			want: []Difference{{"sub/file", Size, "7", "8"}}},
		{name: "content", path: "sub/file", change: replaceWith(write("conTent")),
			want: []Difference{{"sub/file", Content, "0x74 at 3", "0x54 at 3"}}},
		{name: "content behind the first buffer", path: "sub/big", both: write(strings.Repeat("x", contentBuffer+9)),
			change: replaceWith(write(strings.Repeat("x", contentBuffer+8) + "y")),
			want:   []Difference{{"sub/big", Content, "0x78 at 262152", "0x79 at 262152"}}},
		{name: "mode", path: "sub/file", change: func(t *testing.T, p string) { must(t, unix.Chmod(p, 0o600)) },
			want: []Difference{{"sub/file", Mode, "0644", "0600"}}},
		{name: "setuid", path: "sub/file", change: func(t *testing.T, p string) { must(t, unix.Chmod(p, 0o4644)) },
			want: []Difference{{"sub/file", Mode, "0644", "4644"}}},
		{name: "sticky directory", path: "sub", change: func(t *testing.T, p string) { must(t, unix.Chmod(p, 0o1755)) },
			want: []Difference{{"sub", Mode, "0755", "1755"}}},
		{name: "mode of the root", path: ".", change: func(t *testing.T, p string) { must(t, unix.Chmod(p, 0o2700)) },
			want: []Difference{{".", Mode, "0755", "2700"}}},
		{name: "uid", root: true, path: "sub/file", change: func(t *testing.T, p string) { must(t, os.Lchown(p, 1234, -1)) },
			want: []Difference{{"sub/file", UID, "0", "1234"}}},
		{name: "gid", root: true, path: "sub", change: func(t *testing.T, p string) { must(t, os.Lchown(p, -1, 1234)) },
			want: []Difference{{"sub", GID, "0", "1234"}}},
		{name: "owner of a symlink", root: true, path: "link", change: func(t *testing.T, p string) { must(t, os.Lchown(p, 1234, 4321)) },
			want: []Difference{{"link", UID, "0", "1234"}, {"link", GID, "0", "4321"}}},
		{name: "owners ignored", root: true, opts: CompareOptions{IgnoreOwners: true}, path: "link",
			change: func(t *testing.T, p string) { must(t, os.Lchown(p, 1234, 4321)) }},
		{name: "mtime of a file by a nanosecond", path: "sub/file", keep: true,
			change: func(t *testing.T, p string) { setTime(t, p, 1_700_000_000, 123456790) },
			want:   []Difference{{"sub/file", Mtime, stamp, "2023-11-14T22:13:20.123456790Z"}}},
		{name: "mtime of a directory", path: "sub", keep: true,
			change: func(t *testing.T, p string) { setTime(t, p, 1_700_000_001, 123456789) },
			want:   []Difference{{"sub", Mtime, stamp, "2023-11-14T22:13:21.123456789Z"}}},
		{name: "mtime of a symlink", path: "link", keep: true,
			change: func(t *testing.T, p string) { setTime(t, p, -1, 5) },
			want:   []Difference{{"link", Mtime, stamp, "1969-12-31T23:59:59.000000005Z"}}},
		{name: "mtime of a fifo", path: "fifo", keep: true,
			change: func(t *testing.T, p string) { setTime(t, p, 0, 0) },
			want:   []Difference{{"fifo", Mtime, stamp, "1970-01-01T00:00:00.000000000Z"}}},
		{name: "mtime of the root", path: ".", keep: true,
			change: func(t *testing.T, p string) { setTime(t, p, 1_700_000_000, 0) },
			want:   []Difference{{".", Mtime, stamp, "2023-11-14T22:13:20.000000000Z"}}},
		{name: "mtime of the root ignored", opts: CompareOptions{IgnoreTopTimes: true}, path: ".", keep: true,
			change: func(t *testing.T, p string) { setTime(t, p, 1_700_000_000, 0) }},
		{name: "target", path: "link", change: replaceWith(func(p string) error { return os.Symlink("sub/fil\xe9", p) }),
			want: []Difference{{"link", Target, `"sub/file"`, `"sub/fil\xe9"`}}},
		{name: "file became directory", path: "other", change: replaceWith(func(p string) error { return os.Mkdir(p, 0o755) }),
			want: []Difference{{"other", Type, "file", "directory"}}},
		{name: "directory became symlink", path: "sub", change: replaceWith(func(p string) error { return os.Symlink("sub/file", p) }),
			want: []Difference{{"sub", Type, "directory", "symlink"}}},
		{name: "symlink became what it pointed to", path: "link", change: replaceWith(write("content")),
			want: []Difference{{"link", Type, "symlink", "file"}}},
		{name: "fifo became socket", path: "fifo", change: replaceWith(func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o644, 0) }),
			want: []Difference{{"fifo", Type, "fifo", "socket"}}},
		{name: "socket became file", path: "socket", change: replaceWith(write("")),
			want: []Difference{{"socket", Type, "socket", "file"}}},
		{name: "same device", root: true, path: "sub/dev", both: device10(200), change: func(*testing.T, string) {}},
		{name: "device", root: true, path: "sub/dev", both: device10(200), change: replaceWith(device10(201)),
			want: []Difference{{"sub/dev", Rdev, "10:200", "10:201"}}},
		{name: "character and block device", root: true, path: "sub/dev", both: device10(200),
			change: replaceWith(func(p string) error { return unix.Mknod(p, unix.S_IFBLK|0o644, int(unix.Mkdev(10, 200))) }),
			want:   []Difference{{"sub/dev", Type, "character device", "block device"}}},
		{name: "hard link is not looked for", path: "sub/file2", both: write("content"), change: linkToFile},
		{name: "hard link", opts: CompareOptions{HardLinks: true}, path: "sub/file2", both: write("content"), change: linkToFile,
			want: []Difference{{"sub/file2", HardLink, "first of its name", `link to "sub/file"`}}},
		{name: "xattr is not looked for", path: "sub/file", change: xattr("user.test", "v")},
		{name: "xattr", opts: CompareOptions{Xattrs: true}, path: "sub/file", change: xattr("user.test", "v\x00"),
			want: []Difference{{"sub/file", Xattr, "{}", `{user.test="v\x00"}`}}},
		{name: "xattr of a directory", opts: CompareOptions{Xattrs: true}, path: "sub", change: xattr("user.big", strings.Repeat("v", 2000)),
			want: []Difference{{"sub", Xattr, "{}", `{user.big="` + strings.Repeat("v", 2000) + `"}`}}},
		{name: "xattr of the root", opts: CompareOptions{Xattrs: true}, path: ".", change: xattr("user.test", ""),
			want: []Difference{{".", Xattr, "{}", `{user.test=""}`}}},
		{name: "ignored", opts: CompareOptions{Ignore: func(p string) bool { return p == "sub" }}, path: "sub/file",
			change: func(t *testing.T, p string) { must(t, os.Remove(p)) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root && os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			a, b := sampleTree(t), sampleTree(t)
			if tt.both != nil {
				must(t, tt.both(filepath.Join(a, tt.path)))
				must(t, tt.both(filepath.Join(b, tt.path)))
			}
			settle(t, a)
			if tt.keep {
				settle(t, b)
			}
			tt.change(t, filepath.Join(b, tt.path))
			if !tt.keep {
				settle(t, b)
			}
			got, err := Compare(a, b, tt.opts)
			must(t, err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Compare (-want +got):\n%s", diff)
			}
			// The other way round it finds the same, with the values swapped.
			for i, d := range tt.want {
				tt.want[i].A, tt.want[i].B = d.B, d.A
			}
			got, err = Compare(b, a, tt.opts)
			must(t, err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Compare swapped (-want +got):\n%s", diff)
			}
		})
	}
}

// linkToFile makes path a hard link to "file" beside it.
func linkToFile(t *testing.T, path string) {
	t.Helper()
	must(t, os.Remove(path))
	must(t, os.Link(filepath.Join(filepath.Dir(path), "file"), path))
}

func xattr(name, value string) func(*testing.T, string) {
	return func(t *testing.T, p string) {
		err := unix.Lsetxattr(p, name, []byte(value), 0)
		if errors.Is(err, unix.ENOTSUP) {
			t.Skip("no user xattrs on this file system")
		}
		must(t, err)
	}
}

func TestCompareOnePathSeveralWays(t *testing.T) {
	a, b := sampleTree(t), sampleTree(t)
	p := filepath.Join(b, "sub/file")
	must(t, os.WriteFile(p, []byte("CONTENT"), 0o644))
	must(t, os.Chmod(p, 0o400))
	setTime(t, p, 1, 0)
	got, err := Compare(a, b, CompareOptions{})
	must(t, err)
	var kinds []Kind
	for _, d := range got {
		kinds = append(kinds, d.Kind)
	}
	if diff := cmp.Diff([]Kind{Content, Mode, Mtime}, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

func TestCompareIsSortedAndCapped(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for _, name := range []string{"a-b", "a/b", "a", "z", "0"} {
		dir := filepath.Join(a, name)
		must(t, os.MkdirAll(dir, 0o755))
		must(t, os.MkdirAll(filepath.Join(b, name), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "x"), nil, 0o644))
	}
	settle(t, a)
	settle(t, b)
	names := func(opts CompareOptions) []string {
		diffs, err := Compare(a, b, opts)
		must(t, err)
		var paths []string
		for _, d := range diffs {
			paths = append(paths, d.Path)
		}
		return paths
	}
	if diff := cmp.Diff([]string{"0/x", "a-b/x", "a/b/x", "a/x", "z/x"}, names(CompareOptions{})); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"0/x", "a/b/x", ""}, names(CompareOptions{MaxDifferences: 2})); diff != "" {
		t.Errorf("capped (-want +got):\n%s", diff)
	}
}

func TestDifferenceIsOneLine(t *testing.T) {
	d := Difference{"a\n\"\xff", Mode, "0644", "0600"}
	if got, want := d.String(), `"a\n\"\xff": mode: 0644 != 0600`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := (Difference{Kind: More}).String(); strings.Contains(got, "\n") || got == "" {
		t.Errorf("got %q", got)
	}
}

func TestCompareErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o644))
	for _, pair := range [][2]string{{dir, filepath.Join(dir, "none")}, {filepath.Join(dir, "none"), dir}, {file, dir}} {
		if diffs, err := Compare(pair[0], pair[1], CompareOptions{}); err == nil {
			t.Errorf("Compare(%q, %q) = %v, no error", pair[0], pair[1], diffs)
		}
	}
}

// A tree deeper than PATH_MAX is compared to its end.
func TestCompareDeep(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	const levels = 30
	name := strings.Repeat("d", 200) // 30 of them are beyond PATH_MAX
	for i, root := range []string{a, b} {
		dir, err := openDir(unix.AT_FDCWD, root, 0)
		must(t, err)
		for range levels {
			must(t, unix.Mkdirat(dir, name, 0o755))
			next, err := openDir(dir, name, 0)
			must(t, err)
			unix.Close(dir)
			dir = next
		}
		must(t, unix.Mknodat(dir, fmt.Sprintf("file%d", i), unix.S_IFREG|0o644, 0))
		unix.Close(dir)
		t.Cleanup(func() {
			top, err := openDir(unix.AT_FDCWD, root, 0)
			must(t, err)
			defer unix.Close(top)
			must(t, removeTree(top, name))
		})
	}
	got, err := Compare(a, b, CompareOptions{})
	must(t, err)
	got = slices.DeleteFunc(got, func(d Difference) bool { return d.Kind == Mtime })
	prefix := strings.Repeat(name+"/", levels)
	want := []Difference{{prefix + "file0", Missing, "file", "absent"}, {prefix + "file1", Missing, "absent", "file"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWaitEqual(t *testing.T) {
	a, b := sampleTree(t), sampleTree(t)
	must(t, os.Remove(filepath.Join(b, "other")))
	settle(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := WaitEqual(ctx, a, b, CompareOptions{})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `"other": missing: file != absent`) {
		t.Errorf("of different trees: %v", err)
	}
	done := make(chan error)
	go func() {
		// One entry after the other, so that Compare sees states between.
		err := os.WriteFile(filepath.Join(b, "other"), []byte("other"), 0o644)
		ts := unix.Timespec{Sec: 1_700_000_000, Nsec: 123456789}
		for _, name := range []string{"other", "."} {
			err = errors.Join(err, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(b, name), []unix.Timespec{ts, ts}, 0))
		}
		done <- err
	}()
	RequireSoonEqual(t, 10*time.Second, a, b, CompareOptions{})
	must(t, <-done)
	RequireEqual(t, a, b, CompareOptions{})
}

// A tree that changes all the time is no error, and neither side is opened through what was
// swapped in.
func TestCompareWhileChanging(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		churn := Churn{Root: a, Seed: 1, Writers: 1, MaxEntries: 60, Rate: 0}
		_, err := churn.Run(ctx)
		done <- err
	}()
	for range 200 {
		if _, err := Compare(a, b, CompareOptions{Xattrs: true, HardLinks: true, MaxDifferences: 1e6}); err != nil {
			t.Errorf("with an empty tree: %v", err)
		}
		if _, err := Compare(a, a, CompareOptions{Xattrs: true, HardLinks: true, MaxDifferences: 1e6}); err != nil {
			t.Errorf("with itself: %v", err)
		}
	}
	cancel()
	must(t, <-done)
	RequireEqual(t, a, a, CompareOptions{Xattrs: true, HardLinks: true})
}

func BenchmarkCompare(b *testing.B) {
	for _, size := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("%dfiles", size), func(b *testing.B) {
			one, two := b.TempDir(), b.TempDir()
			spec := TreeSpec{Files: size, Dirs: size / 20, MinSize: 1 << 10, MaxSize: 8 << 10, ModTime: time.Unix(1e9, 1)}
			stats, err := MakeTree(one, spec)
			must(b, err)
			_, err = MakeTree(two, spec)
			must(b, err)
			b.SetBytes(2 * stats.Bytes)
			b.ReportAllocs()
			for b.Loop() {
				RequireEqual(b, one, two, CompareOptions{})
			}
		})
	}
}
