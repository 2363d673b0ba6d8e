package filter

import (
	"path"
	"slices"
	"strings"
)

// List is an ordered list of filter rules. It is immutable and safe for concurrent use; nil and the
// zero value include everything and protect nothing. A Builder makes one. Its own answers leave out
// what files in the directories themselves say: where there are dir-merge rules, a Tree decides.
type List struct {
	rules []*rule

	// sender and receiver are the rules that decide on that side about names of files, in order.
	sender   []*rule
	receiver []*rule

	zeroes    bool // per-directory files have rules that end at a NUL
	sendsOnly bool // as DeleteExcluded has it, for what is read later

	// root is the absolute path of the transfer's root as rules with the modifier "/" see it: without
	// the leading slash, with a trailing one; "" for "/".
	root string
}

// newList owns rules.
func newList(rules []*rule, root string) *List {
	l := &List{rules: rules, root: root}
	for _, r := range rules {
		if r.xattr || r.merge != nil {
			continue // about names of extended attributes, or what a Tree reads
		}
		if r.onSender() {
			l.sender = append(l.sender, r)
		}
		if r.onReceiver() {
			l.receiver = append(l.receiver, r)
		}
	}
	return l
}

// At returns the same rules for a root that lies at the absolute path dir, which rules with the
// modifier "/" are held against. Sender and receiver have their own roots, hence their own At. To a
// daemon the module's directory is "/". Without At the root is "/".
func (l *List) At(dir string) *List {
	if l == nil {
		return nil
	}
	root := strings.TrimPrefix(path.Clean("/"+dir), "/")
	if root != "" {
		root += "/"
	}
	at := *l
	at.root = root
	return &at
}

// DeleteExcluded returns the rules as --delete-excluded has them: a rule without a side counts for the
// sender only, so that it protects nothing.
func (l *List) DeleteExcluded() *List {
	if l == nil {
		return nil
	}
	rules := make([]*rule, len(l.rules))
	for i, r := range l.rules {
		rules[i] = r.sendsOnly()
	}
	to := newList(rules, l.root)
	to.zeroes, to.sendsOnly = l.zeroes, true
	return to
}

// sendsOnly is r for the sender alone, unless it names a side.
func (r *rule) sendsOnly() *rule {
	if r.sided() || r.merge != nil {
		return r
	}
	c := *r
	c.sender = true
	return &c
}

// PerDir reports whether there are dir-merge rules: then a List alone does not decide, a Tree does.
func (l *List) PerDir() bool {
	return l != nil && slices.ContainsFunc(l.rules, func(r *rule) bool { return r.merge != nil })
}

// Empty reports whether there is no rule at all.
func (l *List) Empty() bool { return l == nil || len(l.rules) == 0 }

// Excluded reports whether the sender leaves p out. It decides about this very path: whoever walks a
// tree asks for each directory first and does not enter an excluded one.
func (l *List) Excluded(p string, isDir bool) bool {
	return l != nil && firstMatchExcludes(l.sender, l.root, p, isDir, false)
}

// ExcludedPath reports whether the sender leaves p out because of p itself or of a directory above it.
func (l *List) ExcludedPath(p string, isDir bool) bool {
	if l == nil || len(l.sender) == 0 {
		return false
	}
	for i := 1; i < len(p); i++ {
		if p[i] == '/' && l.Excluded(p[:i], true) {
			return true
		}
	}
	return l.Excluded(p, isDir)
}

// Protected reports whether the receiver keeps p although the sender has no such name. A protected
// directory is kept with everything below it.
func (l *List) Protected(p string, isDir bool) bool {
	return l != nil && firstMatchExcludes(l.receiver, l.root, p, isDir, false)
}

// Pinned is Protected for what lies in a directory that is itself being deleted: perishable rules
// (modifier "p") no longer count there. A pinned path keeps the directories above it, too.
func (l *List) Pinned(p string, isDir bool) bool {
	return l != nil && firstMatchExcludes(l.receiver, l.root, p, isDir, true)
}

// firstMatchExcludes: rsync 3.5.0 exclude.c, check_filter.
func firstMatchExcludes(rules []*rule, root, p string, isDir, dropPerishable bool) bool {
	r := firstMatch(rules, root, p, isDir, dropPerishable)
	return r != nil && !r.include
}

// firstMatch is the rule that decides; nil: none.
func firstMatch(rules []*rule, root, p string, isDir, dropPerishable bool) *rule {
	if p == "" || p == "." {
		return nil
	}
	base := baseOf(p)
	for _, r := range rules {
		if dropPerishable && r.perishable {
			continue
		}
		if r.matches(root, p, base, isDir) {
			return r
		}
	}
	return nil
}
