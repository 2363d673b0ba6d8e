package source

import (
	"context"
	"errors"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
)

// Inode is what the names of one file have in common.
type Inode struct{ Dev, Ino uint64 }

// InodeOf is that of an entry.
func InodeOf(e *flist.Entry) Inode { return Inode{e.Dev, e.Ino} }

// Find looks through the whole tree for names of the inodes in want and calls found with each that
// takes part. Only directories are read, and what has a wanted inode is looked at. What cannot be
// read is passed over: the next look at it will tell.
func (t *Tree) Find(ctx context.Context, want map[Inode]bool, found func(*flist.Entry)) error {
	f := finder{tree: t, inos: make(map[uint64]bool, len(want)), want: want, found: found}
	for i := range want {
		f.inos[i.Ino] = true
	}
	tops := t.scope.Named()
	if tops == nil {
		tops = []string{t.Top()}
	}
	for _, name := range tops {
		f.offer(name)
		if err := f.dir(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

type finder struct {
	tree  *Tree
	inos  map[uint64]bool
	want  map[Inode]bool
	found func(*flist.Entry)
}

func (f *finder) dir(ctx context.Context, dir string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if f.tree.opts.Unmounted[dir] || f.tree.Crosses(dir) {
		return nil
	}
	fd, err := f.tree.openPath(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil
	}
	var dirs []string
	_ = eachName(fd, func(base []byte, ino uint64, kind uint8) {
		switch {
		case kind == unix.DT_DIR || kind == unix.DT_UNKNOWN:
			dirs = append(dirs, Join(dir, string(base)))
		case f.inos[ino]:
			f.offer(Join(dir, string(base)))
		}
	})
	unix.Close(fd)
	for _, name := range dirs {
		if f.tree.hides(name, true) {
			continue
		}
		if err := f.dir(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) offer(name string) {
	if f.tree.scope.Of(name) < Alone || f.tree.hides(name, false) {
		return
	}
	e, err := f.tree.Lstat(name)
	if err == nil && f.want[InodeOf(&e)] && e.Flags&flist.Linked != 0 && f.tree.takesPart(&e) {
		f.found(&e)
	}
}

// Linked calls visit with each entry that shares its inode in plan, those in its subtrees and levels
// included: they are listed for it.
func (t *Tree) Linked(ctx context.Context, plan *Plan, visit func(*flist.Entry)) error {
	for i := range plan.Entries {
		if plan.Entries[i].Flags&flist.Linked != 0 {
			visit(&plan.Entries[i])
		}
	}
	all := func(entries []flist.Entry) {
		for i := range entries {
			if entries[i].Flags&flist.Linked != 0 {
				visit(&entries[i])
			}
		}
	}
	for i := range plan.Levels {
		entries, _, err := t.ReadDir(plan.Levels[i].Name)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			all(entries)
		}
	}
	for _, top := range plan.Trees {
		err := t.Walk(ctx, top, func(_ flist.Entry, others []flist.Entry, _ bool) error {
			all(others)
			return nil
		}, func(report.Problem) {}) // the push will meet it again
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Listed says of a name whether the plan's subtrees and levels have it.
func (p *Plan) Listed() func(name string) bool {
	trees, levels := names(p.Trees), names(p.Levels)
	return func(name string) bool {
		if levels[path.Dir(name)] {
			return true
		}
		for d := name; !trees[d]; d = path.Dir(d) {
			if d == "." || d == "/" {
				return false
			}
		}
		return true
	}
}

func names(list []flist.Entry) map[string]bool {
	set := make(map[string]bool, len(list))
	for i := range list {
		set[list[i].Name] = true
	}
	return set
}
