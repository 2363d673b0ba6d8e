package syncer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/rsh"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// setDialer takes over what the options say about the connection.
func (d *daemon) setDialer() error {
	d.dialer = net.Dialer{
		Timeout:         d.cfg.ConTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 6},
	}
	opts, err := option.ParseSockopts(d.cfg.Sockopts)
	if err != nil {
		return err
	}
	if len(opts) > 0 {
		d.dialer.Control = func(_, _ string, c syscall.RawConn) error { return setSockopts(c, opts) }
	}
	if d.cfg.Address == "" {
		return nil
	}
	// A name is looked up now: to connect from another address than the one meant is no help.
	local, err := net.ResolveTCPAddr(d.network(), net.JoinHostPort(d.cfg.Address, "0"))
	if err != nil {
		return fmt.Errorf("--address %q: %w", d.cfg.Address, err)
	}
	d.dialer.LocalAddr = local
	return nil
}

func setSockopts(c syscall.RawConn, opts []option.Sockopt) error {
	var errs []error
	err := c.Control(func(fd uintptr) {
		for _, o := range opts {
			if err := unix.SetsockoptInt(int(fd), o.Level, o.Opt, o.Value); err != nil {
				errs = append(errs, fmt.Errorf("set socket option %s: %w", o.Name, err))
			}
		}
	})
	return errors.Join(append(errs, err)...)
}

// network is what -4 and -6 leave.
func (d *daemon) network() string {
	switch d.cfg.Family {
	case 4:
		return "tcp4"
	case 6:
		return "tcp6"
	}
	return "tcp"
}

// dial connects within ConTimeout.
func (d *daemon) dial(ctx context.Context) (wire.Conn, error) {
	if d.shell != nil {
		conn, err := d.shell.Start(ctx, []string{rsyncPath(d.cfg), "--server", "--daemon", "."})
		if err != nil {
			return nil, shellFailure(ctx, d.shell, d.cfg.Sink, err)
		}
		return conn, nil
	}
	return d.dialTCP(ctx)
}

func (d *daemon) dialTCP(ctx context.Context) (wire.Conn, error) {
	c, err := d.dialer.DialContext(ctx, d.network(), d.addr)
	if err == nil {
		return c.(*net.TCPConn), nil
	}
	failure := report.Because(err, errUnreachable)
	var ne net.Error
	var dns *net.DNSError
	switch {
	case ended(ctx) != nil:
		return nil, report.Fail(CodeSignal, ended(ctx), "")
	case d.cfg.ConTimeout > 0 && errors.As(err, &ne) && ne.Timeout():
		return nil, report.Fail(CodeConTimeout, fmt.Errorf("no connection to the daemon at %s within %v: %w", d.addr, d.cfg.ConTimeout, failure), "")
	case errors.As(err, &dns):
		return nil, report.Fail(CodeSocket, fmt.Errorf("connect to the daemon at %s: %w", d.addr, failure), "check the host's name")
	}
	return nil, report.Fail(CodeSocket, fmt.Errorf("connect to the daemon at %s: %w", d.addr, failure),
		"is rsync --daemon running there, and the port open?")
}

// knockedLife is how long a connection that a look left open is of use: the push comes at once.
const knockedLife = 5 * time.Second

// probe implements probed: a daemon that could not be reached is dialled.
func (d *daemon) probe(err error) func(context.Context) bool {
	if d.shell != nil || !errors.Is(err, errUnreachable) {
		return nil
	}
	return func(ctx context.Context) bool { return d.reach(ctx) == nil }
}

// reach implements probed.
func (d *daemon) reach(ctx context.Context) error {
	if d.shell != nil {
		return nil
	}
	if d.knocked != nil && time.Since(d.knockedAt) < knockedLife {
		return nil
	}
	c, err := d.dialTCP(ctx)
	if err != nil {
		return err
	}
	if old := d.takeKnocked(); old != nil {
		old.Close()
	}
	d.knocked, d.knockedAt = c, time.Now()
	return nil
}

func (d *daemon) takeKnocked() wire.Conn {
	c := d.knocked
	d.knocked = nil
	if c != nil && time.Since(d.knockedAt) >= knockedLife {
		c.Close()
		return nil
	}
	return c
}

// connect dials and runs a job below path.
func (d *daemon) connect(ctx context.Context, src *source.Tree, o sender.Options, path string, j *sender.Job) (sender.Result, error) {
	conn := d.takeKnocked()
	if conn == nil {
		var err error
		if conn, err = d.dial(ctx); err != nil {
			return sender.Result{}, err
		}
	}
	module := d.module
	module.Path = path
	res, err := sender.Push(ctx, conn, o, &module, j, src)
	conn.Close()
	if shell, ok := conn.(*rsh.Conn); ok {
		err = afterShell(ctx, d.shell, shell, o.Sink, &res, j, err)
	}
	return res, err
}

// greeted is a connection that is up to where a job begins.
type greeted struct {
	conn    wire.Conn
	session *sender.Session
	said    []string // the daemon's message of the day
}

// greet opens a connection ahead.
func (d *daemon) greet(ctx context.Context) (*greeted, error) {
	g := &greeted{}
	o := sender.Options{Set: d.cfg.Options, Protocol: d.cfg.Protocol}
	o.Sink.Message = func(text string, _ bool) { g.said = append(g.said, text) }
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	g.conn = conn
	if g.session, err = sender.Greet(ctx, conn, o, &d.module); err != nil {
		conn.Close()
		return nil, err
	}
	return g, nil
}

func (g *greeted) push(ctx context.Context, src *source.Tree, o sender.Options, path string, j *sender.Job) (sender.Result, error) {
	defer g.conn.Close()
	g.session.AnswerWithin(warmAnswer)
	return g.session.Push(ctx, o, path, j, src)
}

// ended is why ctx is done, nil while it is not. A dialer looks at ctx's deadline itself and
// may be a moment ahead of it.
func ended(ctx context.Context) error {
	if at, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(at) {
		return context.DeadlineExceeded
	}
	return context.Cause(ctx)
}
