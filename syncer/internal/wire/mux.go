package wire

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/rate"
)

// Conn is what a multiplexed connection runs over: a TCP connection, or a pair of pipes.
type Conn interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// ErrTimeout says that nothing moved in either direction for as long as the caller
// allows: rsync's exit code 30.
var ErrTimeout = errors.New("timeout in data send/receive")

const (
	// outSize is how much is gathered before it is written: small values share segments.
	outSize = 64 << 10
	// inLimit bounds what the peer may have sent and we did not read yet. A generator
	// runs far ahead of the sender; beyond this it waits, as it would with rsync.
	inLimit = 1 << 20
	// exitGrace bounds waiting for the peer's last words after a write failed.
	exitGrace = 2 * time.Second
)

// Mux is both directions of a multiplexed connection, over a connection it does not
// own. One goroutine may read and write; Close ends what Start began.
type Mux struct {
	conn      Conn
	timeout   atomic.Int64 // nanoseconds; 0 for none
	start     time.Time    // what all times count from, on the monotonic clock: the wall clock may be set
	lastMove  atomic.Int64 // of the last byte that came in, or went out and was no keep-alive
	lastOut   atomic.Int64 // of the last byte that went out
	writing   atomic.Bool  // a write is under way: how much of it went out will be seen when it returns
	sent      atomic.Int64
	received  atomic.Int64
	onMessage func(Message) error
	stopped   sync.WaitGroup
	stop      context.CancelFunc
	done      <-chan struct{} // closed by stop, and with the caller's context
	cause     func() error    // why done is closed
	limit     *rate.Limiter   // of what is written; nil for none

	wmu    sync.Mutex // guards out and writing to conn: the keep-alive writes too
	out    []byte     // one frame under construction, its header's room included
	keepOK bool       // keep-alives are welcome
	werr   error      // why nothing more can be written
	torn   bool       // a frame went out in part

	mu       sync.Mutex // guards what follows
	cond     *sync.Cond
	queue    []Message // in order of arrival; data frames among them
	queued   int       // bytes in queue
	err      error     // why nothing more will arrive
	exited   bool      // the peer said its exit code: writing is over
	closed   bool
	waiting  int    // calls that wait for the peer, to read or to write
	waitFrom int64  // since when there are any
	cur      []byte // rest of the data frame being read; the reader's own
}

// NewMux begins multiplexing on conn. buffered holds what was read from conn already.
// onMessage is called from Read, in the caller's goroutine; its error ends the reading.
// A zero timeout waits for ever. When ctx is done all reading and writing ends with its cause.
func NewMux(ctx context.Context, conn Conn, buffered *bufio.Reader, timeout time.Duration, onMessage func(Message) error) *Mux {
	m := &Mux{conn: conn, onMessage: onMessage, out: make([]byte, 4, outSize)}
	m.cond = sync.NewCond(&m.mu)
	m.timeout.Store(int64(timeout))
	m.start = time.Now()
	limitUnsent(conn)
	ctx, m.stop = context.WithCancel(ctx)
	m.done, m.cause = ctx.Done(), func() error { return context.Cause(ctx) }
	unhook := context.AfterFunc(ctx, func() { m.fail(context.Cause(ctx)) })
	m.stopped.Add(2)
	go func() {
		defer m.stopped.Done()
		defer unhook()
		m.pump(buffered)
	}()
	go func() {
		defer m.stopped.Done()
		m.keepAlive(ctx)
	}()
	return m
}

// Close ends reading and writing and waits for the goroutines. The connection stays the caller's
// but is of no further use.
func (m *Mux) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.stop()
	m.fail(os.ErrClosed)
	m.stopped.Wait()
}

// Counts tells the bytes that went over the wire since NewMux.
func (m *Mux) Counts() (sent, received int64) { return m.sent.Load(), m.received.Load() }

// Limit makes writing keep to a limit. It belongs before the first write. Waiting for the
// limit is no inactivity: it counts for no timeout.
func (m *Mux) Limit(l *rate.Limiter) { m.limit = l }

// AllowKeepAlive says that the peer reads frames at any time from here on: before the
// file list is complete, peers older than rsync 3.1 dislike empty ones.
func (m *Mux) AllowKeepAlive() {
	m.wmu.Lock()
	m.keepOK = true
	m.wmu.Unlock()
}

// clock is the time since the start.
func (m *Mux) clock() int64 { return int64(time.Since(m.start)) }

// idle is how long we have waited for the peer without anything moving. Keep-alives of our
// own don't count: they vanish into the socket's buffer whether the peer lives or not. The
// peer's do. While we don't wait, the peer may be silent: it waits for us.
func (m *Mux) idle() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting == 0 {
		return 0
	}
	return time.Duration(m.clock() - max(m.lastMove.Load(), m.waitFrom))
}

// wait says, under mu, that somebody waits for the peer from now on, until m.waiting is taken
// back by one.
func (m *Mux) wait() {
	if m.waiting == 0 {
		m.waitFrom = m.clock()
	}
	m.waiting++
}

// silent is how long the peer heard nothing from us.
func (m *Mux) silent() time.Duration { return time.Duration(m.clock() - m.lastOut.Load()) }

// fail makes err the end of everything: blocked calls return.
func (m *Mux) fail(err error) {
	m.mu.Lock()
	if m.err == nil {
		m.err = err
	}
	m.cond.Broadcast()
	m.mu.Unlock()
	past := time.Unix(1, 0)
	m.conn.SetReadDeadline(past)
	m.conn.SetWriteDeadline(past)
}

func (m *Mux) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// patient reads from the connection and turns deadlines into ErrTimeout only when
// neither direction moved for the whole timeout.
type patient struct{ m *Mux }

func (p patient) Read(b []byte) (int, error) {
	for {
		p.m.arm(p.m.conn.SetReadDeadline)
		if err := p.m.failure(); err != nil {
			return 0, err
		}
		QuickAck(p.m.conn)
		n, err := p.m.conn.Read(b)
		if n > 0 {
			p.m.lastMove.Store(p.m.clock())
			p.m.received.Add(int64(n))
			return n, nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && p.m.writing.Load() && p.m.failure() == nil {
			continue // whether something moves is the writer's to say
		}
		if err = p.m.judge(err); err != nil {
			return 0, err
		}
	}
}

// arm sets a deadline at which to look whether anything moved.
func (m *Mux) arm(set func(time.Time) error) {
	if t := time.Duration(m.timeout.Load()); t > 0 {
		set(time.Now().Add(max(t-m.idle(), 10*time.Millisecond)))
	}
}

// judge tells a deadline that only asked to look again (nil) from an error.
func (m *Mux) judge(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if err := m.failure(); err != nil {
		return err
	}
	if t := time.Duration(m.timeout.Load()); t > 0 && m.idle() >= t {
		return fmt.Errorf("%w: nothing moved for %v", ErrTimeout, t)
	}
	return nil
}

// pump drains the peer into the queue until the connection ends.
func (m *Mux) pump(buffered *bufio.Reader) {
	var first io.Reader = patient{m}
	if n := buffered.Buffered(); n > 0 {
		rest, _ := buffered.Peek(n)
		first = io.MultiReader(bytes.NewReader(bytes.Clone(rest)), first)
	}
	r := bufio.NewReaderSize(first, 64<<10)
	for {
		if err := m.frame(r); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = io.ErrUnexpectedEOF
			}
			m.fail(err)
			return
		}
	}
}

func (m *Mux) frame(r *bufio.Reader) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	h := binary.LittleEndian.Uint32(head[:])
	n, tag := int(h&maxFrame), Tag(h>>24-tagBase)
	if h>>24 < tagBase || !tag.known() {
		return fmt.Errorf("%w: frame with unknown tag %d", ErrProtocol, int(h>>24)-tagBase)
	}
	if tag != TagData {
		return m.message(r, tag, n)
	}
	for n > 0 {
		b := make([]byte, min(n, 32<<10))
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		n -= len(b)
		if err := m.push(Message{TagData, b}); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mux) message(r *bufio.Reader, tag Tag, n int) error {
	if n > maxMessage {
		return fmt.Errorf("%w: message with tag %d of %d bytes", ErrProtocol, tag, n)
	}
	msg := Message{tag, make([]byte, n)}
	if _, err := io.ReadFull(r, msg.Data); err != nil {
		return err
	}
	switch tag {
	case TagNoop:
		return nil
	case TagIOTimeout:
		m.adoptTimeout(msg)
		return nil
	case TagErrorExit:
		return m.peerExit(msg)
	}
	return m.push(msg)
}

// adoptTimeout follows a daemon whose own timeout is shorter than ours.
func (m *Mux) adoptTimeout(msg Message) {
	s, ok := msg.Int32()
	if !ok || s <= 0 || s > sentTimeout {
		return // rsync 3.5.0 ignores such values
	}
	d := int64(time.Duration(s) * time.Second)
	if cur := m.timeout.Load(); cur == 0 || d < cur {
		m.timeout.Store(d)
		m.arm(m.conn.SetWriteDeadline) // whoever is writing by now did so without
	}
}

// peerExit answers the peer's exit, so that it does not wait for us, and ends writing.
func (m *Mux) peerExit(msg Message) error {
	code, ok := msg.Int32()
	if !ok || code <= 0 || code > maxExitCode {
		code = 12 // no exit is a success here
	}
	m.mu.Lock()
	m.exited = true
	m.mu.Unlock()
	m.conn.SetWriteDeadline(time.Unix(1, 0)) // whoever is writing stops
	m.wmu.Lock()
	if !m.torn { // else it would be taken for the rest of a frame, and closing must do
		m.conn.SetWriteDeadline(time.Now().Add(time.Second))
		m.conn.Write(header(nil, TagErrorExit, 0))
	}
	m.wmu.Unlock()
	return &ExitError{Code: int(code)}
}

func (m *Mux) push(msg Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.queued > inLimit && m.err == nil {
		m.cond.Wait()
	}
	if m.err != nil {
		return m.err
	}
	m.queue = append(m.queue, msg)
	m.queued += len(msg.Data) + 64
	m.cond.Broadcast()
	return nil
}

// Read reads data. What was written before is flushed when there is nothing to read yet;
// messages that arrived before the data are handed over first.
func (m *Mux) Read(p []byte) (int, error) {
	for len(m.cur) == 0 {
		msg, err := m.pop(true)
		if err != nil {
			return 0, err
		}
		if msg.Tag == TagData {
			m.cur = msg.Data
		} else if err := m.onMessage(msg); err != nil {
			return 0, err
		}
	}
	n := copy(p, m.cur)
	m.cur = m.cur[n:]
	return n, nil
}

// Await waits until there is data to read, or something else is ready: ready is asked after each
// Wake, and holds nothing up. What was written is flushed before. It says whether there is data,
// or Read has something to say about why there is none.
func (m *Mux) Await(ready func() bool) (data bool, err error) {
	for len(m.cur) == 0 {
		if arrived, err := m.arrives(ready); !arrived {
			return false, err
		}
		msg, err := m.pop(false)
		switch {
		case err != nil:
			return true, nil
		case msg.Tag == TagData:
			m.cur = msg.Data
		default:
			if err := m.onMessage(msg); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// arrives waits until pop returns at once, or ready does so.
func (m *Mux) arrives(ready func() bool) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue) > 0 || m.err != nil {
		return true, nil
	}
	if ready() {
		return false, nil
	}
	m.mu.Unlock()
	err := m.Flush()
	m.mu.Lock()
	if err != nil && m.err == nil && len(m.queue) == 0 {
		return false, err
	}
	// The peer may be waiting for us: its silence is no reason to give it up.
	for len(m.queue) == 0 && m.err == nil && !ready() {
		m.cond.Wait()
	}
	return len(m.queue) > 0 || m.err != nil, nil
}

// Wake makes Await ask whether something is ready.
func (m *Mux) Wake() {
	m.mu.Lock()
	m.cond.Broadcast()
	m.mu.Unlock()
}

// ReadByte is Read for one byte: most values are that short.
func (m *Mux) ReadByte() (byte, error) {
	var b [1]byte
	_, err := m.Read(b[:])
	return b[0], err
}

// pop takes the next frame out of the queue. When it has to wait for one, and flush
// says so, what was written goes out first: the peer may be waiting for that.
func (m *Mux) pop(flush bool) (Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.queue) == 0 {
		if m.err != nil {
			return Message{}, m.err
		}
		if flush {
			m.mu.Unlock()
			err := m.Flush()
			m.mu.Lock()
			if err != nil && m.err == nil && len(m.queue) == 0 {
				return Message{}, err
			}
		}
		m.wait()
		for len(m.queue) == 0 && m.err == nil {
			m.cond.Wait()
		}
		m.waiting--
	}
	msg := m.queue[0]
	m.queue[0] = Message{}
	m.queue = m.queue[1:]
	m.queued -= len(msg.Data) + 64
	m.cond.Broadcast()
	return msg, nil
}

// Reason explains err, which a write or read returned: a peer that ends a run says why
// before it closes, and that arrives while our writes already fail. It waits, briefly,
// for the last words, hands over the messages, and returns the best reason.
func (m *Mux) Reason(err error) error {
	var w *writeError
	if !errors.As(err, &w) || errors.Is(err, ErrTimeout) {
		return err
	}
	deadline := time.AfterFunc(exitGrace, func() { m.fail(err) })
	defer deadline.Stop()
	for {
		msg, rerr := m.pop(false)
		if rerr != nil {
			var exit *ExitError
			if errors.As(rerr, &exit) {
				return rerr
			}
			if errors.Is(err, os.ErrClosed) {
				return rerr
			}
			return err
		}
		if msg.Tag != TagData {
			if merr := m.onMessage(msg); merr != nil {
				return merr
			}
		}
	}
}
