package watcher

import (
	"context"
	"errors"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// rebuild watches everything below the root in a fresh inotify instance. The instance before, if any,
// drains on until then, for what it tells about contents: a rescan compares sizes and times, and
// would not find what only an event knew.
func (t *tree) rebuild(ctx context.Context) {
	t.old, t.inst = t.inst, nil
	inst, err := t.openInstance()
	if errors.Is(err, unix.EMFILE) && t.closeOld() {
		inst, err = t.openInstance()
	}
	t.inst = inst
	t.table = newTable()
	t.polled.restart()
	t.rootMoved, t.raised = false, false
	if err != nil {
		t.noInstance(err)
	} else {
		t.silent = true
		t.addTree(ctx, t.root)
		t.silent = false
		if raw, ok := t.inst.src.(*rawSource); ok {
			raw.begin()
		}
	}
	if t.old != nil {
		t.salvage()
		t.closing.Go(t.old.close)
		t.old = nil
	}
	t.report()
}

// openInstance makes an instance once the one closed last is gone: while its reader ends, it may still use the
// number of its descriptor, which the new one could have.
func (t *tree) openInstance() (*instance, error) {
	t.wait()
	i, err := openInstance(t.open)
	if err != nil {
		return nil, err
	}
	i.pending.tapped = t.announce != nil
	if t.announce == nil { // nobody who wants events waits for a barrier
		_ = i.barrier.open(i.src) // it is tried again, and told, when it is wanted
	}
	return i, nil
}

// noInstance polls the whole root.
func (t *tree) noInstance(err error) {
	known := t.polled.before[t.root] == pollNoInstance
	t.poll(t.root, pollNoInstance, err)
	if known {
		return
	}
	l := readLimit("instances")
	t.log.Error("no inotify instance to be had: raise "+l.name+" or the open files limit; until then all is polled",
		quoted("root", t.root), zap.Int("current", l.value), zap.Error(err))
}

// closeOld ends the instance of before a rebuild at once, because its watches or itself stand in the
// way of the new one's. It reports whether there was one.
func (t *tree) closeOld() bool {
	if t.old == nil {
		return false
	}
	t.old.close()
	t.salvage()
	t.old = nil
	return true
}

// salvage marks the contents that the old instance told about. All else is covered by the root.
func (t *tree) salvage() {
	list, _, n := t.old.pending.take()
	t.events += n
	for _, e := range list {
		rel, ok := relPath(t.root, cleanName(e.name))
		if ok && rel != "." && e.op.has(OpModify|OpCloseWrite|opsAppear) && !t.excluded(rel, false) {
			t.marks.add(Change{Path: rel, Content: true})
		}
	}
}

// remounted watches and marks directories anew, after a mount there came or went.
func (t *tree) remounted(ctx context.Context, points []string, _ mountTable) {
	for _, p := range points {
		t.recheck(ctx, p)
	}
}

func (t *tree) recheck(ctx context.Context, abs string) {
	rel, ok := relPath(t.root, abs)
	if !ok || t.inst == nil || t.excluded(rel, true) {
		return
	}
	if _, ok := t.parentNode(abs); !ok {
		return // below something that is excluded or on another filesystem
	}
	t.addTree(ctx, abs)
	// Not a doubt: records may have been renewed since, and events been lost with the watches.
	t.marks.add(Change{Path: rel, Tree: true, Content: true})
}

// reconsider watches abs anew, unless it is not watched at all.
func (t *tree) reconsider(ctx context.Context, abs string) {
	if t.inst != nil && t.at(abs) != nil {
		t.addTree(ctx, abs)
	}
}

// close lets the instance end in the background; wait waits for it.
func (t *tree) close() {
	if t.inst != nil {
		t.closing.Go(t.inst.close)
		t.inst = nil
	}
	t.table = newTable()
	t.polled.restart()
}

// rootUnwatched reports whether the root's own watch is gone although the root may be there: it was
// moved away and back, which ends a watch.
func (t *tree) rootUnwatched() bool { return t.rootMoved || t.at(t.root) == nil }

func (t *tree) wait() { t.closing.Wait() }

// wake is readable when handle has something to do.
func (t *tree) wake() <-chan struct{} {
	if t.inst == nil {
		return nil
	}
	return t.inst.pending.wake
}

// lost tells how the current instance stands with events that never came.
func (t *tree) lost() lostEvents {
	if t.inst == nil {
		return lostEvents{}
	}
	return t.inst.pending.lostEvents()
}

// unmounted asks fsnotify, which forgets watches when the kernel does, in silence.
func (t *tree) unmounted(ctx context.Context, m mountTable) (lost []string) {
	if t.inst == nil {
		return nil
	}
	points := t.watchedAmong(m)
	alive := t.inst.watched(points)
	for p := range points {
		if !alive[p] {
			lost = append(lost, p)
		}
	}
	return lost
}

// watchedAmong gives the root and the mount points below it that should have a watch.
func (t *tree) watchedAmong(m mountTable) map[string]bool {
	points := make(map[string]bool)
	for p := range m.below {
		if n := t.at(p); n != nil && !n.polled {
			points[p] = true
		}
	}
	if n := t.at(t.root); n != nil && !n.polled {
		points[t.root] = true
	}
	return points
}

func (t *tree) name() string { return "inotify" }
func (t *tree) up() bool     { return t.inst != nil }

func (t *tree) counts() counts {
	return counts{watches: t.watches(), polled: len(t.polled.reasons), events: t.events}
}

func (t *tree) barrier() uint64 {
	t.wanted = t.barriers + 1
	if t.raised { // that one was raised before
		t.wanted++
	}
	t.passed()
	return t.wanted
}

// passed raises what is wanted and is not on its way: one after the other, for the kernel takes two for one.
func (t *tree) passed() uint64 {
	if t.inst == nil || t.raised || t.barriers >= t.wanted {
		return t.barriers
	}
	if err := t.inst.barrier.raise(t.inst.src); err != nil {
		t.log.Debug("no barrier in the queue of events", zap.Error(err))
		return t.barriers
	}
	t.raised = true
	return t.barriers
}
