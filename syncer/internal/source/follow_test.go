package source

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// rsync runs the real program; code is its exit code, of which 0 and 23 are taken as fair.
func rsync(t *testing.T, args ...string) (code int) {
	t.Helper()
	cmd := exec.Command("rsync", args...)
	out, err := cmd.CombinedOutput()
	code = cmd.ProcessState.ExitCode()
	if err != nil && code != 23 {
		t.Fatalf("rsync %q: %v\n%s", args, err, out)
	}
	return code
}

// described is what stands at path, in one line.
func described(t *testing.T, path string) string {
	t.Helper()
	fi, err := os.Lstat(path)
	must(t, err)
	switch {
	case fi.IsDir():
		return "dir"
	case fi.Mode()&fs.ModeSymlink != 0:
		text, err := os.Readlink(path)
		must(t, err)
		return "-> " + text
	case fi.Mode().IsRegular():
		b, err := os.ReadFile(path)
		must(t, err)
		return fmt.Sprintf("file %#o %q", fi.Mode().Perm(), b)
	}
	return fi.Mode().String()
}

// onDisk describes all names below dir.
func onDisk(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		all[rel] = described(t, path)
		return err
	}))
	return all
}

// sent describes what a push of tree would bring over, as onDisk does, and its problems.
func sent(t *testing.T, tree *Tree) (map[string]string, []report.Problem) {
	t.Helper()
	plan, err := tree.All(t.Context())
	must(t, err)
	all := map[string]string{}
	problems := plan.Problems
	put := func(e flist.Entry) {
		switch {
		case e.Name == ".":
		case e.IsDir():
			all[e.Name] = "dir"
		case e.IsSymlink():
			all[e.Name] = "-> " + e.Link()
		case e.IsRegular():
			f, now, err := tree.Open(e.Name)
			if err != nil {
				problems = append(problems, report.Problem{Path: e.Name, Err: err})
				return
			}
			defer f.Close()
			b, err := io.ReadAll(f)
			must(t, err)
			if !now.SameVersion(&e) {
				t.Errorf("%s: %+v is not %+v", e.Name, now, e)
			}
			all[e.Name] = fmt.Sprintf("file %#o %q", e.Mode&0o777, b)
		}
	}
	for _, e := range slices.Concat(plan.Parents, plan.Entries) {
		put(e)
	}
	for _, top := range plan.Trees {
		must(t, tree.Walk(t.Context(), top, func(dir flist.Entry, others []flist.Entry, _ bool) error {
			put(dir)
			for _, e := range others {
				put(e)
			}
			return nil
		}, func(p report.Problem) { problems = append(problems, p) }))
	}
	return all, problems
}

// The texts are those at which rsync's own rule was found out; the judge is the program.
func TestUnsafeLink(t *testing.T) {
	texts := []string{"x", "./x", "../x", "../../x", "../../", "../..", "..", "../", ".", "./", "./../x", "./../../x", "a/../x", "a/..",
		"a/b/../../../x", "a/b/../../../../x", "../a/../x", "../a/../../x", "..a", "..a/x", "...", "a/...", "a//x", "//x", "/x", "..//x",
		"..//..//x", ".//../x", "a/.", "a/./../x", "../d/x", "../../us/d/x", "..x/../y", "./.", ".././x", ".././../x", "a/../", "x/..",
		"x/../", "../.", "../..//x", "../../../x", "../../e/../x"}
	src, dst := t.TempDir(), t.TempDir()
	unsafe := map[string]bool{}
	for _, dir := range []string{"", "d/", "d/e/"} {
		must(t, os.MkdirAll(filepath.Join(src, dir), 0o755))
		for i, text := range texts {
			name := fmt.Sprintf("%sl%d", dir, i)
			must(t, os.Symlink(text, filepath.Join(src, name)))
			unsafe[name] = UnsafeLink(name, text)
		}
	}
	rsync(t, "-a", "--safe-links", src+"/", dst)
	there := onDisk(t, dst)
	for name, got := range unsafe {
		if _, safe := there[name]; got == safe {
			text, _ := os.Readlink(filepath.Join(src, name))
			t.Errorf("%s -> %s: unsafe is %v, rsync says otherwise", name, text, got)
		}
	}
	if !UnsafeLink("l", "") {
		t.Error("an empty target is safe")
	}
}

// linkedTree has symlinks of all kinds, and a directory beside it that they lead to.
func linkedTree(t *testing.T) string {
	t.Helper()
	base := makeTree(t, "out/f", "out/sub/g", "out/in -> sub", "out/up -> ../far", "far/x",
		"src/f", "src/d/g", "src/d/self -> .", "src/to file -> f", "src/to dir -> d", "src/dangling -> none", "src/d/up -> ../f",
		"src/out file -> ../out/f", "src/out dir -> ../out", "src/d/out dir -> ../../out", "src/munged -> /rsyncd-munged/x",
		"src/munged alone -> /rsyncd-munged/", "src/a -> b", "src/b -> a", "src/abs none -> /none/at/all")
	must(t, os.Symlink(filepath.Join(base, "out/f"), filepath.Join(base, "src/abs")))
	return base
}

// What a tree lists and opens under the options for symlinks is what rsync copies.
func TestFollowedAsByRsync(t *testing.T) {
	syncertest.SkipUnderRace(t, "what is walked is the same for the walk's goroutines")
	base := linkedTree(t)
	for _, test := range []struct {
		args []string
		set  func(*option.Set)
	}{
		{[]string{"-a"}, func(*option.Set) {}},
		{[]string{"-aL"}, func(o *option.Set) { o.CopyLinks = true }},
		{[]string{"-ak"}, func(o *option.Set) { o.CopyDirlinks = true }},
		{[]string{"-a", "--copy-unsafe-links"}, func(o *option.Set) { o.CopyUnsafeLinks = true }},
		{[]string{"-ak", "--copy-unsafe-links"}, func(o *option.Set) { o.CopyUnsafeLinks, o.CopyDirlinks = true, true }},
		{[]string{"-a", "--munge-links"}, func(o *option.Set) { o.MungeLinks = true }},
		{[]string{"-r"}, func(o *option.Set) { o.Links = false }},
		{[]string{"-r", "--copy-unsafe-links"}, func(o *option.Set) { o.Links, o.CopyUnsafeLinks = false, true }},
		{[]string{"-aL", "--include=*/", "--include=g", "--exclude=*"}, func(o *option.Set) {
			o.CopyLinks, o.Filter = true, rules(t, "+ */", "+ g", "- *")
		}},
		{[]string{"-ak", "--exclude=self", "--exclude=to dir/"}, func(o *option.Set) {
			o.CopyDirlinks, o.Filter = true, rules(t, "- self", "- to dir/")
		}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			dst := t.TempDir()
			code := rsync(t, append(test.args, base+"/src/", dst)...)
			o := option.Archive()
			test.set(&o)
			got, problems := sent(t, open(t, base+"/src", Options{Set: o}))
			if diff := cmp.Diff(onDisk(t, dst), got); diff != "" {
				t.Errorf("rsync -, lockstep +:\n%s", diff)
			}
			if (code == 23) != (len(problems) > 0) {
				t.Errorf("rsync ends with %d, the problems are %v", code, problems)
			}
			for _, p := range problems {
				if p.Vanished() {
					t.Errorf("%v looks like a deletion", p)
				}
			}
		})
	}
}

// A change at or below a followed symlink is planned as what it leads to.
func TestPlanFollows(t *testing.T) {
	base := linkedTree(t)
	o := option.Archive()
	o.CopyLinks = true
	tree := open(t, base+"/src", Options{Set: o})
	plan, err := tree.Plan(t.Context(), []Path{{Name: "to dir/g"}, {Name: "out dir/in/g"}, {Name: "abs"}, {Name: "dangling"}, {Name: "to dir/none"}})
	must(t, err)
	want := parts{
		Missing: []string{"to dir/none"},
		Parents: []string{".~", "out dir~", "out dir/in~"},
		Entries: []string{"abs", "out dir/in/g", "to dir~", "to dir/g"},
	}
	got := partsOf(plan)
	slices.Sort(got.Entries)
	slices.Sort(want.Entries)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(plan.Problems) != 1 || plan.Problems[0].Path != "dangling" || plan.Problems[0].Vanished() {
		t.Errorf("problems %v", plan.Problems)
	}
}

// Without an option for it nothing is followed, not even where a scope is given.
func TestNothingElseIsFollowed(t *testing.T) {
	base := linkedTree(t)
	o := option.Archive()
	for name, tree := range map[string]*Tree{
		"all":    open(t, base+"/src", Options{Set: o}),
		"prefix": open(t, base, Options{Set: o, Prefix: "src"}),
	} {
		for _, path := range []string{"out dir/f", "to dir/g", "abs"} {
			if name == "prefix" {
				path = "src/" + path
			}
			if _, _, err := tree.Open(path); err == nil {
				t.Errorf("%s: %s was opened", name, path)
			}
		}
	}
	o.CopyUnsafeLinks = true
	tree := open(t, base+"/src", Options{Set: o})
	if _, _, err := tree.Open("to dir/g"); err == nil {
		t.Error("a safe symlink was followed")
	}
	if _, _, err := tree.Open("out dir/in/g"); err == nil {
		t.Error("a safe symlink behind an unsafe one was followed")
	}
}
