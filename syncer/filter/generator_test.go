package filter

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// option is one filter option, usable by rsync and by a Builder.
type option struct {
	name  string // without dashes
	value string // a rule or pattern, or the name of the rule file
	lines string // the rule file's content
}

func (o option) arg() string { return "--" + o.name + "=" + o.value }

func (o option) String() string {
	if o.lines != "" {
		return fmt.Sprintf("%q (file: %q)", o.arg(), o.lines)
	}
	return fmt.Sprintf("%q", o.arg())
}

func (o option) addTo(b *Builder) error {
	switch o.name {
	case "exclude":
		return b.Exclude(o.value)
	case "include":
		return b.Include(o.value)
	case "exclude-from":
		return b.ExcludeFrom(strings.NewReader(o.lines), o.value)
	case "include-from":
		return b.IncludeFrom(strings.NewReader(o.lines), o.value)
	}
	return b.Filter(o.value)
}

func build(options []option) (*List, error) {
	var b Builder
	for _, o := range options {
		if err := o.addTo(&b); err != nil {
			return nil, err
		}
	}
	return b.Build(), nil
}

// generator makes random rules that have a fair chance to match the names of a random tree.
type generator struct {
	*rand.Rand
	dir   string // for rule files; its last component is part of some patterns
	files int
}

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

var treeNames = []string{
	"a", "b", "ab", "aa", "a.o", "b.o", "x.c", ".h", "foo", "foobar", "a b", " a", "[a]", "a*", "*", "**", "a\\b", "\\", "-", "!",
	"B", "7", "a]", "a-", "\xff", "\xfe\xff", "n\nl", "#c", "é",
}

func (g *generator) component() string {
	switch g.IntN(6) {
	case 0, 1:
		return pick(g, treeNames...)
	case 2:
		return pick(g, "*", "**", "***", "?", "*.o", "a*", "*a", "?b", "*b*", "**a", "a**", "f*o*r", "*[a]*", "\\*", "\\**", "a\\\\b")
	case 3:
		return pick(g, "[ab]", "[!a]*", "[^a]", "[a-b]", "[]a]", "[a-]", "[[:alpha:]]*", "[[:punct:]]", "[![:digit:]]", "[[:bad:]]",
			"[\\]a]", "[a", "[", "[*]", "[**]", "[\xf0-\xff]", "[a\\-z]", "[[:]", "[[:alpha:][:digit:]]", "[a-[:digit:]]", "[z-a]", "[/]", "?[]-a]")
	case 4:
		var text strings.Builder
		for range 1 + g.IntN(4) {
			text.WriteString(pick(g, "a", "b", "*", "?", "**", ".", "o", "[ab]", "\\", "]", "\\["))
		}
		return text.String()
	}
	return pick(g, "src", "dst", filepath.Base(g.dir))
}

func (g *generator) pattern() string {
	text := g.component()
	for g.IntN(2) == 0 {
		text += "/" + g.component()
	}
	if g.IntN(4) == 0 {
		text = "/" + text
	}
	if g.IntN(12) == 0 {
		text = g.dir + "/" + pick(g, "src", "dst") + "/" + text
	}
	switch g.IntN(8) {
	case 0, 1:
		text += "/"
	case 2:
		text += pick(g, "/**", "/***", "/*", "***")
	}
	return text
}

func (g *generator) modifiers() string {
	text := ""
	for g.IntN(4) == 0 {
		text += pick(g, "/", "!", "s", "r", "p", "x")
	}
	if text != "" && g.IntN(2) == 0 {
		text = "," + text
	}
	return text
}

func (g *generator) rule() string {
	separator := pick(g, " ", "_")
	switch g.IntN(4) {
	case 0:
		name := pick(g, "P", "R", "H", "S", "protect", "risk", "hide", "show")
		return name + pick(g, "", "", ",", ",p", ",/", ",!") + separator + g.pattern()
	case 1:
		return pick(g, "exclude", "include") + "," + strings.TrimPrefix(g.modifiers(), ",") + separator + g.pattern()
	}
	return pick(g, "-", "-", "+") + g.modifiers() + separator + g.pattern()
}

func (g *generator) file(line func() string, separator string) (name, lines string) {
	for range 1 + g.IntN(4) {
		lines += pick(g, "", "", "# comment"+separator, separator) + line() + separator
	}
	g.files++
	return filepath.Join(g.dir, fmt.Sprintf("rules%d", g.files)), lines
}

func (g *generator) option(t *testing.T) option {
	var o option
	switch g.IntN(8) {
	case 0:
		return option{name: "exclude", value: pick(g, "", "", "+ ", "- ") + g.pattern()}
	case 1:
		return option{name: "include", value: pick(g, "", "", "+ ", "- ") + g.pattern()}
	case 2:
		o.name = pick(g, "exclude-from", "include-from")
		o.value, o.lines = g.file(func() string { return pick(g, "", "", "+ ", "- ") + g.pattern() }, pick(g, "\n", "\r\n"))
	case 3:
		name, lines := g.file(g.rule, "\n")
		if g.IntN(2) == 0 {
			name, lines = g.file(g.pattern, pick(g, "\n", " "))
			o.value = pick(g, ".-", ".+", "merge,-/", ".+w", ".wp-", "merge,Cr", ".s-", ".-x") + " " + name
		} else {
			o.value = pick(g, ". ", "merge ", ".e ", ".n_", ".p ", "./ ") + name
		}
		o.name, o.lines = "filter", lines
		if err := os.WriteFile(name, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		return o
	default:
		return option{name: "filter", value: pick(g, g.rule(), g.rule(), g.rule(), g.rule(), g.rule(), g.rule(), g.rule(), g.rule(), "!")}
	}
	if err := os.WriteFile(o.value, []byte(o.lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

func (g *generator) options(t *testing.T) []option {
	options := make([]option, 1+g.IntN(6))
	for i := range options {
		options[i] = g.option(t)
	}
	return options
}

// tree maps a path to whether it is a directory.
type tree map[string]bool

func (tr tree) paths() []string {
	paths := make([]string, 0, len(tr))
	for p := range tr {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

// grow adds random entries below dir. What is a directory depends on the path alone, so that two trees
// never differ in the type of an entry.
func (tr tree) grow(g *generator, dir string, depth int) {
	for _, name := range treeNames {
		if g.IntN(4+depth) != 0 {
			continue
		}
		p := dir + name
		isDir := depth < 3 && (len(p)*7+int(p[len(p)-1]))%5 < 2
		tr[p] = isDir
		if isDir {
			tr.grow(g, p+"/", depth+1)
		}
	}
}

func (tr tree) write(t *testing.T, root string) {
	t.Helper()
	for _, p := range append([]string{""}, tr.paths()...) {
		full := filepath.Join(root, p)
		var err error
		if p == "" || tr[p] {
			err = os.MkdirAll(full, 0o700)
		} else {
			err = os.WriteFile(full, nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// sent returns what a walk of the tree sends.
func (tr tree) sent(rules *List) []string {
	var sent []string
	for _, p := range tr.paths() {
		if !rules.ExcludedPath(p, tr[p]) {
			sent = append(sent, p)
		}
	}
	return sent
}

func parent(p string) string {
	i := strings.LastIndexByte(p, '/')
	return p[:max(i, 0)]
}

// deleted returns what a receiver that holds the tree deletes when it is sent the given paths.
func (tr tree) deleted(rules *List, sent []string) []string {
	var deleted []string
	// doom takes away p with what is below, and reports whether nothing is left.
	var doom func(p string) bool
	doom = func(p string) bool {
		empty := true
		for child := range tr {
			if parent(child) == p && (rules.Pinned(child, tr[child]) || !doom(child)) {
				empty = false
			}
		}
		if empty {
			deleted = append(deleted, p)
		}
		return empty
	}
	for p, isDir := range tr {
		dir := parent(p)
		if (dir == "" || slices.Contains(sent, dir)) && !slices.Contains(sent, p) && !rules.Protected(p, isDir) {
			doom(p)
		}
	}
	slices.Sort(deleted)
	return deleted
}

// pack puts paths into as few trees as it takes when a path is a file here and a directory there.
func pack(paths []string) []tree {
	var trees []tree
next:
	for _, p := range paths {
		name, isDir := strings.CutSuffix(p, "/")
		for _, tr := range trees {
			if tr.put(name, isDir) {
				continue next
			}
		}
		tr := tree{}
		tr.put(name, isDir)
		trees = append(trees, tr)
	}
	return trees
}

// put adds a path with its parents unless something else has one of the names.
func (tr tree) put(p string, isDir bool) bool {
	if is, taken := tr[p]; taken {
		return is == isDir
	}
	if up := parent(p); up != "" && !tr.put(up, true) {
		return false
	}
	tr[p] = isDir
	return true
}
