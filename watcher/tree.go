package watcher

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/internal/dirent"
)

// tree is the inotify backend: the watched directories below one root, kept in step with the disk
// by looking at what events name. One goroutine owns it; those that scan take turns by mu.
type tree struct {
	*ground

	open    func() (source, error)
	inst    *instance // nil while there is none to be had: the root is polled
	old     *instance // during a rebuild: the one before, still draining
	closing sync.WaitGroup

	mu sync.Mutex // guards all below, and marks, while a scan runs; else the owner is alone
	table
	polled   polledSet
	counted  map[uint64]bool  // by device: whether a directory's link count tells its subdirectories
	movedTo  map[string]inode // directories that were moved, by relative path: they may move on unseen
	dirents  []byte
	events   uint64
	barriers uint64 // that have passed
	wanted   uint64 // to pass
	raised   bool   // one is on its way
	found    foundNames
	silent   bool // what is found now was there before
}

func newTree(g *ground, open func() (source, error)) *tree {
	return &tree{
		ground: g, open: open, polled: newPolledSet(), table: newTable(),
		counted: make(map[uint64]bool), dirents: make([]byte, dirent.BufferSize),
	}
}

// handle looks at every name that was drained since the last call. It calls flush now and then, so that
// a large backlog does not have to be handled before the first change is emitted; flush says
// whether to go on.
func (t *tree) handle(ctx context.Context, flush func() bool) {
	t.inst.pending.whole(ctx)
	t.tell(t.inst.pending.takeAll())
	list, moves, n := t.inst.pending.take()
	t.events += n
	t.moved(moves)
	for _, e := range list {
		if ctx.Err() != nil {
			return
		}
		t.event(ctx, e.name, e.op)
		if t.marks.len() >= emitAtMost && !flush() {
			return
		}
	}
	t.reportLimit()
}

// cleanName undoes how fsnotify joins the root "/" and "usr".
func cleanName(name string) string {
	if len(name) > 1 && name[1] == '/' {
		return name[1:]
	}
	return name
}

// event handles all that happened to one name since it was last looked at.
func (t *tree) event(ctx context.Context, name string, op Op) {
	name = cleanName(name)
	if isBarrier(name) {
		if t.raised = false; t.barriers < t.wanted {
			t.barriers++
		}
		return
	}
	rel, ok := relPath(t.root, name)
	if !ok {
		return
	}
	t.rules(rel)
	if rel != "." {
		op &^= OpDeleteSelf | OpMoveSelf // the directory above tells the same
	}
	n := t.at(name)
	switch {
	case op&^opsOptional == 0:
	case rel == ".":
		t.rootMoved = t.rootMoved || op.has(opsDisappear)
		t.marks.add(Change{Path: "."})
	case op.has(opsAppear|opsDisappear|OpUnmount) || n != nil && n.polled:
		t.lookAgain(ctx, name, rel, op)
	case n != nil || !t.excludedFile(name, rel, op):
		t.marks.add(written(rel, op, hasCloseWrite))
	}
}

// excludedFile decides about a name that is no known directory, and of which only bytes or metadata
// changed. Only where the answer depends on the kind does it cost a look at the disk.
func (t *tree) excludedFile(abs, rel string, op Op) bool {
	file := t.excluded(rel, false)
	if op.has(OpModify|OpCloseWrite) || t.excluded(rel, true) == file {
		return file
	}
	var st unix.Stat_t
	return lstat(abs, &st) == nil && t.excluded(rel, isDir(&st))
}

// lookAgain is the heart: a name was made, removed or renamed, maybe several times by now. It
// believes the disk only.
func (t *tree) lookAgain(ctx context.Context, abs, rel string, op Op) {
	n := t.at(abs)
	wasDir := n != nil
	replaced := op.has(opsDisappear)
	if wasDir && replaced {
		// Also when a directory is there now: the watches at and below the name may be on
		// directories that have gone elsewhere.
		t.forget(n)
		n = nil
	}
	var st unix.Stat_t
	err := lstat(abs, &st)
	dir := err == nil && isDir(&st)
	switch {
	case !wasDir && t.excluded(rel, dir):
		t.marks.add(Change{Path: parentOf(rel)}) // its time changed nevertheless
	case dir && n != nil && !n.polled && n.id == inodeOf(&st):
		// Its parent's listing was quicker, and that Tree change covers it.
		t.marks.add(Change{Path: rel})
	case dir && t.shallow:
		t.marks.add(Change{Path: rel, Tree: true, Content: true})
	case dir:
		t.addTree(ctx, abs)
		t.marks.add(Change{Path: rel, Tree: true, Content: true})
	case errors.Is(err, unix.EACCES) && !t.shallow: // below a directory without permissions: it may be one, too
		if n != nil {
			t.forget(n)
		}
		t.poll(abs, pollUnreadable, err)
		t.marks.add(Change{Path: rel, Tree: true, Content: true})
	default:
		if n != nil {
			t.forget(n)
		}
		t.lookedAtFile(rel, op, replaced || wasDir || err != nil, err == nil && isRegular(&st))
	}
}

// lookedAtFile marks what is no directory. What was made or replaced counts as complete until it is
// written to: a link, and what was moved here, is never closed.
func (t *tree) lookedAtFile(rel string, op Op, tree, regular bool) {
	c := written(rel, op, hasCloseWrite)
	c.Tree, c.Content = tree, regular
	c.Open = c.Open && regular
	c.Closed = !c.Open
	t.marks.add(c)
}

// forget drops n and all below it, watches included. Events of theirs that are still queued are
// lost by that: who forgets a directory that may still be there marks it with Tree and Content.
func (t *tree) forget(n *node) {
	t.remove(n, func(m *node) {
		if m.polled {
			t.polled.remove(m.path)
			return
		}
		if t.inst != nil {
			t.inst.unwatch(m.path)
		}
	})
}

// claim makes sure that the inode found at abs is known under no other path, and reports whether abs
// may be watched. An inode has one watch in an instance, so of two paths to one directory (a
// bind mount) the second is polled.
func (t *tree) claim(abs string, id inode) bool {
	other := t.ofInode(id)
	if other == nil || other.path == abs {
		return true
	}
	// The first look is repeated: a directory that is renamed between two of them seems to be at both names.
	if t.isAt(other.path, id) && t.isAt(abs, id) && t.isAt(other.path, id) {
		t.poll(abs, pollTwice, nil)
		return false
	}
	if other.path == t.root {
		t.rootMoved = true
		return false
	}
	old := other.path
	t.forget(other) // it moved here; events on its old name are still to come
	t.noteMoved(old, id)
	t.mark(old, true, true)
	return true
}

// isAt reports whether the directory id is at abs. A known path may lead through what has become a symbolic
// link, to a directory that has another name in truth.
func (t *tree) isAt(abs string, id inode) bool {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	var st unix.Stat_t
	fd, err := unix.Openat2(unix.AT_FDCWD, abs, &how)
	switch {
	case errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM): // before Linux 5.6, or seccomp does not allow it
		err = lstat(abs, &st)
	case err == nil:
		err = unix.Fstat(fd, &st)
		unix.Close(fd)
	}
	return err == nil && inodeOf(&st) == id
}

// parentNode gives the node above abs, nil for the root. It fails where the directory above has been
// forgotten: then that one is about to be looked at again, which will list abs, or is not ours.
func (t *tree) parentNode(abs string) (*node, bool) {
	if abs == t.root {
		return nil, true
	}
	parent := t.at(parentPath(abs))
	return parent, parent != nil
}
