// Package rate keeps a stream of bytes within --bwlimit.
//
// In go numbers of bytes that are about to be sent, out comes when they may be. Over any
// time the bytes let through are no more than the limit's and a twentieth of a second's.
//
//  1. The sender cuts what it has into pieces, as Piece says: a limit is kept by many small
//     writes, not by a burst and a pause.
//  2. Each piece is booked behind those before it, on a line that runs at the limit's speed.
//  3. Time that went by unused counts for no more than burst: it makes up for timers that
//     fire late, and gives little away after a pause.
//
// A connection's writes (wire.Mux) and the copies of a local target use it alike:
//
//	for len(b) > 0 {
//		n := limiter.Piece(len(b))
//		if err := limiter.Wait(ctx.Done(), n); err != nil {
//			return context.Cause(ctx)
//		}
//		… write b[:n] …
//	}
//
// One limiter serves all connections and all pushes to one target: their pieces take turns.
package rate

import (
	"errors"
	"sync"
	"time"
)

const (
	burst    = 50 * time.Millisecond
	maxPiece = 256 << 10
	minPiece = 16
)

// ErrStopped is returned by Wait when done was closed.
var ErrStopped = errors.New("stopped while waiting for the bandwidth limit")

// Limiter is a limit. Nil is none: all may go at once. Its methods may be called by several
// goroutines.
type Limiter struct {
	perSecond int64

	mu   sync.Mutex // guards next
	next time.Time  // when all that was booked is through
}

// New makes a limiter of so many bytes a second, nil for 0 or less.
func New(perSecond int64) *Limiter {
	if perSecond <= 0 {
		return nil
	}
	return &Limiter{perSecond: perSecond}
}

// Piece is how many of n bytes to send at once.
func (l *Limiter) Piece(n int) int {
	if l == nil {
		return n
	}
	return int(min(int64(n), max(l.perSecond/int64(time.Second/burst), minPiece), maxPiece))
}

// Take books n bytes at now and returns how long to wait before they may go.
func (l *Limiter) Take(now time.Time, n int) time.Duration {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if earliest := now.Add(-burst); l.next.Before(earliest) {
		l.next = earliest
	}
	l.next = l.next.Add(time.Duration(float64(n) / float64(l.perSecond) * float64(time.Second)))
	return max(0, l.next.Sub(now))
}

// Wait books n bytes and waits until they may go, or done is closed: then it is ErrStopped.
func (l *Limiter) Wait(done <-chan struct{}, n int) error {
	if l == nil {
		return nil
	}
	d := l.Take(time.Now(), n)
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-done:
		return ErrStopped
	}
}
