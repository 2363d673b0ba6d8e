package filter

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestDirsLikeRsync compares random per-directory files in random trees with the real program: what is
// sent, and what the receiver, which reads its own files, deletes.
func TestDirsLikeRsync(t *testing.T) {
	program := needRsync(t)
	withoutCVS(t)
	for i := range *oracleCases {
		t.Run(fmt.Sprintf("seed%d", i), func(t *testing.T) { compareDirsWithRsync(t, program, uint64(i)) })
	}
}

// ruled is a tree with files of rules in it, and above it.
type ruled struct {
	tree
	root  string
	files map[string]string // by absolute path
}

var dirFiles = []string{".r", ".q", ".cvsignore"}

// rule keeps names on one line, which those with a newline in them are not.
func (g *generator) line(rule string) string { return strings.ReplaceAll(rule, "\n", "?") }

// dirMerge is a dir-merge rule with a fair chance to find its file.
func (g *generator) dirMerge(nested bool) string {
	name := pick(g, dirFiles[:2]...)
	if !nested && g.IntN(4) == 0 {
		name = pick(g, "/", g.dir+"/", "../", "a/", "./") + name
	}
	return pick(g, ":", ":", "dir-merge,") + pick(g, "", "", "", "n", "e", "p", "/", "s", "r") + pick(g, " ", "_") + name
}

func (g *generator) dirFile(name string) string {
	if name == ".cvsignore" {
		return strings.Join([]string{pick(g, "a", "*.o", "!", "b"), pick(g, "foo", "[ab]", "x.c")}, pick(g, " ", "\n"))
	}
	var lines []string
	for range 1 + g.IntN(4) {
		switch g.IntN(12) {
		case 0:
			lines = append(lines, "!")
		case 1:
			lines = append(lines, g.dirMerge(true))
		case 2:
			lines = append(lines, ". "+pick(g, "inc", "./inc", g.dir+"/inc"))
		case 3:
			lines = append(lines, "# "+pick(g, "a", "- b"))
		case 4, 5:
			lines = append(lines, g.line(pick(g, "-", "+")+" "+pick(g, treeNames...)))
		case 6:
			lines = append(lines, g.line(pick(g, "- /", "+ /", "- ")+g.component()+pick(g, "", "/", "/*", "**")))
		default:
			// Without a side: one in a file with a side is an error for all of it.
			lines = append(lines, g.line(pick(g, "-", "-", "+")+pick(g, "", "", "p", "!", "/")+" "+g.pattern()))
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func (g *generator) ruled(root string) ruled {
	r := ruled{tree{}, root, map[string]string{}}
	r.grow(g, "", 0)
	dirs := []string{""}
	for _, p := range r.paths() {
		if r.tree[p] {
			dirs = append(dirs, p)
		}
	}
	for _, dir := range dirs {
		for _, name := range append(dirFiles, "inc") {
			switch p := path.Join(dir, name); {
			case name == "inc":
				if g.IntN(3) > 0 || dir == "" {
					r.tree[p], r.files[path.Join(root, p)] = false, g.line("- "+g.component())+"\n"
				}
			case g.IntN(3) == 0:
				r.tree[p], r.files[path.Join(root, p)] = false, g.dirFile(name)
			}
		}
	}
	return r
}

func (r ruled) writeAll(t *testing.T) {
	r.write(t, r.root)
	for name, text := range r.files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// rules is the Tree of a side.
func (r ruled) rules(l *List, side Side, more map[string]string) *Tree {
	return NewTree(l.At(r.root), side, TreeConfig{Open: func(name string) (io.ReadCloser, error) {
		if !path.IsAbs(name) {
			name = path.Join(r.root, name)
		}
		text, ok := r.files[path.Clean(name)]
		if !ok {
			text, ok = more[path.Clean(name)]
		}
		if !ok {
			return nil, fs.ErrNotExist
		}
		return io.NopCloser(strings.NewReader(text)), nil
	}})
}

// sentBy is what a walk sends.
func (r ruled) sentBy(rules *Tree) ([]string, error) {
	var sent []string
	var walk func(dir string) error
	walk = func(dir string) error {
		in, err := rules.In(dir)
		if err != nil {
			return err
		}
		for _, p := range r.paths() {
			if path.Dir(p) != dir || in.Excluded(p, r.tree[p]) {
				continue
			}
			sent = append(sent, p)
			if r.tree[p] {
				if err := walk(p); err != nil {
					return err
				}
			}
		}
		return nil
	}
	err := walk(".")
	slices.Sort(sent)
	return sent, err
}

// deletedBy is what a receiver that holds the tree deletes when it is sent the given paths.
func (r ruled) deletedBy(rules *Tree, sent []string) ([]string, error) {
	var deleted []string
	var errs []error
	in := func(dir string) *Dir {
		d, err := rules.In(dir)
		if err != nil {
			errs = append(errs, err)
			return rules.base
		}
		return d
	}
	var doom func(p string) bool
	doom = func(p string) bool {
		empty := true
		for child := range r.tree {
			if parent(child) == p && (in(p).Pinned(child, r.tree[child]) || !doom(child)) {
				empty = false
			}
		}
		if empty {
			deleted = append(deleted, p)
		}
		return empty
	}
	for _, p := range append([]string{"."}, sent...) {
		if p == "." || r.tree[p] {
			in(p) // is read whether something is deleted or not
		}
	}
	for p, isDir := range r.tree {
		dir := path.Dir(p)
		if (dir == "." || slices.Contains(sent, dir)) && !slices.Contains(sent, p) && !in(dir).Excluded(p, isDir) {
			doom(p)
		}
	}
	slices.Sort(deleted)
	return deleted, errors.Join(errs...)
}

func compareDirsWithRsync(t *testing.T, program string, seed uint64) {
	dir := t.TempDir()
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 2)), dir: dir}
	above := map[string]string{path.Join(dir, "inc"): "- foo*\n"}
	if g.IntN(2) == 0 {
		above[path.Join(dir, ".r")] = g.dirFile(".r")
	}
	for name, text := range above {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	source, target := g.ruled(filepath.Join(dir, "src")), g.ruled(filepath.Join(dir, "dst"))
	source.writeAll(t)
	for range 4 {
		if err := os.RemoveAll(target.root); err != nil {
			t.Fatal(err)
		}
		target.writeAll(t)
		options := []option{{name: "filter", value: g.dirMerge(false)}}
		for range g.IntN(4) {
			value := pick(g, g.rule(), g.dirMerge(false), ":C", ":-_.q", ":Cs_.q", "-C", "- .q")
			options = slices.Insert(options, g.IntN(len(options)+1), option{name: "filter", value: value})
		}
		compareRun(t, program, source, target, above, options, g.IntN(6) == 0)
	}
}

func compareRun(t *testing.T, program string, source, target ruled, above map[string]string, options []option, deleteExcluded bool) {
	t.Helper()
	args := []string{"-rcii8", "--delete", "--out-format=%o|%n|%i"}
	for _, o := range options {
		args = append(args, o.arg())
	}
	if deleteExcluded {
		args = append(args, "--delete-excluded")
	}
	rules, err := build(options)
	if err != nil {
		t.Fatalf("rules %v: %v", options, err)
	}
	lines, rsyncErr := runRsync(t, program, append(args, source.root+"/", target.root)...)
	gotSent, sendErr := source.sentBy(source.rules(rules, Sender, above))
	keeping := rules
	if deleteExcluded {
		keeping = rules.DeleteExcluded()
	}
	gotDeleted, deleteErr := target.deletedBy(target.rules(keeping, Receiver, above), gotSent)
	err = errors.Join(sendErr, deleteErr)
	describe := func() string {
		return fmt.Sprintf("rules %v\nsource %q\ntarget %q\nabove %q", options, maps.Collect(maps.All(source.files)), target.files, above)
	}
	if (err != nil) != (rsyncErr != nil) {
		t.Fatalf("we say     %v\nrsync says %v\n%s", err, rsyncErr, describe())
	}
	if err != nil {
		return
	}
	wantSent, wantDeleted := parseRun(t, lines)
	if diff := cmp.Diff(wantSent, gotSent, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("sent (-rsync +filter):\n%s%s", diff, describe())
	}
	if diff := cmp.Diff(wantDeleted, gotDeleted, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("deleted (-rsync +filter):\n%s%s", diff, describe())
	}
}
