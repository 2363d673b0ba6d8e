package agent

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/debounce"
	"github.com/lockstep-sync/lockstep/syncer"
)

// A flush is a barrier for one target: it ends when each path that was dirty when it began is there, or when it is
// known that somebody has to do something about the rest. It follows paths, not times: one that changes again while
// it waits is there when the push of it has ended, which read it after the flush began.
//
// What was taken from the queue before, and is on its way, is owed apart from what is queued: its names may be
// queued once more, since they changed after they were read.
type flush struct {
	begun time.Time
	now   debts           // of the batch that is on its way; nil: there is none
	next  debts           // of the batches to come
	held  map[string]bool // deletions that wait for somebody
	ended chan error      // room for its end
}

// debts are paths that are owed to a target, and whether all below them is.
type debts map[string]bool

// round is what became of a batch.
type round struct {
	taken   []debounce.Change // from the queue; what is in none of the following has arrived
	back    []syncer.Path     // back in the queue
	arrived bool              // else nothing has
	held    []api.Held
	failed  []syncer.Failed // all that the target lacks
	err     *api.Error      // why nothing arrives
	veto    string          // what before-push says
}

func newFlush(list []debounce.Entry, held []api.Held) *flush {
	f := &flush{begun: time.Now(), next: debts{}, held: map[string]bool{}, ended: make(chan error, 1)}
	for _, e := range list {
		if !e.Taken {
			f.next.add(e.Path, e.Tree)
			continue
		}
		if f.now == nil {
			f.now = debts{}
		}
		f.now.add(e.Path, e.Tree)
	}
	f.hold(held, nil)
	return f
}

func (d debts) add(name string, tree bool) { d[name] = d[name] || tree }

// hold notes which deletions are held; of those that are owed, if owed is not nil.
func (f *flush) hold(held []api.Held, owed debts) {
	for _, h := range held {
		if owed == nil || owed.concern(h.Path, h.Names == 0) {
			f.held[h.Path] = true
		}
	}
}

// concern says whether name is owed, by itself or with a directory above it, or with tree set something below it is.
func (d debts) concern(name string, tree bool) bool {
	if _, ok := d[name]; ok {
		return true
	}
	for up := name; up != "."; {
		if up = path.Dir(up); d[up] {
			return true
		}
	}
	if tree {
		for p := range d {
			if name == "." || strings.HasPrefix(p, name+"/") {
				return true
			}
		}
	}
	return false
}

// settle takes what became of a batch.
func (f *flush) settle(r *round) {
	owed := f.next
	if f.now != nil {
		owed = f.now
	}
	if r.arrived {
		f.hold(r.held, owed)
		rest := owed.after(r)
		if f.now == nil {
			f.next = rest
		} else {
			for p, tree := range rest {
				f.next.add(p, tree)
			}
		}
	} else if f.now != nil { // all of it is in the queue again
		for p, tree := range f.now {
			f.next.add(p, tree)
		}
	}
	f.now = nil
	f.judge(r)
}

// after is what is owed still.
func (d debts) after(r *round) debts {
	taken := debts{}
	for _, c := range r.taken {
		taken.add(c.Path, c.Tree)
	}
	rest := debts{}
	for p, tree := range d {
		if !taken.concern(p, false) {
			rest.add(p, tree)
		}
	}
	for _, b := range r.back {
		if d.concern(b.Name, b.Tree) {
			rest.add(b.Name, b.Tree)
		}
	}
	return rest
}

// judge ends it if all is there, or if nothing but somebody's help brings it there.
func (f *flush) judge(r *round) {
	if f.now != nil {
		return
	}
	stuck := f.stuck(r.failed)
	switch {
	case r.err != nil && r.err.Class != syncer.ClassTransient.String():
		f.end(f.missing(r))
	case len(stuck) < len(f.next):
		return
	case len(f.next)+len(f.held) > 0:
		f.end(f.missing(r))
	default:
		f.end(nil)
	}
}

func (f *flush) end(err error) {
	select {
	case f.ended <- err:
	default: // it has ended
	}
}

// stuck are the owed paths that were tried since it began, and do not arrive before somebody mends something.
func (f *flush) stuck(failed []syncer.Failed) []string {
	hopeless := debts{}
	for i := range failed {
		if e := &failed[i]; e.Class != syncer.ClassTransient && !e.Last.Before(f.begun) {
			hopeless.add(e.Path, e.Tree)
		}
	}
	var list []string
	if len(hopeless) > 0 {
		for p := range f.next {
			if hopeless.concern(p, false) {
				list = append(list, p)
			}
		}
	}
	slices.Sort(list)
	return list
}

// missing says what is not there, and why.
func (f *flush) missing(r *round) error {
	var parts []string
	owed := debts{}
	for _, d := range []debts{f.now, f.next} {
		for p, tree := range d {
			owed.add(p, tree)
		}
	}
	if r.err != nil {
		text := r.err.Text
		if r.err.Remedy != "" {
			text += " (" + r.err.Remedy + ")"
		}
		parts = append(parts, text)
	}
	if r.veto != "" {
		parts = append(parts, r.veto)
	}
	for i := range r.failed {
		e := &r.failed[i]
		if !owed.concern(e.Path, e.Tree) {
			continue
		}
		if len(parts) == missingMost {
			parts = append(parts, "and more")
			break
		}
		text := fmt.Sprintf("%s: %s", syncer.Quote(e.Path), e.Reason)
		if remedy := e.Remedy(); remedy != "" {
			text += " (" + remedy + ")"
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 && len(owed) > 0 {
		parts = append(parts, "not pushed yet: "+someOf(owed))
	}
	if len(f.held) > 0 {
		parts = append(parts, countVerb(len(f.held), "deletion", "waits", "wait")+" for lockstep release: "+someOf(f.held))
	}
	return fmt.Errorf("%w: %s", api.ErrNotThere, strings.Join(parts, "; "))
}

// missingMost is how many of what is missing are named.
const missingMost = 5

// someOf names the first of paths.
func someOf(paths map[string]bool) string {
	list := make([]string, 0, len(paths))
	for p := range paths {
		list = append(list, p)
	}
	slices.Sort(list)
	text := ""
	for i, p := range list[:min(len(list), missingMost)] {
		if i > 0 {
			text += ", "
		}
		text += syncer.Quote(p)
	}
	if more := len(list) - missingMost; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// flushes are those that go on for one target.
type flushes struct {
	mu   sync.Mutex // guards list; a batch is not done while a flush begins, so that each path is in one of both
	list []*flush
}

func (f *flushes) remove(one *flush) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = slices.DeleteFunc(f.list, func(o *flush) bool { return o == one })
}

// settled tells those who wait for it what became of a batch, and the line that it is done.
func (r *replica) settled(rd round) {
	r.flushes.mu.Lock()
	defer r.flushes.mu.Unlock()
	r.line.Done()
	if len(r.flushes.list) == 0 {
		return
	}
	rd.held, rd.failed = r.gate.held(), r.push.Failed()
	for _, f := range r.flushes.list {
		f.settle(&rd)
	}
}

// flush pushes what is dirty now, and returns when it is there.
func (r *replica) flush(ctx context.Context) error {
	on, change := r.pause.state()
	if on {
		return api.ErrPaused
	}
	f := r.beginFlush()
	defer r.flushes.remove(f)
	r.feed.hurry()
	for {
		select {
		case err := <-f.ended:
			return err
		case <-change:
			if on, change = r.pause.state(); on {
				return api.ErrPaused
			}
		case <-r.gone:
			return fmt.Errorf("%w: the sync has been stopped", api.ErrNotThere)
		case <-ctx.Done():
			return errors.Join(r.missing(f), ctx.Err())
		}
	}
}

func (r *replica) beginFlush() *flush {
	r.flushes.mu.Lock()
	defer r.flushes.mu.Unlock()
	r.line.Flush()
	f := newFlush(r.line.List(), r.gate.held())
	if f.now == nil && len(f.next) == 0 {
		f.judge(&round{})
	}
	r.flushes.list = append(r.flushes.list, f)
	return f
}

// missing says what a flush that has no more time waits for.
func (r *replica) missing(f *flush) error {
	r.flushes.mu.Lock()
	defer r.flushes.mu.Unlock()
	return f.missing(&round{failed: r.push.Failed(), err: r.record.failing(), veto: r.record.vetoText()})
}
