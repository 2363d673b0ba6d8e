package watcher

import (
	"errors"
	"fmt"
	"sync"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// eventBuffer is the channel between fsnotify's reader and ours: it saves a goroutine switch per
// event, which is half the cost of one. The kernel's queue is the buffer that counts.
const eventBuffer = 1024

func newInstance() (*fsnotify.Watcher, error) { return fsnotify.NewBufferedWatcher(eventBuffer) }

// instance is one inotify instance with the two goroutines that drain it. Add and remove belong to
// the goroutine that owns the tables.
type instance struct {
	fs      *fsnotify.Watcher
	pending *pending
	drained sync.WaitGroup
}

func openInstance(open func() (*fsnotify.Watcher, error)) (*instance, error) {
	fs, err := open()
	if err != nil {
		return nil, fmt.Errorf("make inotify instance: %w", err)
	}
	i := &instance{fs: fs, pending: newPending(maxPending)}
	i.drained.Go(i.drainEvents)
	i.drained.Go(i.drainErrors)
	return i, nil
}

func (i *instance) drainEvents() {
	var pairs pairing
	for e := range i.fs.Events {
		i.pending.add(event{name: e.Name, op: e.Op}, pairs.from(e))
	}
}

// drainErrors is a goroutine of its own because fsnotify's reader sends some errors while it holds
// the lock that Add and Remove need, on a channel without buffer: nobody who reads them may ever
// wait for Add, directly or behind an event (fsnotify v1.10.1 handleEvent, IN_MOVE_SELF).
func (i *instance) drainErrors() {
	for err := range i.fs.Errors {
		switch {
		case errors.Is(err, fsnotify.ErrEventOverflow):
			i.pending.lose(nil)
		case errors.Is(err, unix.EINVAL):
			// The reader tried to remove a watch that the kernel had removed already:
			// mv a b; rmdir b.
		default:
			i.pending.lose(err)
		}
	}
}

// close ends the instance and waits for its goroutines. Nothing may add or remove meanwhile: the
// library uses the number of a descriptor that is closed here.
func (i *instance) close() {
	_ = i.fs.Close()
	i.drained.Wait()
}

// watch makes path's watch anew. The watch that path had must go first: fsnotify would take the
// directory's new descriptor for the old one's, and lose one of them.
func (i *instance) watch(path string) (err error) {
	i.unwatch(path)
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("fsnotify panicked: %v", r)
		}
	}()
	return i.fs.Add(path)
}

// unwatch removes path's watch if there is one. Errors mean that the kernel or the library was
// quicker. The recover is for removePath of fsnotify v1.10.1, which dereferences nil when a
// path's descriptor has meanwhile become another path's; its lock is released by a defer.
// Removing before each adding, and by inode, keeps that from happening.
func (i *instance) unwatch(path string) {
	defer func() { _ = recover() }()
	_ = i.fs.Remove(path)
}

// watched returns which of paths the library still has a watch for. After an unmount it has none
// below the mount point, and tells nobody. Cost: a slice of all watches.
func (i *instance) watched(paths map[string]bool) map[string]bool {
	alive := make(map[string]bool, len(paths))
	for _, p := range i.fs.WatchList() {
		if paths[p] {
			alive[p] = true
		}
	}
	return alive
}
