package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

func namedTree(t *testing.T) string {
	t.Helper()
	return makeTree(t, "a", "z", "d/f", "d/h", "d/e/h", "d/e/deep/x", "g/x", "g/sub/y", "ld -> d", "lf -> a", "d/lg -> ../g", "empty/")
}

// Lists of names give what they give to rsync.
func TestFilesFromAsByRsync(t *testing.T) {
	syncertest.SkipUnderRace(t, "what is walked is the same for the walk's goroutines")
	src := namedTree(t)
	for _, list := range []string{
		"a", "./a", "d", "d/", "d/.", "d/f g", "d/f /z none d/none/x", ".", "./", "d/../a", "../a", "d/e/ d/e/h", "d//f", "a/x",
		"d/ d/e", "d/e d/", "ld/f", "ld", "ld/", "lf", "lf/", "d/e/deep/x d/h", "g d/lg/x", "none", "empty", "d/lg", "d/lg/",
	} {
		for _, recurse := range []bool{false, true} {
			t.Run(list+map[bool]string{true: " -r"}[recurse], func(t *testing.T) {
				names := strings.Fields(list)
				file := filepath.Join(t.TempDir(), "list")
				must(t, os.WriteFile(file, []byte(strings.Join(names, "\n")+"\n"), 0o644))
				dst := t.TempDir()
				args := []string{"-lptgoD", "--files-from=" + file, src, dst}
				o := option.Archive()
				if o.Recurse = recurse; recurse {
					args = append([]string{"-r"}, args...)
				}
				code := rsync(t, args...)
				scope, err := FileScope(names, recurse)
				must(t, err)
				got, problems := sent(t, open(t, src, Options{Set: o, Scope: scope}))
				if diff := cmp.Diff(onDisk(t, dst), got); diff != "" {
					t.Errorf("rsync -, lockstep +:\n%s", diff)
				}
				if (code == 23) != (len(problems) > 0) {
					t.Errorf("rsync ends with %d, the problems are %v", code, problems)
				}
			})
		}
	}
}

func TestFileScope(t *testing.T) {
	scope, err := FileScope([]string{"d/", "g/sub", "./a"}, false)
	must(t, err)
	got := map[string]Reach{}
	for _, name := range []string{".", "a", "b", "d", "d/f", "d/f/x", "g", "g/x", "g/sub", "g/sub/y"} {
		got[name] = scope.Of(name)
	}
	want := map[string]Reach{".": Above, "a": Alone, "b": Outside, "d": Inside, "d/f": Alone, "d/f/x": Outside,
		"g": Above, "g/x": Outside, "g/sub": Alone, "g/sub/y": Outside}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"d/./e", "a\x00b"} {
		if _, err := FileScope([]string{bad}, true); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Changes outside the list are none; nothing is deleted that is not in a listed directory.
func TestPlanFiles(t *testing.T) {
	src := namedTree(t)
	scope, err := FileScope([]string{"d/e", "g/x", "gone"}, true)
	must(t, err)
	tree := open(t, src, Options{Set: option.Archive(), Scope: scope})
	for _, test := range []struct {
		name  string
		paths []Path
		want  parts
	}{
		{"outside", []Path{{Name: "a"}, {Name: "d/f"}, {Name: "g/sub/y"}, {Name: "none"}}, parts{}},
		{"below a named directory", []Path{{Name: "d/e/deep/x"}}, parts{Parents: []string{"d~", "d/e~", "d/e/deep~"}, Entries: []string{"d/e/deep/x"}}},
		{"gone there", []Path{{Name: "d/e/none"}}, parts{Missing: []string{"d/e/none"}, Parents: []string{"d~"}, Entries: []string{"d/e~"}}},
		{"a named file", []Path{{Name: "g/x", Content: true}}, parts{Parents: []string{"g~"}, Entries: []string{"g/x!"}}},
		{"a named file that is gone", []Path{{Name: "gone"}}, parts{}},
		{"a tree above", []Path{{Name: "d", Tree: true}}, parts{Entries: []string{"d~"}, Trees: []string{"d/e"}}},
	} {
		plan, err := tree.Plan(t.Context(), test.paths)
		must(t, err)
		if diff := cmp.Diff(test.want, partsOf(plan)); diff != "" {
			t.Errorf("%s:\n%s", test.name, diff)
		}
	}
}

// A path of several components brings the directories above it.
func TestRelativePrefix(t *testing.T) {
	src := namedTree(t)
	dst := t.TempDir()
	t.Chdir(src)
	for _, test := range []struct {
		arg, prefix string
		slash, dot  bool
	}{
		{"d/e/deep", "d/e/deep", false, false},
		{"./d/e/", "d/e", true, true},
		{"ld/e", "ld/e", false, false},
		{"d/lg", "d/lg", false, false},
		{"d/lg/", "d/lg", true, false},
		{"d/e/h", "d/e/h", false, false},
		{"ld/lg/sub/", "ld/lg/sub", true, false},
	} {
		dst := filepath.Join(dst, strings.ReplaceAll(test.arg, "/", "_"))
		rsync(t, "-aR", test.arg, dst)
		tree := open(t, src, Options{Set: option.Archive(), Prefix: test.prefix, Scope: PrefixScope(test.prefix, test.slash, test.dot)})
		got, problems := sent(t, tree)
		if diff := cmp.Diff(onDisk(t, dst), got); diff != "" || len(problems) > 0 {
			t.Errorf("%s: %v; rsync -, lockstep +:\n%s", test.arg, problems, diff)
		}
	}
}
