package agent

import (
	"errors"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
)

// gate lets deletions through to a target, or keeps them back: see deletions.
type gate struct {
	root    string // the watched directory
	deletes bool   // names are deleted at all
	// count is how many names the target has at and below a path, and altogether; known says that it is so.
	count func(path string) (names, total int64, known bool)

	mu sync.Mutex // guards what follows
	d  *deletions
	// Of the batch that is being pushed.
	gone    map[string]int64 // names that are to go, and how many each is
	allowed int64            // names that may go
}

// passed is what became of a batch.
type passed struct {
	batch syncer.Batch
	later []deferred
	held  []Held // since now
}

// deferred is a path that is to be looked at again after a time.
type deferred struct {
	path  syncer.Path
	after time.Duration
}

// pass looks at each path of b: what is gone from the source is judged. A path that is there passes.
func (g *gate) pass(now time.Time, b syncer.Batch) passed {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone, g.allowed = map[string]int64{}, 0
	if !g.deletes || !g.d.active() {
		return passed{batch: b}
	}
	moved := map[string]bool{}
	for _, m := range b.Moves {
		moved[m.From] = true
	}
	p := passed{batch: b}
	p.batch.Paths = nil
	_, total, _ := g.count(".")
	type decision struct {
		verdict
		wait time.Duration
	}
	decided := map[string]decision{}
	for _, path := range b.Paths {
		top, names := g.goes(path.Name)
		if names == 0 {
			p.batch.Paths = append(p.batch.Paths, path)
			continue
		}
		v, ok := decided[top]
		if !ok {
			switch {
			case moved[top]: // it is not lost, it has another name
				g.allowed += names
			default:
				was := len(g.d.held)
				v.verdict, v.wait = g.d.judge(now, top, names, total)
				if v.verdict == deleteHeld && len(g.d.held) > was {
					p.held = append(p.held, g.d.held[top])
				} else if v.verdict == deleteNow {
					g.allowed += names
				}
			}
			decided[top] = v
		}
		switch v.verdict {
		case deleteNow:
			g.gone[top] = names
			p.batch.Paths = append(p.batch.Paths, path)
		case deleteLater:
			p.later = append(p.later, deferred{path, v.wait})
		}
	}
	g.bound(now, &p.batch, total)
	return p
}

// verify bounds what a look at the target may delete.
func (g *gate) verify(now time.Time, b *syncer.Batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone, g.allowed = nil, 0
	if g.deletes && g.d.active() {
		_, total, _ := g.count(".")
		g.bound(now, b, total)
	}
}

// bound says what a push may not delete, and how much it may: what was not judged may turn out to be
// on the target alone.
func (g *gate) bound(now time.Time, b *syncer.Batch, total int64) {
	if b.Spare = g.d.spared(); len(b.Spare) > spareMost {
		b.Spare, b.MaxDelete = nil, new(int64) // nothing at all, rather than one of these
		return
	}
	if !g.d.limit.any() {
		return
	}
	most := g.allowed + g.d.left(now, total)
	for _, path := range b.Paths {
		if g.d.isFree(path.Name) {
			most = -1
		}
	}
	b.MaxDelete = &most
}

// spareMost is how many names a target is told to spare in a push.
const spareMost = 1000

// goes says how many names pushing name would delete on the target, and which is the topmost: name
// or a directory above it that is gone, or name itself where something else stands now. None: 0.
func (g *gate) goes(name string) (top string, names int64) {
	var st unix.Stat_t
	err := unix.Lstat(filepath.Join(g.root, name), &st)
	have, _, known := g.count(name)
	switch {
	case err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR && have > 1:
		return name, have - 1 // what was below the directory that it was
	case !isGone(err) || name == ".":
		g.d.back(name)
		return name, 0
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
	if known && have == 0 {
		g.d.back(top)
		return top, 0 // the target never had it
	}
	return top, max(have, 1)
}

// isGone says that err, of lstat, is that of a name that is not there.
func isGone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) }

// pushed takes what a push did that reached its end, and tells where the target was left with more than it
// should have.
func (g *gate) pushed(now time.Time, b *syncer.Batch, rep *syncer.Report) (stopped []Held) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if more := rep.Stats.Deleted - g.allowed; more > 0 {
		g.d.spend(now, more)
	}
	if rep.DeletesHeld {
		for _, p := range b.Paths {
			if names, ok := g.gone[p.Name]; ok {
				stopped = append(stopped, g.d.hold(now, p.Name, names))
			} else if p.Tree || p.Level {
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
func (g *gate) release() []Held {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.d.release()
}

// isFree says that what is below path was released, and is not done.
func (g *gate) isFree(path string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.d.isFree(path)
}

// held is what is held now.
func (g *gate) held() []Held {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.d.list()
}

// gateState is what outlives a restart.
type gateState struct {
	Held  []Held  `json:"held,omitempty"`
	Spent []spent `json:"spent,omitempty"`
}

func (g *gate) save() gateState {
	g.mu.Lock()
	defer g.mu.Unlock()
	return gateState{Held: g.d.list(), Spent: g.d.spent}
}

func (g *gate) load(s gateState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range s.Held {
		if h.Names > 0 {
			g.d.held[h.Path] = h
		} else {
			g.d.beyond[h.Path] = h
		}
	}
	g.d.spent = s.Spent
}
