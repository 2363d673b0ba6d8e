package source

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
)

// Explanation is why a name takes part, or does not.
type Explanation struct {
	TakesPart bool
	Missing   bool   // it is not there: the answer is for what may come
	Above     string // the directory above it that decides; "": the name itself
	Reason    string // what decides where it is no rule
	Rule      filter.Decision
	Target    filter.Decision // Excluded: a target keeps it, with --delete, though the source has no such name
}

// Explain says what decides about name. isDir says what it would be if it is not there. The error is
// that of a file of rules, or of looking at the name.
func (t *Tree) Explain(name string, isDir bool) (Explanation, error) {
	var x Explanation
	for at := range steps(name) {
		e, err := t.Lstat(at)
		x.Missing = errors.Is(err, fs.ErrNotExist)
		if err != nil && !x.Missing {
			return x, fmt.Errorf("look at %q: %w", at, err)
		}
		dir := at != name || isDir
		if !x.Missing {
			dir = e.IsDir()
		}
		if x, err = t.explainStep(x, at, &e, dir, at == name); err != nil {
			return x, err
		}
		if x.Rule.Excluded || x.Reason != "" {
			if at != name {
				x.Above = at
			}
			break
		}
	}
	x.TakesPart = !x.Rule.Excluded && x.Reason == ""
	var err error
	x.Target, err = t.explainTarget(name, isDir)
	return x, err
}

// steps goes from the top to name.
func steps(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := range len(name) {
			if name[i] == '/' && !yield(name[:i]) {
				return
			}
		}
		yield(name)
	}
}

// explainStep is Explain for one of the directories on the way, or for the name itself, the last.
func (t *Tree) explainStep(x Explanation, at string, e *flist.Entry, isDir, last bool) (Explanation, error) {
	reach := t.scope.Of(at)
	switch {
	case reach == Outside:
		x.Reason = "it is not among what was named to be sent"
		return x, nil
	case reach == Above:
		return x, nil // implied, whatever the rules say
	}
	in, err := t.rules.In(path.Dir(at))
	if err != nil {
		return x, rulesError(err)
	}
	if at != "." {
		x.Rule = in.Decide(at, isDir)
	}
	switch {
	case x.Rule.Excluded || x.Missing:
	case !last && !isDir:
		x.Reason = "it is no directory"
	case !t.takesPart(e):
		x.Reason = "names of its type are not sent"
	case !last && t.Crosses(at):
		x.Reason = "its content is not sent: another file system (--one-file-system), or a directory that is sent alone"
	case last && e.IsRegular() && t.opts.MaxSize >= 0 && e.Size > t.opts.MaxSize:
		x.Reason = "it is larger than --max-size"
	case last && e.IsRegular() && t.opts.MinSize > 0 && e.Size < t.opts.MinSize:
		x.Reason = "it is smaller than --min-size"
	}
	return x, nil
}

// explainTarget goes by the source's files of rules, which a target has when they take part.
func (t *Tree) explainTarget(name string, isDir bool) (filter.Decision, error) {
	list := t.opts.Filter
	if t.opts.DeleteExcluded {
		list = list.DeleteExcluded()
	}
	rules := filter.NewTree(list, filter.Receiver, filter.TreeConfig{Open: t.openRules, Top: t.TargetBegins})
	if e, err := t.Lstat(name); err == nil {
		isDir = e.IsDir()
	}
	for at := range steps(name) {
		in, err := rules.In(path.Dir(at))
		if err != nil || at == "." {
			return filter.Decision{}, rulesError(err)
		}
		d := in.Decide(at, at != name || isDir)
		if d.Excluded || at == name {
			return d, nil
		}
	}
	return filter.Decision{}, nil
}
