package syncer

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// hollow holds back directories without a file in them or below, for --prune-empty-dirs: the
// receiver would leave them out of the list (rsync 3.5.0 flist.c, flist_sort_and_clean), but
// also those whose content is not listed because it did not change. The zero value holds
// nothing back.
type hollow struct {
	rules *filter.List
	on    bool
	held  []flist.Entry // each in the one before it
}

func newHollow(o *Options) hollow {
	return hollow{on: o.PruneEmptyDirs, rules: receiverRules(o)}
}

// receiverRules are the rules that keep names on the target.
func receiverRules(o *Options) *filter.List {
	if o.DeleteExcluded {
		return o.Filter.DeleteExcluded()
	}
	return o.Filter
}

// add is told of a directory, which comes before what is in it and after all that comes before
// it in the list. It gives to emit what is to be listed by now. full says that there is
// something in it that is no directory, or may be.
func (h *hollow) add(dir flist.Entry, full bool, emit func(flist.Entry)) {
	if !h.on {
		emit(dir)
		return
	}
	for n := len(h.held); n > 0 && !strings.HasPrefix(dir.Name, h.held[n-1].Name+"/") && h.held[n-1].Name != "."; n-- {
		h.held = h.held[:n-1]
	}
	h.held = append(h.held, dir)
	// What a rule protects is there to stay; the root always is.
	if !full && dir.Name != "." && !h.rules.Protected(dir.Name, true) {
		return
	}
	for _, e := range h.held {
		emit(e)
	}
	h.held = h.held[:0]
}

// end ends a subtree and says whether nothing of it was listed, top neither.
func (h *hollow) end(top string) bool {
	empty := len(h.held) > 0 && h.held[0].Name == top
	h.held = h.held[:0]
	return empty
}

// leaveOut is plan without hollow directories and what is below them. Where names may be deleted,
// each such directory is to be missing.
func (h *hollow) leaveOut(ctx context.Context, src *source.Tree, plan source.Plan, prune bool) (source.Plan, error) {
	tops, err := h.tops(ctx, src, &plan)
	if err != nil || len(tops) == 0 {
		return plan, err
	}
	without := func(entries []flist.Entry) []flist.Entry {
		return slices.DeleteFunc(slices.Clone(entries), func(e flist.Entry) bool { return tops.cover(e.Name) })
	}
	plan.Parents, plan.Entries, plan.Trees = without(plan.Parents), without(plan.Entries), without(plan.Trees)
	plan.Missing = slices.DeleteFunc(slices.Clone(plan.Missing), tops.cover)
	plan.Unsure = slices.DeleteFunc(slices.Clone(plan.Unsure), tops.cover)
	if prune {
		plan.Missing = slices.AppendSeq(plan.Missing, maps.Keys(tops))
		slices.Sort(plan.Missing)
	}
	return plan, nil
}

// tops are the directories that a plan names, or has something in, but does not list whole, and
// that are hollow: those that are in no other one.
func (h *hollow) tops(ctx context.Context, src *source.Tree, plan *source.Plan) (names, error) {
	if !h.on {
		return nil, nil
	}
	full, tops := names{}, names{}
	var dirs []string
	for _, e := range slices.Concat(plan.Parents, plan.Entries) {
		switch {
		case !e.IsDir():
			for dir := parent(e.Name); dir != "" && !full[dir]; dir = parent(dir) {
				full[dir] = true
			}
		case e.Flags&flist.Top == 0: // what is implied is there in any case
			dirs = append(dirs, e.Name)
		}
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	for _, dir := range dirs {
		if full[dir] || tops.cover(dir) {
			continue
		}
		is, err := h.is(ctx, src, dir)
		if err != nil {
			return nil, err
		}
		if is {
			tops[dir] = true
		}
	}
	return tops, nil
}

// is says whether the directory dir is to be held back.
func (h *hollow) is(ctx context.Context, src *source.Tree, dir string) (bool, error) {
	kept := func(dir string) bool { return h.rules.Protected(dir, true) }
	if !h.on || dir == "." || dir == src.Top() || kept(dir) {
		return false, nil
	}
	return src.Hollow(ctx, dir, kept)
}
