package syncertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// DefaultStartTimeout bounds the wait for the first greeting: a start takes 5 ms when idle.
	DefaultStartTimeout = 10 * time.Second
	// DefaultStopTimeout is how long Stop waits after SIGTERM before it sends SIGKILL.
	DefaultStopTimeout = 5 * time.Second
)

var (
	// ErrNoRsync is returned by Start where there is no rsync program.
	ErrNoRsync = errors.New("rsync is not installed: apt-get install rsync")
	// ErrRunning is returned by Start for a daemon that runs.
	ErrRunning = errors.New("rsync daemon is running already")
)

// DaemonConfig describes a daemon. The zero value is one without modules.
//
// A root-run daemon serves as root, so that owners and groups arrive. Without Chroot the daemon
// rewrites the target of each symlink that it stores so that it stays inside the module: a leading
// "/" is dropped, and so is each ".." that would leave the module (rsyncd.conf(5), "munge
// symlinks", and seen with 3.5.0). A tree with such links can only be equal to its copy in a
// module with Chroot, which needs root.
type DaemonConfig struct {
	Modules []Module
	Chroot  bool
	Extra   []string // lines for the global part: "motd file = /x"
	// ConfigFile is an rsyncd.conf to be used as it stands, instead of the three above. Its port,
	// address and global log file are overridden.
	ConfigFile   string
	Env          []string      // "NAME=value", beside PATH and LC_ALL
	Program      string        // "" means "rsync", looked up on PATH
	StartTimeout time.Duration // 0 means DefaultStartTimeout
	StopTimeout  time.Duration // 0 means DefaultStopTimeout
}

// Module is a module of a daemon. It is writable unless ReadOnly is set.
type Module struct {
	Name      string
	Path      string            // absolute, and there when a client connects
	ReadOnly  bool              // "read only"
	AuthUsers string            // "auth users": "backuper", "alice:ro bob:rw"
	Secrets   map[string]string // user or @group to password: what the generated "secrets file" holds
	Extra     []string          // lines that win over the generated ones: "timeout = 77", "auth digest = sha256"
}

// A Daemon is a stock rsync daemon on a loopback port that stays the same for its whole life.
//
// The methods may be called by several goroutines; Start, Stop, Kill, Restart and Close take turns.
type Daemon struct {
	cfg  DaemonConfig
	dir  string // configuration, secrets and logs
	port int
	hold int // a bound socket that never listens: it keeps the port ours

	mu   sync.Mutex // guards proc, and makes the methods that use it take turns
	proc *process   // nil while no daemon runs
}

// NewDaemon writes the configuration to a new temporary directory and picks a port. It starts
// nothing; Close removes the directory and gives the port back.
func NewDaemon(cfg DaemonConfig) (*Daemon, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("configure rsync daemon: %w", err)
	}
	if cfg.StartTimeout <= 0 {
		cfg.StartTimeout = DefaultStartTimeout
	}
	if cfg.StopTimeout <= 0 {
		cfg.StopTimeout = DefaultStopTimeout
	}
	dir, err := os.MkdirTemp("", "rsyncd-")
	if err != nil {
		return nil, fmt.Errorf("configure rsync daemon: %w", err)
	}
	hold, port, err := holdPort()
	if err == nil {
		err = cfg.write(dir)
		if err != nil {
			unix.Close(hold)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("configure rsync daemon: %w", err), os.RemoveAll(dir))
	}
	return &Daemon{cfg: cfg, dir: dir, port: port, hold: hold}, nil
}

// holdPort binds a free loopback port without listening. Nobody else is given that port, by bind or
// as the near end of a connection, and connecting to it is refused; but rsync, which sets
// SO_REUSEADDR as we do, can bind it too and listen (socket(7): only a listening socket excludes
// others).
func holdPort() (fd, port int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, 0, fmt.Errorf("make socket: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return -1, 0, fmt.Errorf("set SO_REUSEADDR: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return -1, 0, fmt.Errorf("bind a loopback port: %w", err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		return -1, 0, fmt.Errorf("read the port: %w", err)
	}
	in4, ok := addr.(*unix.SockaddrInet4)
	if !ok {
		return -1, 0, fmt.Errorf("read the port: address is a %T", addr)
	}
	return fd, in4.Port, nil
}

// Addr is the daemon's host:port, the same before, during and after it runs.
func (d *Daemon) Addr() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(d.port))
}

// Port is the port of Addr, for --port.
func (d *Daemon) Port() int { return d.port }

// URL is a module's rsync:// URL with a slash at its end; "" gives the daemon's own. To have a
// user in it, write "user@" before the module name.
func (d *Daemon) URL(module string) string {
	u := url.URL{Scheme: "rsync", Host: d.Addr(), Path: "/"}
	if user, name, ok := strings.Cut(module, "@"); ok {
		u.User, module = url.User(user), name
	}
	if module != "" {
		u.Path = "/" + module + "/"
	}
	return u.String()
}

// ConfigFile is the path of the rsyncd.conf in use. It is read anew for each connection, so an
// edit takes effect at once (rsync 3.5.0 clientserver.c, start_daemon).
func (d *Daemon) ConfigFile() string {
	if d.cfg.ConfigFile != "" {
		return d.cfg.ConfigFile
	}
	return filepath.Join(d.dir, "rsyncd.conf")
}

// args has the log file as a parameter: with --log-file 3.5.0 logs no transfers.
func (d *Daemon) args() []string {
	return []string{
		"--daemon", "--no-detach", "--config=" + d.ConfigFile(), "--address=127.0.0.1",
		"--port=" + strconv.Itoa(d.port), "--dparam=logfile=" + filepath.Join(d.dir, "log"),
	}
}

// Log is what the daemon has logged since NewDaemon, and what it wrote to its standard error.
func (d *Daemon) Log() string {
	var all []byte
	for _, name := range []string{"log", "stderr"} {
		text, err := os.ReadFile(filepath.Join(d.dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			text = fmt.Appendf(nil, "%v\n", err)
		}
		all = append(all, text...)
	}
	return string(all)
}

// Start starts the daemon and returns once it greets.
func (d *Daemon) Start() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.start()
}

func (d *Daemon) start() error {
	if d.proc != nil && !d.proc.hasExited() {
		return ErrRunning
	}
	// One that died by itself may have left connections behind.
	if err := d.endLocked(unix.SIGKILL); err != nil {
		return err
	}
	proc, err := startProcess(d.cfg.Program, d.args(), filepath.Join(d.dir, "stderr"), d.cfg.Env...)
	if err != nil {
		return fmt.Errorf("start rsync daemon: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), d.cfg.StartTimeout)
	defer cancel()
	if err := awaitGreeting(ctx, d.Addr(), proc.exited); err != nil {
		return errors.Join(fmt.Errorf("start rsync daemon: %w; its log:\n%s", err, d.Log()), proc.end(unix.SIGKILL, 0))
	}
	d.proc = proc
	return nil
}

// Stop ends the daemon with SIGTERM, and with SIGKILL what is left of it after StopTimeout. A
// daemon that does not run is stopped already.
func (d *Daemon) Stop() error { return d.end(unix.SIGTERM) }

// Kill ends the daemon and its connections with SIGKILL, as a crash would: temporary files stay
// where they are, clients see the connection end.
func (d *Daemon) Kill() error { return d.end(unix.SIGKILL) }

func (d *Daemon) end(sig unix.Signal) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.endLocked(sig)
}

func (d *Daemon) endLocked(sig unix.Signal) error {
	if d.proc == nil {
		return nil
	}
	if err := d.proc.end(sig, d.cfg.StopTimeout); err != nil {
		return fmt.Errorf("stop rsync daemon: %w", err)
	}
	d.proc = nil
	return nil
}

// Signal sends a signal to the daemon and its connections: SIGSTOP makes them hang.
func (d *Daemon) Signal(sig unix.Signal) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc == nil || d.proc.hasExited() {
		return errors.New("rsync daemon does not run")
	}
	return unix.Kill(-d.proc.pid, sig)
}

// Restart stops the daemon if it runs, and starts it on the same port.
func (d *Daemon) Restart() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.endLocked(unix.SIGTERM); err != nil {
		return err
	}
	return d.start()
}

// Close ends the daemon as Kill does (rsync takes 0.4 s to obey a SIGTERM) and removes its files;
// the modules' directories are the caller's. The Daemon cannot be used any more.
func (d *Daemon) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.endLocked(unix.SIGKILL)
	if d.hold >= 0 {
		err = errors.Join(err, unix.Close(d.hold))
		d.hold = -1
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}

// awaitGreeting connects until something at addr greets as an rsync daemon does, or exited is closed.
func awaitGreeting(ctx context.Context, addr string, exited <-chan struct{}) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var last error // that is not merely the end of the time
	for {
		err := greeting(ctx, addr)
		if err == nil {
			return nil
		}
		if timeout := net.Error(nil); last == nil || !errors.As(err, &timeout) || !timeout.Timeout() {
			last = err
		}
		select {
		case <-exited:
			return errors.New("it exited")
		case <-ctx.Done():
			return fmt.Errorf("no greeting: %w: %w", ctx.Err(), last)
		case <-tick.C:
		}
	}
}

func greeting(ctx context.Context, addr string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	line, err := bufio.NewReaderSize(conn, 256).ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("read greeting: %w", err)
	}
	if !strings.HasPrefix(string(line), "@RSYNCD: ") {
		return fmt.Errorf("greeting is %q", line)
	}
	return nil
}
