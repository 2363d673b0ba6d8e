package state

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// visitor is told of the directories of a subtree by several goroutines, each with a visitor of its own.
type visitor interface {
	// visit is told what is in a directory. It calls down with the names of those that are to be walked.
	visit(ctx context.Context, dir string, found *listing, down func(name []byte)) error
	// unread is told of a directory that could not be listed, or is not there any more.
	unread(ctx context.Context, dir string) error
	// end is called after the last one.
	end(ctx context.Context) error
}

// walk lists dir and what is below it, in any order but each directory after the one that holds it, and
// returns how many entries were looked at. start is called for each goroutine.
func (s *Store) walk(ctx context.Context, root int, dir string, start func() visitor) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(root, &st); err != nil {
		return 0, err
	}
	q := newQueue()
	q.stack = []*frame{{name: "", fd: -1, refs: 1, subs: appendName(nil, []byte(dir))}}
	var entries atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, q.stop)
	defer stop()
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			w := worker{q: q, root: root, lister: lister{s: s, dev: uint64(st.Dev)}, visitor: start()}
			err := w.run(ctx)
			if err != nil {
				q.stop()
			}
			entries.Add(w.lister.entries)
			return err
		})
	}
	err := g.Wait()
	q.close()
	return entries.Load(), err
}

// worker lists one directory after the other.
type worker struct {
	q       *queue
	root    int
	lister  lister
	visitor visitor
}

func (w *worker) run(ctx context.Context) error {
	for {
		f, name, ok := w.q.next()
		if !ok {
			return errors.Join(ctx.Err(), w.visitor.end(ctx))
		}
		err := w.list(ctx, f, name)
		if err != nil {
			return err
		}
	}
}

// list lists the directory called name in the one that f is.
func (w *worker) list(ctx context.Context, f *frame, name string) error {
	sub := &frame{name: name, fd: -1}
	if f.name != "" {
		sub.name = joinName(f.name, name)
	}
	defer func() { w.q.leave(f, sub) }()
	if len(sub.name) > maxName {
		return w.visitor.unread(ctx, Path{sub.name, true}.shorten().Name)
	}
	err := w.open(f, name, sub)
	if err == nil {
		err = w.lister.list(ctx, sub.fd, sub.name)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return w.visitor.unread(ctx, sub.name)
	}
	return w.visitor.visit(ctx, sub.name, &w.lister.found, func(name []byte) { sub.subs = appendName(sub.subs, name) })
}

func (w *worker) open(f *frame, name string, sub *frame) (err error) {
	switch {
	case sub.name == ".":
		sub.fd, err = openAt(w.root, ".", toList)
	case f.fd >= 0:
		sub.fd, err = openAt(f.fd, name, toList)
	default:
		sub.fd, err = openBelow(w.root, sub.name, toList)
	}
	return err
}

// frame is a directory that was listed and has directories to be walked.
type frame struct {
	name string
	fd   int    // -1: not kept
	refs int    // it is on the stack, and names handed out whose directory may not be open yet
	subs []byte // the names that are left, each after its length
}

func appendName(b, name []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(name))), name...)
}

// maxKept bounds the descriptors that frames keep. In trees deeper than that directories are opened by
// their path from the root.
const maxKept = 64

// queue hands out directories, deepest first, so that it is never larger than the tree is deep, apart from the
// names in the directories on the way.
type queue struct {
	mu      sync.Mutex // guards all below, and the frames' fields once they are on the stack
	wake    sync.Cond
	stack   []*frame
	working int // names handed out that have not come back
	kept    int // frames with a descriptor
	stopped bool
}

func newQueue() *queue {
	q := new(queue)
	q.wake.L = &q.mu
	return q
}

// next hands out a directory: its name in f. It waits while others may find more, and says no at the end.
func (q *queue) next() (f *frame, name string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.stack) == 0 && q.working > 0 && !q.stopped {
		q.wake.Wait()
	}
	if len(q.stack) == 0 || q.stopped {
		return nil, "", false
	}
	f = q.stack[len(q.stack)-1]
	n, size := binary.Uvarint(f.subs)
	name, f.subs = string(f.subs[size:size+int(n)]), f.subs[size+int(n):]
	f.refs++
	q.working++
	if len(f.subs) == 0 {
		q.stack[len(q.stack)-1] = nil
		q.stack = q.stack[:len(q.stack)-1]
		f.refs--
	}
	return f, name, true
}

// leave takes a name in f back after it was listed as sub.
func (q *queue) leave(f, sub *frame) {
	q.mu.Lock()
	closed := [2]int{-1, -1}
	q.working--
	f.refs--
	if f.refs == 0 && f.fd >= 0 {
		closed[0], f.fd = f.fd, -1
		q.kept--
	}
	switch {
	case len(sub.subs) == 0:
		closed[1] = sub.fd
	default:
		if q.kept == maxKept {
			closed[1], sub.fd = sub.fd, -1
		} else if sub.fd >= 0 {
			q.kept++
		}
		sub.refs = 1
		q.stack = append(q.stack, sub)
	}
	q.wake.Broadcast()
	q.mu.Unlock()
	for _, fd := range closed {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// stop makes next say no.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.wake.Broadcast()
}

// close closes what frames on the stack of a stopped queue keep.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range q.stack {
		if f.fd >= 0 {
			unix.Close(f.fd)
		}
	}
}
