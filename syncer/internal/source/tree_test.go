package source

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
)

// everything is -rlD.
var everything = Options{Set: option.Set{Recurse: true, Links: true, Devices: true, Specials: true}}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// makeTree makes names below a new directory: "x/" is a directory, "x -> y" a symlink, "x|"
// a FIFO, anything else a file.
func makeTree(t testing.TB, names ...string) string {
	t.Helper()
	root := t.TempDir()
	add(t, root, names...)
	return root
}

func add(t testing.TB, root string, names ...string) {
	t.Helper()
	for _, name := range names {
		name, target, isLink := strings.Cut(name, " -> ")
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch {
		case isLink:
			must(t, os.Symlink(target, path))
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(path, 0o755))
		case strings.HasSuffix(name, "|"):
			must(t, unix.Mkfifo(filepath.Join(root, strings.TrimSuffix(name, "|")), 0o600))
		default:
			must(t, os.WriteFile(path, []byte("content of "+name), 0o644))
		}
	}
}

func open(t testing.TB, root string, opts Options) *Tree {
	t.Helper()
	tree, err := Open(root, opts)
	must(t, err)
	t.Cleanup(func() { tree.Close() })
	return tree
}

func entryNames(entries []flist.Entry) []string {
	var names []string
	for _, e := range entries {
		name := e.Name
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	return names
}

func rules(t testing.TB, lines ...string) *filter.List {
	t.Helper()
	var b filter.Builder
	for _, line := range lines {
		must(t, b.Filter(line))
	}
	return b.Build()
}

func TestOpenErrors(t *testing.T) {
	root := makeTree(t, "file", "d/", "gone -> none", "dir -> d")
	for name, test := range map[string]struct {
		path   string
		prefix string
		want   error
	}{
		"there":             {"d", "", nil},
		"through a symlink": {"dir", "", nil}, // the user wrote it
		"missing":           {"none", "", ErrNoRoot},
		"a file":            {"file", "", ErrNoRoot},
		"dangling":          {"gone", "", ErrNoRoot},
		"below a file":      {"file/x", "", ErrNoRoot},
		"prefix":            {".", "d", nil},
		"prefix is a file":  {".", "file", nil},
		"no such prefix":    {".", "none", ErrNoRoot},
	} {
		tree, err := Open(filepath.Join(root, test.path), Options{Prefix: test.prefix})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if err == nil {
			tree.Close()
		}
	}
	if _, err := Open(root, Options{Prefix: "../x"}); err == nil {
		t.Error("a prefix led outside")
	}
}

func TestIdentity(t *testing.T) {
	root := makeTree(t, "a/", "b/", "f")
	id := func(path, prefix string) Identity { return open(t, path, Options{Prefix: prefix}).Identity() }
	a := id(filepath.Join(root, "a"), "")
	if !a.Same(id(root, "a")) {
		t.Error("a directory is not the same by its prefix")
	}
	if a.Same(id(filepath.Join(root, "b"), "")) || a.Same(id(root, "")) || a.Same(id(root, "f")) {
		t.Error("different directories are the same")
	}
	must(t, os.Rename(filepath.Join(root, "a"), filepath.Join(root, "moved")))
	if !a.Same(id(filepath.Join(root, "moved"), "")) {
		t.Error("a rename made it another directory")
	}
	must(t, os.Mkdir(filepath.Join(root, "a"), 0o755))
	if a.Same(id(filepath.Join(root, "a"), "")) {
		t.Error("a new directory in the old place is the same")
	}
	for _, test := range []struct {
		a, b Identity
		want bool
	}{
		{Identity{Dev: 1, Ino: 2, Fsid: 3}, Identity{Dev: 9, Ino: 2, Fsid: 3}, true}, // a remount
		{Identity{Dev: 1, Ino: 2, Fsid: 3}, Identity{Dev: 1, Ino: 2, Fsid: 4}, false},
		{Identity{Dev: 1, Ino: 2, Fsid: 3}, Identity{Dev: 1, Ino: 3, Fsid: 3}, false},
		{Identity{Dev: 1, Ino: 2}, Identity{Dev: 1, Ino: 2}, true},
		{Identity{Dev: 1, Ino: 2}, Identity{Dev: 2, Ino: 2}, false},
		{Identity{Dev: 1, Ino: 2}, Identity{Dev: 1, Ino: 2, Fsid: 1}, false},
		{Identity{Dev: 1, Ino: 2, UUID: [16]byte{1}}, Identity{Dev: 9, Ino: 2, UUID: [16]byte{1}}, true}, // XFS after a reboot
		{Identity{Dev: 1, Ino: 2, UUID: [16]byte{1}}, Identity{Dev: 1, Ino: 2, UUID: [16]byte{2}}, false},
		{Identity{Dev: 1, Ino: 2, Fsid: 3, UUID: [16]byte{1}}, Identity{Dev: 1, Ino: 2, Fsid: 4, UUID: [16]byte{1}}, false}, // subvolumes
		{Identity{Dev: 1, Ino: 2, Fsid: 3, UUID: [16]byte{1}}, Identity{Dev: 1, Ino: 2, Fsid: 3}, true},                     // a newer kernel
		{Identity{Dev: 1, Ino: 2, Born: 5}, Identity{Dev: 1, Ino: 2, Born: 6}, false},
		{Identity{Dev: 1, Ino: 2, Born: 5}, Identity{Dev: 1, Ino: 2}, true},
	} {
		if got := test.a.Same(test.b); got != test.want {
			t.Errorf("%+v and %+v: %v", test.a, test.b, got)
		}
		if got, err := ParseIdentity(test.b.Text()); got != test.b || err != nil {
			t.Errorf("%+v comes back from %q as %+v, %v", test.b, test.b.Text(), got, err)
		}
	}
}

func TestEmpty(t *testing.T) {
	root := makeTree(t, "empty/", "full/.hidden", "file")
	for name, want := range map[string]bool{"empty": true, "full": false, "file": false} {
		if got, err := open(t, root, Options{Set: option.Set{Filter: rules(t, "- .*")}, Prefix: name}).Empty(); got != want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if got, err := open(t, filepath.Join(root, "empty"), Options{}).Empty(); !got || err != nil {
		t.Errorf("without a prefix: %v, %v", got, err)
	}
}

func TestReadDir(t *testing.T) {
	root := makeTree(t, "b", "a", "a.d/", "a-d/", "ad/x", "l -> a", "p|", "\xff\n", "x.o", "o.o/y")
	for _, test := range []struct {
		name string
		opts Options
		want []string
	}{
		{"all", everything, []string{"a", "b", "l", "p", "x.o", "\xff\n", "a-d/", "a.d/", "ad/", "o.o/"}},
		{"files alone", Options{}, []string{"a", "b", "x.o", "\xff\n"}},
		{"links", Options{Set: option.Set{Links: true}}, []string{"a", "b", "l", "x.o", "\xff\n"}},
		{"specials", Options{Set: option.Set{Specials: true}}, []string{"a", "b", "p", "x.o", "\xff\n"}},
		{"filtered", Options{Set: option.Set{Recurse: true, Filter: rules(t, "- *.o", "- a/")}}, []string{"a", "b", "\xff\n", "a-d/", "a.d/", "ad/"}},
		{"filtered directories", Options{Set: option.Set{Recurse: true, Filter: rules(t, "- *.o/", "P b")}}, []string{"a", "b", "x.o", "\xff\n", "a-d/", "a.d/", "ad/"}},
		{"prefix", Options{Set: option.Set{Recurse: true}, Prefix: "ad"}, []string{"ad/"}},
	} {
		entries, problems, err := open(t, root, test.opts).ReadDir(".")
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v, %v", test.name, problems, err)
		}
		if diff := cmp.Diff(test.want, entryNames(entries)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}

	tree := open(t, root, everything)
	entries, _, err := tree.ReadDir("ad")
	must(t, err)
	if diff := cmp.Diff([]string{"ad/x"}, entryNames(entries)); diff != "" {
		t.Errorf("below (-want +got):\n%s", diff)
	}
	for _, dir := range []string{"none", "a", "l", "a/b", "none/x"} {
		if _, _, err := tree.ReadDir(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if _, _, err := tree.ReadDir(".."); err == nil {
		t.Error("listed what is outside")
	}
}

func TestLstat(t *testing.T) {
	long := strings.Repeat("t", 4000)
	root := makeTree(t, "d/f", "d/l -> ../none", "loop -> loop", "dir -> d")
	must(t, os.Symlink(long, filepath.Join(root, "long")))
	tree := open(t, root, everything)
	e, err := tree.Lstat("d/f")
	must(t, err)
	info, err := os.Stat(filepath.Join(root, "d", "f"))
	must(t, err)
	if e.Name != "d/f" || !e.IsRegular() || e.Size != info.Size() || !e.Mtime().Equal(info.ModTime()) {
		t.Errorf("%+v", e)
	}
	for name, want := range map[string]string{"d/l": "../none", "loop": "loop", "long": long} {
		if e, err := tree.Lstat(name); err != nil || !e.IsSymlink() || e.Link() != want {
			t.Errorf("%s: %.100v, %v", name, e, err)
		}
	}
	if e, err := tree.Lstat("."); err != nil || !e.IsDir() || e.Name != "." {
		t.Errorf(".: %+v, %v", e, err)
	}
	for _, name := range []string{"none", "none/x", "d/f/x", "loop/x", "dir/f"} {
		if _, err := tree.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"..", "../x", "", "/etc", "d/../.."} {
		if _, err := tree.Lstat(name); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v: looked outside, or takes it for gone", name, err)
		}
	}
}

func TestOpenFile(t *testing.T) {
	root := makeTree(t, "f", "fifo|", "l -> f", "d/")
	tree := open(t, root, everything)
	f, _, err := tree.Open("f")
	must(t, err)
	defer f.Close()
	if data, err := io.ReadAll(f); err != nil || string(data) != "content of f" {
		t.Errorf("%q, %v", data, err)
	}
	before, err := tree.Fstat(f, "f")
	must(t, err)
	if now, err := tree.Lstat("f"); err != nil || !before.SameVersion(&now) {
		t.Errorf("%+v is not %+v", before, now)
	}
	must(t, os.Chmod(filepath.Join(root, "f"), 0o600))
	if after, err := tree.Fstat(f, "f"); err != nil || before.SameVersion(&after) {
		t.Errorf("a change was not seen: %+v, %v", after, err)
	}
	for _, name := range []string{"fifo", "l", "d", "none", "f/x"} {
		if _, _, err := tree.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHas(t *testing.T) {
	root := makeTree(t, "f", "l -> f", "hidden.o", "d.o/x", "mine.p")
	tree := open(t, root, Options{Set: option.Set{Filter: rules(t, "- *.o", "H *.p")}})
	for name, want := range map[string]bool{"f": true, "l": true, "hidden.o": false, "d.o": false, "mine.p": false, "none": false, "f/x": false} {
		if got, err := tree.Has(name); got != want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := tree.Has(strings.Repeat("n", 256)); err == nil {
		t.Error("a name that cannot be looked at counts as gone")
	}
}

// walk collects what Walk tells: directories with what else is in them, "!" for partial ones.
func walk(t *testing.T, tree *Tree, top string) (log []string, problems []report.Problem) {
	t.Helper()
	must(t, tree.Walk(t.Context(), directory(top), func(dir flist.Entry, entries []flist.Entry, partial bool) error {
		line := dir.Name + ": " + strings.Join(entryNames(entries), " ")
		if partial {
			line += "!"
		}
		log = append(log, line)
		return nil
	}, func(p report.Problem) { problems = append(problems, p) }))
	return log, problems
}

func directory(name string) flist.Entry { return flist.Entry{Name: name, Mode: unix.S_IFDIR | 0o755} }

func TestWalk(t *testing.T) {
	root := makeTree(t, "f", "d/e/1", "d/2", "c/", "z/l -> ../d")
	tree := open(t, root, everything)
	log, problems := walk(t, tree, ".")
	want := []string{".: f", "c: ", "d: d/2", "d/e: d/e/1", "z: z/l"}
	if diff := cmp.Diff(want, log); diff != "" || problems != nil {
		t.Errorf("%v (-want +got):\n%s", problems, diff)
	}
	log, problems = walk(t, tree, "gone")
	if diff := cmp.Diff([]string{"gone: !"}, log); diff != "" || problems != nil {
		t.Errorf("%v (-want +got):\n%s", problems, diff)
	}

	stop := errors.New("stop")
	if err := tree.Walk(t.Context(), directory("."), func(flist.Entry, []flist.Entry, bool) error { return stop }, nil); !errors.Is(err, stop) {
		t.Errorf("the visit's error: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	visits := 0
	err := tree.Walk(ctx, directory("."), func(flist.Entry, []flist.Entry, bool) error { visits++; cancel(stop); return nil }, nil)
	if !errors.Is(err, stop) || visits != 1 {
		t.Errorf("%d visits after the end, %v", visits, err)
	}
}

// TestUnreadable: what cannot be read is a problem and makes a listing partial; it never
// looks like an empty directory or a missing name.
// A directory that a visit leaves out is left out with all that is below it and with its problems; one
// that vanished before its turn is visited as one that could not be read whole.
func TestDescendSkips(t *testing.T) {
	root := makeTree(t, "a/x/f", "b/f", "gone/f", "skip/deep/f", "z/f")
	o := everything
	o.Unmounted = map[string]bool{"a": true, "z": true}
	tree, err := Open(root, o)
	must(t, err)
	defer tree.Close()
	top, err := tree.Lstat(".")
	must(t, err)
	var visited, problems []string
	visit := func(dir flist.Entry, _ []flist.Entry, partial bool) error {
		name := dir.Name
		if partial {
			name += " in part"
		}
		visited = append(visited, name)
		switch dir.Name {
		case ".":
			return os.RemoveAll(filepath.Join(root, "gone"))
		case "a", "skip":
			return fs.SkipDir
		}
		return nil
	}
	must(t, tree.Descend(t.Context(), top, visit, func(p report.Problem) { problems = append(problems, p.Path) }))
	if diff := cmp.Diff([]string{".", "a in part", "b", "gone in part", "skip", "z in part"}, visited); diff != "" {
		t.Errorf("visited (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"z"}, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestUnreadable(t *testing.T) {
	if !asNobody(t) {
		return
	}
	root := makeTree(t, "closed/f", "nosearch/f", "open/f")
	must(t, os.Chmod(filepath.Join(root, "closed"), 0))
	must(t, os.Chmod(filepath.Join(root, "nosearch"), 0o400))
	t.Cleanup(func() {
		os.Chmod(filepath.Join(root, "closed"), 0o700)
		os.Chmod(filepath.Join(root, "nosearch"), 0o700)
	})
	tree := open(t, root, everything)
	log, problems := walk(t, tree, ".")
	want := []string{".: ", "closed: !", "nosearch: !", "open: open/f"}
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(problems) != 2 || problems[0].Path != "closed" || problems[1].Path != "nosearch/f" ||
		problems[0].Vanished() || problems[1].Vanished() {
		t.Errorf("problems: %v", problems)
	}
	plan, err := tree.Plan(t.Context(), []Path{{Name: "closed/f"}, {Name: "closed/gone"}, {Name: "nosearch/x"}, {Name: "open/gone"}})
	must(t, err)
	if diff := cmp.Diff([]string{"open/gone"}, plan.Missing); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	if len(plan.Problems) != 3 {
		t.Errorf("problems of the plan: %v", plan.Problems)
	}
	if _, err := tree.Has("closed/f"); err == nil {
		t.Error("what cannot be looked at counts as known")
	}
}

// TestUnmounted: where a mount point went away, with what was mounted or as an empty
// directory, the listing is not complete.
func TestUnmounted(t *testing.T) {
	root := makeTree(t, "d/left/", "d/f")
	opts := everything
	opts.Unmounted = map[string]bool{"d/left": true, "d/went": true}
	log, problems := walk(t, open(t, root, opts), ".")
	if diff := cmp.Diff([]string{".: ", "d: d/f!", "d/left: !"}, log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(problems) != 2 || problems[0].Path != "d/went" || problems[1].Path != "d/left" ||
		!errors.Is(problems[0].Err, ErrUnmounted) || !errors.Is(problems[1].Err, ErrUnmounted) {
		t.Errorf("problems: %v", problems)
	}
}

func TestCrosses(t *testing.T) {
	root := makeTree(t, "m/", "d/")
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	if err := unix.Mount("tmpfs", filepath.Join(root, "m"), "tmpfs", 0, ""); err != nil {
		t.Skipf("mounting: %v", err)
	}
	defer unix.Unmount(filepath.Join(root, "m"), unix.MNT_DETACH)
	add(t, root, "m/f", "m/d/f")
	one := everything
	one.OneFileSystem = true
	tree, free := open(t, root, one), open(t, root, everything)
	if !tree.Crosses("m") || tree.Crosses("d") || tree.Crosses(".") || tree.Crosses("none") || free.Crosses("m") {
		t.Error("wrong about what is mounted")
	}
	log, _ := walk(t, tree, ".")
	if diff := cmp.Diff([]string{".: ", "d: ", "m: !"}, log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	plan, err := tree.Plan(t.Context(), []Path{{Name: "m/f"}, {Name: "m/gone"}, {Name: "m"}})
	must(t, err)
	if len(plan.Missing) > 0 || len(plan.Entries) != 1 || plan.Entries[0].Name != "m" {
		t.Errorf("plan: %+v", plan)
	}
}

// asNobody runs the calling test once more as a user whom permissions bind, and says
// whether this is that run. Without root every run is.
func asNobody(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		return true
	}
	const nobody = 65534
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	must(t, os.Chown(dir, nobody, nobody))
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("as uid %d: %v\n%s", nobody, err, out)
	}
	return false
}

// A source without a trailing slash is pinned while it is read: another directory that is
// renamed into its place is not taken for it.
func TestPrefixIsPinned(t *testing.T) {
	root := makeTree(t, "abc/x", "abc/sub/x", "new/sub/")
	tree := open(t, root, Options{Set: option.Set{Recurse: true}, Prefix: "abc"})
	must(t, os.Rename(filepath.Join(root, "abc"), filepath.Join(root, "old")))
	plan, err := tree.Plan(t.Context(), []Path{{Name: "abc/x"}, {Name: "abc/gone"}})
	must(t, err)
	if diff := cmp.Diff([]string{"abc/gone"}, plan.Missing); diff != "" {
		t.Errorf("missing, the root being away (-want +got):\n%s", diff)
	}
	must(t, os.Rename(filepath.Join(root, "new"), filepath.Join(root, "abc")))
	log, problems := walk(t, tree, "abc")
	if diff := cmp.Diff([]string{"abc: abc/x", "abc/sub: abc/sub/x"}, log); diff != "" || problems != nil {
		t.Errorf("%v (-want +got):\n%s", problems, diff)
	}
}
