package local

import "github.com/lockstep-sync/lockstep/syncer/internal/flist"

// isHollow says whether name is a directory of the source that --prune-empty-dirs leaves out:
// with no file in it, nor in any directory below, and no rule that protects one of those
// (rsync 3.5.0 flist.c, flist_sort_and_clean).
func (r *run) isHollow(name string) bool {
	if !r.opts.PruneEmptyDirs || name == "." || name == r.src.Top() {
		return false
	}
	hollow, known := r.hollow[name]
	if !known {
		hollow = r.lookHollow(name)
		if r.hollow == nil {
			r.hollow = map[string]bool{}
		}
		r.hollow[name] = hollow
	}
	return hollow
}

func (r *run) lookHollow(name string) bool {
	if r.opts.Filter.Protected(name, true) {
		return false
	}
	e, err := r.src.Lstat(name)
	if err != nil || !e.IsDir() {
		return false
	}
	l := list(r.src, name)
	if l.crosses {
		return true
	}
	entries, complete, err := r.judge(&l, func(string, error) {})
	if err != nil || !complete {
		return false
	}
	for i := range entries {
		if !entries[i].IsDir() || !r.isHollow(entries[i].Name) {
			return false
		}
	}
	return true
}

// withoutHollow are entries without the directories that --prune-empty-dirs leaves out.
func (r *run) withoutHollow(entries []flist.Entry) []flist.Entry {
	if !r.opts.PruneEmptyDirs {
		return entries
	}
	kept := entries[:0]
	for _, e := range entries {
		if !e.IsDir() || !r.isHollow(e.Name) {
			kept = append(kept, e)
		}
	}
	return kept
}
