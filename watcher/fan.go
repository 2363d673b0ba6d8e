package watcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/watcher/internal/fanotify"
)

// fan is the fanotify backend: one mark for each filesystem, and no directory is known by name. What
// happens in a new directory is told like anything else, so nothing has to be listed.
type fan struct {
	*ground
	group   *fanotify.Group
	points  []string   // mount points below the root that are marked, too
	mounts  mountTable // when that was last looked at
	pending *pending
	events  uint64
	cookie  uint32 // of the last rename announced

	stop    context.CancelFunc
	reading sync.WaitGroup

	mu     sync.Mutex // guards failed
	failed error      // why nothing comes any more

	waited bool   // a barrier is raised
	from   uint64 // how often the queue had been empty then
	past   uint64 // barriers that have passed
	wanted uint64 // to pass
}

// newFan begins to watch the root. An error says why fanotify cannot be used there.
func newFan(ctx context.Context, g *ground, extra Op) (*fan, error) {
	f := &fan{ground: g, pending: newPending(maxPending)}
	f.pending.tapped = g.announce != nil
	group, err := fanotify.Open(fanotify.Config{Root: g.root, Hidden: f.hidden, Ops: fanOps(extra & opsOptional)})
	if err != nil {
		return nil, err
	}
	f.group = group
	ctx, f.stop = context.WithCancel(ctx)
	f.reading.Go(func() {
		if err := group.Run(ctx, f.read); err != nil {
			f.fail(err)
		}
	})
	return f, nil
}

// fanBits are the kernel's names for the operations that both know.
var fanBits = [...]struct {
	fan uint64
	op  Op
}{
	{unix.FAN_CREATE, OpCreate}, {unix.FAN_DELETE, OpDelete}, {unix.FAN_MODIFY, OpModify}, {unix.FAN_ATTRIB, OpAttrib},
	{unix.FAN_MOVED_FROM, OpMovedFrom}, {unix.FAN_MOVED_TO, OpMovedTo}, {unix.FAN_CLOSE_WRITE, OpCloseWrite},
	{unix.FAN_OPEN, OpOpen}, {unix.FAN_ACCESS, OpAccess}, {unix.FAN_CLOSE_NOWRITE, OpCloseNoWrite},
}

func fanOps(o Op) (mask uint64) {
	for _, b := range fanBits {
		if o.has(b.op) {
			mask |= b.fan
		}
	}
	return mask
}

func opOfFan(mask uint64) (o Op) {
	for _, b := range fanBits {
		if mask&b.fan != 0 {
			o |= b.op
		}
	}
	return o
}

// hidden reports that a directory, or one above it, takes no part. It is called by the reading goroutine,
// and its answer kept until Forget.
func (f *fan) hidden(rel string) bool {
	if rel == "." {
		return false
	}
	if f.shallow {
		return true
	}
	for i := 0; i < len(rel); i++ {
		if rel[i] == '/' && f.excluded(rel[:i], true) {
			return true
		}
	}
	return f.excluded(rel, true)
}

func (f *fan) fail(err error) {
	f.mu.Lock()
	f.failed = err
	f.mu.Unlock()
	f.pending.notify()
}

// failure tells why nothing comes any more, nil while all is well.
func (f *fan) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// read takes what was read from the group. It runs in the reading goroutine.
func (f *fan) read(events []fanotify.Event) {
	for _, e := range events {
		op := opOfFan(e.Mask)
		switch {
		case e.Lost():
			f.pending.lose(nil)
		case e.Deep: // of a name that is too long for a path, something below this one is said
			f.pending.add(event{name: e.Path + e.From, op: OpDelete | OpCreate, dir: true, file: true}, "")
		case e.Mask&unix.FAN_RENAME != 0:
			f.rename(e)
		default:
			f.pending.add(event{name: e.Path, op: op, dir: e.Dir, file: !e.Dir}, "")
		}
	}
}

// rename takes apart a rename: of each of its halves more is known than inotify tells.
func (f *fan) rename(e fanotify.Event) {
	f.cookie++
	rest := opOfFan(e.Mask)
	if e.From != "" {
		f.pending.add(event{name: e.From, op: OpMovedFrom, dir: e.Dir, file: !e.Dir, cookie: f.cookie}, "")
	}
	if e.Path != "" {
		f.pending.addMove(event{name: e.Path, op: OpMovedTo | rest, dir: e.Dir, file: !e.Dir, in: e.From == "", cookie: f.cookie},
			move{from: e.From, to: e.Path, dir: e.Dir, id: inode{e.Dev, e.Ino}})
	}
}

// handle marks what came since the last call. Unlike the inotify backend it does not look at the disk:
// what has to be known of a name is told with it.
func (f *fan) handle(ctx context.Context, flush func() bool) {
	f.tell(f.pending.takeAll())
	if f.readAll() {
		defer f.pass() // with what is taken now, all of it
	}
	list, moves, n := f.pending.take()
	f.events += n
	for _, m := range moves {
		if m.from != "." && m.to != "." && !f.excluded(m.from, m.dir) && !f.excluded(m.to, m.dir) {
			f.marks.addMove(m)
		}
	}
	for _, e := range list {
		if ctx.Err() != nil {
			return
		}
		f.event(e)
		if f.marks.len() >= emitAtMost && !flush() {
			return
		}
	}
}

// out reports that a name takes no part as whatever it was.
func (f *fan) out(e *event) bool {
	return (!e.dir || f.excluded(e.name, true)) && (!e.file || f.excluded(e.name, false))
}

func (f *fan) event(e event) {
	f.rules(e.name)
	switch {
	case e.op&^opsOptional == 0:
		return
	case e.name == ".":
		f.rootMoved = f.rootMoved || e.op.has(opsDisappear|opsAppear)
		f.marks.add(Change{Path: "."})
		return
	case f.out(&e):
		if e.op.has(opsAppear | opsDisappear) {
			f.marks.add(Change{Path: parentOf(e.name)}) // its time changed nevertheless
		}
		return
	}
	if e.dir && (e.in || e.op.has(OpMovedFrom) && f.mounts.has(joinPath(f.root, e.name))) {
		f.mountsStray = true
	}
	c := written(e.name, e.op, true)
	if e.op.has(opsAppear | opsDisappear) {
		// A new directory stands where another one may have been a moment ago, of which whoever acts on
		// the changes may have more than its name.
		c.Tree = e.op.has(opsDisappear) || e.dir
		c.Content = e.op.has(opsAppear)
		c.Closed = !c.Open
	}
	f.marks.add(c)
}

func (f *fan) tell(all []event) {
	if f.announce == nil {
		return
	}
	for _, e := range all {
		switch {
		case e.op.has(OpOverflow):
			f.announce(Event{Path: ".", Op: OpOverflow, Dir: true})
		case e.name == "." || !f.out(&e):
			f.announce(Event{Path: e.name, Op: e.op, Dir: e.dir, Cookie: e.cookie})
		}
	}
}

// markMounts marks the filesystems that are mounted below the root, and those alone.
func (f *fan) markMounts(now mountTable) error {
	f.mounts = now
	// First those that are gone: a filesystem may have moved from one point to another.
	f.points = slices.DeleteFunc(f.points, func(p string) bool {
		if now.below[p] != "" {
			return false
		}
		f.unmark(p)
		return true
	})
	for _, p := range slices.Sorted(maps.Keys(now.below)) {
		if slices.Contains(f.points, p) {
			continue
		}
		if err := f.mountAt(p); err != nil {
			return err
		}
	}
	return nil
}

func (f *fan) unmark(point string) {
	if err := f.group.RemoveFilesystem(point); err != nil {
		f.log.Debug("a mark is left", zap.Error(err))
	}
}

// mountAt marks what is mounted at point. That the table of mounts is out of date is no failure: what
// changed it is still to be told, by the mount table or as the rename of a directory above.
func (f *fan) mountAt(point string) error {
	rel, ok := relPath(f.root, point)
	if !ok || f.oneFS || f.hidden(rel) || !f.mounts.reached(point) {
		return nil
	}
	if err := f.group.AddFilesystem(point); err != nil {
		if now, e := readMounts(f.root); e == nil && !now.same(f.mounts) {
			return nil
		}
		return fmt.Errorf("a filesystem below the root: %w", err)
	}
	f.points = append(f.points, point)
	return nil
}

// reconsider lets the reader ask again what is hidden.
func (f *fan) reconsider(context.Context, string) { f.group.Forget() }

// remounted marks what came and gives up what went. What cannot be marked ends all: then inotify is the
// better one.
func (f *fan) remounted(_ context.Context, points []string, now mountTable) {
	f.points = slices.DeleteFunc(f.points, func(p string) bool {
		again := slices.ContainsFunc(points, func(q string) bool { _, ok := relPath(q, p); return ok })
		if again {
			f.unmark(p)
		}
		return again
	})
	f.group.Forget()
	if err := f.markMounts(now); err != nil {
		f.fail(err)
	}
	for _, p := range points {
		if rel, ok := relPath(f.root, p); ok && !f.hidden(rel) {
			f.marks.add(Change{Path: rel, Tree: true, Content: true}) // not a doubt: see tree.recheck
		}
	}
}

func (f *fan) name() string { return "fanotify" }
func (f *fan) rebuild(context.Context) {
	f.group.Forget()
	f.rootMoved = false
	f.pending.found()
	// Among what was lost may be the rename of a directory above a mount point.
	if now, err := readMounts(f.root); err == nil {
		if err := f.markMounts(now); err != nil {
			f.fail(err)
		}
	}
}

// errUnmarked is no failure of fanotify: it has to begin again.
var errUnmarked = errors.New("the root's filesystem was mounted anew")

func (f *fan) unmounted(context.Context, mountTable) []string {
	lost, err := f.group.Unmarked()
	if err != nil {
		f.log.Debug("whether filesystems are still marked is not known", zap.Error(err))
	}
	if slices.Contains(lost, f.root) {
		f.fail(errUnmarked)
		return nil
	}
	return lost
}

func (f *fan) up() bool              { return f.failure() == nil }
func (f *fan) wake() <-chan struct{} { return f.pending.wake }
func (f *fan) lost() lostEvents      { return f.pending.lostEvents() }
func (f *fan) retry(context.Context) {}

// rootUnwatched: what happened in the root while it, or one above it, had another name was told as
// something outside.
func (f *fan) rootUnwatched() bool   { return f.rootMoved }
func (f *fan) counts() counts        { return counts{watches: 1 + len(f.points), events: f.events} }
func (f *fan) polledPaths() []string { return nil }

// readAll reports that what was told before the barrier has come out of the kernel's queue: it was
// empty since, or is.
func (f *fan) readAll() bool {
	return f.waited && (f.group.Emptied() > f.from+1 || f.group.Idle())
}

func (f *fan) barrier() uint64 {
	f.wanted = f.past + 1
	if f.waited { // that one was raised before
		f.wanted++
	} else {
		f.raise()
	}
	return f.wanted
}

func (f *fan) raise() { f.waited, f.from = true, f.group.Emptied() }

func (f *fan) passed() uint64 {
	for f.past < f.wanted {
		if !f.waited {
			f.raise()
		}
		if !f.readAll() || !f.pending.empty() {
			break
		}
		f.pass()
	}
	return f.past
}

func (f *fan) pass() {
	f.waited = false
	f.past++
}

func (f *fan) close() { f.stop() }

func (f *fan) wait() {
	f.reading.Wait()
	if f.group != nil {
		f.group.Close()
		f.group = nil
	}
}
