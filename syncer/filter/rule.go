package filter

import "strings"

// flags is what a rule's name and modifiers say; a merge rule hands most of it on to the rules in its file.
type flags struct {
	include    bool
	absolute   bool // "/": compare with the absolute path
	negate     bool // "!": takes effect where the pattern does not match
	perishable bool // "p": does not count in a directory that is being deleted
	xattr      bool // "x": about names of extended attributes
	sender     bool // "s", hide, show
	receiver   bool // "r", protect, risk
}

func (f flags) sided() bool      { return f.sender || f.receiver }
func (f flags) onSender() bool   { return f.sender || !f.receiver }
func (f flags) onReceiver() bool { return f.receiver || !f.sender }

// rule is one include or exclude with its pattern, or a dir-merge rule.
type rule struct {
	flags
	pattern string // as written, without the slash that dirOnly stands for; of a merge, its file's name
	dirOnly bool
	matcher matcher
	merge   *merge // a dir-merge rule; nil: any other
	// anySide: it was read from a file that a per-directory one merges. There rsync 3.5.0 looks at no
	// side (exclude.c, add_rule: XFLG_ANCHORED2ABS), neither the rule's nor the file's.
	anySide bool
	self    bool // the modifier "e" of a merge rule made it

	from origin // where it was read
	text string // as it was written there
}

// merge is a dir-merge rule: which file is looked for, and how it is read.
type merge struct {
	name      string // as written, perhaps with a path
	base      string // what it is called in each directory
	noInherit bool
	inner     template
}

// newMerge makes a dir-merge rule: rsync 3.5.0 exclude.c, add_rule.
func newMerge(s *statement) *rule {
	r := &rule{flags: s.flags}
	r.pattern, r.dirOnly = cutDirSlash(s.text)
	inner := s.inner
	inner.flags = s.flags
	r.merge = &merge{name: r.pattern, base: baseOf(r.pattern), noInherit: s.noInherit, inner: inner}
	return r
}

// cutDirSlash takes off the slash that says "directories only"; "/" alone is a pattern.
func cutDirSlash(pattern string) (string, bool) {
	if len(pattern) < 2 {
		return pattern, false
	}
	return strings.CutSuffix(pattern, "/")
}

func baseOf(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// newRule compiles a pattern of at least one byte: rsync 3.5.0 exclude.c, add_rule.
func newRule(f flags, pattern string) *rule {
	r := &rule{flags: f}
	r.pattern, r.dirOnly = strings.CutSuffix(pattern, "/")
	r.matcher = compile(r.pattern)
	return r
}

// matches: rsync 3.5.0 exclude.c, rule_matches. A rule for directories does not match anything else,
// and negation turns that round as well: "-! */" is about all that is not a directory.
func (r *rule) matches(root, p, base string, isDir bool) bool {
	if r.dirOnly && !isDir {
		return r.negate
	}
	if !r.absolute {
		root = ""
	}
	return r.matcher.match(root, p, base, isDir) != r.negate
}

// scope is the part of a path that a pattern must match from end to end.
type scope uint8

const (
	scopeBase  scope = iota // the last component: a pattern without inner slash and "**"
	scopeWhole              // all of it: a pattern that begins with "/"
	scopeTail               // the last components, as many as the pattern has
	scopeAny                // all from the start, or from behind any slash: any other pattern with "**"
)

// matcher is a compiled pattern.
type matcher struct {
	scope      scope
	components int    // scopeTail
	literal    string // the pattern without its anchor; what is compared if tokens is nil
	tokens     []token

	// deep is set for a pattern with "**". It sees a slash before the path if leadSlash is set, so that
	// "**/x" matches x at the root, and one behind a directory if dirSlash is set, so that "x/***"
	// matches the directory x.
	deep      bool
	leadSlash bool
	dirSlash  bool
}

// compile sorts patterns as rsync 3.5.0 does in exclude.c, add_rule and rule_matches. It looks at the
// raw text: an escaped or bracketed "**" counts as "**" here, though not in comparing.
func compile(pattern string) matcher {
	text := strings.TrimPrefix(pattern, "/")
	m := matcher{
		literal:   text,
		deep:      strings.Contains(pattern, "**"),
		leadSlash: strings.HasPrefix(pattern, "**"),
	}
	m.dirSlash = m.deep && strings.HasSuffix(pattern, "***")
	slashes := strings.Count(pattern, "/")
	anchored := len(text) < len(pattern)
	switch {
	case slashes == 0 && !m.deep:
		m.scope = scopeBase
	case anchored:
		m.scope = scopeWhole
	case m.deep:
		m.scope = scopeAny
	default:
		m.scope, m.components = scopeTail, slashes+1
	}
	if strings.ContainsAny(pattern, "*?[") {
		m.tokens = tokenize(text)
	}
	return m
}

// match holds the pattern against a path that lies below root; base is the path's last component.
func (m *matcher) match(root, p, base string, isDir bool) bool {
	if m.deep {
		return m.matchDeep(root, p, isDir)
	}
	if m.scope == scopeBase {
		return m.matchText(base)
	}
	if root != "" {
		p = root + p
	}
	if m.scope == scopeTail {
		i := tailStart(p, m.components)
		if i < 0 {
			return false
		}
		p = p[i:]
	}
	return m.matchText(p)
}

func (m *matcher) matchText(text string) bool {
	if m.tokens == nil {
		return m.literal == text
	}
	return matchShallow(m.tokens, text)
}

func (m *matcher) matchDeep(root, p string, isDir bool) bool {
	if endsOtherwise(m.tokens, p) {
		return false
	}
	parts := [3]string{root, p, ""}
	if root == "" && m.leadSlash {
		parts[0] = "/"
	}
	if isDir && m.dirSlash {
		parts[2] = "/"
	}
	return matchDeep(m.tokens, parts[:], m.scope == scopeAny)
}

// tailStart returns where the last n components of p begin, or -1 if p has fewer.
func tailStart(p string, n int) int {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] != '/' {
			continue
		}
		if n--; n == 0 {
			return i + 1
		}
	}
	if n == 1 {
		return 0
	}
	return -1
}
