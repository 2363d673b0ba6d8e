package agent

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// limitWindow is the time that --max-delete is about: no more than so many names in any hour, and so in
// any push.
const limitWindow = time.Hour

// deletions decides when a name that is gone from the source is deleted on a target: at once, after
// --delete-delay, or not before it is released. It reads no clock and no disk.
type deletions struct {
	limit   Limit
	delay   time.Duration
	held    map[string]api.Held
	beyond  map[string]api.Held  // those with no Names
	waiting map[string]time.Time // gone since; for the delay
	spent   []spent              // in the last hour, oldest first
	free    map[string]api.Held  // released, and not deleted yet
	changed bool                 // held, beyond or free, since it was asked last
}

// spent is how many names a push was let delete.
type spent struct {
	At    time.Time `json:"at"`
	Names int64     `json:"names"`
	// path is what they are at and below, until it is known to be deleted: a push that fails comes again, and is
	// not to count twice.
	path string
}

// verdict is what is to be done about a name that is gone.
type verdict uint8

const (
	deleteNow verdict = iota
	deleteLater
	deleteHeld
)

func newDeletions(limit Limit, delay time.Duration) *deletions {
	return &deletions{limit: limit, delay: delay, held: map[string]api.Held{}, beyond: map[string]api.Held{}, waiting: map[string]time.Time{}, free: map[string]api.Held{}}
}

// active says whether anything is ever kept back.
func (d *deletions) active() bool {
	return d.limit.any() || d.delay > 0 || len(d.held) > 0 || len(d.beyond) > 0 || len(d.free) > 0
}

// judge decides about path, with which names would go, of total that the target has. With deleteLater
// comes how long it is to wait.
func (d *deletions) judge(now time.Time, path string, names, total int64) (verdict, time.Duration) {
	if d.isFree(path) {
		return deleteNow, 0
	}
	if h, ok := d.heldAt(path); ok {
		if h.Path == path && h.Names != names && h.Names > 0 {
			h.Names = names
			d.held[path] = h
		}
		return deleteHeld, 0
	}
	if d.delay > 0 {
		since, ok := d.waiting[path]
		if !ok || since.After(now) { // the clock was set back
			d.waiting[path], since = now, now
		}
		if left := d.delay - now.Sub(since); left > 0 {
			return deleteLater, left
		}
	}
	delete(d.waiting, path)
	d.spent = slices.DeleteFunc(d.spent, func(s spent) bool { return s.path == path })
	if names > d.left(now, total) {
		d.hold(now, path, names)
		return deleteHeld, 0
	}
	if d.spend(now, names); d.limit.any() {
		d.spent[len(d.spent)-1].path = path
	}
	return deleteNow, 0
}

// spentFor ends that what was spent for path is given back if it comes again.
func (d *deletions) spentFor(path string) {
	for i := range d.spent {
		if d.spent[i].path == path {
			d.spent[i].path = ""
		}
	}
}

// hold keeps path's deletion back.
func (d *deletions) hold(now time.Time, path string, names int64) api.Held {
	h := api.Held{Path: path, Names: names, Since: now}
	d.held[path], d.changed = h, true
	for p := range d.held {
		if p != path && strings.HasPrefix(p, path+"/") {
			delete(d.held, p)
		}
	}
	return h
}

// stopped says that the target was left with names that the limit kept it from deleting below path.
func (d *deletions) stopped(now time.Time, path string) api.Held {
	h, ok := d.beyond[path]
	if !ok {
		h = api.Held{Path: path, Since: now}
		d.beyond[path], d.changed = h, true
	}
	return h
}

// spend counts names that a push may delete, or did.
func (d *deletions) spend(now time.Time, names int64) {
	if d.limit.any() && names > 0 {
		d.spent = append(d.spent, spent{At: now, Names: names})
	}
}

// left is how many names may go now.
func (d *deletions) left(now time.Time, total int64) int64 {
	d.spent = slices.DeleteFunc(d.spent, func(s spent) bool { return now.Sub(s.At) >= limitWindow })
	n := d.limit.names(total)
	for _, s := range d.spent {
		n -= s.Names
	}
	return max(n, 0)
}

// back says that path is there: what was decided about it is void.
func (d *deletions) back(path string) (was bool) {
	_, was = d.held[path]
	delete(d.held, path)
	delete(d.waiting, path)
	d.spentFor(path) // the target may have lost it meanwhile
	d.changed = d.changed || was
	if d.free[path].Names > 0 {
		delete(d.free, path)
		d.changed = true
	}
	return was
}

// release lets all go that is held, and tells what.
func (d *deletions) release() []api.Held {
	list := d.list()
	for _, h := range list {
		d.free[h.Path] = h
	}
	clear(d.held)
	clear(d.beyond)
	d.changed = d.changed || len(list) > 0
	return list
}

// done says that the target has no more than the source at path and below.
func (d *deletions) done(path string) {
	_, free := d.free[path]
	_, beyond := d.beyond[path]
	d.changed = d.changed || free || beyond
	delete(d.free, path)
	delete(d.beyond, path)
	d.spentFor(path)
}

func (d *deletions) list() []api.Held {
	return byPath(slices.AppendSeq(slices.Collect(maps.Values(d.held)), maps.Values(d.beyond)))
}

func byPath(list []api.Held) []api.Held {
	slices.SortFunc(list, func(a, b api.Held) int { return cmp.Compare(a.Path, b.Path) })
	return list
}

func (d *deletions) heldAt(path string) (api.Held, bool) {
	for p := path; ; p = parentOf(p) {
		if h, ok := d.held[p]; ok {
			return h, true
		}
		if p == "." {
			return api.Held{}, false
		}
	}
}

// about is what was decided about path, or a directory above it, and is not over; names is how many it was about.
func (d *deletions) about(path string) (names int64, ok bool) {
	for p := path; ; p = parentOf(p) {
		h, held := d.held[p]
		f, free := d.free[p]
		if _, waits := d.waiting[p]; held || waits || free && f.Names > 0 {
			if p != path {
				return 0, true
			}
			return max(h.Names, f.Names), true
		}
		if p == "." {
			return 0, false
		}
	}
}

// spared are the names that no push is to delete for now, whatever it compares.
func (d *deletions) spared() []string {
	list := slices.AppendSeq(slices.Collect(maps.Keys(d.held)), maps.Keys(d.waiting))
	slices.Sort(list)
	return list
}

func (d *deletions) isFree(path string) bool {
	for p := path; ; p = parentOf(p) {
		if _, ok := d.free[p]; ok {
			return true
		}
		if p == "." {
			return false
		}
	}
}

func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return "."
}
