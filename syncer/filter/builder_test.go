package filter

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// wire returns all rules of a list, the sender's own included, in their short form.
func wire(l *List) []string {
	var texts []string
	for _, r := range l.rules {
		texts = append(texts, r.wire())
	}
	return texts
}

// withFiles returns a Builder whose merge files are those given.
func withFiles(files map[string]string) *Builder {
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return &Builder{Open: func(name string) (io.ReadCloser, error) { return fsys.Open(name) }}
}

func TestOptions(t *testing.T) {
	tests := []struct {
		name string
		add  func(b *Builder) error
		want []string
	}{
		{"exclude", func(b *Builder) error { return b.Exclude("*.o") }, []string{"- *.o"}},
		{"exclude empty", func(b *Builder) error { return b.Exclude("") }, nil},
		{"exclude with plus", func(b *Builder) error { return b.Exclude("+ a/") }, []string{"+ a/"}},
		{"exclude is no filter", func(b *Builder) error { return b.Exclude("-s a") }, []string{"- -s a"}},
		{"exclude underscore", func(b *Builder) error { return b.Exclude("-_a") }, []string{"- -_a"}},
		{"exclude word", func(b *Builder) error { return b.Exclude("merge x") }, []string{"- merge x"}},
		{"exclude leading !", func(b *Builder) error { return b.Exclude("!a") }, []string{"- !a"}},
		{"exclude escaped !", func(b *Builder) error { return b.Exclude("- !") }, []string{"- !"}},
		{"exclude comment sign", func(b *Builder) error { return b.Exclude("#a") }, []string{"- #a"}},
		{"include", func(b *Builder) error { return b.Include("*/") }, []string{"+ */"}},
		{"include with minus", func(b *Builder) error { return b.Include("- a") }, []string{"- a"}},
		{"exclude clears", func(b *Builder) error {
			return errors.Join(b.Filter("- a"), b.Exclude("!"), b.Exclude("b"))
		}, []string{"- b"}},
		{"order", func(b *Builder) error {
			return errors.Join(b.Include("a"), b.Filter("P b"), b.Exclude("c"))
		}, []string{"+ a", "-r b", "- c"}},
		{"exclude-from", func(b *Builder) error {
			return b.ExcludeFrom(strings.NewReader("a\n\n# c\n; c\n + x\n+ b\n- d \r\ne\rf\n#\rg"), "x")
		}, []string{"- a", "-  + x", "+ b", "- d ", "- e", "- f", "- g"}},
		{"exclude-from clears", func(b *Builder) error {
			return b.ExcludeFrom(strings.NewReader("a\n!\nb"), "x")
		}, []string{"- b"}},
		{"include-from", func(b *Builder) error {
			return b.IncludeFrom(strings.NewReader("a\n- b\n+ c"), "x")
		}, []string{"+ a", "- b", "+ c"}},
		{"modifiers in rsync's order", func(b *Builder) error { return b.Filter("-,prsx!/_/a/") }, []string{"-/!xsrp /a/"}},
		{"empty filter", func(b *Builder) error { return b.Filter("") }, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var b Builder
			if err := test.add(&b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, wire(b.Build())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	tests := []struct {
		name  string
		rule  string
		files map[string]string
		want  []string
	}{
		{"rules", ". f", map[string]string{"f": "# c\n\n; c\nP a\n- b\n+ c"}, []string{"- first", "-r a", "- b", "+ c", "- last"}},
		{"long name", "merge_f", map[string]string{"f": "hide a"}, []string{"- first", "-s a", "- last"}},
		{"clears all", ". f", map[string]string{"f": "- a\n!\n- b"}, []string{"- b", "- last"}},
		{"nested", ". f", map[string]string{"f": "- a\n. d/g\n- b", "d/g": "merge h", "h": "+ c"}, []string{"- first", "- a", "+ c", "- b", "- last"}},
		{"excludes", ".- f", map[string]string{"f": "a\n- b\n!\n#c\nmerge g"}, []string{"- first", "- a", "- - b", "- !", "- merge g", "- last"}},
		{"includes", "merge,+ f", map[string]string{"f": "a\n+ b"}, []string{"- first", "+ a", "+ + b", "- last"}},
		{"exclude self", ".e d/f", map[string]string{"d/f": "- a"}, []string{"- first", "- f", "- a", "- last"}},
		{"not inherited", ".n f", map[string]string{"f": "- a"}, []string{"- first", "- a", "- last"}},
		{"words", ".w f", map[string]string{"f": " -_a\t+,s_b\n#\f- c + d"}, nil}, // "#" is no comment here
		{"bare words", ".w- f", map[string]string{"f": "a\tb #c\v\n ! d\r"}, []string{"- first", "- a", "- b", "- #c", "- !", "- d", "- last"}},
		{"prefixed words", ".w f", map[string]string{"f": " -_a\t+,s_b\n- c + d"}, []string{"- first", "- a", "+s b", "- c", "+ d", "- last"}},
		{"words without pattern", ".w f", map[string]string{"f": ".C\t-_a", ".cvsignore": "b"}, []string{"- first", "- b", "- a", "- last"}},
		{"words clear", ".w f", map[string]string{"f": "-_a ! -_b"}, []string{"- b", "- last"}},
		{"cvs", ".C f", map[string]string{"f": "a ! !b c"}, []string{"- !b", "- c", "- last"}},
		{"cvs default", ".C", map[string]string{".cvsignore": "a"}, []string{"- first", "- a", "- last"}},
		{"defaults", "./pr f", map[string]string{"f": "- a\n+/ b"}, []string{"- first", "-/rp a", "+/rp b", "- last"}},
		{"defaults nested", ".s f", map[string]string{"f": ". g", "g": "- a"}, []string{"- first", "-s a", "- last"}},
		{"xattr is no default", ".x f", map[string]string{"f": "- a"}, []string{"- first", "- a", "- last"}},
		{"empty", ". f", map[string]string{"f": ""}, []string{"- first", "- last"}},
		{"side named twice", ".s f", map[string]string{"f": "H a"}, nil},
		{"modifier -+", ".-+ f", map[string]string{"f": ""}, nil},
		{"modifier -C", ".-C f", map[string]string{"f": ""}, nil},
		{"modifier !", ".! f", map[string]string{"f": ""}, nil},
		{"missing", ". none", nil, nil},
		{"no name", ". ", nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := withFiles(test.files)
			if err := b.Filter("- first"); err != nil {
				t.Fatal(err)
			}
			err := b.Filter(test.rule)
			if (err != nil) != (test.want == nil) {
				t.Fatalf("err = %v", err)
			}
			if err := b.Filter("- last"); err != nil {
				t.Fatal(err)
			}
			want := test.want
			if want == nil {
				want = []string{"- first", "- last"} // a failed call leaves no trace
			}
			if diff := cmp.Diff(want, wire(b.Build())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMergeReadsTheFileSystem(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a b_c")
	if err := os.WriteFile(name, []byte("- x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := wire(mustList(t, ". "+name)); !cmp.Equal(got, []string{"- x"}) {
		t.Errorf("rules = %q", got)
	}
}

func TestErrors(t *testing.T) {
	filter := func(rule string) func(*Builder) error {
		return func(b *Builder) error { return b.Filter(rule) }
	}
	files := map[string]string{
		"bad": "- a\n# c\nfoo\n", "nested": "\n. bad", "self": "- a\n. self", "twice": ". wide\n. wide",
		"wide": strings.Repeat(". empty\n", 501), "empty": "",
	}
	tests := []struct {
		name string
		add  func(*Builder) error
		kind error
		want string // all of it, or its beginning before "..."
	}{
		{"unknown", filter("foo"), ErrSyntax, `--filter: filter rule "foo": does not begin with the name of a rule; write "- PATTERN" to exclude or "+ PATTERN" to include`},
		{"unknown long", filter("excluded a"), ErrSyntax, `--filter: filter rule "excluded a": does not begin...`},
		{"blank", filter(" - a"), ErrSyntax, `--filter: filter rule " - a": does not begin...`},
		{"no separator", filter("-foo"), ErrSyntax, `--filter: filter rule "-foo": unknown modifier "f"; between a rule's name and its pattern stands one space or "_"`},
		{"tab", filter("-\ta"), ErrSyntax, `--filter: filter rule "-\ta": unknown modifier "\t"...`},
		{"raw byte", filter("-\xff a"), ErrSyntax, `--filter: filter rule "-\xff a": unknown modifier "\xff"...`},
		{"no pattern", filter("-"), ErrSyntax, `--filter: filter rule "-": the pattern is missing; write it...`},
		{"no pattern but space", filter("exclude,s "), ErrSyntax, `--filter: filter rule "exclude,s ": the pattern is missing...`},
		{"side twice", filter("Hs a"), ErrSyntax, `--filter: filter rule "Hs a": modifier 's' does not go with this rule; remove it`},
		{"side twice r", filter("protect,r a"), ErrSyntax, `--filter: filter rule "protect,r a": modifier 'r'...`},
		{"merge modifier", filter("-e a"), ErrSyntax, `--filter: filter rule "-e a": modifier 'e'...`},
		{"merge modifier n", filter("-n a"), ErrSyntax, `--filter: filter rule "-n a": modifier 'n'...`},
		{"merge modifier w", filter("-w a"), ErrSyntax, `--filter: filter rule "-w a": modifier 'w'...`},
		{"merge modifier +", filter("-+ a"), ErrSyntax, `--filter: filter rule "-+ a": modifier '+'...`},
		{"clear with pattern", filter("! a"), ErrSyntax, `--filter: filter rule "! a": "!" takes no pattern; write "!" alone to clear the list`},
		{"clear with space", filter("clear "), ErrSyntax, `--filter: filter rule "clear ": "!" takes no pattern...`},
		{"dir-merge without name", filter("dir-merge "), ErrSyntax, `--filter: filter rule "dir-merge ": the pattern is missing...`},
		{"dir-merge twice bare", filter(":C- .rules"), ErrSyntax, `--filter: filter rule ":C- .rules": modifier '-' does not go...`},
		{"CVS", filter("-C foo"), ErrSyntax, `--filter: filter rule "-C foo": the CVS excludes take no pattern; write the rule without one`},
		{"NUL", filter("- a\x00b"), ErrSyntax, `--filter: filter rule "- a\x00b": holds a NUL byte, which no file name can; remove it`},
		{"long", func(b *Builder) error { return b.Exclude(strings.Repeat("a", 4096)) }, ErrSyntax,
			`--exclude: filter rule "` + strings.Repeat("a", 200) + `"...: longer than 4095 bytes; shorten it with wildcards`},
		{"exclude", func(b *Builder) error { return b.Exclude("- ") }, ErrSyntax, `--exclude: filter rule "- ": the pattern is missing...`},
		{"include", func(b *Builder) error { return b.Include("+ ") }, ErrSyntax, `--include: filter rule "+ ": the pattern is missing...`},
		{"exclude-from", func(b *Builder) error { return b.ExcludeFrom(strings.NewReader("a\r\n\n+ \n"), "list") }, ErrSyntax,
			`list:3: filter rule "+ ": the pattern is missing...`},
		{"file", filter(". bad"), ErrSyntax, `bad:3: filter rule "foo": does not...`},
		{"nested", filter(". nested"), ErrSyntax, `bad:3: filter rule "foo": does not...`},
		{"missing file", filter(". none"), fs.ErrNotExist, `--filter: filter rule ". none": read merge file: open none: file does not exist`},
		{"merges itself", filter(". self"), ErrSyntax, `self:2: filter rule ". self": merge files nest deeper than 32; does one merge itself?`},
		{"merges much", filter(". twice"), ErrSyntax, `wide:497: filter rule ". empty": more than 1000 merge files; do they merge one another?`},
		{"long line", func(b *Builder) error {
			return b.IncludeFrom(strings.NewReader("a\n"+strings.Repeat("b", maxLine+1)), "list")
		}, ErrSyntax,
			`list:2: line longer than 1048576 bytes; is this a file of filter rules?`},
		{"unreadable", func(b *Builder) error { return b.ExcludeFrom(iotest.ErrReader(fs.ErrPermission), "list") }, fs.ErrPermission,
			`read filter rules from "list": permission denied`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := withFiles(files)
			if err := b.Filter("- kept"); err != nil {
				t.Fatal(err)
			}
			err := test.add(b)
			if !errors.Is(err, test.kind) {
				t.Fatalf("err = %v, want %v", err, test.kind)
			}
			got := err.Error()
			if start, cut := strings.CutSuffix(test.want, "..."); cut && strings.HasPrefix(got, start) {
				got = test.want
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := wire(b.Build()); !cmp.Equal(got, []string{"- kept"}) {
				t.Errorf("the failed call left %q", got)
			}
		})
	}
}

// TestErrorAsValue: the CLI picks an exit code by it.
func TestErrorAsValue(t *testing.T) {
	var b Builder
	err := fmt.Errorf("read rules: %w", b.Filter("foo"))
	var e *Error
	if !errors.As(err, &e) || e.Source != "--filter" || e.Rule != "foo" {
		t.Errorf("errors.As gives %+v", e)
	}
}

// TestListIsImmutable: a Builder that goes on does not reach a List it has built.
func TestListIsImmutable(t *testing.T) {
	var b Builder
	for _, rule := range []string{"- a", "- b", "- c"} {
		if err := b.Filter(rule); err != nil {
			t.Fatal(err)
		}
	}
	l := b.Build()
	if err := errors.Join(b.Filter("!"), b.Filter("+ a")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"- a", "- b", "- c"}, wire(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestListWith: further rules stand behind the others, and leave the first list alone.
func TestListWith(t *testing.T) {
	var b Builder
	if err := b.Filter("- a"); err != nil {
		t.Fatal(err)
	}
	l := b.Build().At("/root")
	more, err := l.With("P *~", "-p part/")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"- a", "-r *~", "-p part/"}, wire(more)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(wire(l)) != 1 || more.root != l.root {
		t.Errorf("the first list has %q, the roots are %q and %q", wire(l), l.root, more.root)
	}
	var none *List
	if more, err = none.With("- b"); err != nil || len(wire(more)) != 1 {
		t.Errorf("%v", err)
	}
	if more, err = none.With(); more != nil || err != nil {
		t.Errorf("%v, %v", more, err)
	}
	if _, err = l.With("nonsense"); err == nil {
		t.Error("nonsense is a rule")
	}
}

// TestBuilderZeroes: with --from0 a line's end is a byte of a pattern as any other.
func TestBuilderZeroes(t *testing.T) {
	b := Builder{Zeroes: true}
	if err := b.ExcludeFrom(strings.NewReader("a\nb\x00\x00#c\x00;d\x00+ e\rf\x00last"), "rules"); err != nil {
		t.Fatal(err)
	}
	b.Zeroes = false
	if err := b.IncludeFrom(strings.NewReader("one\ntwo\n"), "rules"); err != nil {
		t.Fatal(err)
	}
	rules, err := b.Build().Wire(false)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"- a\nb", "+ e\rf", "- last", "+ one", "+ two"}; !slices.Equal(rules, want) {
		t.Errorf("%q, want %q", rules, want)
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "any", true}, {"w?yne", "wayne", true}, {"w?yne", "wyne", false},
		{"[a-c]*", "bob", true}, {"[a-c]*", "dora", false}, {"*", "a/b", false}, {"[b", "[b", false}, {"a*b*c", "aXbYbZc", true},
	} {
		if got := Glob(c.pattern)(c.text); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.text, got)
		}
	}
}
