package index

import (
	"context"

	"golang.org/x/sys/unix"
)

// worker lists one directory after the other.
type worker struct {
	w          *walk
	look       lister
	merge      merger
	st         unix.Stat_t
	found      []Difference // in the current directory
	dirs       int
	unreadable []string
}

func newWorker(w *walk) *worker {
	return &worker{w: w, look: lister{x: w.x}, merge: merger{x: w.x, mark: true}}
}

// run works until there is nothing left to do. The task given, if any, counts as handed out.
func (k *worker) run(ctx context.Context, first *task) {
	if first != nil {
		k.do(ctx, *first)
	}
	for {
		t, out, ok := k.w.next(ctx)
		k.finish(out)
		if !ok {
			return
		}
		k.do(ctx, t)
	}
}

func (k *worker) do(ctx context.Context, t task) {
	k.found = nil // the last ones are the receiver's
	fd := k.visit(ctx, &t)
	k.send(k.found)
	k.finish(k.w.leave(t, fd))
}

// finish does what the queue could not do while it was locked.
func (k *worker) finish(out outcome) {
	for _, fd := range out.closed {
		unix.Close(fd)
	}
	for _, t := range out.trees {
		k.send([]Difference{{Path: t.path, Tree: true, Content: true}})
	}
}

// send does not look at the context: the index holds already what the differences tell. Who receives
// does so until all workers have ended.
func (k *worker) send(list []Difference) {
	if len(list) > 0 && !k.w.quiet {
		k.w.reports <- list
	}
}

// visit lists t's directory and merges it. It returns the descriptor, -1 if there is none.
func (k *worker) visit(ctx context.Context, t *task) int {
	fd, err := k.open(t)
	if err == nil {
		err = k.list(ctx, t, fd)
	}
	if err != nil && !passing(err) {
		k.unreadable = append(k.unreadable, t.path)
	}
	return fd
}

func (k *worker) open(t *task) (int, error) {
	switch {
	case t.path == ".":
		return openAt(k.w.root, ".", toList)
	case t.parent != nil && t.parent.fd >= 0:
		_, name := splitPath(t.path)
		return openAt(t.parent.fd, name, toList)
	}
	return openBelow(k.w.root, t.path, toList)
}

// list makes the records of t's directory what it finds. With an error they stay as they are.
func (k *worker) list(ctx context.Context, t *task, fd int) error {
	if err := stat(fd, &k.st); err != nil {
		return err
	}
	if id := identityOf(&k.st); id != t.d.id {
		k.replace(t, id)
	}
	if k.w.foreign(&k.st) {
		return nil
	}
	if err := k.look.list(ctx, fd, t.path, k.w.pace); err != nil {
		return err
	}
	k.dirs++
	if k.look.skipped {
		k.unreadable = append(k.unreadable, t.path)
	}
	k.merge.report = nil
	if !t.silent && !t.tree && !k.w.quiet {
		k.merge.report = func(d Difference) { k.found = append(k.found, d) }
	}
	k.merge.merge(t.d, t.path, &k.look.found, false)
	return nil
}

// replace handles a directory that was put in the place of the one that its parent's listing named.
func (k *worker) replace(t *task, id identity) {
	k.w.x.drop(t.d)
	*t.d = dir{id: id}
	k.w.x.account(0, t.d.size())
	t.tree = !t.silent
}
