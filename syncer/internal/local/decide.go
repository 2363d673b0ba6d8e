package local

import (
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
)

// verdict is what is to be done about an entry that is no directory.
type verdict uint8

const (
	bring   verdict = iota // its data, or what else it is made of, travels
	keep                   // the data that stands is right, its attributes may not be
	compare                // bytes decide between keep and bring
	skip                   // an option says to leave alone what stands, or that nothing does
)

// question is all that decide looks at.
type question struct {
	entry    *flist.Entry
	have     *unix.Stat_t // what stands at its name, of whatever type; nil: nothing
	sameTime bool         // the times agree, as finely as the options and the target have it
	suspect  bool         // the content may differ whatever size and time say
}

// decide is rsync's order of looking (3.5.0 generator.c, recv_generator and quick_check_ok).
// A suspicion is ours: it has no say where the options leave no doubt.
func decide(q question, o *option.Set) verdict {
	switch {
	case q.have == nil && o.Existing, q.have != nil && o.IgnoreExisting:
		return skip
	case !q.entry.IsRegular():
		return bring // whether it is the same shows when it is read
	case o.MaxSize >= 0 && q.entry.Size > o.MaxSize, q.entry.Size < o.MinSize:
		return skip
	case q.have == nil || q.have.Mode&unix.S_IFMT != unix.S_IFREG:
		return bring
	case o.Update && isNewer(q.have, q.entry, o.ModifyWindow):
		return skip
	case q.have.Size != q.entry.Size:
		return bring
	case o.Checksum:
		return compare
	case o.SizeOnly:
		return keep
	case o.IgnoreTimes || !q.sameTime:
		return bring
	case q.suspect:
		return compare
	}
	return keep
}

// isNewer says whether --update leaves have alone. rsync compares whole seconds with a window
// below which a difference does not count; nanoseconds, where those are asked for, are ours.
func isNewer(have *unix.Stat_t, e *flist.Entry, window int) bool {
	if window < 0 {
		return have.Mtim.Sec > e.Sec || have.Mtim.Sec == e.Sec && have.Mtim.Nsec > int64(e.Nsec)
	}
	return e.Sec-have.Mtim.Sec < int64(window)
}

// sameTime says whether have shows the time of e, as finely as ModifyWindow asks and the file
// system can (rsync 3.5.0 util1.c, same_time).
func (t *Target) sameTime(e *flist.Entry, have *unix.Stat_t) bool {
	window := t.opts.ModifyWindow
	if window < 0 {
		return t.grains.same(e, have)
	}
	return max(e.Sec, have.Mtim.Sec)-min(e.Sec, have.Mtim.Sec) <= int64(window)
}

// leavesDir says whether an option says that nothing is made of the directory e, given what
// stands at its name, or nil. All below it is left out then.
func leavesDir(have *unix.Stat_t, o *option.Set) bool {
	if have == nil {
		return o.Existing
	}
	return o.IgnoreExisting && have.Mode&unix.S_IFMT != unix.S_IFDIR
}
