package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"time"
)

// Write appends to the data stream; Flush, or the next Read that has to wait, sends it.
func (m *Mux) Write(p []byte) (int, error) {
	m.wmu.Lock()
	defer m.wmu.Unlock()
	done := 0
	for done < len(p) {
		n := copy(m.out[len(m.out):cap(m.out)], p[done:])
		m.out = m.out[:len(m.out)+n]
		done += n
		if len(m.out) == cap(m.out) {
			if err := m.flush(); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// Message sends a message, after all data written so far.
func (m *Mux) Message(tag Tag, data []byte) error {
	m.wmu.Lock()
	defer m.wmu.Unlock()
	if err := m.flush(); err != nil {
		return err
	}
	return m.send(append(header(nil, tag, len(data)), data...), false)
}

// Flush sends what was written.
func (m *Mux) Flush() error {
	m.wmu.Lock()
	defer m.wmu.Unlock()
	return m.flush()
}

func (m *Mux) flush() error {
	if len(m.out) == 4 {
		return nil
	}
	header(m.out[:0], TagData, len(m.out)-4)
	err := m.send(m.out, false)
	m.out = m.out[:4]
	return err
}

// send writes b, under wmu.
func (m *Mux) send(b []byte, keepAlive bool) error {
	whole := len(b)
	for len(b) > 0 && m.werr == nil {
		n := m.limit.Piece(len(b))
		if m.limit.Wait(m.done, n) != nil {
			m.fail(m.cause())
		}
		n, m.werr = m.sendPiece(b[:n], keepAlive)
		b = b[n:]
	}
	m.torn = m.torn || 0 < len(b) && len(b) < whole
	return m.werr
}

// sendPiece writes b, or says why it cannot, and how much of it went out.
func (m *Mux) sendPiece(b []byte, keepAlive bool) (sent int, err error) {
	m.mu.Lock()
	m.wait()
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.waiting--
		m.mu.Unlock()
	}()
	for sent < len(b) {
		m.arm(m.conn.SetWriteDeadline)
		m.mu.Lock()
		err, over := m.err, m.exited || m.closed
		m.mu.Unlock()
		if err != nil || over {
			return sent, &writeError{errors.Join(err, os.ErrClosed)}
		}
		m.writing.Store(true)
		n, err := m.conn.Write(b[sent:])
		m.writing.Store(false)
		if n > 0 {
			m.moved(n, keepAlive)
			sent += n
		}
		if err = m.judge(err); err != nil {
			return sent, &writeError{err}
		}
	}
	return sent, nil
}

// moved notes that n bytes went out.
func (m *Mux) moved(n int, keepAlive bool) {
	now := m.clock()
	m.lastOut.Store(now)
	if !keepAlive {
		m.lastMove.Store(now)
	}
	m.sent.Add(int64(n))
}

// writeError is a write that failed; the peer may have said why.
type writeError struct{ err error }

func (e *writeError) Error() string { return "write to the peer: " + e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// keepAlive sends an empty data frame whenever we were silent for half the timeout, as the
// peer, which has the same timeout, expects (rsync 3.5.0 io.c, maybe_send_keepalive).
func (m *Mux) keepAlive(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		half := time.Duration(m.timeout.Load()) / 2
		if half <= 0 {
			t.Reset(time.Second) // a daemon may still bring a timeout of its own
			continue
		}
		if m.silent() >= half && m.wmu.TryLock() { // whoever holds it is writing
			if m.keepOK && m.flush() == nil {
				m.send(header(nil, TagData, 0), true)
			}
			m.wmu.Unlock()
		}
		t.Reset(max(half-m.silent(), half/8, 10*time.Millisecond))
	}
}

func header(b []byte, tag Tag, n int) []byte {
	return binary.LittleEndian.AppendUint32(b, uint32(tag+tagBase)<<24|uint32(n))
}
