package watcher

import (
	"errors"
	"fmt"
	"sync"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// source is one inotify descriptor: fsnotify's, or our own where events are wanted in full. Its drain
// returns after close.
type source interface {
	add(path string) error
	remove(path string) error
	list() []string // the paths that have a watch
	drain(*pending)
	close() error
}

// instance is a source with the goroutines that drain it. Watch and unwatch belong to the goroutine
// that owns the tables.
type instance struct {
	src     source
	pending *pending
	barrier barrier
	drained sync.WaitGroup
}

func openInstance(open func() (source, error)) (*instance, error) {
	src, err := open()
	if err != nil {
		return nil, fmt.Errorf("make inotify instance: %w", err)
	}
	i := &instance{src: src, pending: newPending(maxPending)}
	i.drained.Go(func() { src.drain(i.pending) })
	return i, nil
}

// close ends the instance and waits for its goroutines. Nothing may add or remove meanwhile: the
// library uses the number of a descriptor that is closed here.
func (i *instance) close() {
	_ = i.src.close()
	i.drained.Wait()
	i.barrier.close()
}

// watch adds path's watch. One that path had must have been removed: fsnotify would take the
// directory's new descriptor for the old one's, and lose one of them.
func (i *instance) watch(path string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("fsnotify panicked: %v", r)
		}
	}()
	return i.src.add(path)
}

// unwatch removes path's watch if there is one. Errors mean that the kernel or the library was
// quicker. The recover is for removePath of fsnotify v1.10.1, which dereferences nil when a
// path's descriptor has meanwhile become another path's; its lock is released by a defer.
// Removing before each adding, by path and by inode, keeps that from happening: tree.forget, tree.claim.
func (i *instance) unwatch(path string) {
	defer func() { _ = recover() }()
	_ = i.src.remove(path)
}

// watched returns which of paths the library still has a watch for. After an unmount it has none
// below the mount point, and tells nobody. Cost: a slice of all watches.
func (i *instance) watched(paths map[string]bool) map[string]bool {
	alive := make(map[string]bool, len(paths))
	for _, p := range i.src.list() {
		if paths[p] {
			alive[p] = true
		}
	}
	return alive
}

// eventBuffer is the channel between fsnotify's reader and ours: it saves a goroutine switch per
// event, which is half the cost of one. The kernel's queue is the buffer that counts.
const eventBuffer = 1024

func newFsnotify() (*fsnotify.Watcher, error) { return fsnotify.NewBufferedWatcher(eventBuffer) }

// fsSource is fsnotify.
type fsSource struct{ *fsnotify.Watcher }

func (f fsSource) add(path string) error    { return f.AddWith(path, withCloseWrite) }
func (f fsSource) remove(path string) error { return f.Remove(path) }
func (f fsSource) list() []string           { return f.WatchList() }
func (f fsSource) close() error             { return f.Close() }

// drain is one goroutine for both channels, so that what was queued after a loss is never noted before it. It never
// waits for anything else: fsnotify's reader sends some errors while it holds the lock that Add and Remove need, on a
// channel without buffer, so nobody who reads them may ever wait for Add, directly or behind an event (fsnotify
// v1.10.1 handleEvent, IN_MOVE_SELF).
func (f fsSource) drain(p *pending) {
	var pairs pairing
	for events, errs := f.Events, f.Errors; events != nil || errs != nil; {
		select {
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			from := pairs.from(e)
			p.add(event{name: e.Name, op: opOfFsnotify(e.Op, from != "")}, from)
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			p.fail(err)
		}
	}
}

// fail takes an error of fsnotify's.
func (p *pending) fail(err error) {
	switch {
	case errors.Is(err, fsnotify.ErrEventOverflow):
		p.lose(nil)
	case errors.Is(err, unix.EINVAL):
		// The reader tried to remove a watch that the kernel had removed already:
		// mv a b; rmdir b.
	default:
		p.lose(err)
	}
}

// opOfFsnotify: fsnotify's Rename is the old name's event, or the directory's own, its Create both
// kinds of appearance.
func opOfFsnotify(f fsnotify.Op, moved bool) (o Op) {
	for _, pair := range [...]struct {
		from fsnotify.Op
		to   Op
	}{
		{fsnotify.Create, OpCreate}, {fsnotify.Write, OpModify}, {fsnotify.Remove, OpDelete},
		{fsnotify.Rename, OpMovedFrom}, {fsnotify.Chmod, OpAttrib}, {closeWrite, OpCloseWrite},
	} {
		if f&pair.from != 0 {
			o |= pair.to
		}
	}
	if moved && o.has(OpCreate) {
		o = o&^OpCreate | OpMovedTo
	}
	return o
}
