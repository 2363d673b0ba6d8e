package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultSocket is where an agent is asked that says nothing else.
const DefaultSocket = "/run/lockstep/control.sock"

// ErrInUse says that another process answers at a socket.
var ErrInUse = errors.New("another process serves this socket")

// Listen makes a unix socket, for its owner alone, or for a group too, by name or number. Its directory is made if it is
// missing. A socket that nobody answers at any more makes way; ErrInUse: somebody does. Closing removes it.
func Listen(path, group string) (net.Listener, error) {
	gid, err := groupID(group)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := makeWay(path); err != nil {
		return nil, err
	}
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := restricted.Listen(context.Background(), "unix", short)
	if err != nil {
		return nil, fmt.Errorf("listen at %q: %w", path, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its name may be one that is gone by then
	own := &socket{Listener: l, path: path}
	if err := own.admit(gid); err != nil {
		return nil, errors.Join(err, own.Close())
	}
	return own, nil
}

// restricted makes sockets that nobody but their owner can connect to from the beginning, whatever the umask is:
// bind(2) takes the mode of the socket's own inode (Linux net/unix/af_unix.c, unix_bind_bsd).
var restricted = net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), 0o600) })
	return errors.Join(err, failed)
}}

// nobodyElse is the group of a socket for its owner alone.
const nobodyElse = -1

func groupID(name string) (int, error) {
	if name == "" {
		return nobodyElse, nil
	}
	g, err := user.LookupGroup(name)
	if err == nil {
		name = g.Gid
	}
	id, notNumber := strconv.ParseUint(name, 10, 31)
	if notNumber != nil {
		return 0, fmt.Errorf("there is no group %q for the control socket: make it with groupadd --system %s, or name another one", name, name)
	}
	return int(id), nil
}

// makeWay removes a socket that an earlier run left behind.
func makeWay(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%q is there and is no socket: remove it, or name another path", path)
	}
	switch c, err := dial(context.Background(), path); {
	case err == nil:
		c.Close()
		return fmt.Errorf("%q: %w", path, ErrInUse)
	case errors.Is(err, unix.EAGAIN): // its queue is full: somebody is there, and busy
		return fmt.Errorf("%q: %w", path, ErrInUse)
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(path)
	default:
		return fmt.Errorf("whether somebody serves %q is not known: %w", path, err)
	}
}

// socket removes itself when it is closed, if another process has not put its own there.
type socket struct {
	net.Listener
	path string
	made os.FileInfo
}

// admit lets a group in.
func (s *socket) admit(gid int) (err error) {
	if s.made, err = os.Lstat(s.path); err != nil || gid == nobodyElse {
		return err
	}
	if err := os.Lchown(s.path, -1, gid); err != nil {
		return fmt.Errorf("give the control socket to its group: %w", err)
	}
	return os.Chmod(s.path, 0o660)
}

func (s *socket) Close() error {
	err := s.Listener.Close()
	now, gone := os.Lstat(s.path)
	if gone != nil || s.made == nil || !os.SameFile(now, s.made) {
		return err
	}
	return errors.Join(err, os.Remove(s.path))
}

// dial connects to a unix socket, however long its path is.
func dial(ctx context.Context, path string) (net.Conn, error) {
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, "unix", short)
}

// dialTimeout bounds how long a server whose queue is full is waited for.
const dialTimeout = 5 * time.Second

// shortPath is another name of path that fits into a socket's address (unix(7): 107 bytes), good until done.
func shortPath(path string) (short string, done func(), err error) {
	const most = 107
	if len(path) <= most {
		return path, func() {}, nil
	}
	fd, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, filepath.Base(path)), func() { unix.Close(fd) }, nil
}
