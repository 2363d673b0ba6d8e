package watcher

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// rawSource is an inotify descriptor of our own. It is for those who want the events themselves:
// fsnotify hides whether a name was made or moved in, whether it is a directory, and the cookie. To
// keep trees in step none of that is needed.
type rawSource struct {
	file *os.File // in Go's poller, so that Close ends a Read
	fd   int
	ops  Op // told by watches that are added from now on
	all  Op

	mu   sync.Mutex // guards the tables, and adding to them
	path map[int32]string
	wd   map[string]int32
}

var opMasks = [...]uint32{ // by bit of Op
	unix.IN_CREATE, unix.IN_DELETE, unix.IN_MODIFY, unix.IN_MOVED_FROM, unix.IN_MOVED_TO, unix.IN_ATTRIB,
	unix.IN_CLOSE_WRITE, unix.IN_OPEN, unix.IN_ACCESS, unix.IN_CLOSE_NOWRITE, unix.IN_DELETE_SELF, unix.IN_MOVE_SELF,
}

func (o Op) mask() (mask uint32) {
	for i, bit := range opMasks {
		if o&(1<<i) != 0 {
			mask |= bit
		}
	}
	return mask
}

func opOf(mask uint32) (o Op) {
	for i, bit := range opMasks {
		if mask&bit != 0 {
			o |= 1 << i
		}
	}
	if mask&unix.IN_UNMOUNT != 0 {
		o |= OpUnmount
	}
	return o
}

// openRaw makes an instance that tells of extra operations, too.
func openRaw(extra Op) (*rawSource, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	const always = OpMoveSelf<<1 - 1 - opsOptional
	return &rawSource{
		file: os.NewFile(uintptr(fd), "inotify"), fd: fd,
		ops: always, all: always | extra&opsOptional,
		path: make(map[int32]string), wd: make(map[string]int32),
	}, nil
}

// add watches the directory at path. An inode that has a watch already keeps that one, under the new
// name (inotify_add_watch(2)).
func (r *rawSource) add(path string) error {
	r.mu.Lock() // also while the watch is added: its events must find the path
	defer r.mu.Unlock()
	wd, err := unix.InotifyAddWatch(r.fd, path, r.ops.mask()|unix.IN_ONLYDIR|unix.IN_DONT_FOLLOW)
	if err != nil {
		return err
	}
	if old, ok := r.path[int32(wd)]; ok && r.wd[old] == int32(wd) {
		delete(r.wd, old)
	}
	r.path[int32(wd)], r.wd[path] = path, int32(wd)
	return nil
}

// begin makes the watches tell of the extra operations, too. Before that, our own listing of
// directories would be among them. A watch whose directory went away meanwhile is looked at again
// anyway, for the events that this gave.
func (r *rawSource) begin() {
	if r.ops == r.all {
		return
	}
	r.ops = r.all
	for _, path := range r.list() {
		_ = r.add(path)
	}
}

func (r *rawSource) remove(path string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	wd, ok := r.wd[path]
	if !ok {
		return fsnotify.ErrNonExistentWatch
	}
	delete(r.wd, path)
	delete(r.path, wd)
	_, err := unix.InotifyRmWatch(r.fd, uint32(wd))
	return err
}

func (r *rawSource) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	paths := make([]string, 0, len(r.wd))
	for p := range r.wd {
		paths = append(paths, p)
	}
	return paths
}

func (r *rawSource) close() error { return r.file.Close() }

// drain reads until the instance is closed.
func (r *rawSource) drain(p *pending) {
	var cookies cookies
	buf := make([]byte, 64<<10)
	for {
		n, err := r.file.Read(buf)
		if errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			err = r.events(buf[:n], &cookies, p)
		}
		if err != nil {
			p.lose(fmt.Errorf("read inotify events: %w", err))
		}
	}
}

var errShortEvent = errors.New("short inotify event")

// events takes apart what one read gave: struct inotify_event of inotify(7), each with wd, mask, cookie,
// length of 4 bytes and a name padded with NULs.
func (r *rawSource) events(buf []byte, cookies *cookies, p *pending) error {
	for len(buf) > 0 {
		if len(buf) < unix.SizeofInotifyEvent {
			return errShortEvent
		}
		wd := int32(binary.NativeEndian.Uint32(buf))
		mask, cookie := binary.NativeEndian.Uint32(buf[4:]), binary.NativeEndian.Uint32(buf[8:])
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[12:]))
		if size > len(buf) {
			return errShortEvent
		}
		name, _, _ := bytes.Cut(buf[unix.SizeofInotifyEvent:size], []byte{0})
		buf = buf[size:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			p.lose(nil)
			continue
		}
		if e, ok := r.event(wd, mask, cookie, name); ok {
			p.add(e, cookies.from(&e))
		}
	}
	return nil
}

func (r *rawSource) event(wd int32, mask, cookie uint32, name []byte) (event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	path, ok := r.path[wd]
	if !ok {
		return event{}, false // of a watch that was removed
	}
	if mask&unix.IN_IGNORED != 0 {
		delete(r.path, wd)
		if r.wd[path] == wd {
			delete(r.wd, path)
		}
		return event{}, false
	}
	e := event{name: path, op: opOf(mask), dir: mask&unix.IN_ISDIR != 0 || len(name) == 0, self: len(name) == 0, cookie: cookie}
	if len(name) > 0 {
		e.name = joinPath(path, string(name))
	}
	return e, e.op != 0
}

// cookies finds the first half of a rename: the last ones seen, since seldom anything comes between.
type cookies struct {
	ring [16]struct {
		cookie uint32
		name   string
	}
	next int
}

func (c *cookies) from(e *event) string {
	switch {
	case e.cookie == 0:
	case e.op.has(OpMovedFrom):
		c.ring[c.next].cookie, c.ring[c.next].name = e.cookie, e.name
		c.next = (c.next + 1) % len(c.ring)
	case e.op.has(OpMovedTo):
		for i := range c.ring {
			if c.ring[i].cookie == e.cookie {
				return c.ring[i].name
			}
		}
	}
	return ""
}
