package local

import (
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
)

// node brings over e, a symlink, device, FIFO or socket. have is what of its kind
// stands at base.
func (r *run) node(w *twin, e *flist.Entry, base string, have *unix.Stat_t) {
	want := r.t.attrs(e, have)
	same, err := r.sameNode(w, e, base, have)
	if err != nil {
		r.refused(e.Name, err)
		return
	}
	if same {
		r.keep(w, e, base, have)
		return
	}
	flags := r.t.flags(e, have, want, report.LocalChange|report.ReportChange)
	if !r.opts.DryRun {
		r.touch(w)
		if e.IsSymlink() {
			err = w.dir.Symlink(e.Link, base, want)
		} else {
			err = w.dir.Mknod(base, e.Mode, e.Rdev, want)
		}
		if err != nil {
			r.refused(e.Name, err)
			return
		}
		r.health.success()
	}
	r.item(e, flags)
	switch {
	case have != nil:
	case e.IsSymlink():
		r.listed.CreatedLinks++
	default:
		r.listed.CreatedSpecials++
	}
}

// sameNode says whether have is e but for its attributes.
func (r *run) sameNode(w *twin, e *flist.Entry, base string, have *unix.Stat_t) (bool, error) {
	switch {
	case have == nil || have.Mode&unix.S_IFMT != e.Mode&unix.S_IFMT:
		return false, nil
	case e.IsSymlink():
		link, err := w.dir.Readlink(base)
		return link == e.Link, err
	case e.IsDevice():
		return have.Rdev == e.Rdev, nil
	}
	return true, nil
}

// keep leaves what stands at base and brings its attributes in line.
func (r *run) keep(w *twin, e *flist.Entry, base string, have *unix.Stat_t) {
	want := r.t.attrs(e, have)
	if !r.opts.DryRun {
		if err := w.dir.SetAttrs(base, have, want); err != nil {
			r.refused(e.Name, err)
			return
		}
	}
	r.item(e, r.t.flags(e, have, want, 0))
}
