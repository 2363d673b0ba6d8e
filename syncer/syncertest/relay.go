package syncertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// A Relay forwards TCP connections from a loopback port to a target, and is the place where a test
// makes the network slow, dead or short. Up is the way from the client to the target.
//
// All settings may be changed at any time, by any goroutine, and hold for the connections that
// are open and those to come.
type Relay struct {
	target   string
	listener net.Listener
	wg       sync.WaitGroup // the accept loop and what it starts; Close waits

	mu       sync.Mutex // guards what follows; nothing blocks while it is held
	up, down lane
	rate     int64         // bytes per second and lane; 0 means no limit
	flowing  chan struct{} // closed unless stalled
	links    map[*link]struct{}
	newest   *link
	accepted int
	closed   bool
	beyond   int           // what clients say after that many round trips is held; 0 means nothing
	released chan struct{} // closed when beyond changes
	held     int           // chunks that are held
}

// lane is one direction of all connections.
type lane struct {
	bytes  int64 // forwarded so far
	cutAt  int64 // the value of bytes at which to cut; -1 means never
	delay  time.Duration
	freeAt time.Time // when all that was booked under a rate limit is through
}

// NewRelay listens on a free loopback port. The target is dialled once for each connection that
// comes, so it need not be there yet. Close ends the relay.
func NewRelay(target string) (*Relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start relay to %q: %w", target, err)
	}
	r := &Relay{
		target:   target,
		listener: listener,
		up:       lane{cutAt: -1},
		down:     lane{cutAt: -1},
		flowing:  make(chan struct{}),
		links:    map[*link]struct{}{},
		released: make(chan struct{}),
	}
	close(r.flowing)
	r.wg.Go(r.accept)
	return r, nil
}

// Addr is the host:port to connect to instead of the target.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// Port is the port of Addr, for --port.
func (r *Relay) Port() int {
	if addr, ok := r.listener.Addr().(*net.TCPAddr); ok {
		return addr.Port
	}
	return 0
}

// Sent counts the bytes that were forwarded to the target.
func (r *Relay) Sent() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.up.bytes
}

// Received counts the bytes that were forwarded to clients.
func (r *Relay) Received() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.down.bytes
}

// Connections counts the connections accepted so far.
func (r *Relay) Connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepted
}

// Delay holds each byte back for that long on its way up and down, like a longer cable: what
// follows is not slowed down.
func (r *Relay) Delay(up, down time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up.delay, r.down.delay = up, down
}

// Limit caps each direction, over all connections, to that many bytes a second; 0 lifts the cap.
func (r *Relay) Limit(bytesPerSecond int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rate = max(bytesPerSecond, 0)
}

// CutAfter cuts, as Cut does, once exactly n more bytes have gone up; with n = 0, when the next one
// would. It happens once.
func (r *Relay) CutAfter(n int64) { r.cutLane(&r.up, n) }

// CutAfterReceived is CutAfter for the bytes that go down.
func (r *Relay) CutAfterReceived(n int64) { r.cutLane(&r.down, n) }

func (r *Relay) cutLane(l *lane, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.cutAt = l.bytes + max(n, 0)
}

// Cut closes both ends of every open connection at once; bytes under way are lost. New connections
// are served.
func (r *Relay) Cut() {
	r.mu.Lock()
	links := make([]*link, 0, len(r.links))
	for l := range r.links {
		links = append(links, l)
	}
	r.mu.Unlock()
	for _, l := range links {
		l.close()
	}
}

// Stall lets nothing through any more, not even the end of a connection: both ends see a peer that
// is silent, as behind a firewall that drops packets. New connections are accepted and are silent
// too.
func (r *Relay) Stall() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.flowing:
		r.flowing = make(chan struct{})
	default: // stalled already
	}
}

// Resume ends Stall; what was held back goes on.
func (r *Relay) Resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.flowing:
	default:
		close(r.flowing)
	}
}

// Forget makes what is open silent for ever, as a firewall does that lost its state; neither end is told. New
// connections are served.
func (r *Relay) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := range r.links {
		l.forgotten = true
	}
}

func (r *Relay) forgot(l *link) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return l.forgotten
}

// Close stops listening, cuts all connections and waits until nothing of the relay runs any more.
func (r *Relay) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	err := r.listener.Close()
	r.Cut()
	r.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (r *Relay) accept() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return // closed; a loopback listener has no other reason that would pass by itself
		}
		r.mu.Lock()
		r.accepted++
		r.mu.Unlock()
		r.wg.Go(func() { r.serve(ctx, conn) })
	}
}

// gate gives the channel that is closed while bytes may flow.
func (r *Relay) gate() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flowing
}

// due tells when n bytes that were read at a time may leave.
func (r *Relay) due(l *lane, n int, read time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := read.Add(l.delay)
	if r.rate == 0 {
		return at
	}
	if l.freeAt.Before(at) {
		l.freeAt = at
	}
	l.freeAt = l.freeAt.Add(time.Duration(float64(n) / float64(r.rate) * float64(time.Second)))
	return l.freeAt
}

// book counts n bytes as forwarded, or as many as go before a cut.
func (r *Relay) book(l *lane, n int) (allowed int, cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.cutAt >= 0 && int64(n) >= l.cutAt-l.bytes {
		n, cut = int(l.cutAt-l.bytes), true
		l.cutAt = -1
	}
	l.bytes += int64(n)
	return n, cut
}

// unbook takes back bytes that could not be written.
func (r *Relay) unbook(l *lane, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.bytes -= int64(n)
}
