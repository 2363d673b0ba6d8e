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
	if ctx.Err() != nil {
		return
	}
	if !r.opts.Recurse {
		r.message("skipping directory "+report.Quote(e.Name), false)
		return
	}
	// Read first: of a directory that vanished nothing is made.
	entries, complete, err := r.read(e.Name)
	if err != nil {
		r.problem(e.Name, err)
		return
	}
	w := r.enter(ctx, parent, e)
	if w == nil {
		return
	}
	dirs := r.inside(ctx, w, entries, complete)
	r.close(w)
	for _, d := range dirs {
		r.tree(ctx, w, d)
	}
	r.leave(w)
}

// read lists a directory of the source. complete says that a name that is not in the
// list is not in the directory. The error says that the directory is gone.
func (r *run) read(dir string) (entries []flist.Entry, complete bool, err error) {
	if r.src.Crosses(dir) {
		return nil, false, nil
	}
	entries, problems, err := r.src.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, err
	case err != nil:
		r.problem(dir, err)
	}
	for _, p := range problems {
		r.problem(p.Path, p.Err)
	}
	return entries, err == nil && len(problems) == 0, nil
}

// inside brings over what is directly in w and returns the subdirectories.
func (r *run) inside(ctx context.Context, w *twin, entries []flist.Entry, complete bool) []flist.Entry {
	names, err := r.names(w)
	if err != nil {
		r.refused(w.entry.Name, err)
		complete = false
	}
	files := entries
	if i := slices.IndexFunc(entries, func(e flist.Entry) bool { return e.IsDir() }); i >= 0 {
		files = entries[:i] // the order of the list: directories last
	}
	if complete && r.prunes(w) && len(names) > 0 {
		r.prune(ctx, w, entries, names)
	}
	for i := range files {
		if ctx.Err() != nil {
			return nil
		}
		files[i].Flags |= w.entry.Flags & flist.Content
		_, there := names[path.Base(files[i].Name)]
		r.entry(ctx, w, files[i], there || err != nil)
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

// prunes says whether extraneous names in w are to be deleted.
func (r *run) prunes(w *twin) bool {
	return r.opts.Delete && w.dir != nil && (!r.opts.OneFileSystem || w.dir.Dev() == r.t.root.Dev())
}

// prune deletes from w what is not among entries, from the end of the list like rsync.
func (r *run) prune(ctx context.Context, w *twin, entries []flist.Entry, names map[string]struct{}) {
	original := make(map[string]struct{}, len(entries))
	for i := range entries {
		original[path.Base(entries[i].Name)] = struct{}{}
	}
	var extraneous []flist.Entry
	for name := range names {
		if _, ok := original[name]; ok {
			continue
		}
		st, err := w.dir.Lstat(name)
		switch {
		case err == nil:
			extraneous = append(extraneous, flist.FromStat(source.Join(w.entry.Name, name), &st))
		case !errors.Is(err, fs.ErrNotExist):
			r.refused(source.Join(w.entry.Name, name), err)
		}
	}
	flist.Sort(extraneous)
	for _, e := range slices.Backward(extraneous) {
		if ctx.Err() != nil {
			return
		}
		if !r.opts.Filter.Protected(e.Name, e.IsDir()) {
			r.remove(ctx, w, e.Name)
		}
	}
}

// remove deletes name, if a last look at the source does not find it: it may have come
// meanwhile, or be of a type that takes no part.
func (r *run) remove(ctx context.Context, w *twin, name string) {
	if r.t.root == nil {
		return
	}
	has, err := r.src.Has(name)
	if err != nil {
		r.problem(name, err)
		return
	}
	if !has {
		r.touch(w)
		r.remover.Remove(ctx, r.targetName(name))
	}
}

// entry brings over e, which is no directory, into w. there says whether the target may
// have its name.
func (r *run) entry(ctx context.Context, w *twin, e flist.Entry, there bool) {
	r.count(&e)
	if e.IsDevice() && !r.t.id.super {
		r.message("skipping non-regular file "+report.Quote(e.Name), false)
		return
	}
	base := path.Base(r.targetName(e.Name))
	var have *unix.Stat_t
	if there && w.dir != nil {
		st, err := w.dir.Lstat(base)
		if err == nil {
			have = &st
		} else if !errors.Is(err, fs.ErrNotExist) {
			r.refused(e.Name, err)
			return
		}
	}
	have, err := r.makeWay(ctx, w, &e, base, have)
	if err != nil {
		r.refused(e.Name, err)
		return
	}
	if e.IsRegular() {
		r.regular(ctx, w, e, base, have)
		return
	}
	r.node(w, &e, base, have)
}

// makeWay removes a directory from where e is to be. It returns have if that is of e's
// own kind, else nil: the name counts as new.
func (r *run) makeWay(ctx context.Context, w *twin, e *flist.Entry, base string, have *unix.Stat_t) (*unix.Stat_t, error) {
	if have == nil || kind(have.Mode) == kind(e.Mode) {
		return have, nil
	}
	if have.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil, nil // renaming over it replaces it
	}
	r.touch(w)
	path := source.Join(w.entry.Name, base)
	if err := r.remover.MakeWay(ctx, path, r.opts.Delete || r.opts.Force); err != nil {
		return nil, fmt.Errorf("could not make way for new %s: %w", kindName(e.Mode), err)
	}
	return nil, nil
}

// single brings over a source that is no directory.
func (r *run) single(ctx context.Context, e flist.Entry) {
	w, err := r.visit(path.Dir(e.Name))
	if err != nil {
		r.refused(e.Name, err)
		return
	}
	r.entry(ctx, w, e, true)
	r.close(w)
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
