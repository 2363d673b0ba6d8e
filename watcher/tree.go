package watcher

import (
	"context"
	"errors"
	"sync"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// tree is the inotify backend: the watched directories below one root, kept in step with the disk
// by looking at what events name. One goroutine owns it.
type tree struct {
	root     string // absolute, no symbolic links
	rootDev  uint64
	excluded func(rel string, isDir bool) bool // never nil
	oneFS    bool
	log      *zap.Logger

	newInstance func() (*fsnotify.Watcher, error)
	inst        *instance // nil while there is none to be had: the root is polled
	old         *instance // during a rebuild: the one before, still draining
	closing     sync.WaitGroup

	table
	polled    polledSet
	movedTo   map[string]inode // directories that were moved, by relative path: they may move on unseen
	marks     *changeSet       // where changes go
	rootMoved bool             // an event told that the root's own watch is gone
	dirents   []byte
	events    uint64
}

// mark notes that rel may differ.
func (t *tree) mark(abs string, tree, content bool) {
	if rel, ok := relPath(t.root, abs); ok {
		t.marks.add(Change{Path: rel, Tree: tree, Content: content})
	}
}

// handle looks at every name that was drained since the last call. It calls flush now and then, so that
// a large backlog does not have to be handled before the first change is emitted; flush says
// whether to go on.
func (t *tree) handle(ctx context.Context, flush func() bool) {
	t.inst.pending.whole(ctx)
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

const structural = fsnotify.Create | fsnotify.Remove | fsnotify.Rename

// event handles all that happened to one name since it was last looked at.
func (t *tree) event(ctx context.Context, name string, op fsnotify.Op) {
	name = cleanName(name)
	rel, ok := relPath(t.root, name)
	if !ok {
		return
	}
	n := t.byPath[name]
	switch {
	case rel == ".":
		t.rootMoved = t.rootMoved || op.Has(fsnotify.Remove) || op.Has(fsnotify.Rename)
		t.marks.add(Change{Path: "."})
	case op&structural != 0 || n != nil && n.polled:
		t.lookAgain(ctx, name, rel, op)
	case n != nil || !t.excludedFile(name, rel, op):
		t.marks.add(Change{Path: rel, Content: op.Has(fsnotify.Write)})
	}
}

// excludedFile decides about a name that is no known directory, and of which only bytes or metadata
// changed. Only where the answer depends on the kind does it cost a look at the disk.
func (t *tree) excludedFile(abs, rel string, op fsnotify.Op) bool {
	file := t.excluded(rel, false)
	if op.Has(fsnotify.Write) || t.excluded(rel, true) == file {
		return file
	}
	var st unix.Stat_t
	return lstat(abs, &st) == nil && t.excluded(rel, isDir(&st))
}

// lookAgain is the heart: a name was made, removed or renamed, maybe several times by now. It
// believes the disk only.
func (t *tree) lookAgain(ctx context.Context, abs, rel string, op fsnotify.Op) {
	n := t.byPath[abs]
	wasDir := n != nil
	replaced := op&(fsnotify.Remove|fsnotify.Rename) != 0
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
	case dir:
		t.addTree(ctx, abs)
		t.marks.add(Change{Path: rel, Tree: true, Content: true})
	default:
		if n != nil {
			t.forget(n)
		}
		t.marks.add(Change{Path: rel, Tree: replaced || wasDir || err != nil, Content: err == nil && isRegular(&st)})
	}
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

// addTree watches the directory abs and all below it, forgetting what was known of them. What is no
// directory is marked.
func (t *tree) addTree(ctx context.Context, abs string) {
	for todo := []string{abs}; len(todo) > 0 && ctx.Err() == nil; {
		dir := todo[len(todo)-1]
		todo = t.addDir(dir, todo[:len(todo)-1])
	}
}

// addDir watches one directory, then lists it, and appends the directories in it to todo.
func (t *tree) addDir(abs string, todo []string) []string {
	if n := t.byPath[abs]; n != nil {
		t.forget(n)
	}
	fd, err := openDir(abs)
	if err != nil {
		t.notListed(abs, err)
		return todo
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.poll(abs, pollOther, err)
		return todo
	}
	id := inodeOf(&st)
	if t.oneFS && id.dev != t.rootDev || !t.claim(abs, id) {
		return todo
	}
	parent, ok := t.parentNode(abs)
	if !ok {
		t.mark(abs, true, true)
		return todo
	}
	n := t.insert(abs, parent, id)
	if !t.watch(n) {
		return todo
	}
	err = readDirs(fd, t.dirents, func(name []byte) {
		child := joinPath(abs, string(name))
		if rel, ok := relPath(t.root, child); ok && !t.excluded(rel, true) {
			todo = append(todo, child)
		}
	})
	if err != nil {
		t.forget(n)
		t.poll(abs, pollOther, err)
	}
	return todo
}

// notListed handles a directory that cannot be opened.
func (t *tree) notListed(abs string, err error) {
	switch {
	case gone(err):
		t.mark(abs, true, true)
	case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
		t.poll(abs, pollUnreadable, err)
	case errors.Is(err, unix.ENAMETOOLONG):
		t.poll(abs, pollTooLong, err)
	default:
		t.poll(abs, pollOther, err)
	}
}

// claim makes sure that the inode found at abs is known under no other path, and reports whether abs
// may be watched. An inode has one watch in an instance, so of two paths to one directory (a
// bind mount) the second is polled.
func (t *tree) claim(abs string, id inode) bool {
	other := t.byIno[id]
	if other == nil {
		return true
	}
	if t.isAt(other.path, id) && t.isAt(abs, id) {
		t.poll(abs, pollTwice, nil)
		return false
	}
	if other.path == t.root {
		t.rootMoved = true
		return false
	}
	t.forget(other) // it moved here; events on its old name are still to come
	t.noteMoved(other.path, id)
	t.mark(other.path, true, true)
	return true
}

func (t *tree) isAt(abs string, id inode) bool {
	var st unix.Stat_t
	return lstat(abs, &st) == nil && inodeOf(&st) == id
}

// parentNode gives the node above abs, nil for the root. It fails where the directory above has been
// forgotten: then that one is about to be looked at again, which will list abs, or is not ours.
func (t *tree) parentNode(abs string) (*node, bool) {
	if abs == t.root {
		return nil, true
	}
	parent := t.byPath[parentPath(abs)]
	return parent, parent != nil
}

// watch adds n's watch, and reports whether the directory can be listed now. If not, n has been
// forgotten or polled.
func (t *tree) watch(n *node) bool {
	err := t.inst.watch(n.path)
	if errors.Is(err, unix.ENOSPC) && t.closeOld() {
		err = t.inst.watch(n.path)
	}
	if err == nil && t.isAt(n.path, n.id) {
		return true
	}
	// A failed check means that Add may have followed something put in its place: an event
	// on the name is on its way, or the root is gone, which the next look at it tells.
	t.forget(n)
	switch {
	case err == nil || gone(err):
		t.mark(n.path, true, true)
	case errors.Is(err, unix.ENOSPC):
		t.poll(n.path, pollLimit, err)
	case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
		t.poll(n.path, pollDenied, err)
	case errors.Is(err, unix.ENAMETOOLONG):
		t.poll(n.path, pollTooLong, err)
	default:
		t.poll(n.path, pollOther, err)
	}
	return false
}
