package source

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/option"
)

// put makes a file with the directories above it.
func put(t *testing.T, name, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, []byte(content), 0o644))
}

func changes(names ...string) []Path {
	var paths []Path
	for _, name := range names {
		paths = append(paths, Path{Name: name})
	}
	return paths
}

func perDir(t *testing.T, root string) Options {
	return Options{Set: option.Set{Recurse: true, Filter: rules(t, ": .r").At(root)}}
}

// A path's rules follow from all files on its way from the root; one that cannot be read makes all of
// its directory a problem, and nothing of it missing.
func TestPlanUnderRuleFiles(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, ".r"), "- /a/b/top\n- *.o\n")
	put(t, filepath.Join(root, "a/.r"), "+ keep.o\n")
	put(t, filepath.Join(root, "a/b/.r"), "- /f\n- d/\n")
	put(t, filepath.Join(root, "bad/.r"), "bogus\n")
	for _, name := range []string{"a/b/top", "a/b/f", "a/b/x.o", "a/b/keep.o", "a/b/c/f", "a/b/d/f", "keep.o", "bad/f", "bad/sub/f"} {
		put(t, filepath.Join(root, name), name)
	}
	plan, err := open(t, root, perDir(t, root)).Plan(t.Context(), changes("a/b/top", "a/b/f", "a/b/x.o", "a/b/keep.o", "a/b/c/f", "a/b/d/f", "keep.o",
		"a/b/gone.o", "a/b/c/gone", "a/b/c/d", "bad/f", "bad/gone", "bad/sub/f"))
	must(t, err)
	var problems []string
	for _, p := range plan.Problems {
		problems = append(problems, p.Path)
		if !errors.Is(p.Err, ErrRules) || errors.Is(p.Err, fs.ErrNotExist) || !strings.Contains(p.Err.Error(), filepath.Join(root, "bad/.r")+":1: ") {
			t.Errorf("problem %v", p)
		}
	}
	plan.Problems = nil
	want := parts{
		Missing: []string{"a/b/c/gone"}, Unsure: []string{"a/b/c/d"},
		Parents: []string{"a~"}, Entries: []string{".~", "a/b~", "a/b/keep.o", "a/b/c~", "a/b/c/f"},
	}
	if diff := cmp.Diff(want, partsOf(plan), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"bad/f", "bad/gone", "bad/sub"}, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// A name that a rule hides is no change, that of its directory is: with all directories above it.
func TestPlanListsAboveOfHiddenName(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, "a/b/c/x.o"), "")
	plan, err := open(t, root, Options{Set: option.Set{Recurse: true, Filter: rules(t, "- *.o")}}).Plan(t.Context(), changes("a/b/c/x.o"))
	must(t, err)
	if diff := cmp.Diff(parts{Parents: []string{".~", "a~", "a/b~"}, Entries: []string{"a/b/c~"}}, partsOf(plan), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

// What may stand where a file of rules is looked for.
func TestRuleFileKinds(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(t *testing.T, at string)
		want string // "": the file is hidden; "there": it is not; else the error has it
	}{
		{"none", func(*testing.T, string) {}, "there"},
		{"file", func(t *testing.T, at string) { put(t, at, "- f") }, ""},
		{"directory", func(t *testing.T, at string) { must(t, os.Mkdir(at, 0o755)) }, "there"},
		{"symlink", func(t *testing.T, at string) { must(t, os.Symlink("../in", at)) }, ""},
		{"dangling symlink", func(t *testing.T, at string) { must(t, os.Symlink("none", at)) }, "there"},
		{"symlink that leads out", func(t *testing.T, at string) { must(t, os.Symlink("../../out", at)) }, "leads out of the tree"},
		{"absolute symlink", func(t *testing.T, at string) { must(t, os.Symlink("/etc/passwd", at)) }, "leads out of the tree"},
		{"symlink to itself", func(t *testing.T, at string) { must(t, os.Symlink(".r", at)) }, "in a circle"},
		{"FIFO", func(t *testing.T, at string) { must(t, unix.Mkfifo(at, 0o644)) }, "no regular file"},
		{"too large", func(t *testing.T, at string) { put(t, at, strings.Repeat("- x\n", 300_000)) }, "larger than"},
		{"merges what is not there", func(t *testing.T, at string) { put(t, at, ". ./none") }, "read merge file"},
		{"merges itself", func(t *testing.T, at string) { put(t, at, ". ./.r") }, "nest deeper"},
		{"merges a file of the root", func(t *testing.T, at string) { put(t, at, ". in") }, ""},
		{"merges an absolute name", func(t *testing.T, at string) { put(t, at, ". "+filepath.Join(filepath.Dir(at), "../../out")) }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "root")
			put(t, filepath.Join(root, "d/f"), "f")
			put(t, filepath.Join(root, "in"), "- f\n")
			put(t, filepath.Join(root, "../out"), "- f\n")
			test.make(t, filepath.Join(root, "d/.r"))
			entries, problems, err := open(t, root, perDir(t, root)).ReadDir("d")
			if test.want != "" && test.want != "there" {
				if !errors.Is(err, ErrRules) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "/d/.r") {
					t.Errorf("err = %v", err)
				}
				return
			}
			must(t, err)
			there := len(entries) > 0 && entries[0].Name == "d/f" || len(entries) > 1 && entries[1].Name == "d/f"
			if there != (test.want == "there") || len(problems) > 0 {
				t.Errorf("entries %v, problems %v", entries, problems)
			}
		})
	}
}

// Files of rules are looked for from what was named on, not above it.
func TestScopeBegins(t *testing.T) {
	files, err := FileScope([]string{"a/b", "c", "a/b/d"}, true)
	must(t, err)
	flat, err := FileScope([]string{"a/b", "c/"}, false)
	must(t, err)
	for _, test := range []struct {
		scope     *Scope
		dir, want string // "": none
	}{
		{nil, "a/b", "."},
		{PrefixScope("a/b", false, false), "a/b/c", "a/b"},
		{PrefixScope("a/b", false, false), "a/b", "a/b"},
		{PrefixScope("a/b", false, false), "a", ""},
		{PrefixScope("a/b", false, false), "a/bc", ""},
		{files, ".", ""},
		{files, "a", ""},
		{files, "a/b/d/e", "a/b"},
		{files, "c/x", "c"},
		{flat, "a/b", ""},
		{flat, "c", "c"},
		{flat, "c/x", ""},
	} {
		if got, ok := test.scope.begins(test.dir); ok != (test.want != "") || ok && got != test.want {
			t.Errorf("begins(%q) = %q, %v, want %q", test.dir, got, ok, test.want)
		}
	}
}
