package local

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// node brings over e, a symlink, device, FIFO or socket. have is what of its kind
// stands at base.
func (r *run) node(ctx context.Context, w *twin, e *flist.Entry, base string, have *unix.Stat_t) {
	same, err := r.sameNode(w, e, base, have)
	if err != nil {
		r.refusedNode(e, err)
		return
	}
	if same {
		r.keep(w, e, base, have)
		return
	}
	want, flags, err := r.plan(w.dir, base, e, have, report.LocalChange|report.ReportChange)
	if err == nil && !r.opts.DryRun {
		if have != nil {
			err = r.backup(ctx, w.dir, base, source.Join(w.entry.Name, base))
		}
		if err == nil {
			err = r.makeNode(w, e, base, want)
		}
	}
	if err != nil {
		r.refusedNode(e, err)
		return
	}
	r.item(e, flags)
	switch {
	case have != nil:
	case e.IsSymlink():
		r.listed.CreatedLinks++
	case e.IsDevice():
		r.listed.CreatedDevices++
	default:
		r.listed.CreatedSpecials++
	}
}

func (r *run) makeNode(w *twin, e *flist.Entry, base string, want tree.Attrs) error {
	r.touch(w)
	var err error
	if e.IsSymlink() {
		err = w.dir.Symlink(r.linkText(e), base, want)
	} else {
		err = w.dir.Mknod(base, e.Mode, e.Rdev(), want)
	}
	if attrs := new(tree.AttrError); errors.As(err, &attrs) {
		r.refused(e.Name, err)
		err = nil
	}
	if err == nil {
		r.health.success()
	}
	return err
}

// munged is what --munge-links puts before a symlink's target: it then points nowhere, until
// it is sent back (rsync 3.5.0 rsync.h, SYMLINK_PREFIX).
const munged = "/rsyncd-munged/"

// linkText is what the symlink e holds on the target. --munge-links itself is the sender's part,
// which takes the prefix away.
func (r *run) linkText(e *flist.Entry) string {
	if slices.Contains(r.opts.RemoteOptions, "--munge-links") {
		return munged + e.Link()
	}
	return e.Link()
}

// refusedNode is refused, and tells the other names of e, if it has some.
func (r *run) refusedNode(e *flist.Entry, err error) {
	if g := r.groupOf(e); g != nil {
		g.failed = true
	}
	r.refused(e.Name, err)
}

// sameNode says whether have is e but for its attributes.
func (r *run) sameNode(w *twin, e *flist.Entry, base string, have *unix.Stat_t) (bool, error) {
	switch {
	case have == nil || have.Mode&unix.S_IFMT != e.Mode&unix.S_IFMT:
		return false, nil
	case e.IsSymlink():
		link, err := w.dir.Readlink(base)
		return link == r.linkText(e), err
	case e.IsDevice():
		return have.Rdev == e.Rdev(), nil
	}
	return true, nil
}

// keep leaves what stands at base and brings its attributes in line. False: it must be made
// anew for that.
func (r *run) keep(w *twin, e *flist.Entry, base string, have *unix.Stat_t) bool {
	want, flags, err := r.plan(w.dir, base, e, have, 0)
	if err == nil && e.IsRegular() && r.splits(e, have, want) {
		return false
	}
	if err != nil {
		r.refusedNode(e, err)
		return true
	}
	if !r.opts.DryRun {
		if err := w.dir.SetAttrs(base, have, want); err != nil {
			r.refused(e.Name, err) // other names can be linked to it nevertheless
			return true
		}
		if err := r.syncAttrs(w, e, base, flags); err != nil {
			r.refused(e.Name, err)
		}
	}
	r.item(e, flags)
	return true
}

// syncAttrs brings new attributes of a regular file to the disk, where its data stay as they are.
func (r *run) syncAttrs(w *twin, e *flist.Entry, base string, flags int) error {
	if !r.opts.Fsync || !e.IsRegular() || !isChange(flags) {
		return nil
	}
	return w.dir.SyncFile(base)
}

// splits says whether the regular file have is given new attributes as a new file: other names
// of it, which nothing is known of, keep theirs. Names that are separate on the source and one
// file on the target would take turns in being wrong otherwise, as they do with rsync, and
// where Inplace says that there are to be no new files.
func (r *run) splits(e *flist.Entry, have *unix.Stat_t, want tree.Attrs) bool {
	return have.Nlink > 1 && !r.isLinked(e) && !r.opts.Inplace && want.Differs(have)
}
