package rsh

import (
	"os"
	"sync"
	"time"
)

// Conn is a command's standard output to read and its standard input to write. Reading and
// writing may go on in two goroutines; End and Close are for when both are over, or to end them.
type Conn struct {
	in   *os.File // the command's standard input
	out  *os.File
	p    *process
	once sync.Once
	code int
}

// dial starts words with pipes on both sides.
func dial(words []string, detached bool) (*Conn, error) {
	inr, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, outw, err := os.Pipe()
	if err != nil {
		closeAll(inr, in)
		return nil, err
	}
	p, err := start(words, inr, outw, detached)
	if err != nil {
		closeAll(in, out)
		return nil, err
	}
	return &Conn{in: in, out: out, p: p}, nil
}

func (c *Conn) Read(b []byte) (int, error)         { return c.out.Read(b) }
func (c *Conn) Write(b []byte) (int, error)        { return c.in.Write(b) }
func (c *Conn) SetReadDeadline(t time.Time) error  { return c.out.SetReadDeadline(t) }
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }

// Close is End without its answer.
func (c *Conn) Close() error {
	c.End()
	return nil
}

// End closes the pipes, waits for the process, which is killed when it does not end soon, and
// returns its exit code: negative where a signal ended it.
func (c *Conn) End() int {
	c.once.Do(func() {
		closeAll(c.in, c.out)
		c.code = c.p.end(endGrace)
	})
	return c.code
}

// Said is what the command and its shell wrote to standard error since it was asked last.
// After End it is complete.
func (c *Conn) Said() []string { return c.p.said.take() }
