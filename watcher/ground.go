package watcher

import (
	"slices"

	"go.uber.org/zap"
)

// ground is what the backends and the session share: which tree it is, what of it takes part, and
// where changes go.
type ground struct {
	root     string // absolute, no symbolic links
	rootDev  uint64
	excluded func(rel string, isDir bool) bool // never nil; called by scanning goroutines, too
	oneFS    bool
	ruleDir  func(rel string) (dir string, ok bool) // Config.RuleDir; may be nil
	shallow  bool                                   // subdirectories are names, nothing more
	log      *zap.Logger

	marks     changeSet   // what is to be emitted
	suspects  changeSet   // subtrees that may differ although no event said so
	reruled   []string    // directories in and below which other names may be excluded now
	announce  func(Event) // nil, or where events go
	rootMoved bool        // an event told that the root's own watch is gone

	mountsStray bool // mount points may have other paths by now: a rename does not show in the mount table's events
}

// mark notes that abs may differ.
func (g *ground) mark(abs string, tree, content bool) {
	if rel, ok := relPath(g.root, abs); ok {
		g.marks.add(Change{Path: rel, Tree: tree, Content: content})
	}
}

// doubt notes that anything at or below abs may differ: nobody has told.
func (g *ground) doubt(abs string) {
	if rel, ok := relPath(g.root, abs); ok {
		g.suspects.add(Change{Path: rel, Tree: true})
	}
}

// rules notes that rel had an event, if that changes what is excluded. What is excluded itself counts.
func (g *ground) rules(rel string) {
	if g.ruleDir == nil {
		return
	}
	if dir, ok := g.ruleDir(rel); ok && !slices.Contains(g.reruled, dir) {
		g.reruled = append(g.reruled, dir)
	}
}

// absPath is the contrary of relPath.
func (g *ground) absPath(rel string) string {
	if rel == "." {
		return g.root
	}
	return joinPath(g.root, rel)
}

// written gives the change of a file whose bytes changed or whose writer is done.
func written(rel string, op Op, closeKnown bool) Change {
	return Change{
		Path: rel, Content: op.has(OpModify | OpCloseWrite),
		Open: closeKnown && op.has(OpModify) && !op.has(OpCloseWrite), Closed: op.has(OpCloseWrite),
	}
}
