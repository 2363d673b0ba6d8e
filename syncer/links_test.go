package syncer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// linkRig is a source with an index of its links.
type linkRig struct {
	t     *testing.T
	root  string
	links links
	opts  source.Options
}

func newLinkRig(t *testing.T) *linkRig {
	r := &linkRig{t: t, root: filepath.Join(t.TempDir(), "src")}
	r.opts = source.Options{Set: Archive(), Linked: r.links.add}
	r.opts.HardLinks = true
	r.must(os.MkdirAll(r.root, 0o755))
	return r
}

func (r *linkRig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// file makes names of one new file.
func (r *linkRig) file(names ...string) {
	r.t.Helper()
	for i, name := range names {
		path := filepath.Join(r.root, name)
		r.must(os.MkdirAll(filepath.Dir(path), 0o755))
		if i == 0 {
			r.must(os.WriteFile(path, []byte(name), 0o644))
		} else {
			r.must(os.Link(filepath.Join(r.root, names[0]), path))
		}
	}
}

// list is a full push's look at the tree, long after the last change.
func (r *linkRig) list() {
	r.t.Helper()
	tree := r.open()
	defer tree.Close()
	top, err := tree.Lstat(".")
	r.must(err)
	r.must(tree.Linked(r.t.Context(), &source.Plan{Trees: []flist.Entry{top}}, func(*flist.Entry) {}))
	r.links.listed(time.Now().Add(time.Hour))
}

func (r *linkRig) open() *source.Tree {
	r.t.Helper()
	tree, err := source.Open(r.root, r.opts)
	r.must(err)
	return tree
}

// plan says what the plan of the paths holds beside directories: with "!" where the content counts.
func (r *linkRig) plan(paths ...source.Path) []string {
	r.t.Helper()
	tree := r.open()
	defer tree.Close()
	plan, err := tree.Plan(r.t.Context(), paths)
	r.must(err)
	plan, err = r.links.complete(r.t.Context(), tree, paths, plan)
	r.must(err)
	names := plan.Missing
	for _, e := range plan.Entries {
		if e.Flags&flist.Content != 0 {
			names = append(names, e.Name+"!")
		} else if !e.IsDir() {
			names = append(names, e.Name)
		}
	}
	for _, e := range plan.Trees {
		names = append(names, e.Name+"/")
	}
	slices.Sort(names)
	return names
}

func (r *linkRig) want(got []string, want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("planned (-want +got):\n%s", diff)
	}
}

func at(names ...string) (paths []source.Path) {
	for _, n := range names {
		paths = append(paths, source.Path{Name: n})
	}
	return paths
}

// Whatever name of a file is pushed, all of them are.
func TestLinksCompleteAPlan(t *testing.T) {
	r := newLinkRig(t)
	r.file("a", "d/b", "d/e/c")
	r.file("other", "d/other")
	r.file("alone")
	r.list()
	r.want(r.plan(at("a")...), "a", "d/b", "d/e/c")
	r.want(r.plan(source.Path{Name: "d/b", Content: true}), "a!", "d/b!", "d/e/c!")
	r.want(r.plan(at("alone")...), "alone")
	r.want(r.plan(at("d/other", "alone")...), "alone", "d/other", "other")

	// A name that leaves the group, and one that becomes another file.
	r.must(os.Remove(filepath.Join(r.root, "d/b")))
	r.want(r.plan(at("d/b")...), "d/b")
	r.want(r.plan(at("a", "d/b")...), "a", "d/b", "d/e/c")
	r.file("new")
	r.must(os.Rename(filepath.Join(r.root, "new"), filepath.Join(r.root, "d/e/c")))
	r.want(r.plan(at("d/e/c", "a")...), "a", "d/e/c")
	r.file("again", "a2")
	r.must(os.Rename(filepath.Join(r.root, "a2"), filepath.Join(r.root, "a")))
	r.want(r.plan(at("a")...), "a", "again")
}

// A file with one name gets another: nothing tells of the first one, so it is looked for.
func TestLinksToAFileThatHadOneName(t *testing.T) {
	r := newLinkRig(t)
	r.file("deep/down/a")
	r.list()
	r.must(os.Link(filepath.Join(r.root, "deep/down/a"), filepath.Join(r.root, "b")))
	r.want(r.plan(at("b")...), "b", "deep/down/a")
	r.must(os.MkdirAll(filepath.Join(r.root, "t/u"), 0o755))
	r.file("f")
	r.must(os.Link(filepath.Join(r.root, "f"), filepath.Join(r.root, "t/u/g")))
	r.want(r.plan(source.Path{Name: "t", Tree: true}), "f", "t/")
}

// Names outside of the tree, and excluded ones, are no reason to look for them each time.
func TestLinksOutside(t *testing.T) {
	r := newLinkRig(t)
	r.file("a", "../outside", "d/b", "d/not.this")
	var b filter.Builder
	r.must(b.Exclude("*.this"))
	r.opts.Filter = b.Build()
	r.list()
	r.want(r.plan(at("a")...), "a", "d/b")
	tree := r.open()
	defer tree.Close()
	e, err := tree.Lstat("a")
	r.must(err)
	if got := r.links.outside(source.InodeOf(&e)); got != 2 {
		t.Errorf("%d names are taken to be outside, want 2", got)
	}
	r.must(os.Link(filepath.Join(r.root, "a"), filepath.Join(r.root, "c")))
	r.want(r.plan(at("c")...), "a", "c", "d/b")
}

// The index is bounded; what fell out of it is found again.
func TestLinksAreBounded(t *testing.T) {
	r := newLinkRig(t)
	r.links.max = 100
	for i := range 300 {
		r.file(fmt.Sprint("a", i), fmt.Sprint("b", i))
	}
	for range 5 {
		r.list()
	}
	names := 0
	for _, g := range r.links.groups {
		names += len(g.names)
	}
	if names > 100 || names != r.links.names {
		t.Errorf("%d names are held, %d are counted", names, r.links.names)
	}
	for i := range 300 {
		r.want(r.plan(at(fmt.Sprint("a", i))...), fmt.Sprint("a", i), fmt.Sprint("b", i))
	}
}
