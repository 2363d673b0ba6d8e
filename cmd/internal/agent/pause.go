package agent

import (
	"context"
	"sync"
)

// pause is whether a sync is paused: all its targets look at it before they take anything to be pushed. A nil one
// is never on.
type pause struct {
	mu     sync.Mutex // guards what follows
	on     bool
	change chan struct{} // closed when it is over, or begins
}

func newPause() *pause { return &pause{change: make(chan struct{})} }

// set says whether it was news.
func (p *pause) set(on bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.on == on {
		return false
	}
	p.on = on
	close(p.change)
	p.change = make(chan struct{})
	return true
}

// state tells whether it is on, and what is closed when that changes.
func (p *pause) state() (on bool, change <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.on, p.change
}

func (p *pause) is() bool {
	if p == nil {
		return false
	}
	on, _ := p.state()
	return on
}

// wait waits until it is over, or one of both is done.
func (p *pause) wait(ctx, stop context.Context) {
	for p.is() {
		on, change := p.state()
		if !on {
			return
		}
		select {
		case <-change:
		case <-stop.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}
