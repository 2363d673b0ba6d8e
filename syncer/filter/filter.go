package filter

import (
	"path"
	"strings"
)

// List is an ordered list of filter rules. It is immutable and safe for concurrent use; nil and the
// zero value include everything and protect nothing. A Builder makes one.
type List struct {
	rules []*rule

	// sender and receiver are the rules that decide on that side about names of files, in order.
	sender   []*rule
	receiver []*rule

	// root is the absolute path of the transfer's root as rules with the modifier "/" see it: without
	// the leading slash, with a trailing one; "" for "/".
	root string
}

// newList owns rules.
func newList(rules []*rule, root string) *List {
	l := &List{rules: rules, root: root}
	for _, r := range rules {
		if r.xattr {
			continue // such a rule speaks about names of extended attributes
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
		c := *r
		if !c.sided() {
			c.sender = true
		}
		rules[i] = &c
	}
	return newList(rules, l.root)
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
	if p == "" || p == "." {
		return false
	}
	base := p[strings.LastIndexByte(p, '/')+1:]
	for _, r := range rules {
		if dropPerishable && r.perishable {
			continue
		}
		if r.matches(root, p, base, isDir) {
			return !r.include
		}
	}
	return false
}
