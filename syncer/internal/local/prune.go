package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// prunes says whether extraneous names in w are to be deleted.
func (r *run) prunes(w *twin) bool {
	return r.opts.Delete && w.dir != nil && !w.isNew && (!r.opts.OneFileSystem || w.dir.Dev() == r.t.root.Dev())
}

// prunesNow says whether the walk itself finds what is extraneous.
func (r *run) prunesNow() bool {
	return r.opts.Delete && (r.opts.DeleteWhen == option.During || r.opts.DeleteWhen == option.Delay)
}

// prune deletes from w what is not among entries, or remembers it.
func (r *run) prune(ctx context.Context, w *twin, entries []flist.Entry, names map[string]struct{}) {
	list := r.extraneous(w, entries, names)
	if r.opts.DeleteWhen == option.During {
		r.removeAll(ctx, w, list)
		return
	}
	r.remember(w, list)
}

// extraneous are the names in w that are not among entries and that no rule protects, as
// rsync goes through them: from the end of the list.
func (r *run) extraneous(w *twin, entries []flist.Entry, names map[string]struct{}) []string {
	original := make(map[string]struct{}, len(entries))
	for i := range entries {
		original[path.Base(entries[i].Name)] = struct{}{}
	}
	var found []flist.Entry
	for name := range names {
		if _, ok := original[name]; ok {
			continue
		}
		st, err := w.dir.Lstat(name)
		switch {
		case err == nil:
			found = append(found, flist.FromStat(source.Join(w.entry.Name, name), &st))
		case !errors.Is(err, fs.ErrNotExist):
			r.refused(source.Join(w.entry.Name, name), err)
		}
	}
	flist.Sort(found)
	return r.unprotectedOf(w.entry.Name, found)
}

// removeAll deletes names, which are in w.
func (r *run) removeAll(ctx context.Context, w *twin, names []string) {
	for _, name := range names {
		if ctx.Err() != nil {
			return
		}
		r.remove(ctx, w, name)
	}
}

// remove deletes name in w, if a last look at the source does not find it: it may have come
// meanwhile, or be of a type that takes no part.
func (r *run) remove(ctx context.Context, w *twin, name string) {
	if w.dir == nil {
		return
	}
	has, err := r.src.Has(name)
	if err != nil {
		r.problem(name, err)
		return
	}
	if !has || r.isHollow(name) {
		r.touch(w)
		r.removerIn(w).Remove(ctx, path.Base(r.targetName(name)))
	}
}

// removerIn is the remover, working in w.
func (r *run) removerIn(w *twin) *tree.Remover {
	r.remover.Root, r.remover.Prefix = w.dir, w.entry.Name
	return r.remover
}

// makeWay removes a directory from where e is to be. It returns have if that is of e's
// own kind, else nil: the name counts as new.
func (r *run) makeWay(ctx context.Context, w *twin, e *flist.Entry, base string, have *unix.Stat_t) (*unix.Stat_t, error) {
	if have == nil || kind(have.Mode) == kind(e.Mode) {
		return have, nil
	}
	if have.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil, r.replace(ctx, w, e, base)
	}
	r.touch(w)
	if err := r.removerIn(w).MakeWay(ctx, base, r.opts.Delete || r.opts.Force); err != nil {
		return nil, fmt.Errorf("could not make way for new %s: %w", kindName(e.Mode), err)
	}
	return nil, nil
}

// replace prepares base for being renamed over by something of another kind.
func (r *run) replace(ctx context.Context, w *twin, e *flist.Entry, base string) error {
	if r.opts.DryRun {
		return nil
	}
	if e.IsRegular() && r.opts.Inplace {
		r.touch(w)
		return r.displace(ctx, w.dir, base, source.Join(w.entry.Name, base))
	}
	if r.backups != nil {
		r.touch(w)
	}
	return r.backup(ctx, w.dir, base, source.Join(w.entry.Name, base))
}

// displace removes base, which is no directory, or makes it a backup.
func (r *run) displace(ctx context.Context, at *tree.Dir, base, name string) error {
	if r.backups != nil {
		if moved, err := r.backups.take(ctx, at, base, name); moved || err != nil {
			return err
		}
	}
	return at.Unlink(base)
}
