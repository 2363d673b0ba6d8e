package source

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
)

// Path is a name that may differ, relative to the transfer's root.
type Path struct {
	Name    string
	Tree    bool // everything at or below it may differ
	Level   bool // of a directory: the names in it may differ, too, but not what is below its subdirectories
	Content bool // its bytes may differ whatever size and time say
}

// Plan is what the disk says about changed paths. No name is in two of its parts,
// but a directory may be in Parents beside being above one of Trees.
type Plan struct {
	Missing []string // to be deleted: each the topmost name that is gone, its parent being there
	// Unsure is gone as Missing is, but a rule leaves out names like it that are directories, or
	// that are none: what stands on the target decides.
	Unsure   []string
	Parents  []flist.Entry // directories above anything else in the plan, Partial
	Entries  []flist.Entry // there; directories among them are Partial: they alone changed
	Trees    []flist.Entry // directories that may differ with all below them
	Levels   []flist.Entry // directories that may differ with all directly in them: Level
	Problems []report.Problem
}

// Plan looks at each of paths. A path that takes no part (excluded, of a type that the
// options leave out) is dropped. The context ends it early with its cause.
func (t *Tree) Plan(ctx context.Context, paths []Path) (Plan, error) {
	p := planner{tree: t, seen: map[string]*look{}}
	for _, c := range paths {
		if ctx.Err() != nil {
			return Plan{}, context.Cause(ctx)
		}
		p.add(c)
	}
	return p.plan(), nil
}

// All is the plan that brings over everything of a Scope that is not the whole tree: with the
// directories above, which are implied. A named file that is not there is a problem.
func (t *Tree) All(ctx context.Context) (Plan, error) {
	names := t.scope.Named()
	if names == nil {
		names = []string{t.Top()}
	}
	p := planner{tree: t, seen: map[string]*look{}}
	for _, name := range names {
		if ctx.Err() != nil {
			return Plan{}, context.Cause(ctx)
		}
		if l := p.add(Path{Name: name, Tree: true}); l != nil && (l.gone || l.entry.Name != name) {
			p.problems = append(p.problems, report.Problem{Path: name, Err: errNamed})
		}
	}
	return p.plan(), nil
}

// errNamed is not fs.ErrNotExist: that is of files that vanish between two looks.
var errNamed = errors.New("link_stat failed: no such file or directory")

// look is what one lstat of a planning run said.
type look struct {
	entry   flist.Entry
	gone    bool
	failed  bool // neither there nor gone: it could not be looked at
	wanted  bool // named by a change, or the topmost missing name above one
	tree    bool
	level   bool
	content bool
	above   bool // a directory above something wanted
	// unsure: it is gone, and a rule hides such a name only if it was a directory, or only if not.
	unsure bool
}

type planner struct {
	tree     *Tree
	seen     map[string]*look
	problems []report.Problem
}

// add takes in a path; it returns the look at it, or at the first name above that is gone or
// no directory, if it takes part.
func (p *planner) add(c Path) *look {
	scope := p.tree.scope
	reach := scope.Of(c.Name)
	if reach == Outside {
		return nil
	}
	if reach == Above && c.Tree {
		for _, name := range scope.below(c.Name) {
			p.add(Path{Name: name, Tree: true, Content: c.Content})
		}
	}
	l, dir, whole := p.descend(c.Name)
	if dir != nil && (l == nil || l.gone) && scope.Of(dir.entry.Name) == Inside {
		dir.wanted = true                          // its time changed with its names, whether they take part or not
		for name := dir.entry.Name; name != "."; { // a peer wants to be told of those above
			name = path.Dir(name)
			if a := p.seen[name]; a != nil {
				a.above = true
			}
		}
	}
	if l == nil {
		return nil
	}
	l.wanted = true
	// What stands above the path is no directory (any more): it is itself the change.
	l.content = l.content || c.Content || !whole
	l.tree = l.tree || c.Tree || !whole
	l.level = l.level || c.Level
	return l
}

// descend looks at every directory above name, then at name. It returns the look at
// name, or at the first name on the way that is gone or no directory; nil when the
// path takes no part. dir is the directory above what it came to.
func (p *planner) descend(name string) (l, dir *look, whole bool) {
	var above []*look
	mount := "" // the last one on the way
	if p.tree.scope.Of(".") != Outside {
		l = p.look(".")
		if name == "." {
			return l, nil, true
		}
		above = append(above, l)
		dir = l
	}
	for end := 0; end < len(name); {
		next := strings.IndexByte(name[end+1:], '/')
		if next < 0 {
			end = len(name)
		} else {
			end += 1 + next
		}
		if p.tree.opts.Unmounted[name[:end]] {
			p.problem(name[:end], ErrUnmounted)
			return nil, nil, false
		}
		l = p.look(name[:end])
		if l.failed {
			return nil, nil, false
		}
		if l.gone && mount != "" && !p.tree.stillMounted(mount) {
			p.problem(mount, ErrUnmounted)
			return nil, nil, false
		}
		out, err := p.excluded(l)
		if err != nil {
			l.failed = true
			p.problems = append(p.problems, report.Problem{Path: l.entry.Name, Err: err})
			return nil, nil, false
		}
		if out || !l.gone && !p.tree.takesPart(&l.entry) {
			return nil, dir, false
		}
		if l.gone || !l.entry.IsDir() {
			break
		}
		if end < len(name) {
			if p.tree.otherMount(name[:end]) {
				return nil, nil, false
			}
			above = append(above, l)
			dir = l
			if _, ok := p.tree.opts.Mounted[name[:end]]; ok {
				mount = name[:end]
			}
		}
	}
	for _, a := range above {
		a.above = true
	}
	return l, dir, l.entry.Name == name
}

// excluded says whether a rule hides l. A name that is gone may have been of either
// type: only what is hidden as both surely takes no part; see unsure.
func (p *planner) excluded(l *look) (bool, error) {
	name := l.entry.Name
	if p.tree.scope.Of(name) == Above {
		return false, nil // rsync lists implied directories whatever the rules say
	}
	rules, err := p.tree.rules.In(path.Dir(name))
	if err != nil || name == "." {
		return false, rulesError(err)
	}
	if l.gone {
		l.unsure = rules.Excluded(name, false) != rules.Excluded(name, true)
		return rules.Excluded(name, false) && rules.Excluded(name, true), nil
	}
	return rules.Excluded(name, l.entry.IsDir()), nil
}

// problem notes what of name keeps it from being planned, once.
func (p *planner) problem(name string, err error) {
	if p.seen[name] == nil {
		p.seen[name] = &look{failed: true}
		p.problems = append(p.problems, report.Problem{Path: name, Err: err})
	}
}

// look lstats name once in a planning run.
func (p *planner) look(name string) *look {
	if l := p.seen[name]; l != nil {
		return l
	}
	l := &look{entry: flist.Entry{Name: name}}
	p.seen[name] = l
	e, err := p.tree.Lstat(name)
	switch {
	case err == nil:
		l.entry = e
	case errors.Is(err, fs.ErrNotExist):
		l.gone = true
	default:
		l.failed = true
		p.problems = append(p.problems, report.Problem{Path: name, Err: err})
	}
	return l
}

func (p *planner) plan() Plan {
	plan := Plan{Problems: p.problems}
	for name, l := range p.seen {
		e := l.entry
		switch {
		case l.failed:
		case l.gone:
			if !l.wanted || !p.tree.scope.holds(name) {
				break
			}
			if l.unsure {
				plan.Unsure = append(plan.Unsure, name)
			} else {
				plan.Missing = append(plan.Missing, name)
			}
		case p.tree.scope.Of(name) == Above:
			switch e.Flags |= flist.Partial | flist.Top; {
			case !e.IsDir(): // nothing that takes part is there
			case l.wanted:
				plan.Entries = append(plan.Entries, e)
			case l.above:
				plan.Parents = append(plan.Parents, e)
			}
		case l.wanted && l.tree && e.IsDir() && p.tree.scope.Of(name) == Inside:
			if l.content {
				e.Flags |= flist.Content
			}
			plan.Trees = append(plan.Trees, e)
		case l.wanted && l.level && e.IsDir() && p.tree.scope.Of(name) == Inside:
			e.Flags |= flist.Level
			plan.Levels = append(plan.Levels, e)
		case l.wanted:
			if e.IsDir() {
				e.Flags |= flist.Partial
			} else if l.content && e.IsRegular() {
				e.Flags |= flist.Content
			}
			plan.Entries = append(plan.Entries, e)
		case l.above:
			e.Flags |= flist.Partial
			plan.Parents = append(plan.Parents, e)
		}
	}
	slices.Sort(plan.Missing)
	slices.Sort(plan.Unsure)
	flist.Sort(plan.Parents)
	flist.Sort(plan.Entries)
	flist.Sort(plan.Trees)
	flist.Sort(plan.Levels)
	plan.dropBelowTrees()
	return plan
}

// dropBelowTrees takes out what a subtree of the plan covers. Regular files stay: their
// Content mark is knowledge that looking at the subtree would not bring.
func (p *Plan) dropBelowTrees() {
	if len(p.Trees) == 0 {
		return
	}
	trees := names(p.Trees)
	below := func(name string) bool {
		if name != "." && trees["."] {
			return true
		}
		for d := path.Dir(name); d != "." && d != "/"; d = path.Dir(d) {
			if trees[d] {
				return true
			}
		}
		return false
	}
	p.Trees = slices.DeleteFunc(p.Trees, func(e flist.Entry) bool { return below(e.Name) })
	p.Levels = slices.DeleteFunc(p.Levels, func(e flist.Entry) bool { return below(e.Name) })
	p.Parents = slices.DeleteFunc(p.Parents, func(e flist.Entry) bool { return below(e.Name) })
	p.Missing = slices.DeleteFunc(p.Missing, below)
	p.Unsure = slices.DeleteFunc(p.Unsure, below)
	p.Entries = slices.DeleteFunc(p.Entries, func(e flist.Entry) bool {
		return below(e.Name) && e.Flags&flist.Content == 0
	})
}
