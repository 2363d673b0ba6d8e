package state

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// DefaultQuiet is how long a path has to be quiet after a push before that is believed. A change is told within
// milliseconds, and the clock that stamps files has stepped on by then.
const DefaultQuiet = time.Second

// coarseQuiet is the least of it on a file system whose stamps are of whole seconds, or pairs of them.
const coarseQuiet = 2100 * time.Millisecond

// Errors to test for.
var (
	// ErrBusy says that another process has the pair open.
	ErrBusy = errors.New("another process is replicating this source to this target")
	// ErrRebuilt says that the file turned out to be corrupt while it was in use. A new one is in its place:
	// nothing is known any more, and all is to be pushed.
	ErrRebuilt = errors.New("the state was corrupt and is made anew")
	// ErrClosed says that the Store was closed.
	ErrClosed = errors.New("the state is closed")
)

// Config says whose state it is, and where.
type Config struct {
	Dir            string // the state directory, of all pairs; made if it is not there
	Source, Target string // name the pair
	Root           string // absolute path of the source's directory

	// Excluded says which names below the root are not looked at, nor what is below them. nil: none.
	// Several goroutines call it.
	Excluded func(name string, isDir bool) bool

	OneFileSystem bool          // what is mounted below the root is not looked at
	Quiet         time.Duration // DefaultQuiet if 0
}

// Opened says what Open found.
type Opened struct {
	Fresh   bool   // there was nothing
	Rebuilt string // there was a file of no use, for this reason; it was moved aside
}

// Store is the state of one pair. All methods may be called by any goroutine.
type Store struct {
	cfg  Config
	file *file
	lock *os.File

	write sync.Mutex // held while the file is changed, and no longer than Begin or a settlement takes

	mu   sync.Mutex // guards book and err; held for moments
	book *book
	err  error // of the last settlement

	known atomic.Bool
	total atomic.Int64

	wake   chan struct{} // something is to be settled; one is enough
	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine that settles has ended
}

// Open opens the state of a pair, or makes it. It waits a moment for another process to close it, and then
// returns ErrBusy. The Store has to be closed.
func Open(cfg Config) (*Store, Opened, error) {
	if cfg.Quiet <= 0 {
		cfg.Quiet = DefaultQuiet
	}
	if !filepath.IsAbs(cfg.Root) || cfg.Dir == "" {
		return nil, Opened{}, fmt.Errorf("state needs a directory and an absolute root, not %q and %q", cfg.Dir, cfg.Root)
	}
	p := pair{cfg.Source, cfg.Target}
	dir, err := makeDir(cfg.Dir, p)
	if err != nil {
		return nil, Opened{}, err
	}
	held, err := lock(dir, unix.LOCK_EX)
	if err != nil {
		return nil, Opened{}, err
	}
	s := &Store{cfg: cfg, lock: held, wake: make(chan struct{}, 1), done: make(chan struct{})}
	opened, err := s.open(dir, p)
	if err != nil {
		held.Close()
		return nil, opened, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go s.settler(ctx)
	return s, opened, nil
}

func (s *Store) open(dir string, p pair) (Opened, error) {
	if err := writePair(dir, p); err != nil {
		return Opened{}, fmt.Errorf("state directory %q: %w", dir, err)
	}
	path := filepath.Join(dir, stateName)
	var opened Opened
	var err error
	if s.file, opened, err = openFile(path, p); err != nil {
		return opened, err
	}
	err = s.load()
	if errors.Is(err, ErrRebuilt) {
		opened.Rebuilt = err.Error()
		err = s.load()
	}
	if err != nil {
		return opened, errors.Join(err, s.file.close())
	}
	return opened, nil
}

// load reads what is kept in memory, too.
func (s *Store) load() error {
	book := newBook(s.file.generation())
	var known bool
	var total int64
	err := s.file.view(func(tx *bbolt.Tx) (err error) {
		meta := tx.Bucket(metaBucket)
		known = meta.Get(knownKey) != nil
		if total, err = getCount(meta, totalKey); err != nil {
			return err
		}
		want, err := getCount(meta, doubtsKey)
		if err != nil {
			return err
		}
		if err := readDoubts(tx, book.doubts); err != nil {
			return err
		}
		if int64(len(book.doubts)) != want {
			return fmt.Errorf("%w: %d doubts, not %d", errCorrupt, len(book.doubts), want)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book = book
	s.known.Store(known)
	s.total.Store(total)
	return nil
}

// A doubt's value: the checksum of its name, and whether it is a tree.
func doubtValue(name []byte, tree bool) []byte {
	flag := byte(0)
	if tree {
		flag = 1
	}
	return append(binary.LittleEndian.AppendUint32(nil, sumOf(name, []byte{flag})), flag)
}

func readDoubts(tx *bbolt.Tx, into map[string]bool) error {
	return tx.Bucket(doubtBucket).ForEach(func(name, v []byte) error {
		if len(v) != sumSize+1 || binary.LittleEndian.Uint32(v) != sumOf(name, v[sumSize:]) || checkName(string(name)) != nil {
			return fmt.Errorf("%w: doubt %q is %q", errCorrupt, name, v)
		}
		into[string(name)] = v[sumSize] != 0
		return nil
	})
}

// rebuilt notes, if err says that the file was made anew, that nothing is known any more. It returns err.
func (s *Store) rebuilt(err error) error {
	if !errors.Is(err, ErrRebuilt) {
		return err
	}
	gen := s.file.generation()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.book != nil && s.book.gen != gen {
		s.book = newBook(gen)
		s.known.Store(false)
		s.total.Store(0)
	}
	return err
}

func (s *Store) view(do func(tx *bbolt.Tx) error) error { return s.rebuilt(s.file.view(do)) }

// update changes the file that b tells of.
func (s *Store) update(b *book, do func(tx *bbolt.Tx) error) error {
	return s.rebuilt(s.file.update(b.gen, do))
}

func (s *Store) current() *book {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book
}

// Known reports whether a full push, of the root as a tree, has ever ended well. Until then nothing is known of
// the target, and all is to be pushed.
func (s *Store) Known() bool { return s.known.Load() }

// Total is the number of names in the index, the root not counted.
func (s *Store) Total() int64 { return s.total.Load() }

// Dirty returns what is in doubt: at the start, what was being pushed when the process ended, and what
// did not arrive.
func (s *Store) Dirty() []Path {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sorted(s.book.doubts)
}

// Touch says that paths may have changed since they were looked at. It is to be called for every change,
// within Quiet of it. It does not wait for the disk.
func (s *Store) Touch(paths []Path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range paths {
		if checkName(p.Name) == nil {
			s.book.touch(p.shorten())
		}
	}
}

// Err says why what was pushed cannot be settled, nil while it can: a full disk, most likely. It is tried
// again every second.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close settles what has been quiet for long enough, and closes the file. Doubts stay for the rest. Pushes and
// scans must have ended.
func (s *Store) Close() error {
	s.cancel()
	<-s.done
	s.write.Lock()
	defer s.write.Unlock()
	err := s.settle(s.current(), time.Now())
	return errors.Join(err, s.file.close(), s.lock.Close())
}
