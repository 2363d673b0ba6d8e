package syncer

import (
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
)

const (
	// recentMax bounds what is remembered of files that were sent.
	recentMax = 1 << 15
	// ctimeGrain is the coarsest step of a file system's ctime, a tick of a kernel with
	// HZ=100, doubled: a file that was written within it before it was read may have been
	// written again without its ctime telling.
	ctimeGrain = 20 * time.Millisecond
)

// version is a file as it was when it was read, and when that was.
type version struct {
	entry flist.Entry
	at    time.Time
}

// recent remembers which versions of files the target has. A change that was seen while
// its file was on the way is mostly that very version: then there is nothing to do.
// The zero value remembers nothing.
type recent struct {
	versions map[string]version
}

// add takes in what a push brought over.
func (r *recent) add(batch []version) {
	if r.versions == nil || len(r.versions)+len(batch) > recentMax {
		r.versions = make(map[string]version, len(batch)) // forgetting costs time, never data
	}
	for _, v := range batch {
		r.versions[v.entry.Name] = v
	}
}

// is says whether the target surely has e as it is now.
func (r *recent) is(e *flist.Entry) bool {
	v, ok := r.versions[e.Name]
	if !ok || !e.IsRegular() {
		return false
	}
	settled := v.at.Sub(time.Unix(0, v.entry.Ctime)) > ctimeGrain
	return settled && v.entry.SameVersion(e) && v.entry.UID == e.UID && v.entry.GID == e.GID
}
