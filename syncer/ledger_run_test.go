package syncer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// timed is a feed: paths, and when they are due.
type timed struct {
	mu    sync.Mutex // guards what follows
	due   map[syncer.Path]time.Time
	hold  time.Time
	holds int
	wake  chan struct{}
}

func newTimed(paths ...syncer.Path) *timed {
	q := &timed{due: map[syncer.Path]time.Time{}, wake: make(chan struct{}, 1)}
	q.Defer(syncer.Batch{Paths: paths}, 0)
	return q
}

func (q *timed) Defer(b syncer.Batch, after time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range b.Paths {
		at := time.Now().Add(after)
		if old, ok := q.due[p]; !ok || at.Before(old) {
			q.due[p] = at
		}
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *timed) Hold(d time.Duration, _ <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hold = time.Now().Add(d)
	q.holds++
}

func (q *timed) Next(ctx context.Context) (syncer.Batch, error) {
	for {
		b, wait := q.take()
		if len(b.Paths) > 0 {
			return b, nil
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-q.wake:
		case <-ctx.Done():
			t.Stop()
			return b, ctx.Err()
		}
		t.Stop()
	}
}

func (q *timed) take() (b syncer.Batch, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if wait = time.Until(q.hold); wait > 0 {
		return b, wait
	}
	wait = time.Hour
	for p, at := range q.due {
		if d := time.Until(at); d > 0 {
			wait = min(wait, d)
			continue
		}
		b.Paths = append(b.Paths, p)
		delete(q.due, p)
	}
	slices.SortFunc(b.Paths, func(a, c syncer.Path) int { return strings.Compare(a.Name, c.Name) })
	return b, wait
}

// keeping is a Syncer that runs.
type keeping struct {
	s     *syncer.Syncer
	q     *timed
	mu    sync.Mutex // guards what follows
	stats syncer.Stats
	log   []syncer.Outcome
}

func run(t *testing.T, s *syncer.Syncer, q *timed) *keeping {
	t.Helper()
	r := &keeping{s: s, q: q}
	ctx, cancel := context.WithCancel(context.Background())
	var g sync.WaitGroup
	g.Go(func() {
		s.Run(ctx, q, func(o syncer.Outcome) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.stats.Add(o.Report.Stats)
			r.log = append(r.log, o)
		})
	})
	t.Cleanup(func() { cancel(); g.Wait() })
	return r
}

// until waits for a condition, and fails with what was pushed where it does not come.
func (r *keeping) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, o := range r.log {
				t.Logf("%d paths, transferred %d, %v, partial %v %q, failed %v, arrived %v, error %v", len(o.Batch.Paths), o.Report.Stats.Transferred,
					o.Report.Problems, o.Report.Partial, o.Report.Said, o.Failed, o.Arrived, o.Err)
			}
			t.Fatalf("not within the time: %s; the ledger is %+v", what, r.s.Failed())
		}
	}
}

func (r *keeping) failing(names ...string) func() bool {
	return func() bool {
		var got []string
		for _, f := range r.s.Failed() {
			got = append(got, f.Path)
		}
		return slices.Equal(got, names)
	}
}

func (r *keeping) transferred() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats.Transferred
}

func isThere(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// A path among a thousand that a daemon refuses is found in what it says: the others are sent once.
func TestLedgerOneInAThousand(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *syncertest.DaemonConfig) { c.Modules[0].Extra = []string{"exclude = /d/f417"} })
	q := newTimed(syncer.Full().Paths...)
	for i := range 1000 {
		write(t, r.in(fmt.Sprintf("d/f%03d", i)), "content")
	}
	cfg := r.config()
	cfg.Keep = true
	run := run(t, r.syncer(cfg), q)
	run.until(t, "one fails again and again", func() bool { all := run.s.Failed(); return len(all) == 1 && all[0].Count >= 2 })
	if f := run.s.Failed()[0]; f.Path != "d/f417" || f.Class != syncer.ClassConfiguration {
		t.Errorf("%+v", f)
	}
	if n := run.transferred(); n > 999+10 {
		t.Errorf("%d files were sent", n)
	}
	// What is no longer to be sent is no failure.
	remove(t, r.in("d/f417"))
	q.Defer(batch("d/f417"), 0)
	run.until(t, "the ledger is empty", run.failing())
}

// A file that does not fit keeps no other from a full disk, and is there soon after room was made.
func TestLedgerFull(t *testing.T) {
	needRoot(t)
	t.Parallel()
	for _, way := range []string{"local", "daemon", "ssh"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			var r *rig
			if way == "ssh" {
				r, _ = newSSHRig(t)
			} else {
				r = newRig(t)
			}
			mount(r, "size=1m")
			write(t, r.at("ballast"), noise(1, 900_000))
			cfg := r.config()
			cfg.Keep = true
			if way == "local" {
				cfg.Target = syncer.Target{Path: r.dst}
			}
			for _, name := range []string{"a", "z", "d/y"} {
				write(t, r.in(name), "small")
			}
			write(t, r.in("d/big"), noise(2, 500_000))
			q := newTimed(syncer.Full().Paths...)
			run := run(t, r.syncer(cfg), q)
			run.until(t, "the others are there", func() bool { return isThere(r.at("a")) && isThere(r.at("z")) && isThere(r.at("d/y")) })
			run.until(t, "it is in the ledger", run.failing("d/big"))
			if f := run.s.Failed()[0]; f.Errno != unix.ENOSPC || f.Remedy() == "" {
				t.Errorf("%+v", f)
			}
			write(t, r.in("later"), "small")
			q.Defer(batch("later"), 0)
			run.until(t, "what comes later is there", func() bool { return isThere(r.at("later")) })
			remove(t, r.at("ballast"))
			run.until(t, "nothing fails any more", run.failing())
			if got := read(t, r.at("d/big")); got != noise(2, 500_000) {
				t.Error("it is not what it was")
			}
		})
	}
}

// A saved ledger is tried at once; the counts go on.
func TestLedgerRestored(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	write(t, r.in("fine"), "x")
	cfg := r.config()
	cfg.Target, cfg.Keep = syncer.Target{Path: r.dst}, true
	cfg.Failed = []syncer.Failed{
		{Path: "fine", Paths: 1, Count: 7, First: time.Now(), Next: time.Now().Add(time.Hour)},
		{Path: "d", Tree: true, Paths: 5, Count: 9, First: time.Now(), Next: time.Now().Add(time.Hour)},
	}
	run := run(t, r.syncer(cfg), newTimed())
	run.until(t, "both are over", run.failing())
	run.mu.Lock()
	defer run.mu.Unlock()
	var arrived []int
	ledger := false
	for _, o := range run.log {
		ledger = ledger || o.Ledger
		for _, f := range o.Arrived {
			arrived = append(arrived, f.Count)
		}
	}
	if slices.Sort(arrived); !slices.Equal(arrived, []int{7, 9}) || !ledger || !isThere(r.at("fine")) {
		t.Errorf("arrived with counts %v, told %v", arrived, ledger)
	}
}

// A change of a directory may be what a failing path below it waits for.
func TestLedgerChangeAbove(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cfg := r.config()
	cfg.Target, cfg.Keep = syncer.Target{Path: r.dst}, true
	write(t, r.in("d/e"), "x")
	cfg.Failed = []syncer.Failed{{Path: "d/e", Paths: 1, Count: 9, First: time.Now()}}
	s := r.syncer(cfg)
	q := newTimed()
	write(t, r.at("d/e/f"), "what is in the way, and stays without --delete")
	run := run(t, s, q)
	run.until(t, "it fails once more", func() bool { all := s.Failed(); return len(all) > 0 && all[len(all)-1].Count == 10 })
	remove(t, r.at("d/e"))
	q.Defer(syncer.Batch{Paths: []syncer.Path{{Name: "d"}}}, 0)
	run.until(t, "it is there", func() bool { return isThere(r.at("d/e")) })
	run.until(t, "nothing fails", run.failing())
}

// What cannot be read waits for its permissions. Root reads everything: the test runs itself as another user.
func TestLedgerUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Parallel()
		dir := t.TempDir()
		for _, d := range []string{filepath.Dir(dir), dir} {
			chmod(t, d, 0o777)
		}
		exe := filepath.Join(dir, "test")
		write(t, exe, read(t, "/proc/self/exe"))
		chmod(t, exe, 0o755)
		cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestLedgerUnreadable$", "-test.v")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestLedgerUnreadable") {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	r := newRig(t)
	cfg := r.config()
	cfg.Keep, cfg.Delete = true, true
	for _, name := range []string{"d/f", "e/secret", "e/open"} {
		write(t, r.in(name), "x")
		write(t, r.at(name), "older")
	}
	chmod(t, r.in("d"), 0)
	chmod(t, r.in("e/secret"), 0)
	q := newTimed(syncer.Full().Paths...)
	run := run(t, r.syncer(cfg), q)
	run.until(t, "both are in the ledger", run.failing("d", "e/secret"))
	if f := run.s.Failed()[0]; !f.Tree || f.Errno != unix.EACCES {
		t.Errorf("%+v", f)
	}
	chmod(t, r.in("d"), 0o755)
	chmod(t, r.in("e/secret"), 0o644)
	q.Defer(syncer.Batch{Paths: []syncer.Path{{Name: "d", Tree: true}, {Name: "e/secret"}}}, 0)
	run.until(t, "nothing fails", run.failing())
	r.equal()
}

// While a tree changes, names on the targets cannot be changed for a while. After that all is as in the
// source, and the ledger is empty.
func TestLedgerChaos(t *testing.T) {
	needRoot(t)
	t.Parallel()
	r := newRig(t)
	mirror := filepath.Join(t.TempDir(), "mirror")
	mkdir(t, mirror)
	write(t, r.in("first"), "x")
	var runs []*keeping
	for _, target := range []string{"", mirror} {
		cfg := r.config()
		cfg.Keep, cfg.Delete, cfg.HardLinks = true, true, true
		cfg.Checksum = true // nobody tells of changes that size and time do not show
		if target != "" {
			cfg.Target = syncer.Target{Path: target}
		}
		runs = append(runs, run(t, r.syncer(cfg), newTimed(syncer.Full().Paths...)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a busy machine takes its time
	defer cancel()
	failed := func(r *keeping) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.ContainsFunc(r.log, func(o syncer.Outcome) bool { return len(o.Failed) > 0 })
	}
	time.AfterFunc(2*time.Second, func() {
		for !failed(runs[0]) || !failed(runs[1]) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
		cancel()
	})
	var g sync.WaitGroup
	defer g.Wait()
	g.Go(func() {
		for rng := rand.New(rand.NewPCG(1, 2)); ; {
			select {
			case <-ctx.Done():
				for _, dir := range []string{r.dst, mirror} { // what was fixed may have another name by now
					for _, name := range allBelow(dir) {
						setFlags(name, 0)
					}
				}
				return
			case <-time.After(20 * time.Millisecond):
			}
			for i, dir := range []string{r.dst, mirror} {
				if all := allBelow(dir); len(all) > 0 {
					setFlags(all[rng.IntN(len(all))], unix.STATX_ATTR_IMMUTABLE)
				}
				runs[i].q.Defer(syncer.Full(), 0)
			}
		}
	})
	churn := syncertest.Churn{Root: r.src, Outside: t.TempDir(), Seed: 1, MaxEntries: 300}
	if _, err := churn.Run(ctx); err != nil {
		t.Fatal(err)
	}
	g.Wait()
	for i, dir := range []string{r.dst, mirror} {
		if !failed(runs[i]) {
			t.Errorf("%s: nothing ever failed", dir)
		}
		runs[i].q.Defer(syncer.Full(), 0)
		runs[i].until(t, "nothing fails", func() bool { return len(runs[i].s.Failed()) == 0 })
		syncertest.RequireSoonEqual(t, 30*time.Second, r.src, dir, syncertest.CompareOptions{})
	}
}

// allBelow are the files and directories below dir.
func allBelow(dir string) (names []string) {
	filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && p != dir && (d.IsDir() || d.Type().IsRegular()) {
			names = append(names, p)
		}
		return nil
	})
	return names
}
