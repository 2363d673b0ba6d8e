package local

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// Move is a name to be renamed on the target before anything is brought over: From is gone
// from the source, Entry is what is at the new name there.
type Move struct {
	From  string
	Entry flist.Entry
}

// errKept says that a name stays where it is: what is to happen to it is the push's to decide.
var errKept = errors.New("it is not what is to be renamed")

// Moves renames what it can, and returns what it did. Whatever it leaves undone, the push that follows
// does by copying and deleting; so a move that is not as it seemed is no problem of anybody's.
func (t *Target) Moves(ctx context.Context, src *source.Tree, moves []Move) (done []Move, err error) {
	if t.root == nil || t.opts.DryRun || t.opts.Backup {
		return nil, nil // with backups, what is deleted is kept at its old name
	}
	// A directory before what is moved into it. What is to be moved out of it is in it then.
	moves = slices.Clone(moves)
	slices.SortFunc(moves, func(a, b Move) int { return strings.Compare(a.Entry.Name, b.Entry.Name) })
	r := t.newRun(src, time.Time{})
	_, err = r.run(ctx, func(ctx context.Context) {
		for _, m := range moves {
			if ctx.Err() != nil {
				return
			}
			if r.move(ctx, m.From, whereNow(m.From, done), m.Entry) == nil {
				done = append(done, m)
			}
		}
	})
	return done, err
}

// whereNow is where name is after some moves.
func whereNow(name string, done []Move) string {
	now, longest := name, -1
	for i := range done {
		if from := done[i].From; len(from) > longest && isBelow(name, from) {
			now, longest = done[i].Entry.Name+name[len(from):], len(from)
		}
	}
	return now
}

// move renames what is at the name now, and was at was before the push, if it is of the type of e, if
// nothing is at e's name, and if a deletion would leave nothing behind.
func (r *run) move(ctx context.Context, was, now string, e flist.Entry) error {
	from, err := r.t.root.OpenParent(now)
	if err != nil {
		return err
	}
	defer from.Close()
	have, err := from.Lstat(path.Base(now))
	if err != nil {
		return err
	}
	if kind(have.Mode) != kind(e.Mode) || !e.IsDir() && !e.IsRegular() || r.protected(was, e.IsDir()) {
		return errKept
	}
	if e.IsDir() {
		if err := r.movable(ctx, now); err != nil {
			return err
		}
	}
	if err := r.parents(ctx, path.Dir(e.Name)); err != nil {
		return err
	}
	to, err := r.t.root.OpenParent(e.Name)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := from.Move(path.Base(now), to, path.Base(e.Name)); err != nil || !r.opts.Fsync {
		return err
	}
	r.syncNow(path.Dir(e.Name)) // the new name first: rather two than none
	r.syncNow(path.Dir(now))
	return nil
}

// movable says whether all of the target's directory dir may go elsewhere: no rule keeps anything in
// it, and nothing is mounted in it.
func (r *run) movable(ctx context.Context, dir string) error {
	d, err := r.t.root.Open(dir)
	if err != nil {
		return err
	}
	subdirs, err := r.unprotected(d, dir)
	d.Close()
	for _, sub := range subdirs {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		err = r.movable(ctx, sub)
	}
	return err
}

// unprotected lists the directories in d. The error says that something in it is to stay.
func (r *run) unprotected(d *tree.Dir, dir string) (subdirs []string, err error) {
	if d.Dev() != r.t.root.Dev() {
		return nil, tree.ErrMountPoint
	}
	names, err := d.Names()
	if err != nil {
		return nil, err
	}
	for _, base := range names {
		st, err := d.Lstat(base)
		if err != nil {
			return nil, err
		}
		name, isDir := source.Join(dir, base), st.Mode&unix.S_IFMT == unix.S_IFDIR
		if r.protected(name, isDir) || r.pinned(name, isDir) {
			return nil, errKept
		}
		if isDir {
			subdirs = append(subdirs, name)
		}
	}
	return subdirs, nil
}

// parents makes the directories down to dir that the target lacks, as the source has them.
func (r *run) parents(ctx context.Context, dir string) error {
	if dir == "." {
		return nil
	}
	at, err := r.t.root.OpenParent(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = r.parents(ctx, path.Dir(dir)); err == nil {
			at, err = r.t.root.OpenParent(dir)
		}
	}
	if err != nil {
		return err
	}
	defer at.Close()
	have, err := at.Lstat(path.Base(dir))
	switch {
	case err == nil && have.Mode&unix.S_IFMT == unix.S_IFDIR:
		return nil
	case err == nil:
		return errKept // what stands there makes way later
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	e, err := r.src.Lstat(dir)
	if err != nil {
		return err
	}
	if !e.IsDir() {
		return errKept
	}
	w := r.enter(ctx, nil, e)
	if w == nil {
		return errParent
	}
	r.close(w)
	r.leave(w)
	return nil
}

// Believe says of which files, as they are in the source, the target surely has the content.
func (t *Target) Believe(known func(*flist.Entry) bool) { t.known = known }

func (t *Target) believes(e *flist.Entry) bool { return t.known != nil && t.known(e) }
