package index

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func reports(list ...Difference) map[string]Difference {
	m := make(map[string]Difference)
	for _, d := range list {
		m[d.Path] = d
	}
	return m
}

// TestDifferences edits the tree
//
//	f, link -> f, d/f, d/e/f, empty/
//
// and wants what Compare says.
func TestDifferences(t *testing.T) {
	t.Parallel()
	content := func(path string) Difference { return Difference{Path: path, Content: true} }
	plain := func(path string) Difference { return Difference{Path: path} }
	tree := func(path string) Difference { return Difference{Path: path, Tree: true, Content: true} }
	tests := []struct {
		name string
		edit func(root string) error
		want map[string]Difference
	}{
		{"nothing", func(string) error { return nil }, reports()},
		{"write", func(r string) error { return os.WriteFile(r+"/d/f", []byte("more"), 0) }, reports(content("d/f"))},
		{"mtime set back", func(r string) error {
			var st unix.Stat_t
			if err := unix.Stat(r+"/f", &st); err != nil {
				return err
			}
			time.Sleep(fineClock) // until the kernel's clock has moved on
			if err := os.WriteFile(r+"/f", []byte("F"), 0); err != nil {
				return err
			}
			return os.Chtimes(r+"/f", time.Unix(st.Atim.Unix()), time.Unix(st.Mtim.Unix()))
		}, reports(content("f"))},
		{"chmod file", func(r string) error { return os.Chmod(r+"/f", 0o600) }, reports(content("f"))},
		{"chmod directory", func(r string) error { return os.Chmod(r+"/d", 0o700) }, reports(plain("d"))},
		{"chmod root", func(r string) error { return os.Chmod(r, 0o711) }, reports(plain("."))},
		{"new file", func(r string) error { return os.WriteFile(r+"/d/g", nil, 0o600) }, reports(plain("d"), content("d/g"))},
		{"new link", func(r string) error { return os.Symlink("x", r+"/empty/l") }, reports(plain("empty"), plain("empty/l"))},
		{"new tree", func(r string) error { return os.MkdirAll(r+"/n/e/w", 0o700) }, reports(plain("."), tree("n"))},
		{"removed file", func(r string) error { return os.Remove(r + "/f") },
			reports(plain("."), Difference{Path: "f", Content: true, Gone: true})},
		{"removed link", func(r string) error { return os.Remove(r + "/link") },
			reports(plain("."), Difference{Path: "link", Gone: true})},
		{"removed tree", func(r string) error { return os.RemoveAll(r + "/d/e") },
			reports(plain("d"), Difference{Path: "d/e", Tree: true, Content: true, Gone: true})},
		{"moved tree", func(r string) error { return os.Rename(r+"/d", r+"/empty/d") },
			reports(plain("."), plain("empty"), tree("empty/d"), Difference{Path: "d", Tree: true, Content: true, Gone: true})},
		{"exchanged trees", func(r string) error {
			return unix.Renameat2(unix.AT_FDCWD, r+"/d", unix.AT_FDCWD, r+"/empty", unix.RENAME_EXCHANGE)
		}, reports(plain("."), tree("d"), tree("empty"))},
		{"directory for file", func(r string) error { _ = os.Remove(r + "/f"); return os.Mkdir(r+"/f", 0o700) },
			reports(plain("."), tree("f"))},
		{"file for directory", func(r string) error { _ = os.RemoveAll(r + "/d"); return os.WriteFile(r+"/d", nil, 0o600) },
			reports(plain("."), tree("d"))},
		{"link for directory", func(r string) error {
			if err := os.Rename(r+"/d", r+"/empty/d"); err != nil {
				return err
			}
			return os.Symlink("empty/d", r+"/d")
		}, reports(plain("."), plain("empty"), tree("empty/d"), tree("d"))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := tempDir(t)
			mkdir(t, root+"/d/e")
			mkdir(t, root+"/empty")
			for _, name := range []string{"f", "d/f", "d/e/f"} {
				write(t, root+"/"+name, "f")
			}
			must(t, os.Symlink("f", root+"/link"))
			x := built(t, Config{Root: root})
			equalsDisk(t, x, root)
			must(t, test.edit(root))
			got, _ := compare(t, x, ".")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			equalsDisk(t, x, root)
			if got, _ := compare(t, x, "."); len(got) > 0 {
				t.Errorf("again: %v", got)
			}
		})
	}
}

// TestNames has names that need care, and every length.
func TestNames(t *testing.T) {
	t.Parallel()
	root := tempDir(t)
	names := []string{"\n", " ", "\xff\xfe", "...", "\x01", "-rf", "ä", `a\b`, "file-1", "file-10", "file-2"}
	for n := 1; n <= 255; n++ {
		names = append(names, strings.Repeat("x", n), strings.Repeat("y", 255-n)+strings.Repeat("z", n))
	}
	for i, name := range names {
		if i%3 == 0 {
			mkdir(t, root+"/"+name)
			write(t, root+"/"+name+"/"+name, "")
			continue
		}
		write(t, root+"/"+name, "")
	}
	x := built(t, Config{Root: root})
	equalsDisk(t, x, root)
	for _, name := range names {
		x.Forget(name, false)
	}
	got, _ := compare(t, x, ".")
	for _, name := range names {
		if _, ok := got[name]; !ok {
			t.Errorf("%q: not reported", name)
		}
	}
	for path := range dump(t, x) {
		if path != "." {
			must(t, os.RemoveAll(filepath.Join(root, path)))
			x.Look([]string{path})
			compare(t, x, path) // a directory is left to it
		}
	}
	if x.Len() != 0 {
		t.Errorf("%d left", x.Len())
	}
	dump(t, x)
}

func TestExcluded(t *testing.T) {
	t.Parallel()
	root := tempDir(t)
	mkdir(t, root+"/skip/d")
	mkdir(t, root+"/d/skip")
	write(t, root+"/d/skip.tmp", "")
	write(t, root+"/d/f", "")
	mkdir(t, root+"/d/onlyfile")
	x := built(t, Config{Root: root, Excluded: func(path string, isDir bool) bool {
		return isDir && filepath.Base(path) == "skip" || !isDir && strings.HasSuffix(path, ".tmp") ||
			!isDir && filepath.Base(path) == "onlyfile"
	}})
	want := []string{".", "d", "d/f", "d/onlyfile"}
	if held := dump(t, x); len(held) != len(want) {
		t.Errorf("want %v, held %v", want, held)
	}
	write(t, root+"/skip/d/f", "")
	for _, path := range []string{"skip", "skip/d", "d/skip", "d/skip.tmp"} {
		x.Look([]string{path})
		if got, scan := compare(t, x, path); len(got) > 0 || scan.Dirs > 0 {
			t.Errorf("%s: %v %+v", path, got, scan)
		}
	}
	must(t, os.Remove(root+"/d/onlyfile"))
	write(t, root+"/d/onlyfile", "")
	if got, _ := compare(t, x, "d/onlyfile"); !got["d/onlyfile"].Gone {
		t.Errorf("what became excluded is gone, got %v", got)
	}
}

func TestForget(t *testing.T) { // not parallel: it counts allocations
	root := tempDir(t)
	mkdir(t, root+"/d/e")
	write(t, root+"/d/f", "")
	write(t, root+"/d/e/f", "")
	x := New(Config{Root: root, Now: later})
	x.Forget("d", true) // of an empty index: nothing
	x = built(t, Config{Root: root})
	for _, test := range []struct {
		path string
		tree bool
		want map[string]Difference
	}{
		{"d/f", false, reports(Difference{Path: "d/f", Content: true})},
		{"d/f", true, reports(Difference{Path: "d/f", Content: true})},
		{"d", false, reports(Difference{Path: "d"})},
		{"d", true, reports(Difference{Path: "d", Tree: true, Content: true})},
		{".", false, reports(Difference{Path: "."})},
		{".", true, reports(Difference{Path: ".", Tree: true, Content: true})},
		{"none", true, reports()},
		{"d/f/none", true, reports()},
		{"../" + filepath.Base(root), true, reports()},
		{"d//f", false, reports()},
		{"", true, reports()},
	} {
		if n := testing.AllocsPerRun(1, func() { x.Forget(test.path, test.tree) }); n > 4 {
			t.Errorf("Forget(%q) makes %v allocations", test.path, n)
		}
		got, _ := compare(t, x, ".")
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("Forget(%q, %v) (-want +got):\n%s", test.path, test.tree, diff)
		}
	}
}

// TestLook has what Look does that the model cannot see: it looks at nothing but the paths given.
func TestLook(t *testing.T) {
	t.Parallel()
	root := tempDir(t)
	mkdir(t, root+"/d")
	x := built(t, Config{Root: root})
	mkdir(t, root+"/new/e")
	write(t, root+"/new/f", "")
	x.Look([]string{"new", ".", "new", "/etc", "../x", "new/../d"})
	got, _ := compare(t, x, ".")
	want := reports(Difference{Path: "new/e", Tree: true, Content: true}, Difference{Path: "new/f", Content: true})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a new directory holds nothing (-want +got):\n%s", diff)
	}

	// A symbolic link in the place of a directory leads nowhere.
	outside := tempDir(t)
	write(t, outside+"/f", "")
	must(t, os.RemoveAll(root+"/new"))
	must(t, os.Symlink(outside, root+"/new"))
	x.Look([]string{"new/f"})
	if _, ok := dump(t, x)["new/f"]; ok {
		t.Error("new/f is still held")
	}
	must(t, os.RemoveAll(root))
	before := x.Len()
	x.Look([]string{"d", "new"})
	if x.Len() != before {
		t.Error("a missing root changes nothing")
	}
	mkdir(t, root)
}

func TestUnsettled(t *testing.T) {
	t.Parallel()
	root := tempDir(t)
	mkdir(t, root+"/d")
	write(t, root+"/d/f", "")
	write(t, root+"/old", "")
	var now time.Time
	x := New(Config{Root: root, Now: func() time.Time { return now }})
	stamp := func(path string) time.Time {
		var st unix.Stat_t
		must(t, unix.Lstat(root+"/"+path, &st))
		return time.Unix(st.Ctim.Unix())
	}
	now = stamp("old").Add(time.Millisecond)
	if _, scan := compare(t, x, "."); len(scan.Unsettled) != 4 {
		t.Errorf("unsettled: %q", scan.Unsettled)
	}
	now = later()
	want := reports(Difference{Path: "."}, Difference{Path: "d"}, Difference{Path: "d/f", Content: true}, Difference{Path: "old", Content: true})
	if got, scan := compare(t, x, "."); cmp.Diff(want, got) != "" || len(scan.Unsettled) > 0 {
		t.Errorf("what was unsettled differs, got %v, unsettled %q", got, scan.Unsettled)
	}
	now = stamp("d/f")
	if got := x.Look([]string{"d/f"}); !cmp.Equal(got, []string{"d/f"}) {
		t.Errorf("unsettled: %q", got)
	}
	now = stamp("d/f").Add(-time.Hour) // the clock was set back
	if got := x.Look([]string{"d/f", "."}); len(got) > 0 {
		t.Errorf("unsettled: %q", got)
	}
	now = later()
	if got, _ := compare(t, x, "."); len(got) > 0 {
		t.Errorf("differs: %v", got)
	}
}

func TestSettled(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 500_000_000)
	for _, test := range []struct {
		sec, nsec int64
		want      bool
	}{
		{1000, 499_000_000, false}, {1000, 400_000_000, true}, {1000, 500_000_001, false}, {1000, 600_000_000, true},
		{999, 0, false}, {998, 0, true}, {1002, 0, false}, {1003, 0, true}, {0, 0, true},
	} {
		st := unix.Stat_t{Ctim: unix.Timespec{Sec: test.sec, Nsec: test.nsec}}
		if got := settled(&st, now); got != test.want {
			t.Errorf("%d.%09d: %v", test.sec, test.nsec, got)
		}
	}
}

// TestBytes compares what the index claims to keep with what the heap grew by.
func TestBytes(t *testing.T) {
	root := tempDir(t)
	makeTree(t, root, 400, 25)
	before := heap()
	x := built(t, Config{Root: root})
	kept, claimed := float64(heap()-before), float64(x.Bytes())
	if claimed < 0.9*kept || claimed > 1.1*kept {
		t.Errorf("claims %v bytes, keeps %v", claimed, kept)
	}
	if perFile := kept / 10_000; perFile > 64 {
		t.Errorf("%v bytes a file", perFile)
	}
	runtime.KeepAlive(x)
}

func TestInvalidPath(t *testing.T) {
	t.Parallel()
	x := built(t, Config{Root: tempDir(t)})
	for _, path := range []string{"", "/", "/etc", "..", "../a", "a/..", "a//b", "a/", "./a", "a\x00b", strings.Repeat("n", maxName+1)} {
		if _, err := x.Compare(t.Context(), path, nil, nil); err == nil {
			t.Errorf("Compare(%q): no error", path)
		}
		if got := x.Look([]string{path}); got != nil || x.Len() > 0 {
			t.Errorf("Look(%q): %v", path, got)
		}
	}
}

func TestRoot(t *testing.T) {
	t.Parallel()
	root := filepath.Join(tempDir(t), "root")
	mkdir(t, root)
	write(t, root+"/f", "")
	x := built(t, Config{Root: root})
	must(t, os.Rename(root, root+".away"))
	if _, err := x.Compare(t.Context(), ".", nil, func(d Difference) { t.Errorf("reported %v", d) }); err == nil {
		t.Error("want an error: the root is missing")
	}
	if x.Len() != 1 {
		t.Errorf("%d entries left, want 1", x.Len())
	}
	must(t, os.Symlink(root+".away", root))
	if _, err := x.Compare(t.Context(), ".", nil, nil); err == nil {
		t.Error("want an error: the root is a symbolic link")
	}
	must(t, os.Remove(root))
	mkdir(t, root)
	write(t, root+"/g", "")
	want := reports(Difference{Path: ".", Tree: true, Content: true})
	if got, _ := compare(t, x, "g"); cmp.Diff(want, got) != "" {
		t.Errorf("another root: got %v", got)
	}
	equalsDisk(t, x, root)
}

// TestScope compares below what is not as the index holds it.
func TestScope(t *testing.T) {
	t.Parallel()
	root := tempDir(t)
	mkdir(t, root+"/a/b")
	write(t, root+"/a/b/f", "")
	write(t, root+"/a/g", "")
	x := built(t, Config{Root: root})
	write(t, root+"/a/g", "differs")
	write(t, root+"/a/b/f", "differs")
	got, _ := compare(t, x, "a/b")
	if diff := cmp.Diff(reports(Difference{Path: "a/b/f", Content: true}), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	must(t, os.Rename(root+"/a", root+"/z"))
	mkdir(t, root+"/a/b")
	got, _ = compare(t, x, "a/b/f")
	if diff := cmp.Diff(reports(Difference{Path: "a", Tree: true, Content: true}), got); diff != "" {
		t.Errorf("another directory above (-want +got):\n%s", diff)
	}
	got, _ = compare(t, x, "z/b/f")
	if diff := cmp.Diff(reports(Difference{Path: "z", Tree: true, Content: true}), got); diff != "" {
		t.Errorf("an unknown directory above (-want +got):\n%s", diff)
	}
	got, _ = compare(t, x, ".")
	if diff := cmp.Diff(reports(Difference{Path: "."}), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	equalsDisk(t, x, root)
}

// TestLargeDirectory has many chunks, and what makes and joins them.
func TestLargeDirectory(t *testing.T) {
	t.Parallel()
	root := tempDir(t)
	n := 20_000
	if testing.Short() {
		n = 2000
	}
	name := func(i int) string { return fmt.Sprintf("file-%d", i) }
	create := func(i int) {
		if i%10 == 0 {
			must(t, unix.Mkdir(root+"/"+name(i), 0o700))
			return
		}
		fd, err := unix.Creat(root+"/"+name(i), 0o600)
		must(t, err)
		unix.Close(fd)
	}
	for i := range n {
		create(i)
	}
	x := built(t, Config{Root: root})
	equalsDisk(t, x, root)
	full := len(x.root.chunks)
	for i := range n {
		if i%50 != 7 {
			must(t, os.Remove(root+"/"+name(i)))
			if i%3 > 0 {
				x.Look([]string{name(i)})
			}
		}
	}
	compare(t, x, ".")
	equalsDisk(t, x, root)
	if few := len(x.root.chunks); few > 1+full/10 {
		t.Errorf("%d chunks, %d when there were 50 times as many names", few, full)
	}
	for i := range n {
		if i%50 != 7 {
			create(i)
			x.Look([]string{name(i)})
		}
	}
	x.Look([]string{"."})
	equalsDisk(t, x, root)
	if got, _ := compare(t, x, "."); len(got) > 0 {
		t.Errorf("differs: %v", got)
	}
}
