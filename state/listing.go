package state

import (
	"bytes"
	"context"
	"slices"

	"github.com/lockstep-sync/lockstep/internal/dirent"
	"golang.org/x/sys/unix"
)

// listing is what a directory holds, by name once it is sorted. It is used again for the next one.
type listing struct {
	names []byte
	items []seen
}

// seen is one entry, its name a piece of listing.names.
type seen struct {
	at, end int
	print   fingerprint
	ino     uint64
	dir     bool
	foreign bool // a directory of another file system, which is not looked into
}

func (l *listing) name(e *seen) []byte { return l.names[e.at:e.end] }

func (l *listing) record(e *seen) record {
	r := record{name: l.name(e), print: e.print, dir: e.dir}
	if e.dir {
		r.ino = e.ino
	}
	return r
}

func (l *listing) sort() {
	slices.SortFunc(l.items, func(a, b seen) int { return bytes.Compare(l.name(&a), l.name(&b)) })
}

// lister lists directories. Each worker has one.
type lister struct {
	s       *Store
	dev     uint64 // of the root
	buf     []byte
	st      unix.Stat_t // on the heap anyway: see dirent.Stat
	found   listing
	entries int64 // looked at, ever
}

// list fills l.found with the entries of the directory fd, whose name is dir.
func (l *lister) list(ctx context.Context, fd int, dir string) error {
	l.found.names, l.found.items = l.found.names[:0], l.found.items[:0]
	if l.buf == nil {
		l.buf = make([]byte, dirent.BufferSize)
	}
	for ctx.Err() == nil {
		n, err := dirent.Read(fd, l.buf)
		if err != nil {
			return err
		}
		if n == 0 {
			l.found.sort()
			return nil
		}
		err = dirent.Parse(l.buf[:n], func(name []byte, typ uint8, _ uint64) error {
			return l.look(fd, dir, name, typ)
		})
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// look adds what is at name in the directory fd. typ saves looking at what is excluded.
func (l *lister) look(fd int, dir string, name []byte, typ uint8) error {
	asked := l.s.cfg.Excluded == nil
	if !asked && typ != unix.DT_UNKNOWN {
		if l.s.excluded(joinName(dir, string(name)), typ == unix.DT_DIR) {
			return nil
		}
		asked = true
	}
	l.entries++
	err := dirent.Stat(fd, name, &l.st)
	if err != nil {
		if isGone(err) {
			return nil
		}
		return err
	}
	e := seen{at: len(l.found.names), print: fingerprintOf(&l.st), ino: l.st.Ino, dir: isDirectory(&l.st)}
	if !asked && l.s.excluded(joinName(dir, string(name)), e.dir) {
		return nil
	}
	e.foreign = e.dir && l.s.cfg.OneFileSystem && uint64(l.st.Dev) != l.dev
	l.found.names = append(l.found.names, name...)
	e.end = len(l.found.names)
	l.found.items = append(l.found.items, e)
	return nil
}
