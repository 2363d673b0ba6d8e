package syncer

import (
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
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
