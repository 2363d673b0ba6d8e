package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
)

// parts is a plan in a form that is easy to write down: "!" marks Content, "~" Partial.
type parts struct{ Missing, Unsure, Parents, Entries, Trees, Unmounted []string }

func partsOf(p Plan) parts {
	mark := func(entries []flist.Entry) (names []string) {
		for _, e := range entries {
			name := e.Name
			if e.Flags&flist.Content != 0 {
				name += "!"
			}
			if e.Flags&flist.Partial != 0 {
				name += "~"
			}
			names = append(names, name)
		}
		return names
	}
	var unmounted []string
	for _, problem := range p.Problems {
		if errors.Is(problem, ErrUnmounted) {
			unmounted = append(unmounted, problem.Path)
		}
	}
	return parts{p.Missing, p.Unsure, mark(p.Parents), mark(p.Entries), mark(p.Trees), unmounted}
}

func TestPlan(t *testing.T) {
	root := makeTree(t, "f", "d/f", "d/g", "d/e/f", "d/l -> f", "d/p|", "x.o", "o/x.o", "cache/f", "dl -> d")
	plain := func(names ...string) (paths []Path) {
		for _, n := range names {
			paths = append(paths, Path{Name: n})
		}
		return paths
	}
	for _, test := range []struct {
		name  string
		opts  Options
		paths []Path
		want  parts
	}{
		{name: "nothing", opts: everything},
		{
			name: "a file", opts: everything, paths: plain("d/e/f"),
			want: parts{Parents: []string{".~", "d~", "d/e~"}, Entries: []string{"d/e/f"}},
		},
		{
			name: "its content", opts: everything, paths: []Path{{Name: "d/f", Content: true}, {Name: "d/f"}, {Name: "d/l", Content: true}},
			want: parts{Parents: []string{".~", "d~"}, Entries: []string{"d/f!", "d/l"}},
		},
		{
			name: "gone", opts: everything, paths: plain("gone", "d/gone"),
			want: parts{Missing: []string{"d/gone", "gone"}, Entries: []string{".~", "d~"}},
		},
		{
			name: "gone with all below", opts: everything, paths: plain("d/none/a/b", "d/none/c", "d/none"),
			want: parts{Missing: []string{"d/none"}, Parents: []string{".~"}, Entries: []string{"d~"}},
		},
		{
			name: "below what is a file now", opts: everything, paths: plain("d/f/was/below"),
			want: parts{Parents: []string{".~", "d~"}, Entries: []string{"d/f!"}},
		},
		{
			name: "below what is a symlink now", opts: everything, paths: plain("dl/f"),
			want: parts{Parents: []string{".~"}, Entries: []string{"dl"}},
		},
		{
			name: "a directory alone", opts: everything, paths: plain("d"),
			want: parts{Parents: []string{".~"}, Entries: []string{"d~"}},
		},
		{
			name: "a directory, and above another change", opts: everything, paths: plain("d", "d/f"),
			want: parts{Parents: []string{".~"}, Entries: []string{"d~", "d/f"}},
		},
		{
			name: "a tree swallows what is below", opts: everything,
			paths: []Path{{Name: "d", Tree: true}, {Name: "d/f"}, {Name: "d/g", Content: true}, {Name: "d/gone"}, {Name: "d/e", Tree: true}},
			want:  parts{Parents: []string{".~"}, Entries: []string{"d/g!"}, Trees: []string{"d"}},
		},
		{
			name: "a tree of a file", opts: everything, paths: []Path{{Name: "d/f", Tree: true}},
			want: parts{Parents: []string{".~", "d~"}, Entries: []string{"d/f"}},
		},
		{
			name: "everything", opts: everything, paths: []Path{{Name: ".", Tree: true}, {Name: "gone"}, {Name: "d/f"}},
			want: parts{Trees: []string{"."}},
		},
		{
			name: "the root alone", opts: everything, paths: plain("."),
			want: parts{Entries: []string{".~"}},
		},
		{
			name: "rules", opts: Options{Set: option.Set{Recurse: true, Filter: rules(t, "- *.o", "- cache/")}},
			paths: plain("x.o", "o/x.o", "cache", "cache/f", "gone.o", "cache/gone", "f"),
			want:  parts{Entries: []string{".~", "f", "o~"}},
		},
		{
			name: "types that take no part", opts: Options{Set: option.Set{Recurse: true}}, paths: plain("d/l", "d/p", "dl/x"),
			want: parts{Entries: []string{".~", "d~"}},
		},
		{name: "no recursion", opts: Options{}, paths: plain("d/f", "f"), want: parts{Entries: []string{".~", "f"}}},
		{
			name: "what was unmounted", opts: Options{Set: option.Set{Recurse: true}, Unmounted: map[string]bool{"d/e": true, "gone": true}},
			paths: plain("d/e/gone", "d/e", "gone", "gone/x", "d/f"),
			want:  parts{Parents: []string{".~", "d~"}, Entries: []string{"d/f"}, Unmounted: []string{"d/e", "gone"}},
		},
		{
			name: "a rule for directories alone, or for others", opts: Options{Set: option.Set{Recurse: true, Filter: rules(t, "- build/", "+ */", "- *.o")}},
			paths: plain("build", "gone.o", "d/build", "d/other"),
			want:  parts{Missing: []string{"d/other"}, Unsure: []string{"build", "d/build", "gone.o"}, Entries: []string{".~", "d~"}},
		},
		{
			name: "prefix", opts: Options{Set: option.Set{Recurse: true}, Prefix: "d"}, paths: plain("d/f", "d/gone", "f", "dl", "gone"),
			want: parts{Missing: []string{"d/gone"}, Entries: []string{"d~", "d/f"}},
		},
		{
			name: "prefix is a file", opts: Options{Prefix: "f"}, paths: []Path{{Name: "f", Content: true}, {Name: "d/f"}},
			want: parts{Entries: []string{"f!"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := open(t, root, test.opts).Plan(t.Context(), test.paths)
			must(t, err)
			if diff := cmp.Diff(test.want, partsOf(plan), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if len(plan.Problems) > len(test.want.Unmounted) {
				t.Errorf("problems: %v", plan.Problems)
			}
		})
	}
}

func TestPlanProblems(t *testing.T) {
	root := makeTree(t, "f")
	tree := open(t, root, everything)
	long := strings.Repeat("n", 256)
	plan, err := tree.Plan(t.Context(), []Path{{Name: "f"}, {Name: long}, {Name: long + "/below"}})
	must(t, err)
	if len(plan.Problems) != 1 || plan.Problems[0].Path != long || len(plan.Missing) > 0 {
		t.Errorf("%+v", plan)
	}
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if _, err := tree.Plan(ctx, []Path{{Name: "f"}}); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
}

// TestPlanModel holds any plan of random paths in a random tree against what the disk
// says: each path is covered, nothing that stands is missing, and no name is in two parts.
func TestPlanModel(t *testing.T) {
	component := rapid.SampledFrom([]string{"a", "b", "c"})
	randomPath := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(component, 1, 4).Draw(t, "components"), "/")
	})
	base := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		root := filepath.Join(base, fmt.Sprint(runs))
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, p := range rapid.SliceOfN(randomPath, 0, 8).Draw(t, "files") {
			// What stands in the way of a path makes it impossible: fine.
			_ = os.MkdirAll(filepath.Join(root, path.Dir(p)), 0o755)
			_ = os.WriteFile(filepath.Join(root, p), nil, 0o644)
		}
		var paths []Path
		for _, p := range rapid.SliceOfN(randomPath, 1, 6).Draw(t, "paths") {
			paths = append(paths, Path{Name: p, Tree: rapid.Bool().Draw(t, "tree"), Content: rapid.Bool().Draw(t, "content")})
		}
		tree, err := Open(root, everything)
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Close()
		plan, err := tree.Plan(context.Background(), paths)
		if err != nil || len(plan.Problems) > 0 {
			t.Fatalf("%v, %v", plan.Problems, err)
		}
		checkPlan(t, root, paths, plan)
	})
}

func checkPlan(t *rapid.T, root string, paths []Path, plan Plan) {
	names := map[string]int{}
	for _, list := range [][]flist.Entry{plan.Parents, plan.Entries, plan.Trees} {
		for _, e := range list {
			names[e.Name]++
			if _, err := os.Lstat(filepath.Join(root, e.Name)); err != nil {
				t.Errorf("%q is in the plan and not there: %v", e.Name, err)
			}
		}
	}
	covered := func(p string) bool {
		inTree := func(e flist.Entry) bool { return e.Name == "." || p == e.Name || strings.HasPrefix(p, e.Name+"/") }
		atOrAbove := func(name string) bool { return p == name || strings.HasPrefix(p, name+"/") }
		return slices.ContainsFunc(plan.Trees, inTree) || slices.ContainsFunc(plan.Missing, atOrAbove) ||
			slices.ContainsFunc(plan.Entries, func(e flist.Entry) bool { return p == e.Name || !e.IsDir() && atOrAbove(e.Name) })
	}
	for _, name := range plan.Missing {
		names[name]++
		if _, err := os.Lstat(filepath.Join(root, name)); err == nil {
			t.Errorf("%q stands and is to be deleted", name)
		}
		if info, err := os.Lstat(filepath.Join(root, path.Dir(name))); err != nil || !info.IsDir() {
			t.Errorf("%q is not the topmost missing name", name)
		}
	}
	for name, n := range names {
		if n > 1 {
			t.Errorf("%q is in the plan %d times", name, n)
		}
		if dir := path.Dir(name); name != "." && !covered(name) && names[dir] == 0 {
			t.Errorf("%q is in the plan, its directory is not", name)
		}
	}
	for _, p := range paths {
		if !covered(p.Name) {
			t.Errorf("%q is not covered", p.Name)
		}
	}
}
