package syncer

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
)

const (
	// warmLife is how long a connection is kept waiting for its push: daemons of rsync 3.5 end a
	// handshake after 60 s (rsync 3.5.0 clientserver.c), those with a shorter timeout sooner.
	warmLife = 50 * time.Second
	// warmLeast is the shortest life that is worth it.
	warmLeast = 3 * time.Second
	// warmAnswer is how long a push waits for a word on such a connection before it takes another: it may have
	// died without a sign, behind a firewall that forgot it. A daemon that lives answers at once.
	warmAnswer = 10 * time.Second
	// warmRenewals is how often a connection that nobody wanted is replaced: about ten minutes
	// after the last push it is over. Each is a line in the daemon's log.
	warmRenewals = 12
	// warmPause is how long none is opened after the daemon had no place for one, or no patience:
	// the last place is for somebody who has something to say.
	warmPause = 10 * time.Minute
)

// warm keeps one connection opened ahead. Its owner is one goroutine; what opens and watches the
// connection is another, one at a time.
type warm struct {
	open   func(context.Context) (*greeted, error)
	keeper *keeper // nil between a take and the next prepare

	mu    sync.Mutex // guards what follows
	life  time.Duration
	quiet time.Time // nothing is opened before
}

// keeper is the goroutine that keeps a connection until a push wants it.
type keeper struct {
	cancel context.CancelFunc
	wanted chan struct{} // closed when a push takes what there is
	got    chan *greeted // the keeper's last act; it never waits for us
}

func newWarm(open func(context.Context) (*greeted, error)) *warm {
	return &warm{open: open, life: warmLife}
}

// prepare begins to open a connection, unless there is one.
func (w *warm) prepare() {
	if w.keeper != nil || w.rests() {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &keeper{cancel: cancel, wanted: make(chan struct{}), got: make(chan *greeted, 1)}
	w.keeper = k
	go func() { k.got <- w.keep(ctx, k.wanted) }()
}

// take hands over the connection, waiting while it is being opened; nil where there is none.
func (w *warm) take(ctx context.Context) *greeted {
	k := w.keeper
	if k == nil {
		return nil
	}
	w.keeper = nil
	close(k.wanted)
	defer k.cancel()
	defer context.AfterFunc(ctx, k.cancel)()
	return <-k.got
}

// close ends everything.
func (w *warm) close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if g := w.take(ctx); g != nil {
		g.conn.Close()
	}
}

// keep opens a connection, and anew when it is about to end or has ended, until it is wanted.
func (w *warm) keep(ctx context.Context, wanted <-chan struct{}) *greeted {
	for range warmRenewals {
		g, err := w.open(ctx)
		if err != nil {
			if errors.Is(err, sender.ErrBusy) {
				w.pause()
			}
			return nil
		}
		if w.wait(ctx, g, wanted) {
			return g
		}
		g.conn.Close()
		if ctx.Err() != nil || w.rests() {
			return nil
		}
	}
	return nil
}

// wait waits until the connection is wanted, and says whether it can be used then.
func (w *warm) wait(ctx context.Context, g *greeted, wanted <-chan struct{}) bool {
	opened, life := time.Now(), w.lifetime()
	g.conn.SetReadDeadline(opened.Add(life))
	done := make(chan error, 1)
	go func() {
		var b [1]byte
		_, err := g.conn.Read(b[:]) // a daemon that speaks before it is spoken to gives up
		done <- err
	}()
	select {
	case err := <-done:
		w.learn(time.Since(opened), errors.Is(err, os.ErrDeadlineExceeded))
		return false
	case <-ctx.Done():
	case <-wanted:
	}
	g.conn.SetReadDeadline(time.Unix(1, 0))
	err := <-done
	g.conn.SetReadDeadline(time.Time{})
	return errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil
}

func (w *warm) lifetime() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.life
}

// learn takes in how long the daemon waited, or that it would have waited longer.
func (w *warm) learn(d time.Duration, longer bool) {
	switch {
	case longer: // it may have been a restart that ended an earlier one
		d = min(d*5/4, warmLife)
	case d < warmLeast:
		w.pause()
		return
	default:
		d = min(d, w.lifetime()) * 8 / 10
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.life = max(d, warmLeast)
}

func (w *warm) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quiet = time.Now().Add(warmPause)
}

func (w *warm) rests() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Before(w.quiet)
}
