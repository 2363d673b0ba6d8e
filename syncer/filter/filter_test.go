package filter

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustList(t testing.TB, rules ...string) *List {
	t.Helper()
	var b Builder
	for _, rule := range rules {
		if err := b.Filter(rule); err != nil {
			t.Fatal(err)
		}
	}
	return b.Build()
}

// patternTests say what one pattern matches. A path that ends in "/" is a directory. The expectations come
// from rsync(1), "PATTERN MATCHING RULES"; TestPatternsLikeRsync holds them against the program.
var patternTests = []struct {
	pattern string
	yes     []string
	no      []string
}{
	// No slash: the last component.
	{"foo", []string{"foo", "foo/", "a/foo", "a/b/foo/"}, []string{"foobar", "xfoo", "foo/a", "Foo"}},
	{"*.o", []string{"a.o", ".o", "a/b.o", "a.o/"}, []string{"a.oo", "a.o/b", "o"}},
	{"*", []string{"a", "a/b", "a/"}, nil},
	{"a?c", []string{"abc", "x/a\xffc"}, []string{"ac", "a/c", "aé" + "c"}},
	{"*a*b*", []string{"ab", "xaxbx", "d/aab"}, []string{"ba", "a/b", "b"}},

	// A trailing slash: directories only.
	{"foo/", []string{"foo/", "a/foo/"}, []string{"foo", "a/foo", "foo/x"}},
	{"*/", []string{"a/", "a/b/"}, []string{"a", "a/b"}},
	{"/", nil, []string{"a", "a/"}},
	{"//", nil, []string{"a", "a/"}},
	{"foo//", nil, []string{"foo", "foo/", "a/foo/"}},

	// A leading slash: anchored at the root.
	{"/foo", []string{"foo", "foo/"}, []string{"a/foo", "foo/foo"}},
	{"/foo/bar", []string{"foo/bar"}, []string{"a/foo/bar", "bar", "foo/bar/x"}},
	{"/*", []string{"a", "b/"}, []string{"a/b"}},
	{"/a?c", []string{"abc"}, []string{"a/c"}},
	{"/*/x", []string{"a/x"}, []string{"x", "a/b/x"}},
	{"/foo/", []string{"foo/"}, []string{"foo", "a/foo/"}},

	// An inner slash: as many components from the end.
	{"foo/bar", []string{"foo/bar", "a/foo/bar"}, []string{"bar", "xfoo/bar", "foo/barx", "foo/x/bar"}},
	{"foo/*/bar", []string{"foo/x/bar", "a/foo/x/bar"}, []string{"foo/bar", "foo/x/y/bar"}},
	{"a/b/", []string{"a/b/", "x/a/b/"}, []string{"a/b"}},
	{"*/b", []string{"a/b", "x/a/b"}, []string{"b"}},

	// "**" crosses slashes.
	{"foo/**", []string{"foo/a", "foo/a/b", "x/foo/a"}, []string{"foo", "foo/", "xfoo/a"}},
	{"/foo/**", []string{"foo/a", "foo/a/b"}, []string{"foo", "x/foo/a"}},
	{"/foo/**/bar", []string{"foo/x/bar", "foo/x/y/bar"}, []string{"foo/bar", "x/foo/y/bar"}},
	{"**/foo", []string{"foo", "a/foo", "a/b/foo/"}, []string{"xfoo", "foo/a"}},
	{"**foo", []string{"foo", "xfoo", "a/xfoo"}, []string{"foo/a"}},
	{"foo**", []string{"foo", "foox", "foo/a/b", "a/foo/b"}, []string{"xfoo", "a/xfoo"}},
	{"a?**", []string{"ab", "abc", "x/ab/c"}, []string{"a", "a/"}},
	{"a**b", []string{"ab", "axb", "a/x/b", "c/a/b"}, []string{"a", "ca/x"}},
	{"/**/foo", []string{"a/foo", "a/b/foo"}, []string{"foo"}},
	{"/**", []string{"a", "a/b"}, nil},
	{"**", []string{"a", "a/b"}, nil},
	{"foo/**/", []string{"foo/a/", "foo/a/b/"}, []string{"foo/a", "foo/"}},

	// "***" takes the directory as well.
	{"foo/***", []string{"foo/", "foo/a", "foo/a/b/", "x/foo/", "x/foo/a"}, []string{"foo", "x/foo", "foox/a"}},
	{"/foo/***", []string{"foo/", "foo/a"}, []string{"foo", "x/foo/"}},
	{"foo***", []string{"foo", "foo/", "foox", "foo/a"}, []string{"xfoo"}},

	// Sets.
	{"[ab]", []string{"a", "b", "x/a"}, []string{"c", "ab"}},
	{"[a-c]", []string{"a", "b", "c"}, []string{"d", "-"}},
	{"[!a]", []string{"b", "\xff"}, []string{"a", "bb"}},
	{"[^a]", []string{"b", "^"}, []string{"a"}},
	{"[]a]", []string{"]", "a"}, []string{"b"}},
	{"[!]a]", []string{"b"}, []string{"]", "a"}},
	{"[a-]", []string{"a", "-"}, []string{"b"}},
	{"[-a]", []string{"a", "-"}, []string{"b"}},
	{"[]-a]", []string{"]", "^", "_", "`", "a"}, []string{"-", "b"}},
	{"[c-a]", []string{"c"}, []string{"a", "b", "-"}},
	{"[a-c-e]", []string{"a", "b", "c", "-", "e"}, []string{"d"}},
	{"[\\]]", []string{"]"}, []string{"\\"}},
	{"[a\\-z]", []string{"a", "-", "z"}, []string{"b", "\\"}},
	{"[a-\\c]", []string{"a", "b", "c"}, []string{"\\", "d"}},
	{"[\xf0-\xff]", []string{"\xf0", "\xf8", "\xff"}, []string{"\xef", "a"}},
	{"x[/]y", nil, []string{"x/y", "xy"}},
	{"x[!a]y", []string{"xby"}, []string{"x/y"}},
	{"[a", nil, []string{"a", "[a", "["}},
	{"[", nil, []string{"["}},
	{"[]", nil, []string{"[]", "]"}},
	{"[a\\", nil, []string{"a", "[a\\"}},
	{"*[", nil, []string{"[", "a["}},

	// Named classes, of the C locale.
	{"[[:alpha:]]", []string{"a", "Z"}, []string{"0", "\xe9", "_"}},
	{"[[:digit:][:upper:]_]", []string{"7", "Q", "_"}, []string{"q", "-"}},
	{"[![:alnum:]]", []string{"-", "\xff", " "}, []string{"a", "Z", "0"}},
	{"[[:blank:]]", []string{" ", "\t"}, []string{"\n", "a"}},
	{"[[:space:]]", []string{" ", "\n", "\v", "\f", "\r"}, []string{"a", "\x1f"}},
	{"[[:cntrl:]]", []string{"\x01", "\x7f", "\n"}, []string{" ", "\x80"}},
	{"[[:graph:]]", []string{"!", "~"}, []string{" ", "\x7f"}},
	{"[[:print:]]", []string{"!", " "}, []string{"\t", "\x7f"}},
	{"[[:lower:]]", []string{"a"}, []string{"A", "{"}},
	{"[[:punct:]]", []string{"!", "@", "[", "`", "~"}, []string{"a", "0", " "}},
	{"[[:xdigit:]]", []string{"0", "a", "F"}, []string{"g"}},
	// The range from "a" to "[" is empty, ":digit:" are plain members, and a "]" follows the set.
	{"[a-[:digit:]]", []string{"a]", ":]", "t]"}, []string{"[]", "7", "7]", "a"}},
	{"[[:bad:]]", nil, []string{"b", "[", ":"}},
	{"[[:]", []string{"[", ":"}, []string{"a"}},
	{"[[:a]", []string{"[", ":", "a"}, []string{"b"}},
	{"[[:alpha:]-z]", []string{"a", "-", "z"}, []string{"0"}},

	// A backslash escapes only where there are wildcards.
	{`foo\bar`, []string{`foo\bar`}, []string{"foobar"}},
	{`foo\bar*`, []string{"foobar", "foobarx"}, []string{`foo\bar`}},
	{`foo\\bar*`, []string{`foo\bar`, `foo\barx`}, []string{"foobar"}},
	{`\*`, []string{"*"}, []string{"a", `\*`}},
	{`\[a]`, []string{"[a]"}, []string{"a"}},
	{`a*\`, nil, []string{`a\`, "a", `ab\`}},
	{`\**`, []string{"*", "*a", "b/*a"}, []string{"a"}},
	{`a/\**`, []string{"a/*", "x/a/*b"}, []string{"a/b", "a/*/b"}},

	// Names are bytes.
	{"a\nb", []string{"a\nb"}, nil},
	{" a ", []string{" a "}, []string{"a"}},
	{"?", []string{"\xff", "\n"}, []string{"é"}},
	{"\xff*", []string{"\xff\xfe"}, []string{"\xfe"}},
}

func TestPatterns(t *testing.T) {
	for _, test := range patternTests {
		l := mustList(t, "- "+test.pattern)
		for _, p := range test.yes {
			if name, isDir := strings.CutSuffix(p, "/"); !l.Excluded(name, isDir) {
				t.Errorf("pattern %q does not match %q", test.pattern, p)
			}
		}
		for _, p := range test.no {
			if name, isDir := strings.CutSuffix(p, "/"); l.Excluded(name, isDir) {
				t.Errorf("pattern %q matches %q", test.pattern, p)
			}
		}
	}
}

// TestSides: which side a rule decides on. Verdicts are for a file in the order hidden, protected,
// pinned.
func TestSides(t *testing.T) {
	type verdict struct{ Excluded, Protected, Pinned bool }
	both := verdict{true, true, true}
	tests := []struct {
		rules, path string
		want        verdict
	}{
		{"- a", "a", both},
		{"-_a", "a", both},
		{"-, a", "a", both},
		{"exclude a", "a", both},
		{"exclude_a", "a", both},
		{"exclude, a", "a", both},
		{"-  a", " a", both},
		{"-__a", "_a", both},
		{"- a\n+ a", "a", both},
		{"+ a\n- a", "a", verdict{}},
		{"include a\n- *", "a", verdict{}},
		{"include a\n- *", "b", both},
		{"H a", "a", verdict{Excluded: true}},
		{"hide a", "a", verdict{Excluded: true}},
		{"-s a", "a", verdict{Excluded: true}},
		{"exclude,s a", "a", verdict{Excluded: true}},
		{"P a", "a", verdict{Protected: true, Pinned: true}},
		{"protect_a", "a", verdict{Protected: true, Pinned: true}},
		{"-r a", "a", verdict{Protected: true, Pinned: true}},
		{"-rs a", "a", both},
		{"S a\n- a", "a", verdict{Protected: true, Pinned: true}},
		{"show a\n- a", "a", verdict{Protected: true, Pinned: true}},
		{"+s a\n- a", "a", verdict{Protected: true, Pinned: true}},
		{"R a\n- a", "a", verdict{Excluded: true}},
		{"risk a\n- a", "a", verdict{Excluded: true}},
		{"-p a", "a", verdict{Excluded: true, Protected: true}},
		{"P,p a", "a", verdict{Protected: true}},
		{"+p a\n- a", "a", verdict{Pinned: true}},
		{"-x a", "a", verdict{}},
		{"-! a", "a", verdict{}},
		{"-! a", "b", both},
		{"-! */", "a", both},
		{"+! a\n- *", "b", verdict{}},
		{"- a\n!", "a", verdict{}},
		{"- a\nclear\n- b", "a", verdict{}},
		{"- a\n!,\n- b", "b", both},
	}
	for _, test := range tests {
		l := mustList(t, strings.Split(test.rules, "\n")...)
		got := verdict{l.Excluded(test.path, false), l.Protected(test.path, false), l.Pinned(test.path, false)}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("rules %q, path %q (-want +got):\n%s", test.rules, test.path, diff)
		}
	}
}

func TestRootIsNeverExcluded(t *testing.T) {
	l := mustList(t, "- *", "-! x", "- **", "- .")
	for _, p := range []string{"", "."} {
		if l.Excluded(p, true) || l.Protected(p, true) || l.ExcludedPath(p, true) {
			t.Errorf("root %q is excluded", p)
		}
	}
}

func TestExcludedPath(t *testing.T) {
	l := mustList(t, "+ /a/b/keep", "- /a/b", "- cache/", "- *.o", "P saved/")
	tests := []struct {
		path  string
		isDir bool
		want  bool
	}{
		{"a", true, false},
		{"a/b", true, true},
		{"a/b/keep", false, true}, // included, but below a directory that rsync does not enter
		{"a/b/c/d", false, true},
		{"a/bb/c", false, false},
		{"cache", false, false},
		{"cache/x", false, true},
		{"x/cache/y/z", true, true},
		{"x.o/y", false, true},
		{"x/y.o", false, true},
		{"saved/x", false, false},
	}
	for _, test := range tests {
		if got := l.ExcludedPath(test.path, test.isDir); got != test.want {
			t.Errorf("ExcludedPath(%q, %v) = %v", test.path, test.isDir, got)
		}
	}
}

// TestAt: the modifier "/" compares with the absolute path, and only where a pattern has a slash or "**".
func TestAt(t *testing.T) {
	tests := []struct {
		rule, root, path string
		want             bool
	}{
		{"-/ /srv/www/a", "/srv/www", "a", true},
		{"-/ /srv/www/a", "/srv/www/", "a", true},
		{"-/ /srv/www/a", "/srv", "www/a", true},
		{"-/ /srv/www/a", "/", "srv/www/a", true},
		{"-/ /srv/www/a", "", "srv/www/a", true},
		{"-/ /srv/www/a", "/srv/www", "b/a", false},
		{"-/ /a", "/srv", "a", false},
		{"- /a", "/srv", "a", true},
		{"-/ www/a", "/srv/www", "a", true},
		{"-/ srv/*/a", "/srv/www", "a", true},
		{"-/ www/a/b", "/srv/www", "a/b", true},
		{"-/ x/www/a", "/www", "a", false},
		{"-/ a", "/srv/www", "b/a", true},
		{"-/ www", "/srv/www", "a", false},
		{"-/ /srv/**", "/srv/www", "a", true},
		{"-/ w**a", "/srv/www", "x/a", true},
		{"-/ **/www/a", "/srv/www", "a", true},
		{"-/ **/www/a", "/www", "a", false}, // no slash in front once there is a root
		{"-/ **/a", "/", "a", true},
	}
	for _, test := range tests {
		l := mustList(t, test.rule).At(test.root)
		if got := l.Excluded(test.path, false); got != test.want {
			t.Errorf("rule %q at %q: Excluded(%q) = %v", test.rule, test.root, test.path, got)
		}
	}
	l := mustList(t, "-/ /srv/a")
	if l.At("/srv"); l.Excluded("a", false) {
		t.Error("At changed its receiver")
	}
}

func TestDeleteExcluded(t *testing.T) {
	plain := mustList(t, "- a", "P b", "H c", "-sr d", "-/ /x/e").At("/x")
	l := plain.DeleteExcluded()
	type verdict struct{ Excluded, Protected bool }
	want := map[string]verdict{"a": {true, false}, "b": {false, true}, "c": {true, false}, "d": {true, true}, "e": {true, false}}
	for p, want := range want {
		if diff := cmp.Diff(want, verdict{l.Excluded(p, false), l.Protected(p, false)}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", p, diff)
		}
	}
	if !plain.Protected("a", false) {
		t.Error("DeleteExcluded changed its receiver")
	}
}

func TestEmptyLists(t *testing.T) {
	for name, l := range map[string]*List{"nil": nil, "zero": {}, "built": new(Builder).Build()} {
		l = l.At("/x").DeleteExcluded()
		wire, err := l.Wire(false)
		if !l.Empty() || l.Excluded("a", false) || l.ExcludedPath("a/b", true) || l.Protected("a", false) ||
			l.Pinned("a", false) || len(wire) != 0 || err != nil {
			t.Errorf("%s list does not include everything", name)
		}
	}
	if mustList(t, "- a").Empty() {
		t.Error("a list with a rule is empty")
	}
}
