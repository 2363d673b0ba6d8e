package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

var kinds = map[string]func(t *testing.T, path string){
	"none":  func(*testing.T, string) {},
	"file":  func(t *testing.T, p string) { write(t, p, "file "+p) },
	"empty": func(t *testing.T, p string) { mkdir(t, p) },
	"dir": func(t *testing.T, p string) {
		write(t, filepath.Join(p, "sub", "f"), "in "+p)
		must(t, os.Symlink("sub/f", filepath.Join(p, "l")))
	},
	"link":    func(t *testing.T, p string) { must(t, os.Symlink("to/"+filepath.Base(filepath.Dir(p)), p)) },
	"dirlink": func(t *testing.T, p string) { must(t, os.Symlink(".", p)) },
	"fifo":    func(t *testing.T, p string) { must(t, unix.Mkfifo(p, 0o640)) },
	"socket":  func(t *testing.T, p string) { must(t, unix.Mknod(p, unix.S_IFSOCK|0o600, 0)) },
	"char":    func(t *testing.T, p string) { must(t, unix.Mknod(p, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3)))) },
	"block":   func(t *testing.T, p string) { must(t, unix.Mknod(p, unix.S_IFBLK|0o600, int(unix.Mkdev(7, 200)))) },
}

// TestKinds replaces each kind of name by each other.
func TestKinds(t *testing.T) {
	for from, makeOld := range kinds {
		for to, makeNew := range kinds {
			t.Run(from+" to "+to, func(t *testing.T) {
				if strings.Contains(from+to, "char") || strings.Contains(from+to, "block") {
					requireRoot(t)
				}
				src, dst := dirs(t)
				makeOld(t, filepath.Join(dst, "x"))
				age(t, dst)
				makeNew(t, filepath.Join(src, "x"))
				res, _ := full(t, src, dst, archive)
				requireClean(t, res)
				requireEqual(t, src, dst)

				// The same by a partial push.
				src, dst = dirs(t)
				makeOld(t, filepath.Join(dst, "x"))
				age(t, dst)
				makeNew(t, filepath.Join(src, "x"))
				res, _ = partial(t, src, dst, archive, source.Path{Name: "x", Tree: true})
				requireClean(t, res)
				requireEqual(t, src, dst)

				res, lines := full(t, src, dst, archive)
				requireClean(t, res)
				if len(lines) > 0 {
					t.Errorf("a second push still found %q", lines)
				}
			})
		}
	}
}

// TestKindsWithoutDelete: only a directory that is not empty does not make way.
func TestKindsWithoutDelete(t *testing.T) {
	for to, makeNew := range kinds {
		if to == "none" || to == "dir" || to == "empty" {
			continue
		}
		t.Run(to, func(t *testing.T) {
			if to == "char" || to == "block" {
				requireRoot(t)
			}
			src, dst := dirs(t)
			makeNew(t, filepath.Join(src, "full"))
			makeNew(t, filepath.Join(src, "empty"))
			write(t, filepath.Join(dst, "full", "keep"), "kept")
			mkdir(t, dst, "empty")
			o := archive
			o.Delete = false
			res, _ := full(t, src, dst, o)
			if len(res.Problems) != 1 || res.Problems[0].Path != "full" ||
				!strings.Contains(res.Problems[0].Error(), "could not make way for new ") {
				t.Errorf("problems: %v", res.Problems)
			}
			if got := read(t, filepath.Join(dst, "full", "keep")); got != "kept" {
				t.Errorf("content of the directory that stayed: %q", got)
			}
			ignore := func(p string) bool { return p == "full" || strings.HasPrefix(p, "full/") }
			syncertest.RequireEqual(t, src, dst, syncertest.CompareOptions{Ignore: ignore})

			o.Force = true
			res, _ = full(t, src, dst, o)
			requireClean(t, res)
			requireEqual(t, src, dst)
		})
	}
}

func TestOddNames(t *testing.T) {
	src, dst := dirs(t)
	names := []string{"a b", "nl\nx", "tab\t", "\xff\xfe", "quo\"te'", "-rf", "*", "~", "\\#012", "é",
		strings.Repeat("n", 255), strings.Repeat("é", 127) + "x", "." + strings.Repeat("d", 254), "..a", "...", ".hidden"}
	for _, name := range names {
		write(t, filepath.Join(src, name), "1"+name)
		write(t, filepath.Join(src, "d"+name[:len(name)-1], name), "2"+name)
	}
	for _, name := range names {
		must(t, os.Symlink(name, filepath.Join(mkdir(t, src, "links"), name)))
	}
	res, _ := full(t, src, dst, archive)
	requireClean(t, res)
	requireEqual(t, src, dst)

	write(t, filepath.Join(src, names[10]), "again")
	must(t, os.Remove(filepath.Join(src, names[3])))
	res, lines := partial(t, src, dst, archive, source.Path{Name: names[10]}, source.Path{Name: names[3]})
	requireClean(t, res)
	if want := 3; len(lines) != want { // ".", the file, the deletion
		t.Errorf("%d lines, want %d: %q", len(lines), want, lines)
	}
	requireEqual(t, src, dst)
}

// TestDeep works near PATH_MAX, where an absolute path would be too long.
func TestDeep(t *testing.T) {
	src, dst := dirs(t)
	rel := strings.Repeat("deep/", (unix.PathMax-1-len("file"))/5) + "file"
	deepFile(t, src, rel, "at the bottom")
	res, _ := full(t, src, dst, archive)
	requireClean(t, res)
	if got := readDeep(t, dst, rel); got != "at the bottom" {
		t.Errorf("got %q", got)
	}
	deepFile(t, src, rel, "changed at the bottom")
	res, _ = partial(t, src, dst, archive, source.Path{Name: rel, Content: true})
	requireClean(t, res)
	if got := readDeep(t, dst, rel); got != "changed at the bottom" {
		t.Errorf("got %q", got)
	}
	res, lines := full(t, src, dst, archive)
	requireClean(t, res)
	if len(lines) > 0 {
		t.Errorf("a second push still found %d changes", len(lines))
	}
	must(t, os.RemoveAll(filepath.Join(src, "deep")))
	res, _ = full(t, src, dst, archive)
	requireClean(t, res)
	requireEqual(t, src, dst)
}

func deepFile(t *testing.T, root, rel, data string) {
	t.Helper()
	r, err := os.OpenRoot(root)
	must(t, err)
	defer r.Close()
	parts := strings.Split(rel, "/")
	for _, p := range parts[:len(parts)-1] {
		if err := r.Mkdir(p, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		next, err := r.OpenRoot(p)
		must(t, err)
		r.Close()
		r = next
	}
	must(t, r.WriteFile(parts[len(parts)-1], []byte(data), 0o644))
}

func readDeep(t *testing.T, root, rel string) string {
	t.Helper()
	r, err := os.OpenRoot(root)
	must(t, err)
	defer r.Close()
	data, err := r.ReadFile(rel)
	must(t, err)
	return string(data)
}

// TestQuickCheck holds what counts as equal: size and mtime in nanoseconds, unless a
// hint, a late ctime or --checksum asks for the bytes.
func TestQuickCheck(t *testing.T) {
	at := time.Unix(1_600_000_000, 123_456_789)
	past, future := time.Unix(1, 0), time.Now().Add(time.Hour)
	for _, test := range []struct {
		name     string
		data     string // what the target has; the source has "data"
		shift    time.Duration
		checksum bool
		content  bool
		since    time.Time
		want     string // the line of rsync -i
		arrives  bool
	}{
		{name: "equal", data: "data"},
		{name: "same size and time are believed", data: "DATA"},
		{name: "a nanosecond counts", data: "DATA", shift: 1, want: ">f..t...... f", arrives: true},
		{name: "size counts", data: "more data", want: ">f.s....... f", arrives: true},
		{name: "hint", data: "DATA", content: true, want: ">fc........ f", arrives: true},
		{name: "hint without ground", data: "data", content: true},
		{name: "ctime after since", data: "DATA", since: past, want: ">fc........ f", arrives: true},
		{name: "ctime after since without ground", data: "data", since: past},
		{name: "ctime before since", data: "DATA", since: future},
		{name: "checksum", data: "DATA", checksum: true, want: ">fc........ f", arrives: true},
		{name: "checksum looks through another time", data: "data", shift: time.Hour, checksum: true, want: ".f..t...... f"},
		{name: "checksum and size", data: "more data", checksum: true, want: ">fcs....... f", arrives: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			src, dst := dirs(t)
			write(t, filepath.Join(src, "f"), "data")
			write(t, filepath.Join(dst, "f"), test.data)
			setTime(t, filepath.Join(src, "f"), at)
			setTime(t, filepath.Join(dst, "f"), at.Add(test.shift))
			setTime(t, src, at)
			setTime(t, dst, at)

			o := archive
			o.Checksum = test.checksum
			lines := record(&o)
			s := openSource(t, src, sourceOptions(o))
			plan, err := s.Plan(t.Context(), []source.Path{{Name: "f", Content: test.content}})
			must(t, err)
			res, err := openTarget(t, dst, o).Partial(t.Context(), s, plan, test.since)
			must(t, err)
			requireClean(t, res)
			var want []string
			if test.want != "" {
				want = []string{test.want}
			}
			if diff := cmp.Diff(want, *lines); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
			if got, want := read(t, filepath.Join(dst, "f")) == "data", test.arrives || test.data == "data"; got != want {
				t.Errorf("target equal: %v, want %v", got, want)
			}
		})
	}
}

// TestMaxDelete stops at the limit and says how much is left; what is transferred is not
// concerned.
func TestMaxDelete(t *testing.T) {
	src, dst := dirs(t)
	write(t, filepath.Join(src, "new"), "new")
	for i := range 5 {
		write(t, filepath.Join(dst, fmt.Sprint("old", i)), "old")
		write(t, filepath.Join(dst, "dir", fmt.Sprint("old", i)), "old")
	}
	o := archive
	for _, step := range []struct{ limit, deleted, held int64 }{{0, 0, 10}, {3, 3, 7}, {7, 7, 1}, {1, 1, 0}} {
		o.MaxDelete = step.limit
		res, _ := full(t, src, dst, o)
		if res.Stats.Deleted != step.deleted || res.DeletesHeld != step.held {
			t.Errorf("limit %d: deleted %d, held %d; want %d, %d",
				step.limit, res.Stats.Deleted, res.DeletesHeld, step.deleted, step.held)
		}
		if len(res.Problems) > 0 {
			t.Errorf("limit %d: %v", step.limit, res.Problems)
		}
	}
	requireEqual(t, src, dst)
}

// TestRules: what a rule hides or protects on the target stays, with what is above it.
func TestRules(t *testing.T) {
	src, dst := dirs(t)
	for _, name := range []string{"a", "hid.o", "d/x", "both/cache/1", "gone.h"} {
		write(t, filepath.Join(src, name), "source")
	}
	for _, name := range []string{"old", "old.o", "keep/p.me", "keep/other", "both/cache/2", "both/3", "cache/x", "gone.h"} {
		write(t, filepath.Join(dst, name), "target")
	}
	var b filter.Builder
	must(t, errors.Join(b.Exclude("*.o"), b.Filter("P *.me"), b.Exclude("cache/"), b.Filter("H *.h")))
	o := archive
	o.Filter = b.Build()
	var messages []string
	o.Sink.Message = func(text string, _ bool) { messages = append(messages, text) }
	res, lines := full(t, src, dst, o)
	requireClean(t, res)
	want := []string{
		"cd+++++++++ d/", ">f+++++++++ a", ">f+++++++++ d/x", ".d..t...... ./", ".d..t...... both/",
		"*deleting   keep/other", "*deleting   old", "*deleting   both/3", "*deleting   gone.h",
	}
	requireSameLines(t, want, lines)
	if diff := cmp.Diff([]string{"cannot delete non-empty directory: keep"}, messages); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	for _, name := range []string{"old.o", "keep/p.me", "both/cache/2", "cache/x"} {
		if read(t, filepath.Join(dst, name)) != "target" {
			t.Errorf("%s was touched", name)
		}
	}
}

// TestTypesLeftOut: a name whose type takes no part is not there, and not gone either.
func TestTypesLeftOut(t *testing.T) {
	src, dst := dirs(t)
	must(t, os.Symlink("x", filepath.Join(src, "l")))
	must(t, unix.Mkfifo(filepath.Join(src, "p"), 0o600))
	write(t, filepath.Join(dst, "l"), "target")
	write(t, filepath.Join(dst, "p"), "target")
	write(t, filepath.Join(dst, "gone"), "target")
	o := archive
	o.Links, o.Specials = false, false
	res, _ := full(t, src, dst, o)
	requireClean(t, res)
	if read(t, filepath.Join(dst, "l"))+read(t, filepath.Join(dst, "p")) != "targettarget" || exists(filepath.Join(dst, "gone")) {
		t.Error("only what is gone was to be deleted")
	}
}

func TestDryRun(t *testing.T) {
	src, dst := dirs(t)
	for name, make := range kinds {
		if name == "char" || name == "block" {
			requireRoot(t)
		}
		for other, makeOther := range kinds {
			make(t, filepath.Join(src, name+other))
			makeOther(t, filepath.Join(dst, name+other))
		}
	}
	write(t, filepath.Join(dst, "only", "here"), "x")
	age(t, dst)
	before := t.TempDir()
	must(t, os.RemoveAll(before))
	o := archive
	full(t, dst, before, o)

	o.DryRun = true
	res, announced := full(t, src, dst, o)
	requireClean(t, res)
	requireEqual(t, before, dst)

	o.DryRun = false
	res, done := full(t, src, dst, o)
	requireClean(t, res)
	requireSameLines(t, done, announced)
	requireEqual(t, src, dst)

	// Without a target at all.
	o.DryRun = true
	missing := filepath.Join(t.TempDir(), "missing")
	res, announced = full(t, src, missing, o)
	requireClean(t, res)
	partial(t, src, missing, o, source.Path{Name: "filefile"}, source.Path{Name: "gone"}, source.Path{Name: "dirdir", Tree: true})
	if exists(missing) {
		t.Error("a dry run made the target")
	}
	o.DryRun = false
	_, done = full(t, src, missing, o)
	requireSameLines(t, done, announced)
}

// TestWithoutPerms has rsync's rule: new names get the source's permissions less the
// umask and no special bits, others keep theirs.
func TestWithoutPerms(t *testing.T) {
	src, dst := dirs(t)
	o := archive
	o.Perms, o.Umask = false, 0o027
	for name, mode := range map[string]uint32{"new": 0o4777, "old": 0o777, "d": 0o1777} {
		p := filepath.Join(src, name)
		if name == "d" {
			mkdir(t, p)
		} else {
			write(t, p, "new data")
		}
		must(t, unix.Chmod(p, mode))
	}
	write(t, filepath.Join(dst, "old"), "old")
	must(t, unix.Chmod(filepath.Join(dst, "old"), 0o604))
	res, _ := full(t, src, dst, o)
	requireClean(t, res)
	for name, want := range map[string]uint32{"new": 0o750, "old": 0o604, "d": 0o750} {
		var st unix.Stat_t
		must(t, unix.Stat(filepath.Join(dst, name), &st))
		if got := st.Mode & 0o7777; got != want {
			t.Errorf("%s: mode %o, want %o", name, got, want)
		}
	}
}

func TestSetIDBitsAndOwners(t *testing.T) {
	requireRoot(t)
	src, dst := dirs(t)
	for i, mode := range []uint32{0o4755, 0o2755, 0o6711, 0o1777, 0o0000, 0o0400} {
		f, d := filepath.Join(src, fmt.Sprint("f", i)), filepath.Join(src, fmt.Sprint("d", i))
		write(t, f, "x")
		write(t, filepath.Join(d, "in"), "x")
		for _, p := range []string{f, d} {
			must(t, os.Lchown(p, 1000+i, 2000+i))
			must(t, unix.Chmod(p, mode))
		}
	}
	must(t, os.Symlink("x", filepath.Join(src, "l")))
	must(t, os.Lchown(filepath.Join(src, "l"), 5, 6))
	res, _ := full(t, src, dst, archive)
	requireClean(t, res)
	requireEqual(t, src, dst)

	// Only the owner changes: the set-ID bits survive chown(2).
	must(t, os.Lchown(filepath.Join(dst, "f0"), 1, 1))
	must(t, unix.Chmod(filepath.Join(dst, "f0"), 0o4755))
	res, lines := full(t, src, dst, archive)
	requireClean(t, res)
	if diff := cmp.Diff([]string{".f....og... f0"}, lines); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	requireEqual(t, src, dst)
}

func TestOpen(t *testing.T) {
	base := t.TempDir()
	write(t, filepath.Join(base, "file"), "x")
	for _, test := range []struct {
		path string
		want error
	}{
		{"new", nil}, {"new", nil}, {"new2/", nil}, {"a/b", fs.ErrNotExist}, {"file", unix.ENOTDIR}, {"file/x", unix.ENOTDIR},
	} {
		for _, dry := range []bool{true, false} {
			target, err := Open(base+"/"+test.path, Options{Set: option.Set{DryRun: dry}})
			if !errors.Is(err, test.want) {
				t.Errorf("open %q, dry run %v: %v, want %v", test.path, dry, err, test.want)
			}
			if err == nil {
				target.Close()
			}
		}
	}
}

// TestSingleFile has rsync's rule for a source that is one file.
func TestSingleFile(t *testing.T) {
	for _, test := range []struct{ name, dst, want string }{
		{"new name", "renamed", "renamed"},
		{"over a file", "file", "file"},
		{"into a directory", "dir", "dir/one"},
		{"new directory", "fresh/", "fresh/one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			src, dst := dirs(t)
			write(t, filepath.Join(src, "one"), "one")
			write(t, filepath.Join(src, "two"), "two")
			write(t, filepath.Join(dst, "file"), "older") // the same size and time would be the same file
			mkdir(t, dst, "dir")
			so := sourceOptions(archive)
			so.Prefix = "one"
			s := openSource(t, src, so)
			push := func(do func(*Target) (Result, error)) {
				t.Helper()
				target, err := OpenFile(dst+"/"+test.dst, archive)
				must(t, err)
				defer target.Close()
				res, err := do(target)
				must(t, err)
				requireClean(t, res)
			}
			push(func(target *Target) (Result, error) { return target.Full(t.Context(), s, time.Time{}) })
			if got := read(t, filepath.Join(dst, test.want)); got != "one" {
				t.Errorf("got %q", got)
			}
			planned := func(target *Target) (Result, error) {
				plan, err := s.Plan(t.Context(), []source.Path{{Name: "one", Content: true}})
				must(t, err)
				return target.Partial(t.Context(), s, plan, time.Time{})
			}
			write(t, filepath.Join(src, "one"), "1+1")
			push(planned)
			if got := read(t, filepath.Join(dst, test.want)); got != "1+1" {
				t.Errorf("got %q", got)
			}
			must(t, os.Remove(filepath.Join(src, "one")))
			push(planned)
			beside := filepath.Join(dst, "dir")
			if exists(filepath.Join(dst, test.want)) || !exists(beside) || exists(filepath.Join(dst, "two")) {
				t.Error("the one file, and it alone, was to be deleted")
			}
		})
	}
}

// TestPrefix pushes a directory without a trailing slash: its name is part of the
// transfer, and its neighbours on the target are not.
func TestPrefix(t *testing.T) {
	src, dst := dirs(t)
	write(t, filepath.Join(src, "abc", "d", "f"), "x")
	write(t, filepath.Join(src, "beside"), "x")
	write(t, filepath.Join(dst, "stays"), "x")
	write(t, filepath.Join(dst, "abc", "goes"), "x")
	so := sourceOptions(archive)
	so.Prefix = "abc"
	res, err := openTarget(t, dst, archive).Full(t.Context(), openSource(t, src, so), time.Time{})
	must(t, err)
	requireClean(t, res)
	if !exists(filepath.Join(dst, "stays")) || exists(filepath.Join(dst, "beside")) {
		t.Error("names beside the prefix were touched")
	}
	requireEqual(t, filepath.Join(src, "abc"), filepath.Join(dst, "abc"))
}
