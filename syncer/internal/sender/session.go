package sender

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// Peer is the rsync at the other end of a connection: a *Module, or a *Shell.
type Peer interface {
	// greet speaks up to where a job begins.
	greet(s *Session, o *Options) error
	// command sends the job's arguments and the target's path, where they are not known there yet.
	// behind is what follows them, in the same segment.
	command(s *Session, args []string, path string, behind []byte) error
	path() string
}

// Session is a connection up to where one job begins: the greeting is over, the user was let
// in. It may wait in that state for as long as the peer likes.
type Session struct {
	peer     Peer
	conn     wire.Conn
	count    *counter
	br       *bufio.Reader
	protocol int
	modern   bool // what was announced, or is known from before, says that it is rsync 3.2 or later
	assumed  bool // the arguments were written as for a modern peer, which it may not be
}

// Greet makes a session of a new connection, which stays the caller's.
func Greet(ctx context.Context, conn wire.Conn, o Options, p Peer) (*Session, error) {
	o = o.withDefaults()
	s := newSession(conn, p)
	return s, classify(s.greet(ctx, &o))
}

func newSession(conn wire.Conn, p Peer) *Session {
	s := &Session{peer: p, conn: conn, count: &counter{conn: conn}}
	s.br = bufio.NewReaderSize(s.count, 4096)
	return s
}

func (s *Session) greet(ctx context.Context, o *Options) error {
	return s.during(ctx, o, func() error { return s.peer.greet(s, o) })
}

// Push runs one job over conn, which stays the caller's. When the run did not reach its
// end the error says why and the result what had happened until then.
func Push(ctx context.Context, conn wire.Conn, o Options, p Peer, j *Job, src Source) (Result, error) {
	s := newSession(conn, p)
	full := o.withDefaults()
	if err := s.greet(ctx, &full); err != nil {
		var res Result
		s.count.addTo(&res.Stats)
		return res, classify(err)
	}
	return s.Push(ctx, o, p.path(), j, src)
}

// Push runs the session's job; path is below the module, a shell's command has it already. Answered
// tells afterwards whether the peer took it up.
func (s *Session) Push(ctx context.Context, o Options, path string, j *Job, src Source) (Result, error) {
	o = o.withDefaults()
	j.markTops(&o)
	p := &push{o: &o, job: j, src: src}
	err := s.during(ctx, &o, func() error { return s.begin(p, path) })
	s.count.addTo(&p.res.Stats)
	if err == nil {
		err = p.because(p.run(ctx, s.conn, s.br))
	}
	return p.res, classify(err)
}

// AnswerWithin bounds the wait for the peer's first word on the job, where the timeout is longer: a connection
// that has waited may be dead without a sign of it.
func (s *Session) AnswerWithin(d time.Duration) { s.count.patience = d }

// Answered says whether the peer said anything since the session was made ready.
func (s *Session) Answered() bool { return s.count.answered }

// begin is the rest of the dialog: arguments and setup.
func (s *Session) begin(p *push, path string) error {
	if s.protocol < missingArgs && p.job.List.missing > 0 {
		return ErrNoMissingArgs
	}
	// A modern peer negotiates for certain: our offer need not wait for its flags.
	var offer []byte
	if s.modern {
		offer = p.o.offer()
	}
	s.count.answered = false
	modern := s.modern || s.assumed
	err := s.peer.command(s, p.o.arguments(p.job, modern), path, offer)
	if err != nil {
		return err
	}
	p.t, err = setup(s.count, s.br, p.o, s.protocol, s.modern, p.o.inPieces(p.job, modern))
	p.res.Modern = p.t.flags&cfVarintFlags != 0
	if err == nil && s.assumed && !p.res.Modern {
		return ErrOldPeer
	}
	return err
}

// handshakeTimeouts is how many timeouts a part of the dialog may take altogether: a peer that says a byte now
// and then is not silent, and would never be done.
const handshakeTimeouts = 2

// during does something on the connection for as long as ctx, and the timeout, let it.
func (s *Session) during(ctx context.Context, o *Options, do func() error) error {
	s.count.ctx, s.count.timeout = ctx, o.Timeout
	s.count.end = time.Now().Add(handshakeTimeouts * o.Timeout)
	if o.Timeout == 0 { // an earlier step may have left a deadline
		s.conn.SetReadDeadline(time.Time{})
		s.conn.SetWriteDeadline(time.Time{})
	}
	stopped := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(stopped)
		s.conn.SetReadDeadline(time.Unix(1, 0))
		s.conn.SetWriteDeadline(time.Unix(1, 0))
	})
	err := do()
	if !unhook() {
		<-stopped
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// counter counts what goes over the wire before multiplexing, each read and write within
// the timeout.
type counter struct {
	ctx            context.Context
	conn           wire.Conn
	timeout        time.Duration
	end            time.Time     // with timeout: when all has to be over
	patience       time.Duration // for the first answer; 0: timeout alone counts
	sent, received int64
	answered       bool
}

// addTo adds what was counted to a run's statistics, once.
func (c *counter) addTo(s *report.Stats) {
	s.Sent += c.sent
	s.Received += c.received
	c.sent, c.received = 0, 0
}

func (c *counter) Read(b []byte) (int, error) {
	if at, any := c.readBy(); any {
		c.conn.SetReadDeadline(at)
	}
	if err := c.ctx.Err(); err != nil { // its deadline may just have been replaced by ours
		return 0, err
	}
	wire.QuickAck(c.conn)
	n, err := c.conn.Read(b)
	c.received += int64(n)
	if c.answered = c.answered || n > 0; c.answered && c.patience > 0 {
		c.patience = 0
		if c.timeout == 0 {
			c.conn.SetReadDeadline(time.Time{})
		}
	}
	return n, err
}

// readBy is when a read has to be over.
func (c *counter) readBy() (at time.Time, any bool) {
	now := time.Now()
	if c.timeout > 0 {
		at, any = now.Add(c.timeout), true
		if c.end.Before(at) {
			at = c.end
		}
	}
	if first := now.Add(c.patience); c.patience > 0 && !c.answered && (!any || first.Before(at)) {
		return first, true
	}
	return at, any
}

func (c *counter) Write(b []byte) (int, error) {
	if c.timeout > 0 {
		c.conn.SetWriteDeadline(time.Now().Add(c.timeout))
	}
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.conn.Write(b)
	c.sent += int64(n)
	return n, err
}

func (m *Module) greet(s *Session, o *Options) (err error) {
	s.protocol, s.modern, err = hello(s.count, s.br, o, m)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = report.Fail(report.CodeStart, fmt.Errorf("the other side closed the connection: %w", err), "is it an rsync daemon? Its log says why")
	}
	return err
}

func (m *Module) command(s *Session, args []string, path string, behind []byte) error {
	at := Module{Name: m.Name, Path: path}
	return sendArguments(s.count, args, &at, behind)
}

func (m *Module) path() string { return m.Path }

// refusal is before the option that a daemon is configured to refuse: "rsync: The server is
// configured to refuse --modify-window (-@)" (rsync 3.5.0 options.c, create_refuse_error).
const refusal = "The server is configured to refuse --"

// refusedOption is the name of the option in such a message, else "".
func refusedOption(text []byte) string {
	_, rest, ok := bytes.Cut(text[:min(len(text), 200)], []byte(refusal))
	if !ok {
		return ""
	}
	end := bytes.IndexAny(rest, " =\r\n")
	if end < 0 {
		end = len(rest)
	}
	return string(rest[:end])
}
