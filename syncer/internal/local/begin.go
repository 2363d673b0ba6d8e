package local

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// errCrtimes is in rsync's words (options.c): Linux lets nobody set a creation time.
var errCrtimes = errors.New("this platform does not support --crtimes (-N)")

// newTarget is a Target without its directory.
func newTarget(o Options) (*Target, error) {
	if o.Crtimes {
		return nil, errCrtimes
	}
	id, err := whoAmI()
	if err != nil {
		return nil, err
	}
	// For a local target rsync has both ends in one process, and -M for the receiver's alone.
	id.fake = o.FakeSuper || slices.Contains(o.RemoteOptions, "--fake-super")
	t := &Target{opts: implied(o), id: id}
	t.copier.Pace = pace(o.Bwlimit)
	return t, t.readMaps()
}

// begin is what comes before the walk.
func (r *run) begin() {
	for _, text := range r.t.said {
		r.message(text, true)
	}
	r.t.said = nil
	if r.opts.KeepDirlinks && r.t.root != nil {
		r.t.root.FollowLinks()
	}
	for _, d := range []*tree.Dir{r.t.root, r.t.temp} {
		if r.t.id.fake && d != nil {
			d.FakeSuper()
		}
	}
	r.sweepTemp()
}

// verdict decides about e, which is no directory; have is what stands at its name.
func (r *run) verdict(e *flist.Entry, have *unix.Stat_t) verdict {
	suspect := (r.content[e.Name] || e.Flags&flist.Content != 0 || r.since != 0 && e.Ctime >= r.since) && !r.t.believes(e)
	// A file that the plan names below one of its trees is dealt with when the tree is.
	delete(r.content, e.Name)
	v := decide(question{
		entry:    e,
		have:     have,
		sameTime: have != nil && r.t.sameTime(e, have),
		suspect:  suspect,
	}, &r.opts.Set)
	if v == skip && e.IsRegular() {
		r.finished.Add(1)
		r.dealt.Add(e.Size)
	}
	return v
}

// leaves says whether nothing is made of the directory e, nor of what is in it.
func (r *run) leaves(e *flist.Entry) bool {
	if e.Name == "." || !r.opts.Existing && !r.opts.IgnoreExisting {
		return false
	}
	have, err := r.lstatTarget(r.targetName(e.Name))
	if err != nil {
		return false // entering it will tell
	}
	if !leavesDir(have, &r.opts.Set) {
		return false
	}
	if have != nil {
		r.problem(e.Name, unix.ENOTDIR) // as rsync tells of each name in it
	}
	return true
}

// afterReading is what stands at f.base once it was read, which may have changed its atime.
func (f *file) afterReading() *unix.Stat_t {
	if f.run.opts.Atimes {
		if st, err := f.w.dir.Lstat(f.base); err == nil {
			return &st
		}
	}
	return f.have
}
