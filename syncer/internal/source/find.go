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

// Linked calls visit with each entry that shares its inode in plan, those in its subtrees included:
// they are listed for it.
func (t *Tree) Linked(ctx context.Context, plan *Plan, visit func(*flist.Entry)) error {
	for i := range plan.Entries {
		if plan.Entries[i].Flags&flist.Linked != 0 {
			visit(&plan.Entries[i])
		}
	}
	for _, top := range plan.Trees {
		err := t.Walk(ctx, top, func(_ flist.Entry, others []flist.Entry, _ bool) error {
			for i := range others {
				if others[i].Flags&flist.Linked != 0 {
					visit(&others[i])
				}
			}
			return nil
		}, func(report.Problem) {}) // the push will meet it again
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// InTrees says whether name is below one of the plan's subtrees.
func (p *Plan) InTrees(name string) bool {
	for i := range p.Trees {
		top := p.Trees[i].Name
		for d := name; ; d = path.Dir(d) {
			if d == top {
				return true
			}
			if d == "." || d == "/" {
				break
			}
		}
	}
	return false
}
