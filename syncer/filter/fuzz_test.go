package filter

import (
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// matchSlow is the plainest matcher: it tries every length for every star, and remembers where it was.
func matchSlow(tokens []token, text string) bool {
	seen := map[[2]int]bool{}
	var try func(i, j int) bool
	try = func(i, j int) bool {
		if i == len(tokens) {
			return j == len(text)
		}
		if seen[[2]int{i, j}] {
			return false
		}
		seen[[2]int{i, j}] = true
		t := &tokens[i]
		if t.kind != tokenStar && t.kind != tokenStars {
			return j < len(text) && t.accepts(text[j]) && try(i+1, j+1)
		}
		for k := j; ; k++ {
			if try(i+1, k) {
				return true
			}
			if k == len(text) || t.kind == tokenStar && text[k] == '/' {
				return false
			}
		}
	}
	return try(0, 0)
}

// FuzzMatch compares the matchers with the plainest one.
func FuzzMatch(f *testing.F) {
	for _, test := range patternTests {
		for _, p := range append(test.yes, test.no...) {
			f.Add(test.pattern, p)
		}
	}
	f.Add("a*a*a*a*b", strings.Repeat("a", 255))
	f.Add("**a*a**a*a/**b", strings.Repeat("aaa/", 60))
	for _, n := range []int{61, 62, 63, 64, 65, 190, 191, 192, 253, 254, 255, 256, 257, 300, 320} { // around words of states
		f.Add(strings.Repeat("?", n)+"**b", strings.Repeat("a", n)+"b")
	}
	f.Add(strings.Repeat("?*", 200)+"**", strings.Repeat("a", 300))
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 500 || len(text) > 500 {
			return // the plain matcher is slow, and deep in recursion
		}
		tokens := tokenize(pattern)
		if len(tokens) == 0 {
			return // no rule has an empty pattern with wildcards
		}
		want := matchSlow(tokens, text)
		if got := matchDeep(tokens, []string{text}, false); got != want {
			t.Errorf("matchDeep(%q, %q) = %v", pattern, text, got)
		}
		if !strings.Contains(pattern, "**") && matchShallow(tokens, text) != want {
			t.Errorf("matchShallow(%q, %q) = %v", pattern, text, !want)
		}
		wantAny := want
		for i := range len(text) {
			if text[i] == '/' {
				wantAny = wantAny || matchSlow(tokens, text[i+1:])
			}
		}
		if got := matchDeep(tokens, []string{"", text}, true); got != wantAny {
			t.Errorf("matchDeep(%q, %q) from any slash = %v", pattern, text, got)
		}
	})
}

// FuzzParse reads rules from every kind of source. What was understood must survive the wire.
func FuzzParse(f *testing.F) {
	for _, rule := range wireRules {
		f.Add(rule, "a/b")
	}
	f.Add(". f", "f")
	f.Add(".w- a\n.C\n!\n- a", "a")
	f.Add("merge,e-/p x/y\nclear\n", "x")
	f.Fuzz(func(t *testing.T, text, p string) {
		var b Builder
		opened := 0
		b.Open = func(string) (io.ReadCloser, error) {
			if opened++; opened > 50 { // a text that merges itself twice would go on for long
				return nil, fs.ErrNotExist
			}
			return io.NopCloser(strings.NewReader(text)), nil
		}
		_ = b.Exclude(text) // whether it is an error is for other tests
		_ = b.Include(text)
		_ = b.ExcludeFrom(strings.NewReader(text), "x")
		_ = b.IncludeFrom(strings.NewReader(text), "x")
		_ = b.Filter(text)
		_ = b.Filter(".w f")
		_ = b.Filter(".C f")
		_ = b.Filter(". f")
		l := b.Build()
		for _, isDir := range []bool{false, true} {
			if l.Excluded(p, isDir) && !l.ExcludedPath(p, isDir) {
				t.Errorf("%q: Excluded, but not ExcludedPath", p)
			}
		}
		texts, err := l.Wire(false)
		if err != nil {
			t.Fatal(err)
		}
		peer := mustList(t, texts...)
		if diff := cmp.Diff(texts, wire(peer)); diff != "" {
			t.Errorf("the wire changes the rules (-sent +received):\n%s", diff)
		}
		for _, isDir := range []bool{false, true} {
			if l.Protected(p, isDir) != peer.Protected(p, isDir) || l.Pinned(p, isDir) != peer.Pinned(p, isDir) {
				t.Errorf("%q: the peer protects other paths", p)
			}
		}
	})
}

// TestHostilePatterns: patterns that keep a backtracking matcher busy for years. The limit is generous;
// a matcher without bound does not come back at all. They end
// in "*", so that they cannot be told by their last byte.
func TestHostilePatterns(t *testing.T) {
	name := strings.Repeat("a", 255)
	long := strings.Repeat(name+"/", 15) + name
	tests := []struct{ pattern, path string }{
		{"a*a*a*a*b*", name},
		{strings.Repeat("a*", 2000) + "b*", name},
		{strings.Repeat("*a", 2000) + "b*", name},
		{strings.Repeat("**a", 1300) + "b*", long},
		{strings.Repeat("a**", 1300) + "b*", long},
		{"x" + strings.Repeat("*a", 100) + "/**" + strings.Repeat("a*/", 7) + "b*", long},
		{strings.Repeat("*/", 14) + "*a*a*a*b*", long},
		{strings.Repeat("?*", 2000) + "**b*", long},
		{strings.Repeat("[!b]**", 600) + "b*", long},
		{"/" + strings.Repeat("a*a*a*b/", 400) + "*", long},
	}
	for _, test := range tests {
		l := mustList(t, "- "+test.pattern)
		start := time.Now()
		if l.Excluded(test.path, false) {
			t.Errorf("%.40q matches", test.pattern)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%.40q took %v", test.pattern, took)
		}
	}
}

// FuzzDir reads any text as the files of directories. Whatever they say, the answer for a directory is
// the same when it is asked again, and in a Tree that looks at the files each time.
func FuzzDir(f *testing.F) {
	f.Add("- *.o\n: .q\n!\n+ /a/\n", "a\n. ./.q\n", "x/y/z")
	f.Add(":n- .q\n:C\n. .r\n", "! a b\n", "x")
	f.Add(". ../.r\n: ../../.r\n", ": /.q\n", "x/y")
	f.Add("-C\n:e .r\n- /**/x\n", "", "x/x/x")
	f.Fuzz(func(t *testing.T, r, q, p string) {
		p = strings.Trim(path.Clean("/"+p), "/")
		if p == "" || strings.Count(p, "/") > 20 {
			return
		}
		t.Setenv("HOME", "")
		opened := 0
		open := func(name string) (io.ReadCloser, error) {
			switch opened++; {
			case opened > 200:
				return nil, fs.ErrNotExist
			case path.Base(name) == ".r":
				return io.NopCloser(strings.NewReader(r)), nil
			case path.Base(name) == ".q":
				return io.NopCloser(strings.NewReader(q)), nil
			}
			return nil, fs.ErrNotExist
		}
		l := mustList(t, ": /.r", "- z").At("/srv/tree")
		for _, side := range []Side{Sender, Receiver} {
			opened = 0
			kept := NewTree(l, side, TreeConfig{Open: open})
			first, err := kept.Excluded(p, false)
			if second, err2 := kept.Excluded(p, false); err == nil && (second != first || err2 != nil) {
				t.Errorf("%q: first %v, then %v, %v", p, first, second, err2)
			}
			kept.RuleFile(p)
			opened = 0
			looking := NewTree(l, side, TreeConfig{Open: open, Stat: func(string) (Stamp, error) { return Stamp{Ino: 1}, nil }})
			if again, err2 := looking.Excluded(p, false); err == nil && (again != first || err2 != nil) {
				t.Errorf("%q: %v, but %v, %v where files are looked at", p, first, again, err2)
			}
		}
	})
}
