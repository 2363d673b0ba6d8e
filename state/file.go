package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// The buckets, and what is in metaBucket.
var (
	metaBucket   = []byte("meta")
	recordBucket = []byte("records") // see table
	doubtBucket  = []byte("doubts")  // a path: its checksum and whether it is a tree
	valueBucket  = []byte("values")  // a key: JSON

	formatKey = []byte("format")
	sourceKey = []byte("source")
	targetKey = []byte("target")
	knownKey  = []byte("known") // is there: a full push ended
	totalKey  = []byte("total") // records, 8 bytes
	rootKey   = []byte("root")  // the root's own record, 8 bytes of fingerprint
	doubtsKey = []byte("doubts")
)

// format is to be raised when the meaning of what is in the file changes.
const format = "lockstep-state-1"

// file is the state file of a pair, and what may be in its place later: see rebuild.
type file struct {
	path string
	pair pair

	mu     sync.RWMutex // guards all below; held for reading while db is in use
	db     *bbolt.DB    // nil: closed, or a new one could not be made
	raw    *os.File     // what db reads and writes
	closed bool
	gen    int // counts the files that were made in the place of corrupt ones
}

// openFile opens the state file, or makes a new one: where there is none, and in the place of one that is of no
// use, which is told.
func openFile(path string, p pair) (f *file, opened Opened, err error) {
	f = &file{path: path, pair: p}
	_, err = os.Lstat(path)
	opened.Fresh = errors.Is(err, os.ErrNotExist)
	err = f.open()
	if reason := new(unusable); errors.As(err, &reason) {
		opened.Rebuilt = reason.Error()
		err = moveAside(path)
		if err == nil {
			err = f.open()
		}
	}
	if err != nil {
		return nil, opened, fmt.Errorf("open state %q: %w", path, err)
	}
	return f, opened, nil
}

// unusable says why a state file is to be moved aside.
type unusable struct{ reason error }

func (u *unusable) Error() string { return u.reason.Error() }

// open opens what is at the path. A file that is of no use is an error of type unusable.
func (f *file) open() error {
	err := guard(func() error {
		err := checkPages(f.path)
		if err != nil {
			return err
		}
		f.db, err = bbolt.Open(f.path, 0o600, &bbolt.Options{
			Timeout:      time.Millisecond, // nobody but us has it: see lock
			FreelistType: bbolt.FreelistMapType,
			NoStatistics: true,
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				var err error
				f.raw, err = os.OpenFile(name, flag|unix.O_NOFOLLOW, mode)
				return f.raw, err
			},
		})
		if err != nil {
			return err
		}
		empty := false
		err = f.db.View(func(tx *bbolt.Tx) error {
			first, _ := tx.Cursor().First()
			if empty = first == nil; empty {
				return nil
			}
			return f.check(tx)
		})
		if !empty || err != nil {
			return err
		}
		return f.db.Update(f.prepare)
	})
	if err == nil {
		return nil
	}
	f.drop()
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case isSystem(err):
		return err
	}
	return &unusable{err}
}

// isSystem reports whether err is of the system rather than of the file's content. What cannot be read because of its
// disk (EIO) is of no use either.
func isSystem(err error) bool {
	var errno unix.Errno
	return errors.As(err, &errno) && errno != unix.EIO
}

// drop leaves a file behind that may be corrupt. bbolt's own Close could wait for ever for a lock that a
// panic left behind; so what it has mapped stays mapped.
func (f *file) drop() {
	if f.raw != nil {
		f.raw.Close()
	}
	f.db, f.raw = nil, nil
}

// prepare makes the buckets of a new file.
func (f *file) prepare(tx *bbolt.Tx) error {
	for _, name := range [][]byte{metaBucket, recordBucket, doubtBucket, valueBucket} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(metaBucket)
	return errors.Join(meta.Put(formatKey, []byte(format)), meta.Put(sourceKey, []byte(f.pair.Source)),
		meta.Put(targetKey, []byte(f.pair.Target)), putCount(meta, totalKey, 0), putCount(meta, doubtsKey, 0))
}

// check looks whether the file is one of this pair.
func (f *file) check(tx *bbolt.Tx) error {
	for _, name := range [][]byte{metaBucket, recordBucket, doubtBucket, valueBucket} {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("%w: it has no %s", errCorrupt, name)
		}
	}
	meta := tx.Bucket(metaBucket)
	if got := meta.Get(formatKey); string(got) != format {
		return fmt.Errorf("it has another format: %q, not %q", got, format)
	}
	source, target := meta.Get(sourceKey), meta.Get(targetKey)
	if string(source) != f.pair.Source || string(target) != f.pair.Target {
		return fmt.Errorf("it is of source %q and target %q", source, target)
	}
	_, err := getCount(meta, totalKey)
	return err
}

func putCount(b *bbolt.Bucket, key []byte, n int64) error {
	return b.Put(key, binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

func getCount(b *bbolt.Bucket, key []byte) (int64, error) {
	v := b.Get(key)
	if len(v) != 8 {
		return 0, fmt.Errorf("%w: %s is %q", errCorrupt, key, v)
	}
	return int64(binary.LittleEndian.Uint64(v)), nil
}

// view and update run do in a transaction, durable at the end. Where the file turns out to be corrupt, a
// new one takes its place, and the error is ErrRebuilt. do is not to wait for anything.
func (f *file) view(do func(tx *bbolt.Tx) error) error {
	return f.run(anyGen, func(db *bbolt.DB) error { return db.View(do) })
}

// update is for the file of that generation alone: with a later one it returns ErrRebuilt.
func (f *file) update(gen int, do func(tx *bbolt.Tx) error) error {
	return f.run(gen, func(db *bbolt.DB) error { return db.Update(do) })
}

const anyGen = -1

func (f *file) run(gen int, do func(db *bbolt.DB) error) error {
	f.mu.RLock()
	db, closed, late := f.db, f.closed, gen != anyGen && gen != f.gen
	err := errCorrupt
	if db != nil && !late {
		err = guard(func() error { return do(db) })
	}
	f.mu.RUnlock()
	switch {
	case closed:
		return ErrClosed
	case late:
		return ErrRebuilt
	case !errors.Is(err, errCorrupt):
		return err
	}
	return f.rebuild(db, err)
}

func (f *file) generation() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.gen
}

// rebuild puts a new file in the place of a corrupt one, unless another goroutine did so.
func (f *file) rebuild(db *bbolt.DB, reason error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.db == db && !f.closed {
		if err := f.replace(); err != nil {
			return fmt.Errorf("%w: %q: %w; a new one: %w", ErrRebuilt, f.path, reason, err)
		}
	}
	return fmt.Errorf("%w: %q: %w", ErrRebuilt, f.path, reason)
}

func (f *file) replace() error {
	if f.db != nil {
		f.drop()
		f.gen++
		if err := moveAside(f.path); err != nil {
			return err
		}
	}
	return f.open()
}

func (f *file) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.db == nil {
		return nil
	}
	err := guard(f.db.Close)
	if err != nil {
		f.drop()
	}
	f.db = nil
	return err
}
