package debounce

import (
	"math"
	"path"
	"strings"
	"time"
)

const (
	// DefaultSettle is how long a path must be quiet: long enough for the handful of system calls that
	// write a small file, short enough to be invisible beside a push.
	DefaultSettle = 5 * time.Millisecond
	// DefaultMaxDelay caps the wait of a path that never gets quiet.
	DefaultMaxDelay = 500 * time.Millisecond
	// DefaultHotMax caps the wait of a path that changes again each time it was just sent: a growing
	// log travels every two seconds instead of a hundred times a second.
	DefaultHotMax = 2 * time.Second
	// DefaultMaxPaths bounds the entries of a queue: about 40 MB, and the paths themselves.
	DefaultMaxPaths = 1 << 18
)

// Change is a hint that a path may differ.
type Change struct {
	Path    string // slash separated, relative to the root, "." is the root; bytes, kept as they are
	Tree    bool   // everything at or below Path may differ
	Level   bool   // of a directory: the names in it may differ, too, but not what is below its subdirectories
	Content bool   // bytes may differ, whatever size and mtime say; with Tree: of anything below

	// Open says that Path was written to and its writer is not done: it waits for MaxDelay, or for a change
	// that is Closed. With neither it counts as it did before, and a new one as complete.
	Open, Closed bool

	// From is the name that Path had before, or "". FromDev and FromIno say which directory that was,
	// or are zero. They travel as a Move.
	From             string
	FromDev, FromIno uint64
}

// Move is a hint that what is at To was at From when the last batch was taken.
type Move struct {
	From, To string
	Dev, Ino uint64 // of the directory that was at From, if it is known to have been one
}

// Batch is what became due together.
type Batch struct {
	Seq     uint64    // position: grows by one with each batch, from 1, never reused
	Changes []Change  // sorted by the bytes of Path, no entry below a Tree entry; the taker's to keep
	Oldest  time.Time // when the earliest change in it was first seen; lag is measured from here
	Moves   []Move    // those whose To is covered by Changes, in order; maybe not all
}

// Config holds the times and bounds of a queue. A zero field means its default, a negative one means
// none: no settling, no delay at all, no extra wait for hot paths, no bound.
type Config struct {
	Settle   time.Duration // quiet time before a path is due
	MaxDelay time.Duration // longest wait of a path that is not hot
	HotMax   time.Duration // longest settle time of a hot path; at or below Settle: none is hot
	// MaxPaths bounds the entries. The directories on the way to them come on top.
	MaxPaths int
	// Quiet gives the paths that have times of their own; nil: none has. A change that covers a subtree
	// goes by the ordinary ones.
	Quiet func(path string) (Wait, bool)
}

// Wait is how long a path must have been quiet before it is due, and the longest that it waits for that.
type Wait struct{ Quiet, Most time.Duration }

func (c Config) withDefaults() Config {
	c.Settle = max(0, orDefault(c.Settle, DefaultSettle))
	c.MaxDelay = max(0, orDefault(c.MaxDelay, DefaultMaxDelay))
	c.HotMax = max(c.Settle, orDefault(c.HotMax, DefaultHotMax))
	c.MaxPaths = orDefault(c.MaxPaths, DefaultMaxPaths)
	if c.MaxPaths < 0 {
		c.MaxPaths = math.MaxInt
	}
	return c
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// clean makes one spelling of each path, as equal paths must meet in one entry. A path that is clean
// already, as the watcher's are, comes back as the same string.
func clean(p string) string {
	p = strings.TrimLeft(path.Clean(p), "/")
	if p == "" {
		return "."
	}
	return p
}

// later is t+d, at most the end of time: a wait of "for ever" must not wrap into the past.
func later(t, d time.Duration) time.Duration {
	if d > 0 && t > forEver-d {
		return forEver
	}
	return t + d
}
