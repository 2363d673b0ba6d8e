package watcher

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/watcher/internal/dirent"
)

const (
	// scanWorkers is how many goroutines watch and list a large subtree. Adding a watch is serial in
	// fsnotify, and takes as long as all else: with two, 200,000 directories in a warm cache take 0.75
	// of the time that one needs, with four 0.9. Nor does a cold disk gain by more.
	scanWorkers = 2
	// scanAlone is how many directories are scanned before it pays to start any.
	scanAlone = 64
)

// scanning is a walk that watches every directory below some, and lists it after that.
type scanning struct {
	t    *tree
	mu   sync.Mutex // guards all below
	todo []string   // still to be watched; the last one is next
	busy int        // workers that may add to todo
	more *sync.Cond
}

// addTree watches the directory abs and all below it, forgetting what was known of them. What is no
// directory is marked.
func (t *tree) addTree(ctx context.Context, abs string) {
	todo := []string{abs}
	for n := 0; len(todo) > 0 && ctx.Err() == nil; n++ {
		if n == scanAlone {
			s := &scanning{t: t, todo: todo}
			s.more = sync.NewCond(&s.mu)
			s.run(ctx)
			return
		}
		dir := todo[len(todo)-1]
		todo = t.addDir(dir, t.dirents, todo[:len(todo)-1])
	}
}

func (s *scanning) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range scanWorkers {
		workers.Go(func() { s.work(ctx, make([]byte, dirent.BufferSize)) })
	}
	workers.Wait()
}

func (s *scanning) work(ctx context.Context, dirents []byte) {
	var found []string
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.todo) == 0 && s.busy > 0 {
			s.more.Wait()
		}
		if len(s.todo) == 0 || ctx.Err() != nil {
			s.more.Broadcast()
			return
		}
		dir := s.todo[len(s.todo)-1]
		s.todo = s.todo[:len(s.todo)-1]
		s.busy++
		s.mu.Unlock()
		found = s.t.addDir(dir, dirents, found[:0])
		s.mu.Lock()
		s.busy--
		s.todo = append(s.todo, found...)
		if len(found) > 1 || s.busy == 0 {
			s.more.Broadcast()
		}
	}
}

// addDir watches one directory, then lists it, and appends the directories in it to todo.
func (t *tree) addDir(abs string, dirents []byte, todo []string) []string {
	t.mu.Lock()
	if n := t.at(abs); n != nil {
		t.forget(n)
	}
	t.mu.Unlock()
	id, leaf := t.watch(abs)
	if id == (inode{}) || t.shallow || leaf && t.announce == nil {
		return todo
	}
	fd, err := openDir(abs)
	if err != nil {
		t.unlisted(abs, id, err)
		return todo
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || inodeOf(&st) != id {
		t.unlisted(abs, id, unix.ENOENT) // another one by now: an event on the name is on its way
		return todo
	}
	todo, err = t.list(abs, fd, dirents, todo)
	if err != nil {
		t.unlisted(abs, id, err)
	}
	return todo
}

// list appends the directories in fd to todo, so that the last one has the lowest inode: inodes of one
// directory lie beside one another on a disk, in the order of their numbers.
func (t *tree) list(abs string, fd int, dirents []byte, todo []string) ([]string, error) {
	type kid struct {
		path string
		ino  uint64
	}
	var kids []kid
	err := readDir(fd, dirents, func(name []byte, typ uint8, ino uint64) {
		dir := typ == unix.DT_DIR || typ == unix.DT_UNKNOWN && isDirAt(fd, string(name))
		if !dir && t.announce == nil {
			return
		}
		path := joinPath(abs, string(name))
		rel, ok := relPath(t.root, path)
		if !ok || t.excluded(rel, dir) {
			return
		}
		if dir {
			kids = append(kids, kid{path, ino})
		}
		t.announceFound(rel, dir, typ == unix.DT_REG)
	})
	slices.SortFunc(kids, func(a, b kid) int { return cmp.Compare(b.ino, a.ino) })
	for _, k := range kids {
		todo = append(todo, k.path)
	}
	return todo, err
}

// unlisted drops a directory that was watched and could not be listed.
func (t *tree) unlisted(abs string, id inode, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.at(abs); n != nil && n.id == id {
		t.forget(n)
	}
	t.notWatched(abs, err)
}

// notWatched notes that a directory cannot be watched or listed. The caller holds mu.
func (t *tree) notWatched(abs string, err error) {
	switch {
	case gone(err):
		t.mark(abs, true, true)
	case errors.Is(err, unix.ENOSPC):
		t.poll(abs, pollLimit, err)
	case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
		t.poll(abs, t.whyDenied(abs), err)
	case errors.Is(err, unix.ENAMETOOLONG):
		t.poll(abs, pollTooLong, err)
	default:
		t.poll(abs, pollOther, err)
	}
}

// whyDenied tells what nobody could read from what may only not be watched.
func (t *tree) whyDenied(abs string) pollReason {
	if t.readable(abs) {
		return pollDenied
	}
	return pollUnreadable
}

// watch adds the watch of abs and enters it into the table. id is zero if it is not to be listed: it is
// marked or polled then, or on another filesystem. leaf says that it had no subdirectories after it
// was watched.
func (t *tree) watch(abs string) (id inode, leaf bool) {
	for range 2 { // again where the inode had a watch under another name
		err := t.addWatch(abs)
		var st unix.Stat_t
		if err == nil {
			err = lstat(abs, &st)
		}
		t.mu.Lock()
		id, again := t.enter(abs, &st, err)
		leaf := id != inode{} && st.Nlink == 2 && t.countsSubdirs(id.dev, abs)
		t.mu.Unlock()
		if !again {
			return id, leaf
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inst.unwatch(abs)
	t.mark(abs, true, true) // it is moved about: its parent tells
	return inode{}, false
}

// addWatch adds the watch alone. After a rebuild, the instance before may hold the watches that lack.
func (t *tree) addWatch(abs string) error {
	err := t.inst.watch(abs)
	if !errors.Is(err, unix.ENOSPC) {
		return err
	}
	t.mu.Lock()
	closed := t.closeOld()
	t.mu.Unlock()
	if !closed {
		return err
	}
	return t.inst.watch(abs)
}

// enter takes a directory that has just been watched into the table. That the watch is on the inode st
// is not certain: the name may have been replaced between the two calls, or have been a symbolic
// link, which fsnotify follows. Then an event on the name is on its way, as its parent is watched,
// or the root is gone, which the next look at it tells. The caller holds mu.
func (t *tree) enter(abs string, st *unix.Stat_t, err error) (id inode, again bool) {
	if err == nil && !isDir(st) {
		err = unix.ENOTDIR
	}
	id = inodeOf(st)
	parent, ok := t.parentNode(abs)
	switch {
	case err != nil:
		t.notWatched(abs, err)
	case !ok:
		t.mark(abs, true, true)
	case t.oneFS && id.dev != t.rootDev:
	case t.ofInode(id) == nil:
		t.insert(abs, parent, id)
		return id, false
	default:
		// fsnotify keeps the old name of an inode that it knows: claim removes that one's watch,
		// and this one has to be made anew.
		again = t.claim(abs, id)
	}
	t.inst.unwatch(abs)
	return inode{}, again
}

// countsSubdirs reports whether directories on the filesystem of abs have a link count of 2 if and
// only if they have no subdirectories: Linux fs/ext4/namei.c, fs/xfs/xfs_inode.c, mm/shmem.c. That
// spares a listing in most directories. Others keep it at 1, or have an own idea. The caller holds mu.
func (t *tree) countsSubdirs(dev uint64, abs string) bool {
	counts, known := t.counted[dev]
	if !known {
		var fs unix.Statfs_t
		if statfs(abs, &fs) == nil {
			switch uint32(fs.Type) {
			case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.TMPFS_MAGIC:
				counts = true
			}
			t.counted[dev] = counts
		}
	}
	return counts
}
