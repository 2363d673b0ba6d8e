package watcher

import (
	"context"
	"sync"
	"time"
)

// maxPending bounds the events drained and not yet looked at: about 150 MB of names. Past it a
// rescan of everything is cheaper than the names.
const maxPending = 1 << 20

// keepPending is the size up to which a set's memory is kept for the next round.
const keepPending = 1 << 14

// event is what is known of one name: all operations seen since it was last looked at. Which of
// them came last is not kept, because whoever looks, looks at the disk.
type event struct {
	name   string // absolute
	op     Op
	dir    bool   // it is known to be, or have been, a directory
	file   bool   // it is known to be, or have been, something else
	self   bool   // of a directory's own watch; only where each event is kept by itself
	in     bool   // it came from outside; only where the source knows it
	cookie uint32 // likewise
}

// merge notes a further operation. Whether a file was closed after it was last written to is the
// one thing about order that counts.
func (e *event) merge(o *event) {
	if o.op.has(OpModify) {
		e.op &^= OpCloseWrite
	}
	e.op |= o.op
	e.dir, e.file, e.in = e.dir || o.dir, e.file || o.file, e.in || o.in
}

// pending is the meeting point of the goroutines that drain an instance with the one that owns the
// tables. Names stay in the order in which they first came: parents before children.
type pending struct {
	wake chan struct{} // holds one token while there is something to take
	rest chan struct{} // holds one token when something came after half a rename
	max  int
	wait time.Duration // see halfWait

	mu     sync.Mutex // guards all below; held for a map operation at most
	index  map[string]int
	list   []event
	moves  []move  // in order, the first ones only where there were too many
	tapped bool    // all is wanted
	all    []event // each event by itself, in order
	half   bool    // the last event was the first half of a rename, or all of a move to outside
	spare  []event // the slice taken last, for reuse
	events uint64
	lost   lostEvents
}

// lostEvents says when and how often events were lost since the last rebuild.
type lostEvents struct {
	count       uint64
	first, last time.Time
	crowded     bool  // by our own bound, not by the kernel's
	err         error // any other read error, after which nothing is sure
}

func newPending(limit int) *pending {
	return &pending{
		wake:  make(chan struct{}, 1), // one token: any number of events is one reason to wake up
		rest:  make(chan struct{}, 1),
		max:   limit,
		wait:  halfWait,
		index: make(map[string]int),
	}
}

// add notes an event; from is the old name of what was renamed to e.name, or "".
func (p *pending) add(e event, from string) {
	p.addMove(e, move{from: from, to: e.name, dir: e.dir})
}

// addMove notes an event and the rename that it is of; without a name to come from, there was none.
func (p *pending) addMove(e event, m move) {
	p.mu.Lock()
	p.events++
	if i, ok := p.index[e.name]; ok {
		p.list[i].merge(&e)
	} else {
		p.index[e.name] = len(p.list)
		p.list = append(p.list, e)
	}
	if p.tapped {
		p.all = append(p.all, e)
	}
	p.halved(e.op.has(OpMovedFrom))
	if m.from != "" && len(p.moves) < maxMoves {
		p.moves = append(p.moves, m)
	}
	if len(p.list) > p.max || len(p.all) > p.max {
		p.moves, p.all = nil, nil
		p.index, p.list = make(map[string]int), nil
		p.loseLocked(nil)
		p.lost.crowded = true
	}
	p.mu.Unlock()
	p.notify()
}

// halved notes whether the last event was half a rename.
func (p *pending) halved(half bool) {
	switch {
	case half:
		select {
		case <-p.rest: // of an earlier one
		default:
		}
	case p.half:
		select {
		case p.rest <- struct{}{}:
		default:
		}
	}
	p.half = half
}

// whole waits, not for long, for the second half of a rename: told apart, the two would be a deletion
// and a creation.
func (p *pending) whole(ctx context.Context) {
	p.mu.Lock()
	half := p.half
	p.mu.Unlock()
	if !half {
		return
	}
	t := time.NewTimer(p.wait)
	defer t.Stop()
	select {
	case <-p.rest:
	case <-t.C:
	case <-ctx.Done():
	}
}

// lose records that events were lost; err is nil for a queue overflow.
func (p *pending) lose(err error) {
	p.mu.Lock()
	p.loseLocked(err)
	p.mu.Unlock()
	p.notify()
}

func (p *pending) loseLocked(err error) {
	p.lost.last = time.Now()
	if p.lost.count == 0 {
		p.lost.first = p.lost.last
	}
	p.lost.count++
	p.moves = nil // half a history would be a wrong one
	if p.tapped {
		p.all = append(p.all, event{op: OpOverflow})
	}
	if err != nil {
		p.lost.err = err
	}
}

func (p *pending) notify() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// take returns what came since the last take, and how many events that were. The slice of events is
// valid until the next take.
func (p *pending) take() (list []event, moves []move, events uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list = p.list
	p.list, p.spare = p.spare[:0], list
	if len(list) > keepPending {
		p.index, p.list, p.spare = make(map[string]int), nil, nil
	} else {
		clear(p.index)
	}
	moves, p.moves = p.moves, nil
	events, p.events = p.events, 0
	return list, moves, events
}

// takeAll returns each event since the last call, if they are wanted.
func (p *pending) takeAll() []event {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.all
	p.all = nil
	return all
}

// found ends the account of lost events.
func (p *pending) found() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = lostEvents{}
}

func (p *pending) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.list) == 0
}

func (p *pending) lostEvents() lostEvents {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}
