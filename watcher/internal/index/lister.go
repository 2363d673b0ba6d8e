package index

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lockstep-sync/lockstep/internal/dirent"
	"golang.org/x/sys/unix"
)

// lister looks at entries and fills a listing with what it sees. Each worker has one.
type lister struct {
	x     *Index
	buf   []byte
	st    unix.Stat_t // on the heap anyway: see dirent.Stat
	found listing

	entries   int      // looked at
	skipped   bool     // an entry of the current directory could not be looked at
	unsettled []string // at most maxUnsettled
}

// maxUnsettled caps what is named to the caller; what is left out is unknown all the same.
const maxUnsettled = 4096

// list looks at all entries of the directory fd at path, and sorts them. It calls pace after each part.
func (l *lister) list(ctx context.Context, fd int, path string, pace func(entries int)) error {
	l.found.reset()
	l.skipped = false
	if l.buf == nil {
		l.buf = make([]byte, dirent.BufferSize)
	}
	for ctx.Err() == nil {
		now := l.x.cfg.Now() // before any look: see settled
		n, err := dirent.Read(fd, l.buf)
		if err != nil {
			return fmt.Errorf("list directory: %w", err)
		}
		if n == 0 {
			l.found.sort()
			return nil
		}
		before := l.entries
		err = dirent.Parse(l.buf[:n], func(name []byte, typ uint8, _ uint64) error {
			return l.look(fd, path, name, typ, now)
		})
		if err != nil {
			return fmt.Errorf("list directory: %w", err)
		}
		if pace != nil {
			pace(l.entries - before)
		}
	}
	return ctx.Err()
}

// look adds what is at name in the directory fd at path. typ saves looking at what is excluded.
func (l *lister) look(fd int, path string, name []byte, typ uint8, now time.Time) error {
	if typ != unix.DT_UNKNOWN && l.excluded(path, name, typ == unix.DT_DIR) {
		return nil
	}
	l.entries++
	err := dirent.Stat(fd, name, &l.st)
	switch {
	case gone(err):
		return nil
	case err != nil:
		l.skipped = true
		return l.found.add(name, unseen, unknown, 0)
	}
	isDirectory := l.st.Mode&unix.S_IFMT == unix.S_IFDIR
	asked := typ != unix.DT_UNKNOWN && isDirectory == (typ == unix.DT_DIR)
	if !asked && l.excluded(path, name, isDirectory) {
		return nil
	}
	return l.add(path, name, now)
}

// lookAt is look for a name that may be gone, and whose type nobody told.
func (l *lister) lookAt(fd int, path, name string) error {
	n := len(l.found.items)
	err := l.look(fd, path, []byte(name), unix.DT_UNKNOWN, l.x.cfg.Now())
	if err != nil || len(l.found.items) > n {
		return err
	}
	return l.found.add([]byte(name), absent, unknown, 0)
}

// add adds what l.st says of name.
func (l *lister) add(path string, name []byte, now time.Time) error {
	print, id := fingerprintOf(&l.st), identity(0)
	if !settled(&l.st, now) {
		print = unknown
		if len(l.unsettled) < maxUnsettled {
			l.unsettled = append(l.unsettled, joinPath(path, string(name)))
		}
	}
	k := kindOf(&l.st)
	if k == directory {
		id = identityOf(&l.st)
	}
	return l.found.add(name, state(k), print, id)
}

func (l *lister) excluded(path string, name []byte, isDir bool) bool {
	return l.x.cfg.Excluded != nil && l.x.cfg.Excluded(joinPath(path, string(name)), isDir)
}

// passing reports whether err is what comes of things that change while they are looked at, or of
// the caller's wish.
func passing(err error) bool {
	return gone(err) || errors.Is(err, unix.ESTALE) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
