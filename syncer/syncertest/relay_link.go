package syncertest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	relayChunk = 64 << 10
	// relayQueue is how many chunks may be on their way in one direction: with a delay they must
	// wait somewhere, and 4 MiB fill 40 ms of a line of 100 MB/s.
	relayQueue = 64
)

// link is one connection through the relay.
type link struct {
	client, target net.Conn
	once           sync.Once
	done           chan struct{} // closed by close
	forgotten      bool          // nothing passes any more; the relay's mutex guards it
	said, told     int           // trips that the target and the client heard of; the relay's mutex guards them
}

// close cuts both sides and wakes whoever waits.
func (l *link) close() {
	l.once.Do(func() {
		close(l.done)
		// The errors say at most that a side was closed before.
		_ = l.client.Close()
		_ = l.target.Close()
	})
}

// chunk is what was read at once. A nil data is the end of the stream, or err if it broke.
type chunk struct {
	data []byte
	read time.Time
	trip int
	err  error
}

// serve forwards one connection until both directions have ended or it was cut.
func (r *Relay) serve(ctx context.Context, client net.Conn) {
	var dialer net.Dialer
	target, err := dialer.DialContext(ctx, "tcp", r.target)
	if err != nil {
		_ = client.Close() // that is what the client gets to know
		return
	}
	l := &link{client: client, target: target, done: make(chan struct{})}
	defer l.close()
	if !r.add(l) {
		return
	}
	defer r.remove(l)
	var both sync.WaitGroup
	both.Go(func() { r.forward(l, &r.up, client, target) })
	both.Go(func() { r.forward(l, &r.down, target, client) })
	both.Wait()
}

func (r *Relay) add(l *link) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.links[l] = struct{}{}
	r.newest = l
	return true
}

func (r *Relay) remove(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.links, l)
}

// forward moves one direction: one goroutine reads, so that delayed bytes can be under way while
// more come in, and this one writes.
func (r *Relay) forward(l *link, ln *lane, from, to net.Conn) {
	chunks := make(chan chunk, relayQueue)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(chunks)
		readChunks(from, chunks, l.done, func() int { return r.stamp(l, ln) })
	})
	defer reader.Wait()
	for c := range chunks {
		if !r.deliver(l, ln, to, c) {
			l.close()
			return
		}
	}
}

// readChunks reads until the end, which it sends too.
func readChunks(from io.Reader, chunks chan<- chunk, done <-chan struct{}, stamp func() int) {
	for {
		buf := make([]byte, relayChunk)
		n, err := from.Read(buf)
		c := chunk{data: buf[:n], read: time.Now(), trip: stamp()}
		if n == 0 {
			c.data, c.err = nil, err
		}
		select {
		case chunks <- c:
		case <-done:
			return
		}
		if n == 0 {
			return
		}
	}
}

// deliver writes a chunk when it is due; false means that the connection has to end.
func (r *Relay) deliver(l *link, ln *lane, to net.Conn, c chunk) bool {
	if !waitUntil(r.due(ln, len(c.data), c.read), l.done) {
		return false
	}
	select {
	case <-r.gate():
	case <-l.done:
		return false
	}
	if r.forgot(l) {
		<-l.done
		return false
	}
	if c.data == nil {
		half, ok := to.(*net.TCPConn)
		return ok && errors.Is(c.err, io.EOF) && half.CloseWrite() == nil
	}
	if !r.pass(l, ln, c.trip) {
		return false
	}
	n, cut := r.book(ln, len(c.data))
	written, err := to.Write(c.data[:n])
	if err != nil {
		r.unbook(ln, n-written)
		return false
	}
	if cut {
		r.Cut()
	}
	return !cut
}

func waitUntil(at time.Time, done <-chan struct{}) bool {
	wait := time.Until(at)
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}
