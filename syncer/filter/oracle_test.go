package filter

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The real rsync is the judge: the tests in this file give it and the package the same rules.

var oracleCases = flag.Int("filter.cases", 8, "random trees to compare with the real rsync")

// needRsync returns the program. A missing one is a failure, so that CI cannot pass without it.
func needRsync(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("compares with the real rsync; not in -short")
	}
	program, err := exec.LookPath("rsync")
	if err != nil {
		t.Fatalf("this test compares with the real rsync: %v; install it or use -short", err)
	}
	return program
}

// runRsync returns what rsync prints, one line an element, and whether it succeeded.
func runRsync(t *testing.T, program string, args ...string) ([]string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.String())
	}
	return strings.Split(stdout.String(), "\n"), nil
}

var escapedByte = regexp.MustCompile(`\\#[0-7]{3}`)

// unescape turns a name as rsync prints it into its bytes.
func unescape(printed string) string {
	return escapedByte.ReplaceAllStringFunc(printed, func(s string) string {
		n, _ := strconv.ParseUint(s[2:], 8, 8) // the expression lets nothing else through
		return string([]byte{byte(n)})
	})
}

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

func TestLikeRsync(t *testing.T) {
	program := needRsync(t)
	for i := range *oracleCases {
		t.Run(fmt.Sprintf("seed%d", i), func(t *testing.T) {
			t.Parallel()
			compareWithRsync(t, program, uint64(i))
		})
	}
}

// TestPatternsLikeRsync compares patternTests, and what stands above those paths, with the program.
func TestPatternsLikeRsync(t *testing.T) {
	program := needRsync(t)
	for i, test := range patternTests {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			rules := mustList(t, "- "+test.pattern)
			for _, tr := range pack(append(slices.Clone(test.yes), test.no...)) {
				src := t.TempDir()
				tr.write(t, src)
				args := []string{"-rn8", "--out-format=%o|%n|", "--filter=- " + test.pattern, src + "/", src + "/none"}
				lines, err := runRsync(t, program, args...)
				if err != nil {
					t.Fatal(err)
				}
				want, _ := parseRun(t, lines)
				if diff := cmp.Diff(want, tr.sent(rules), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("pattern %q: sent (-rsync +filter):\n%s", test.pattern, diff)
				}
			}
		})
	}
}

// TestSyntaxLikeRsync compares which rules are understood. What they mean is left to TestLikeRsync.
func TestSyntaxLikeRsync(t *testing.T) {
	program := needRsync(t)
	dir := t.TempDir()
	g := &generator{Rand: rand.New(rand.NewPCG(1, 2)), dir: dir}
	for range 10 * *oracleCases {
		o := option{name: pick(g, "filter", "filter", "filter", "filter", "exclude", "include"), value: g.syntax()}
		if g.IntN(4) == 0 {
			// A space behind a rule's name is a matter of TestWordsUnlikeRsync.
			modifiers := pick(g, "", "-", "+", "w", "w", "C", "s", "e-", "/p", "n+w", "r")
			o = option{name: "filter", value: "." + modifiers + " " + filepath.Join(dir, "rules")}
			for range 1 + g.IntN(3) {
				line := g.syntax()
				if strings.ContainsAny(modifiers, "w") {
					line = strings.ReplaceAll(line, " ", "_")
				}
				o.lines += line + pick(g, "\n", "\n", "\r\n", "\r", "\t", " ")
			}
			if err := os.WriteFile(filepath.Join(dir, "rules"), []byte(o.lines), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := build([]option{o})
		if errors.Is(err, ErrUnsupported) {
			continue
		}
		_, rsyncErr := runRsync(t, program, "-rn", o.arg(), dir+"/", dir+"/none")
		if (err != nil) != (rsyncErr != nil) {
			t.Errorf("rule %v:\nwe say     %v\nrsync says %v", o, err, rsyncErr)
		}
	}
}

// syntax returns something like a rule.
func (g *generator) syntax() string {
	var text strings.Builder
	text.WriteString(pick(g, "+", "-", "!", "H", "S", "P", "R", ".", "exclude", "include", "clear", "hide", "show", "protect", "risk",
		"merge", "#", ";", "x", "", "Hide", "excluded"))
	for range g.IntN(5) {
		text.WriteString(pick(g, ",", " ", "_", "/", "!", "s", "r", "p", "x", "e", "n", "w", "-", "+", "a", "\t"))
	}
	text.WriteString(pick(g, "", "", " ", "_", " a", "_a", " /a"))
	return text.String()
}

// TestWordsUnlikeRsync holds the one difference in syntax: rsync(1) says of a merge file of words that
// "- foo + bar" are two rules, rsync 3.5.0 ends a rule at that space and then misses its pattern. We do
// what the manual says. If rsync learns it, this test tells.
func TestWordsUnlikeRsync(t *testing.T) {
	program := needRsync(t)
	dir := t.TempDir()
	o := option{name: "filter", value: ".w " + filepath.Join(dir, "rules"), lines: "- foo + bar"}
	if err := os.WriteFile(filepath.Join(dir, "rules"), []byte(o.lines), 0o600); err != nil {
		t.Fatal(err)
	}
	rules, err := build([]option{o})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"- foo", "+ bar"}, wire(rules)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := runRsync(t, program, "-rn", o.arg(), dir+"/", dir+"/none"); err == nil {
		t.Error("this rsync accepts it as well: remove the remark, and the exception in TestSyntaxLikeRsync")
	}
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

func compareWithRsync(t *testing.T, program string, seed uint64) {
	dir := t.TempDir()
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), dir: dir}
	source, target := tree{}, tree{}
	source.grow(g, "", 0)
	target.grow(g, "", 0)
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	source.write(t, src)

	for range 5 {
		if err := os.RemoveAll(dst); err != nil {
			t.Fatal(err)
		}
		target.write(t, dst)
		options := g.options(t)
		args := []string{"-rii8", "--delete", "--out-format=%o|%n|%i"}
		for _, o := range options {
			args = append(args, o.arg())
		}
		rules, err := build(options)
		lines, rsyncErr := runRsync(t, program, append(args, src+"/", dst)...)
		if (err != nil) != (rsyncErr != nil) {
			t.Fatalf("rules %v:\nwe say    %v\nrsync says %v", options, err, rsyncErr)
		}
		if err != nil {
			continue
		}
		wantSent, wantDeleted := parseRun(t, lines)
		gotSent := source.sent(rules.At(src))
		if diff := cmp.Diff(wantSent, gotSent, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("rules %v: sent (-rsync +filter):\n%s", options, diff)
		}
		gotDeleted := target.deleted(rules.At(dst), gotSent)
		if diff := cmp.Diff(wantDeleted, gotDeleted, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("rules %v: deleted (-rsync +filter):\n%s", options, diff)
		}
	}
}

// parseRun reads lines like "send|name|>f+++++++++" and "del.|dir/|*deleting". Others are remarks.
func parseRun(t *testing.T, lines []string) (sent, deleted []string) {
	t.Helper()
	root := false
	for _, line := range lines {
		if i := strings.LastIndexByte(line, '|'); i >= 0 {
			line = line[:i] // the itemized change, asked for so that unchanged names are listed as well
		}
		name, isSent := strings.CutPrefix(line, "send|")
		name, isDeleted := strings.CutPrefix(name, "del.|")
		name = strings.TrimSuffix(unescape(name), "/")
		switch {
		case isSent && name == ".":
			root = true // never excluded, whatever the rules say
		case isSent:
			sent = append(sent, name)
		case isDeleted:
			deleted = append(deleted, name)
		}
	}
	if !root {
		t.Errorf("rsync did not send the root: %q", lines)
	}
	slices.Sort(sent)
	slices.Sort(deleted)
	return sent, deleted
}
