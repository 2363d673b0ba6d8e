package watcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

// DefaultPollInterval is how often a subtree that cannot be watched is looked at: often enough to
// be useful, seldom enough that walking a large subtree does not become the machine's main work.
const DefaultPollInterval = 10 * time.Second

// rootInterval is how often the root's identity is compared with the one that is watched. One
// lstat and one statfs; a rename of a directory above the root gives no event.
const rootInterval = time.Second

// ErrRunning is returned by Run while another Run of the same Watcher has not returned.
var ErrRunning = errors.New("watcher: already running")

// A Change is a hint: Path may differ from what it was.
type Change struct {
	// Path is slash-separated and relative to the root; "." is the root itself. It is the raw
	// bytes of the name, which need not be UTF-8, and may name what is already gone.
	Path string
	// Tree says that anything at or below Path may differ.
	Tree bool
	// Level says that, if Path is a directory, names may have come and gone in it unseen: those in it may
	// differ, too, but not what is below its subdirectories.
	Level bool
	// Content says that the bytes of Path may have changed: equal size and mtime prove nothing.
	// With Tree it holds for everything below Path too: a directory was made, moved in or
	// replaced, and events from inside it may have been lost meanwhile.
	Content bool
	// Open says that Path was written to by one who, as far as is known, still has it open. Closed says
	// the contrary: the writer is done, or something else took the name. With neither, nothing about it
	// is news, or close-write is not known here.
	Open, Closed bool
	// From is the name that Path had before, where it was renamed within the tree; else "". Changes
	// that have one come in the order of the renames, one path maybe more than once. The old name is
	// a change of its own, and what differs at Path is said by another change, too.
	From string
	// FromDev and FromIno say which directory was watched at From; zero where From was no watched
	// directory. If that one is at Path now, the hint is true beyond doubt.
	FromDev, FromIno uint64
}

// Config says what to watch. Only Root is required.
type Config struct {
	// Root is the directory to watch. New makes it absolute and resolves symbolic links in it
	// once; a link that points elsewhere later is not followed again.
	Root string
	// Excluded reports whether a path is left out; nil leaves nothing out. Excluded directories
	// are neither watched nor listed, excluded paths give no change. It is called by several
	// goroutines at once, never for the root. Of a name that is gone the kind is not known: it
	// gives no change only if it is excluded as a file and was not a known directory.
	Excluded func(path string, isDir bool) bool
	// RuleDir says of a path that had an event whether that changes what Excluded answers, and in and below
	// which directory: a file of rules. What is there is watched and told anew. nil: rules are for good.
	RuleDir func(path string) (dir string, ok bool)
	// OneFileSystem keeps out of directories on another filesystem (st_dev) than the root's.
	OneFileSystem bool
	// Backend is BackendAuto, BackendInotify or BackendFanotify; "" means BackendAuto.
	Backend string
	// Shallow leaves the subdirectories alone: they are names in the root, nothing more.
	Shallow bool
	// OnEvent is called with the events themselves, in order, by Run's goroutine, before the changes that
	// they make are emitted; nil where they are not wanted, which is cheaper. The slice is the
	// callee's. What was made in a directory before that was watched is told as Found.
	OnEvent func([]Event)
	// NoIndex does without an index of the tree: 25 to 64 bytes a file are spared, and after a queue
	// overflow the whole tree is one change, instead of what differs.
	NoIndex bool
	// Tune is called once, before the first inotify instance is made: max_queued_events counts for those
	// that come after. nil: limits are as they are.
	Tune func(context.Context)
	// GrowQueue is asked for a longer queue of the kernel's (fs.inotify.max_queued_events) when overflows
	// repeat, before a new inotify instance is made; it says what it set, "" for nothing. nil: nobody can.
	GrowQueue func() (string, error)
	// Ops are operations wanted in OnEvent of which nothing follows for a tree: OpOpen, OpAccess,
	// OpCloseNoWrite.
	Ops Op
	// PollInterval is how often what cannot be watched is looked at; 0 means DefaultPollInterval.
	PollInterval time.Duration
	// Logger may be nil: silence.
	Logger *zap.Logger
}

// Stats is a snapshot of what a Watcher is doing.
type Stats struct {
	RootPresent bool     // the root is there and watched, or at least polled
	Absent      string   // why it is not: "absent", or what is wrong with it; "" before anybody has looked
	Root        Identity // of the root that is watched; the last one while it is absent
	Watches     int      // directories with an inotify watch
	Polled      int      // subtrees without one, looked at every PollInterval
	Events      uint64   // received from the kernel
	Overflows   uint64   // times the kernel, or the set of events not yet looked at, overflowed
	Rebuilds    uint64   // times all watches were made anew, the first time not counted
	Emitted     uint64   // changes handed to emit
	Backend     string   // "inotify" or "fanotify"
	Indexed     bool     // an overflow now would be answered by a comparison with the index
	Comparisons uint64   // with the index, of the whole or of parts

	Looked time.Time // when Run was last done with all that there was to do: each second, but while it walks a large tree
}

// A Watcher watches one root. New makes it, Run does the work.
type Watcher struct {
	cfg      Config
	given    string // the root, absolute, symbolic links in it
	resolved bool   // cfg.Root has no symbolic links left in it
	running  atomic.Bool
	awaits   chan *await // those who begin to wait in Barrier

	// newInstance is fsnotify's constructor, or a test's with a small queue.
	newInstance func() (*fsnotify.Watcher, error)

	mu    sync.Mutex // guards stats, written by Run's goroutine and read by any
	stats Stats
}

// New checks cfg and starts nothing. A root that does not exist is no error: it may be mounted
// later, and Run waits for it. A root that is something else than a directory is one.
func New(cfg Config) (*Watcher, error) {
	w := &Watcher{cfg: cfg.withDefaults(), newInstance: newFsnotify, awaits: make(chan *await)}
	var errs []error
	if cfg.PollInterval < 0 {
		errs = append(errs, fmt.Errorf("poll interval %v is negative", cfg.PollInterval))
	}
	if !slices.Contains([]string{BackendAuto, BackendInotify, BackendFanotify}, w.cfg.Backend) {
		errs = append(errs, fmt.Errorf("backend %q: it is auto, inotify or fanotify", cfg.Backend))
	}
	if err := w.resolveRoot(); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("watcher: %w", err)
	}
	return w, nil
}

func (cfg Config) withDefaults() Config {
	if cfg.PollInterval == 0 {
		cfg.PollInterval = DefaultPollInterval
	}
	if cfg.Backend == "" {
		cfg.Backend = BackendAuto
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	return cfg
}

func (w *Watcher) resolveRoot() error {
	if w.cfg.Root == "" {
		return errors.New("root is empty")
	}
	if w.given == "" {
		abs, err := filepath.Abs(w.cfg.Root)
		if err != nil {
			return fmt.Errorf("make root %q absolute: %w", w.cfg.Root, err)
		}
		w.given = abs
	}
	abs := w.given
	w.cfg.Root = abs
	real, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("resolve root %q: %w", abs, err)
	}
	st, err := os.Lstat(real)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at root %q: %w", real, err)
	}
	if !st.IsDir() {
		return fmt.Errorf("root %q is not a directory", real)
	}
	w.cfg.Root, w.resolved = real, true
	return nil
}

// openSource makes the inotify descriptor that serves cfg.
func (w *Watcher) openSource() (source, error) {
	if w.cfg.OnEvent != nil {
		return openRaw(w.cfg.Ops)
	}
	fs, err := w.newInstance()
	if err != nil {
		return nil, err
	}
	return fsSource{fs}, nil
}

// Run watches until ctx is done and returns nil then, after all its goroutines have ended. It calls
// emit from its own goroutine, with a slice that emit may keep. Nothing is emitted before the whole
// tree is watched; the first emission is the single Change{Path: ".", Tree: true}. Emit should
// not block: events are drained meanwhile, but not looked at.
func (w *Watcher) Run(ctx context.Context, emit func([]Change)) error {
	if !w.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer w.running.Store(false)
	s := newSession(w, emit)
	defer s.close()
	s.run(ctx)
	return nil
}

// Stats may be called from any goroutine, also while Run is not running.
func (w *Watcher) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}
