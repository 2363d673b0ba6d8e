package syncertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// DefaultWriters is how many goroutines change the tree at once: enough to race.
	DefaultWriters = 4
	// DefaultMaxEntries keeps the tree so small that writers meet at the same names all the time.
	DefaultMaxEntries = 400
)

// Churn changes a tree at random. The zero values of all but Root are useful.
//
// It makes no hard links and no shared mappings: a write through another name or through memory
// raises no inotify event in the directory that is watched (inotify(7), "Limitations and caveats").
type Churn struct {
	Root    string // the tree; what is in it takes part
	Outside string // a directory beside it, for moves out of the tree and in; "" means no such moves
	Seed    uint64
	Writers int // 0 means DefaultWriters
	// MaxEntries is about where the size of the tree is kept; at times it is exceeded, for a move
	// brings a whole directory in. 0 means DefaultMaxEntries.
	MaxEntries int
	MaxOps     int     // how often each writer tries something; 0 means until ctx ends
	Rate       float64 // tries a second, of all writers together; 0 means no limit
	// PlainLinks makes only symlinks that point downwards: a daemon without chroot stores others
	// under another target, see DaemonConfig.
	PlainLinks bool
	Without    []string // acts that are left out, as "chmod"
	// Trace, if set, is told all that was tried, by all writers at once.
	Trace func(ChurnOp)
}

// ChurnOp is one try of one writer. Err is nil if it succeeded; otherwise no name that it tried was
// there, or another writer was faster.
type ChurnOp struct {
	Writer   int
	Name     string
	Path, To string // relative to Root; To of a rename
	Err      error
}

// Run changes the tree until ctx ends or each writer has made MaxOps tries, and returns how many
// succeeded. When it returns nothing changes any more. The end of ctx is no error; a full disk is.
func (c *Churn) Run(ctx context.Context) (ops int, err error) {
	run, err := c.open()
	if err != nil {
		return 0, fmt.Errorf("churn: %w", err)
	}
	defer run.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var wg sync.WaitGroup
	errs := make([]error, run.Writers)
	for id := range run.Writers {
		wg.Go(func() {
			if errs[id] = run.writer(id).loop(ctx); errs[id] != nil {
				cancel(errs[id])
			}
		})
	}
	wg.Wait()
	return int(run.done.Load()), errors.Join(errs...)
}

// churnRun is what the writers of one Run share.
type churnRun struct {
	Churn
	names   namespace
	acts    []churnAct
	root    int // directory descriptors: nothing is addressed from above the two directories
	outside int // -1 if there is none
	isRoot  bool

	tried, done atomic.Int64
	trimming    sync.Mutex // held by the writer that trims; guards trimRNG
	trimRNG     *rand.Rand
}

func (c *Churn) open() (*churnRun, error) {
	r := &churnRun{Churn: *c, outside: -1, isRoot: os.Geteuid() == 0}
	if r.Writers <= 0 {
		r.Writers = DefaultWriters
	}
	if r.MaxEntries <= 0 {
		r.MaxEntries = DefaultMaxEntries
	}
	r.names = newNamespace(r.MaxEntries)
	r.trimRNG = rand.New(rand.NewPCG(c.Seed, trimStream))
	if err := c.checkDirs(); err != nil {
		return nil, err
	}
	var err error
	if r.root, err = openDir(unix.AT_FDCWD, c.Root, 0); err != nil {
		return nil, fmt.Errorf("open %q: %w", c.Root, err)
	}
	if c.Outside != "" {
		if r.outside, err = openDir(unix.AT_FDCWD, c.Outside, 0); err != nil {
			unix.Close(r.root)
			return nil, fmt.Errorf("open %q: %w", c.Outside, err)
		}
	}
	r.acts = r.possible(churnActs())
	return r, nil
}

// checkDirs refuses what would end badly: this code deletes trees.
func (c *Churn) checkDirs() error {
	root, err := filepath.EvalSymlinks(c.Root)
	if err != nil {
		return err
	}
	if root, err = filepath.Abs(root); err != nil {
		return err
	}
	if root == "/" {
		return errors.New("the root of the file system is not for churning")
	}
	if c.Outside == "" {
		return nil
	}
	outside, err := filepath.EvalSymlinks(c.Outside)
	if err != nil {
		return err
	}
	if outside, err = filepath.Abs(outside); err != nil {
		return err
	}
	if strings.HasPrefix(outside+"/", root+"/") || strings.HasPrefix(root+"/", outside+"/") {
		return fmt.Errorf("%q and %q are not beside one another", c.Root, c.Outside)
	}
	var a, b unix.Stat_t
	if err := errors.Join(unix.Stat(root, &a), unix.Stat(outside, &b)); err != nil {
		return err
	}
	if a.Dev != b.Dev {
		return fmt.Errorf("%q and %q are on two file systems: nothing can be renamed from one to the other", c.Root, c.Outside)
	}
	return nil
}

func (r *churnRun) close() {
	unix.Close(r.root)
	if r.outside >= 0 {
		unix.Close(r.outside)
	}
}

// writer makes one of the run's writers.
func (r *churnRun) writer(id int) *churnWriter {
	return &churnWriter{churnRun: r, id: id, plan: rand.New(rand.NewPCG(r.Seed, uint64(id)))}
}

// churnWriter decides with plan and carries out with rng. Each step gets an rng of its own, seeded
// by the plan: so however a step ends, the next one is the same.
type churnWriter struct {
	*churnRun
	id        int
	plan, rng *rand.Rand
}

// churnStep is one decision.
type churnStep struct {
	act      *churnAct
	path, to string
	others   [churnGoes - 1]string // for path, one after the other, where there was nothing to do
	seed     uint64
}

// churnGoes is how many paths a step may try: half of the namespace is empty, and a step that
// wants two names to be there would mostly miss.
const churnGoes = 8

func (w *churnWriter) next() churnStep {
	act := pickAct(w.acts, w.plan)
	s := churnStep{
		act:  act,
		path: w.names.pick(w.plan, act.on),
		to:   w.names.pick(w.plan, act.to),
	}
	for i := range s.others {
		s.others[i] = w.names.pick(w.plan, act.on)
	}
	s.seed = w.plan.Uint64()
	return s
}

func (w *churnWriter) loop(ctx context.Context) error {
	var pace <-chan time.Time
	if w.Rate > 0 {
		tick := time.NewTicker(max(time.Duration(float64(w.Writers)/w.Rate*float64(time.Second)), 1))
		defer tick.Stop()
		pace = tick.C
	}
	for n := 0; w.MaxOps <= 0 || n < w.MaxOps; n++ {
		if pace != nil {
			select {
			case <-pace:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := w.try(w.next()); err != nil {
			return err
		}
	}
	return nil
}

// try carries out a step. It returns only errors that no race explains.
func (w *churnWriter) try(s churnStep) error {
	w.rng = rand.New(rand.NewPCG(s.seed, 0))
	err := s.act.do(w, s)
	for _, path := range s.others {
		if err == nil || !w.expected(err) {
			break
		}
		s.path = path
		err = s.act.do(w, s)
	}
	if w.Trace != nil {
		w.Trace(ChurnOp{Writer: w.id, Name: s.act.name, Path: s.path, To: s.to, Err: err})
	}
	if err == nil {
		w.done.Add(1)
	} else if !w.expected(err) {
		return fmt.Errorf("churn: writer %d: %s %q (%q): %w", w.id, s.act.name, s.path, s.to, err)
	}
	if w.tried.Add(1)%w.trimInterval() == 0 {
		return w.trim()
	}
	return nil
}

// errMiss is an op that found nothing to do.
var errMiss = errors.New("nothing to do there")

// expected tells the errors that other writers and a random choice of names bring about.
func (w *churnWriter) expected(err error) bool {
	for _, e := range []error{
		errMiss, unix.ENOENT, unix.EEXIST, unix.ENOTDIR, unix.EISDIR, unix.ENOTEMPTY,
		unix.ELOOP,  // a symlink where a directory was: it is not followed
		unix.EINVAL, // a directory into itself
		unix.ENXIO,  // a FIFO without a reader
		unix.ESTALE,
		// fs.protected_regular and fs.protected_fifos keep even root from opening what another owns in
		// a sticky directory (proc_sys_fs(5)); without root it is chmod.
		unix.EACCES,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return !w.isRoot && errors.Is(err, unix.EPERM)
}
