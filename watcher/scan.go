package watcher

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/internal/dirent"
)

const (
	// scanListers is how many goroutines list directories in a large subtree, while another one watches
	// them. Listing waits for the disk; of a warm cache one lister has the listing done in time.
	scanListers = 3
	// scanBatch is how many directories change hands at once.
	scanBatch = 64
	// scanAlone is how many directories are scanned before it pays to start goroutines.
	scanAlone = 64
)

// scanning is a walk that watches every directory below some, and lists it after that. One goroutine
// watches: a directory that moves while it is scanned has the watch of its old name dropped, or is known
// by that name, before its new one is added. fsnotify could take it for the old one otherwise, and drop
// it later.
type scanning struct {
	t    *tree
	mu   sync.Mutex  // guards all below
	todo []string    // to be watched; the last one is next
	list []directory // watched, to be listed
	busy int         // batches in hand
	more *sync.Cond
}

// directory is one that was watched.
type directory struct {
	path string
	id   inode
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
		todo = todo[:len(todo)-1]
		if d, ok := t.watch(dir); ok {
			todo = t.listDir(d, t.dirents, todo)
		}
	}
}

func (s *scanning) run(ctx context.Context) {
	var listers sync.WaitGroup
	for range scanListers {
		listers.Go(func() { s.work(ctx, s.lister()) })
	}
	s.work(ctx, s.watcher())
	listers.Wait()
}

// work does batches until there is nothing more to do. next takes one, if there is one, and gives what is
// to be done with it while mu is not held, and after that.
func (s *scanning) work(ctx context.Context, next func() (do, done func())) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ctx.Err() == nil && len(s.todo)+len(s.list)+s.busy > 0 {
		do, done := next()
		if do == nil {
			s.more.Wait()
			continue
		}
		s.busy++
		s.mu.Unlock()
		do()
		s.mu.Lock()
		s.busy--
		done()
		s.more.Broadcast()
	}
	s.more.Broadcast()
}

func (s *scanning) watcher() func() (do, done func()) {
	var batch []string
	var watched []directory
	do := func() {
		for _, path := range batch {
			if d, ok := s.t.watch(path); ok {
				watched = append(watched, d)
			}
		}
	}
	done := func() {
		s.list = append(s.list, watched...)
		watched = watched[:0]
	}
	return func() (func(), func()) {
		if len(s.todo) == 0 {
			return nil, nil
		}
		from := max(len(s.todo)-scanBatch, 0)
		batch = append(batch[:0], s.todo[from:]...)
		slices.Reverse(batch)
		s.todo = s.todo[:from]
		return do, done
	}
}

func (s *scanning) lister() func() (do, done func()) {
	var batch []directory
	var found []string
	dirents := make([]byte, dirent.BufferSize)
	do := func() {
		for _, d := range batch {
			found = s.t.listDir(d, dirents, found)
		}
	}
	done := func() {
		s.todo = append(s.todo, found...)
		found = found[:0]
	}
	return func() (func(), func()) {
		if len(s.list) == 0 {
			return nil, nil
		}
		from := max(len(s.list)-scanBatch, 0)
		batch = append(batch[:0], s.list[from:]...)
		s.list = s.list[:from]
		return do, done
	}
}

// listDir appends the directories in one that was watched to todo.
func (t *tree) listDir(d directory, dirents []byte, todo []string) []string {
	fd, err := openDir(d.path)
	if err != nil {
		t.unlisted(d, err)
		return todo
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || inodeOf(&st) != d.id {
		t.unlisted(d, unix.ENOENT) // another one by now: an event on the name is on its way
		return todo
	}
	todo, err = t.list(d.path, fd, dirents, todo)
	if err != nil {
		t.unlisted(d, err)
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
func (t *tree) unlisted(d directory, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.at(d.path); n != nil && n.id == d.id {
		t.forget(n)
	}
	t.notWatched(d.path, err)
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

// watch adds the watch of abs and enters it into the table; what was known of it before is forgotten. It is
// not ok if nothing is to be listed: where there are no subdirectories, and where it is marked or polled
// instead, or on another filesystem.
func (t *tree) watch(abs string) (d directory, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.at(abs); n != nil {
		t.forget(n)
	}
	for range 2 { // again where the inode had a watch under another name
		err := t.addWatch(abs)
		var st unix.Stat_t
		if err == nil {
			err = lstat(abs, &st)
		}
		id, again := t.enter(abs, &st, err)
		if again {
			continue
		}
		if id == (inode{}) || t.shallow {
			return directory{}, false
		}
		leaf := st.Nlink == 2 && t.countsSubdirs(id.dev, abs)
		return directory{abs, id}, !leaf || t.announce != nil
	}
	t.inst.unwatch(abs)
	t.mark(abs, true, true) // it is moved about: its parent tells
	return directory{}, false
}

// addWatch adds the watch alone. After a rebuild, the instance before may hold the watches that lack.
func (t *tree) addWatch(abs string) error {
	err := t.inst.watch(abs)
	if errors.Is(err, unix.ENOSPC) && t.closeOld() {
		err = t.inst.watch(abs)
	}
	return err
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
