package fanotify

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Config says what to watch.
type Config struct {
	// Root is absolute, clean and without symbolic links.
	Root string
	// Hidden reports that the directory rel is not wanted, excluded or below what is: its events are
	// dropped, and the answer is kept. It is called by the goroutine in Run, also with ".". nil hides
	// nothing.
	Hidden func(rel string) bool
	// Ops are further FAN_ bits wanted: FAN_OPEN, FAN_ACCESS, FAN_CLOSE_NOWRITE. Those that this
	// process causes are left out.
	Ops uint64
	// NoModify leaves FAN_MODIFY out: a file that is open is told when it is closed, one that was
	// truncated by its path not at all.
	NoModify bool

	// For tests: a queue that overflows, a kernel without FAN_RENAME, another patience.
	limited, noRename bool
	probeWait         time.Duration
}

// Group is a fanotify group with one mark for each filesystem.
type Group struct {
	cfg    Config
	fd     int
	mounts mounts
	mask   uint64 // of the root's filesystem, as the kernel took it

	adding sync.Mutex    // one filesystem at a time comes or goes; held for system calls
	forget atomic.Bool   // the cache has to be emptied
	idle   atomic.Bool   // Run waits
	empty  atomic.Uint64 // times that Run found the queue empty, and had handed on all that was in it

	resolved, dropped, lost atomic.Uint64
}

// Stats are counts since Open.
type Stats struct {
	Resolved uint64 // directories that were looked for by their handle
	Dropped  uint64 // events outside the root, or hidden
	Lost     uint64 // overflows, and events that could not be resolved
}

// Open marks the filesystem of the root, after a probe has shown that events come through. Events
// from before its return may or may not be told. An error tells which step failed, and is
// ErrUnsupported, ErrPrivilege, ErrLimit or ErrSilent where one of these is the reason.
func Open(cfg Config) (*Group, error) {
	if !filepath.IsAbs(cfg.Root) || filepath.Clean(cfg.Root) != cfg.Root {
		return nil, fmt.Errorf("root %q is not an absolute, clean path", cfg.Root)
	}
	if cfg.Ops&^accesses != 0 {
		return nil, fmt.Errorf("bits %#x are none that reading sets", cfg.Ops&^accesses)
	}
	if cfg.probeWait == 0 {
		cfg.probeWait = probeWait
	}
	g, err := open(cfg)
	if err != nil {
		return nil, fmt.Errorf("fanotify at %q: %w", cfg.Root, err)
	}
	return g, nil
}

func open(cfg Config) (*Group, error) {
	fd, err := newGroup(cfg.limited)
	if err != nil {
		return nil, err
	}
	g := &Group{cfg: cfg, fd: fd, mounts: mounts{at: make(map[fsid]string)}}
	if g.mask, err = g.attach(cfg.Root); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return g, nil
}

// Close ends the group. Run has returned by then, or was never called.
func (g *Group) Close() error { return unix.Close(g.fd) }

// Pairs reports whether renames come with both names (FAN_RENAME, Linux 5.17).
func (g *Group) Pairs() bool { return g.mask&unix.FAN_RENAME != 0 }

// Stats may be called at any time.
func (g *Group) Stats() Stats {
	return Stats{Resolved: g.resolved.Load(), Dropped: g.dropped.Load(), Lost: g.lost.Load()}
}

// Emptied counts how often the queue was empty, with all that was in it handed on. When it has grown
// by two, so has all been that was queued before: the first may have been under way.
func (g *Group) Emptied() uint64 { return g.empty.Load() }

// Idle reports that nothing is queued, and that Run has handed on all that ever was.
func (g *Group) Idle() bool {
	if !g.idle.Load() {
		return false
	}
	n, err := unix.IoctlGetInt(g.fd, unix.TIOCINQ) // FIONREAD, as fanotify(7) has it
	return err == nil && n == 0 && g.idle.Load()
}

// Forget makes the group find out anew where directories are. Call it whenever the mount table
// changed: a mount may bring into the root what was outside.
func (g *Group) Forget() { g.forget.Store(true) }

// AddFilesystem marks another filesystem, mounted at path below the root, after a probe as in Open.
// It may be called while Run runs; it takes some 10 ms, in which the kernel ends the probe's group.
//
// A filesystem that is watched already, the root's or one at another mount point, is ErrUnsupported:
// its events tell a directory, not the mount, and are told where the first mount has it.
func (g *Group) AddFilesystem(path string) error {
	if _, ok := below(g.cfg.Root, path); !ok || filepath.Clean(path) != path {
		return fmt.Errorf("fanotify at %q: not a path below %q", path, g.cfg.Root)
	}
	g.adding.Lock()
	defer g.adding.Unlock()
	if _, err := g.attach(path); err != nil {
		return fmt.Errorf("fanotify at %q: %w", path, err)
	}
	return nil
}

// RemoveFilesystem ends the watching of what AddFilesystem added at path. It must be called after an
// unmount, before another filesystem is added there: a mark ends with its filesystem, not with a
// mount. An error tells that the mark was left: it costs time, and its events are not told.
func (g *Group) RemoveFilesystem(path string) error {
	g.adding.Lock()
	defer g.adding.Unlock()
	id, ok := g.mounts.remove(path)
	g.Forget()
	if !ok {
		return nil
	}
	fd, now, err := openDir(path)
	if err != nil {
		return nil // as now != id
	}
	defer unix.Close(fd)
	if now != id {
		return nil // unmounted, and out of reach if it is mounted elsewhere
	}
	if err := unmark(g.fd, fd, g.bits()|moves); err != nil {
		return fmt.Errorf("fanotify at %q: %w", path, err)
	}
	return nil
}

func (g *Group) bits() uint64 {
	mask := g.cfg.Ops | unix.FAN_CREATE | unix.FAN_DELETE | unix.FAN_CLOSE_WRITE | unix.FAN_ATTRIB | unix.FAN_ONDIR
	if !g.cfg.NoModify {
		mask |= unix.FAN_MODIFY
	}
	return mask
}

// attach probes and marks the filesystem at path. The path is known before the mark's first event.
func (g *Group) attach(path string) (mask uint64, err error) {
	fd, id, err := openDir(path)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if err := g.mounts.add(id, path); err != nil {
		return 0, err
	}
	// RemoveFilesystem may have had to leave a mark. Where that is not so, this fails.
	_ = unmark(g.fd, fd, g.bits()|moves)
	err = probe(fd, id, path, g.cfg.probeWait)
	if err == nil {
		mask, err = markMoves(g.fd, fd, g.bits(), g.cfg.noRename)
	}
	if err != nil {
		g.mounts.remove(path)
	}
	return mask, err
}

// Run hands events to f, in the order of the kernel's queue, until ctx is done or reading fails. f
// must not keep the slice, and must not take long: the queue grows without bound meanwhile. Run may
// be called once.
func (g *Group) Run(ctx context.Context, f func([]Event)) error {
	quit, free, err := doneFd(ctx)
	if err != nil {
		return err
	}
	defer free()
	t := &translator{
		resolver: resolver{root: g.cfg.Root, hidden: g.cfg.Hidden, mounts: &g.mounts},
		cache:    make(dirCache), pid: int32(os.Getpid()),
	}
	buf := make([]byte, bufferSize)
	var last time.Time
	for ctx.Err() == nil {
		events, err := readReady(g.fd, buf)
		if err == nil && len(events) == 0 {
			g.empty.Add(1)
			g.idle.Store(true)
			err = poll(g.fd, quit, -1)
			g.idle.Store(false)
			if time.Since(last) < linger {
				time.Sleep(linger)
			}
		} else if err == nil {
			err = g.tell(t, events, f)
			last = time.Now()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tell translates what was read, and hands it on, up to where an error is met.
func (g *Group) tell(t *translator, events []byte, f func([]Event)) error {
	if g.forget.Swap(false) {
		t.cache = t.cache.emptied()
	}
	var err error
	for len(events) > 0 && err == nil {
		var r record
		if r, events, err = parse(events); err == nil {
			err = t.add(&r)
		}
	}
	g.resolved.Store(t.resolved)
	g.dropped.Store(t.dropped)
	g.lost.Store(t.lost)
	if len(t.batch) > 0 {
		f(t.batch)
		clear(t.batch) // the names are not to be kept until the next full batch
		t.batch = t.batch[:0]
	}
	return err
}
