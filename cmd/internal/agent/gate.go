package agent

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/syncer"
)

// gate lets deletions through to a target, or keeps them back: see deletions.
type gate struct {
	root    string // the watched directory
	deletes bool   // names are deleted at all
	// count is how many names the target has at and below a path, and altogether; known says that it is so.
	count func(path string) (names, total int64, known bool)
	// inside are the names that the target is thought to have directly in a directory, and which of them are directories.
	// nil: nobody knows.
	inside func(dir string) (names []string, isDir []bool, err error)

	// shown is what was held and waited for its time when mu was let go last. Who asks for that does not wait for the
	// disk, as who holds mu may.
	shown atomic.Pointer[shownDeletions]

	mu sync.Mutex // guards what follows
	d  *deletions
	// Of the batch that is being pushed.
	gone    map[string]int64 // names that are to go, and how many each is
	allowed int64            // names that may go
	freed   bool             // it has something that was released
	closed  bool             // it deletes nothing, so that what it does not delete is not held
}

// shownDeletions is what others see of deletions.
type shownDeletions struct {
	held    []api.Held
	waiting int
}

// unlock shows what became of it, and lets mu go.
func (g *gate) unlock() {
	g.shown.Store(&shownDeletions{g.d.list(), len(g.d.waiting)})
	g.mu.Unlock()
}

// passed is what became of a batch.
type passed struct {
	batch syncer.Batch
	later []deferred
	held  []api.Held // since now
	lost  []string   // of later, what is spared until it was judged
}

// deferred is a path that is to be looked at again after a time.
type deferred struct {
	path  syncer.Path
	after time.Duration
}

// pass looks at each path of b: what is gone from the source is judged. A path that is there passes.
func (g *gate) pass(now time.Time, b syncer.Batch) passed {
	g.mu.Lock()
	defer g.unlock()
	g.begin()
	if !g.deletes || !g.d.active() {
		return passed{batch: b}
	}
	moved := map[string]string{}
	for _, m := range b.Moves {
		moved[m.From] = m.To
	}
	p := passed{batch: b}
	p.batch.Paths, p.batch.Gone = nil, map[string]bool{}
	_, total, _ := g.count(".")
	type decision struct {
		verdict
		wait time.Duration
	}
	decided := map[string]decision{}
	for _, path := range b.Paths {
		top, names, gone := g.goes(path.Name)
		if gone && names == 0 {
			p.batch.Gone[top] = true
		}
		if names == 0 {
			p.batch.Paths = append(p.batch.Paths, path)
			continue
		}
		v, ok := decided[top]
		if !ok {
			lost := names
			if to, ok := moved[top]; ok { // that is not lost, it has another name
				lost -= g.present(to, names)
				g.allowed += names - lost
			}
			if lost > 0 {
				was := len(g.d.held)
				v.verdict, v.wait = g.d.judge(now, top, lost, total)
				if v.verdict == deleteHeld && len(g.d.held) > was {
					p.held = append(p.held, g.d.held[top])
				} else if v.verdict == deleteNow {
					g.allowed += lost
				}
			}
			decided[top] = v
		}
		switch v.verdict {
		case deleteNow:
			g.gone[top], p.batch.Gone[top] = names, true
			p.batch.Paths = append(p.batch.Paths, path)
		case deleteLater:
			p.later = append(p.later, deferred{path, v.wait})
		}
	}
	g.looks(now, &p)
	g.bound(now, &p, total)
	return p
}

// begin forgets the last batch.
func (g *gate) begin() {
	g.gone, g.allowed, g.freed, g.closed = map[string]int64{}, 0, false, false
}

// verify bounds what a look at the target may delete.
func (g *gate) verify(now time.Time, b syncer.Batch) passed {
	g.mu.Lock()
	defer g.unlock()
	g.begin()
	p := passed{batch: b}
	if g.deletes && g.d.active() {
		_, total, _ := g.count(".")
		g.looks(now, &p)
		g.bound(now, &p, total)
	}
	return p
}

// goes says how many names pushing name would delete on the target, and which is the topmost: name
// or a directory above it that is gone, or name itself where something else stands now. None: 0.
func (g *gate) goes(name string) (top string, names int64, gone bool) {
	var st unix.Stat_t
	err := unix.Lstat(filepath.Join(g.root, name), &st)
	have, _, known := g.count(name)
	was, _ := g.d.about(name)
	switch {
	case err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR && max(have, was) > 1:
		return name, max(have-1, was), false // what was below the directory that it was
	case !isGone(err) || name == ".":
		g.d.back(name)
		return name, 0, false
	}
	top = name
	for parent := parentOf(top); parent != "."; parent = parentOf(parent) {
		if !isGone(unix.Lstat(filepath.Join(g.root, parent), &st)) {
			break
		}
		top = parent
	}
	if top != name {
		have, _, known = g.count(top)
	}
	was, about := g.d.about(top)
	if known && have == 0 && !about {
		g.d.back(top)
		return top, 0, true // the target never had it
	}
	return top, max(have, was, 1), true
}

// present is how many names are at name and below, counted up to most.
func (g *gate) present(name string, most int64) (n int64) {
	_ = filepath.WalkDir(filepath.Join(g.root, name), func(_ string, _ fs.DirEntry, err error) error {
		if err == nil {
			n++
		}
		if n >= most {
			return fs.SkipAll
		}
		return nil
	})
	return n
}

// isGone says that err, of lstat, is that of a name that is not there.
func isGone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) }

// pushed takes what a push did that reached its end, and tells where the target was left with more than it
// should have.
func (g *gate) pushed(now time.Time, b *syncer.Batch, rep *syncer.Report) (stopped []api.Held) {
	g.mu.Lock()
	defer g.unlock()
	if more := rep.Stats.Deleted - g.allowed; more > 0 && !g.freed {
		g.d.spend(now, more)
	}
	if rep.DeletesHeld && g.closed {
		return nil
	}
	if rep.DeletesHeld {
		for _, top := range slices.Sorted(maps.Keys(g.gone)) {
			stopped = append(stopped, g.d.hold(now, top, g.gone[top]))
		}
		for _, p := range b.Paths {
			if g.gone[p.Name] == 0 && (p.Tree || p.Level) {
				stopped = append(stopped, g.d.stopped(now, p.Name))
			}
		}
		return stopped
	}
	if rep.Partial {
		return nil
	}
	for top := range g.gone {
		g.d.done(top)
	}
	for _, p := range b.Paths {
		if p.Tree {
			g.d.done(p.Name)
		}
	}
	return nil
}

// release lets go what is held, and tells what that is.
func (g *gate) release() []api.Held {
	g.mu.Lock()
	defer g.unlock()
	return g.d.release()
}

// free is what was released, and is not done.
func (g *gate) free() (paths []syncer.Path) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.d.free {
		paths = append(paths, syncer.Path{Name: h.Path, Tree: h.Names == 0})
	}
	return paths
}

// isFree says that what is below path was released, and is not done.
func (g *gate) isFree(path string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.d.isFree(path)
}

// held is what is held now.
func (g *gate) held() []api.Held {
	if s := g.shown.Load(); s != nil {
		return s.held
	}
	return nil
}

// waiting is how many names are gone and wait for their time.
func (g *gate) waiting() int {
	if s := g.shown.Load(); s != nil {
		return s.waiting
	}
	return 0
}

// news says whether what is to be kept has changed since it was asked last.
func (g *gate) news() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.d.changed
	g.d.changed = false
	return was
}

// gateState is what outlives a restart.
type gateState struct {
	Held  []api.Held `json:"held,omitempty"`
	Free  []api.Held `json:"free,omitempty"` // released
	Spent []spent    `json:"spent,omitempty"`
}

func (g *gate) save() gateState {
	g.mu.Lock()
	defer g.mu.Unlock()
	return gateState{Held: g.d.list(), Free: byPath(slices.Collect(maps.Values(g.d.free))), Spent: slices.Clone(g.d.spent)}
}

func (g *gate) load(s gateState) {
	g.mu.Lock()
	defer g.unlock()
	for _, h := range s.Held {
		if h.Names > 0 {
			g.d.held[h.Path] = h
		} else {
			g.d.beyond[h.Path] = h
		}
	}
	for _, h := range s.Free {
		g.d.free[h.Path] = h
	}
	g.d.spent = s.Spent
}
