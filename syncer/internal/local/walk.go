package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// errParent says that the directory above could not be entered: its own problem tells why.
var errParent = errors.New("the directory above could not be brought over")

// tree brings over the directory e and all below it. parent is nil for the top.
func (r *run) tree(ctx context.Context, parent *twin, e flist.Entry) {
	r.ahead = readAhead(ctx, r.src, e.Name)
	defer r.ahead.stop()
	r.subtree(ctx, parent, e)
}

func (r *run) subtree(ctx context.Context, parent *twin, e flist.Entry) {
	if ctx.Err() != nil {
		return
	}
	if !r.opts.Recurse && r.opts.Files == nil {
		r.message("skipping directory "+report.Quote(e.Name), false)
		return
	}
	// Read first: of a directory that vanished nothing is made.
	entries, complete, err := r.read(e.Name)
	if err != nil {
		r.problem(e.Name, err)
		return
	}
	if r.leaves(&e) {
		return
	}
	w := r.enter(ctx, parent, e)
	if w == nil {
		return
	}
	dirs := r.inside(ctx, w, entries, complete)
	r.close(w)
	for _, d := range dirs {
		r.subtree(ctx, w, d)
	}
	r.leave(w)
}

// read lists a directory of the source; see judge. What cannot be read is told.
func (r *run) read(dir string) (entries []flist.Entry, complete bool, err error) {
	l := r.ahead.next(dir)
	if l.crosses {
		return nil, false, nil
	}
	return r.judge(&l, r.problem)
}

// inside brings over what is directly in w and returns the subdirectories.
func (r *run) inside(ctx context.Context, w *twin, entries []flist.Entry, complete bool) []flist.Entry {
	r.sweep(w)
	entries = r.withoutHollow(entries)
	files := entries
	if i := slices.IndexFunc(entries, func(e flist.Entry) bool { return e.IsDir() }); i >= 0 {
		files = entries[:i] // the order of the list: directories last
	}
	// Nothing is in a new directory. Elsewhere, looking at each name is enough, unless those that
	// are not in the source matter.
	mayStand := func(*flist.Entry) bool { return !w.isNew }
	if !w.isNew && (r.prunesNow() || r.opts.HardLinks) {
		names, err := r.names(w)
		if err != nil {
			r.refused(w.entry.Name, err)
		} else {
			if complete && r.prunesNow() && r.prunes(w) && len(names) > 0 {
				r.prune(ctx, w, entries, names)
			}
			mayStand = func(e *flist.Entry) bool { _, ok := names[path.Base(e.Name)]; return ok }
		}
	}
	files, _ = r.standingFirst(files, mayStand)
	for i := range files {
		if ctx.Err() != nil {
			return nil
		}
		files[i].Flags |= w.entry.Flags & flist.Content
		r.entry(ctx, w, &files[i], mayStand(&files[i]))
	}
	// A copy, so that a long list of files is not held while the subdirectories are walked.
	dirs := slices.Clone(entries[len(files):])
	for i := range dirs {
		dirs[i].Flags |= w.entry.Flags & flist.Content
	}
	return dirs
}

// names lists what is in w.
func (r *run) names(w *twin) (map[string]struct{}, error) {
	if w.dir == nil {
		return nil, nil
	}
	list, err := w.dir.Names()
	if err != nil || len(list) == 0 {
		return nil, err
	}
	names := make(map[string]struct{}, len(list))
	for _, name := range list {
		names[name] = struct{}{}
	}
	return names, nil
}

// entry brings over e, which is no directory, into w. there says whether the target may
// have its name.
func (r *run) entry(ctx context.Context, w *twin, e *flist.Entry, there bool) {
	r.count(e)
	if r.opts.SafeLinks && e.IsSymlink() && source.UnsafeLink(e.Name, e.Link()) {
		if r.opts.Sink.Verbose > 0 {
			r.message(fmt.Sprintf("ignoring unsafe symlink \"%s\" -> \"%s\"", report.Quote(e.Name), report.Quote(e.Link())), false)
		}
		return // what stands there stays, as with rsync
	}
	if e.IsDevice() && !r.t.id.devices() {
		r.message("skipping non-regular file "+report.Quote(e.Name), false)
		return
	}
	base := path.Base(r.targetName(e.Name))
	var have *unix.Stat_t
	if there && w.dir != nil {
		st := r.stat()
		var err error
		if *st, err = w.dir.Lstat(base); err == nil {
			have = st
		} else if !errors.Is(err, fs.ErrNotExist) {
			r.refused(e.Name, err)
			return
		}
	}
	do := r.verdict(e, have)
	if do == skip {
		return
	}
	have, err := r.makeWay(ctx, w, e, base, have)
	if err != nil {
		r.refused(e.Name, err)
		return
	}
	if r.isLinked(e) && r.follow(ctx, w, *e, base) {
		return
	}
	if e.IsRegular() {
		r.regular(ctx, w, e, base, have, do)
		return
	}
	r.node(ctx, w, e, base, have)
}

// stat is for a look at a name: a walk over what is as it should be needs one alone.
func (r *run) stat() *unix.Stat_t {
	st := r.spare
	r.spare = nil
	if st == nil {
		st = new(unix.Stat_t)
	}
	return st
}

// single brings over a source that is no directory.
func (r *run) single(ctx context.Context, e flist.Entry) {
	w, err := r.visit(path.Dir(e.Name))
	if err != nil {
		r.refused(e.Name, err)
		return
	}
	r.entry(ctx, w, &e, true)
	r.close(w)
	r.leave(w)
}

// targetName is where name goes: another name only for a source that is a single file.
func (r *run) targetName(name string) string {
	if r.t.rename != "" && name == r.src.Top() {
		return r.t.rename
	}
	return name
}

// isBelow says whether name is below the directory dir.
func isBelow(name, dir string) bool {
	if dir == "." {
		return name != "."
	}
	return strings.HasPrefix(name, dir+"/")
}
