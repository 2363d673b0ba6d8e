package index

import (
	"context"
	"sync"
)

// task is one directory to be listed.
type task struct {
	parent *frame // nil: where the walk begins
	path   string
	d      *dir
	silent bool // a Tree difference above covers it
	tree   bool // is to be reported as a Tree difference once all below it was looked at
}

// frame is a directory that was listed and has directories in it.
type frame struct {
	task
	fd   int    // -1: not kept
	at   cursor // what is still to be handed out
	done bool   // all is handed out

	listing int // directories handed out that are not listed yet: they may need fd
	below   int // directories whose subtree is not complete, and one for the cursor
}

// maxKept bounds the descriptors that frames keep. In trees deeper than that directories are opened by
// their path from the root.
const maxKept = 64

// queue hands out directories, deepest first, so that it is never larger than the tree is deep.
type queue struct {
	mu      sync.Mutex // guards all below, and the frames' counters
	wake    sync.Cond
	stack   []*frame
	working int // tasks handed out that have not come back
	kept    int // frames with a descriptor
}

func newQueue() *queue {
	q := new(queue)
	q.wake.L = &q.mu
	return q
}

// outcome is what the caller has to do after the lock is released.
type outcome struct {
	trees  []task // complete: to be reported
	closed []int  // descriptors to be closed
}

// next hands out a directory. It waits while others may find more, and says no at the end. Once ctx is
// done it hands out nothing, and completes what is left over.
func (q *queue) next(ctx context.Context) (t task, out outcome, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if ctx.Err() != nil {
			q.abandon(&out)
		}
		if n := len(q.stack); n > 0 {
			return q.take(q.stack[n-1], &out), out, true
		}
		if q.working == 0 {
			q.wake.Broadcast()
			return task{}, out, false
		}
		q.wake.Wait()
	}
}

// take hands out the next directory in f, the top of the stack.
func (q *queue) take(f *frame, out *outcome) task {
	name, d := f.at.next()
	t := task{parent: f, path: joinPath(f.path, name), d: d, silent: f.silent || f.tree}
	t.tree = d.changed && !t.silent
	d.changed = false
	f.listing++
	f.below++
	q.working++
	if !f.at.more() {
		q.stack[len(q.stack)-1] = nil
		q.stack = q.stack[:len(q.stack)-1]
		q.exhaust(f, out)
	}
	return t
}

// leave takes a directory back after it was listed. fd is its descriptor, or -1.
func (q *queue) leave(t task, fd int) (out outcome) {
	f := &frame{task: t, fd: fd, at: cursor{d: t.d}, below: 1}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.working--
	if t.parent != nil {
		t.parent.listing--
		q.release(t.parent, &out)
	}
	if f.at.more() {
		if fd >= 0 && q.kept == maxKept {
			out.closed = append(out.closed, fd)
			f.fd = -1
		} else if fd >= 0 {
			q.kept++
		}
		q.stack = append(q.stack, f)
		q.wake.Broadcast()
		return out
	}
	if fd >= 0 {
		out.closed = append(out.closed, fd)
	}
	q.complete(t, &out)
	if q.working == 0 {
		q.wake.Broadcast()
	}
	return out
}

// abandon hands out nothing more.
func (q *queue) abandon(out *outcome) {
	for _, f := range q.stack {
		q.exhaust(f, out)
	}
	q.stack = nil
}

// exhaust notes that f has nothing more to hand out.
func (q *queue) exhaust(f *frame, out *outcome) {
	f.done = true
	q.release(f, out)
	f.below--
	if f.below == 0 {
		q.complete(f.task, out)
	}
}

// release gives up f's descriptor if nobody needs it any more.
func (q *queue) release(f *frame, out *outcome) {
	if !f.done || f.listing > 0 || f.fd < 0 {
		return
	}
	out.closed = append(out.closed, f.fd)
	f.fd = -1
	q.kept--
}

// complete notes that all below t was looked at, and what that completes above.
func (q *queue) complete(t task, out *outcome) {
	for {
		if t.tree {
			out.trees = append(out.trees, t)
		}
		f := t.parent
		if f == nil {
			return
		}
		f.below--
		if f.below > 0 {
			return
		}
		t = f.task
	}
}
