package local

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// partial brings over what plan names, in the order of the file list: a directory before
// what is in it, so that one stack of twins holds those that are still to be left.
func (r *run) partial(ctx context.Context, plan source.Plan) {
	var open branch
	list := r.planFirst(ordered(plan))
	r.before(ctx, plan.Trees, r.goners(plan))
	for _, e := range list {
		if ctx.Err() != nil {
			break
		}
		open = r.descend(open, e.Name)
		r.planned(ctx, &open, e)
	}
	r.descend(open, ".")
	r.after(ctx, plan.Trees)
}

// ordered is all of plan in the order of the list. A missing name stands as an entry of
// mode 0, right after its directory and before anything that is there.
func ordered(plan source.Plan) []flist.Entry {
	all := slices.Concat(plan.Parents, plan.Entries, plan.Trees, plan.Levels)
	flist.Sort(all)
	if len(plan.Missing) == 0 {
		return all
	}
	missing := map[string][]flist.Entry{}
	for _, name := range plan.Missing {
		dir := path.Dir(name)
		missing[dir] = append(missing[dir], flist.Entry{Name: name})
	}
	list := make([]flist.Entry, 0, len(all)+len(plan.Missing))
	for i := range all {
		list = append(list, all[i])
		if all[i].IsDir() {
			list = append(list, missing[all[i].Name]...)
			delete(missing, all[i].Name)
		}
	}
	for _, rest := range missing {
		list = append(list, rest...) // of a source that is a single file
	}
	return list
}

// branch is the directories from the top to where the walk is.
type branch []level

// level is a directory of a branch. Its twin is nil when it could not be entered: what
// is below it cannot be brought over, for the same reason.
type level struct {
	name string
	twin *twin
	left bool // it is not there, and an option says not to make it
}

// descend leaves the directories of b that name is not below.
func (r *run) descend(b branch, name string) branch {
	for len(b) > 0 && !isBelow(name, b[len(b)-1].name) {
		if w := b[len(b)-1].twin; w != nil {
			r.close(w)
			r.leave(w)
		}
		b = b[:len(b)-1]
	}
	return b
}

func (r *run) planned(ctx context.Context, open *branch, e flist.Entry) {
	var parent *twin
	if n := len(*open); n > 0 {
		parent = (*open)[n-1].twin
		if (*open)[n-1].left {
			if e.IsDir() {
				*open = append(*open, level{name: e.Name, left: true})
			}
			return
		}
		if parent == nil {
			r.problem(e.Name, errParent)
			return
		}
	}
	switch {
	case e.Missing():
		r.missing(ctx, parent, e.Name)
	case e.IsDir() && r.isHollow(e.Name):
		r.missing(ctx, parent, e.Name)
		*open = append(*open, level{name: e.Name, left: true})
	case e.IsDir() && e.Flags&flist.Level != 0:
		*open = append(*open, r.level(ctx, parent, e))
	case e.IsDir() && e.Flags&flist.Partial == 0:
		r.tree(ctx, parent, e)
	case e.IsDir() && r.leaves(&e):
		*open = append(*open, level{name: e.Name, left: true})
	case e.IsDir():
		*open = append(*open, level{name: e.Name, twin: r.enter(ctx, parent, e)})
	case parent != nil && parent.entry.Name == path.Dir(e.Name):
		r.entry(ctx, parent, &e, true)
	default:
		r.stray(ctx, e)
	}
}

// level brings over the directory e with what is directly in it, and leaves it open: other parts of the
// plan may lie below it. Names that are extraneous go at once, whatever --delete-WHEN says.
func (r *run) level(ctx context.Context, parent *twin, e flist.Entry) level {
	l := list(r.src, e.Name)
	entries, complete, err := r.judge(&l, r.problem)
	if err != nil {
		r.problem(e.Name, err)
		return level{name: e.Name}
	}
	if r.leaves(&e) {
		return level{name: e.Name, left: true}
	}
	w := r.enter(ctx, parent, e)
	if w == nil {
		return level{name: e.Name}
	}
	stand, err := r.names(w)
	if err != nil {
		r.refused(e.Name, err)
	} else if complete && r.prunes(w) && len(stand) > 0 {
		r.removeAll(ctx, w, r.extraneous(w, entries, stand))
	}
	entries, _ = r.standingFirst(entries, func(e *flist.Entry) bool { _, ok := stand[path.Base(e.Name)]; return ok })
	for i := range entries {
		if ctx.Err() != nil {
			break
		}
		if !entries[i].IsDir() {
			r.entry(ctx, w, &entries[i], !w.isNew)
		} else if sub := r.enter(ctx, w, entries[i]); sub != nil {
			r.close(sub)
			r.leave(sub)
		}
	}
	return level{name: e.Name, twin: w}
}

// goners are the names of a plan that are to be deleted, if names are: with a directory that
// became empty goes what is missing in it.
func (r *run) goners(plan source.Plan) []string {
	var names []string
	for _, list := range [][]flist.Entry{plan.Parents, plan.Entries, plan.Trees} {
		for i := range list {
			if list[i].IsDir() && r.isHollow(list[i].Name) {
				names = append(names, list[i].Name)
			}
		}
	}
	return append(names, plan.Missing...)
}

// missing deletes name, which the source does not have or which --prune-empty-dirs leaves
// out, when its time comes. parent may be another directory than its own, or nil.
func (r *run) missing(ctx context.Context, parent *twin, name string) {
	if !r.opts.Delete || r.opts.DeleteWhen == option.Before {
		return
	}
	w := parent
	if w == nil || w.entry.Name != path.Dir(name) {
		var err error
		if w, err = r.visit(path.Dir(name)); err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				r.refused(name, err)
			}
			return
		}
		defer func() {
			r.close(w)
			r.leave(w)
		}()
	}
	if r.opts.DeleteWhen == option.During {
		r.removeAll(ctx, w, []string{name})
		return
	}
	r.late = append(r.late, late{w, []string{name}})
}

// stray brings over an entry whose directory is not in the plan, or was dealt with
// as one of its trees.
func (r *run) stray(ctx context.Context, e flist.Entry) {
	if e.Flags&flist.Content != 0 && !r.content[e.Name] {
		return // the tree had it
	}
	r.single(ctx, e)
}
