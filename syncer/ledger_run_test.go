package syncer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// queue is a feed: paths, and when they are due.
type queue struct {
	mu    sync.Mutex // guards what follows
	due   map[syncer.Path]time.Time
	hold  time.Time
	holds int
	wake  chan struct{}
}

func newQueue(paths ...syncer.Path) *queue {
	q := &queue{due: map[syncer.Path]time.Time{}, wake: make(chan struct{}, 1)}
	q.Defer(syncer.Batch{Paths: paths}, 0)
	return q
}

func (q *queue) Defer(b syncer.Batch, after time.Duration) {
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

func (q *queue) Hold(d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hold = time.Now().Add(d)
	q.holds++
}

func (q *queue) Next(ctx context.Context) (syncer.Batch, error) {
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

func (q *queue) take() (b syncer.Batch, wait time.Duration) {
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

// running is a Syncer that runs.
type running struct {
	s     *syncer.Syncer
	q     *queue
	mu    sync.Mutex // guards what follows
	stats syncer.Stats
	log   []syncer.Outcome
}

func run(t *testing.T, s *syncer.Syncer, q *queue) *running {
	t.Helper()
	r := &running{s: s, q: q}
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
func (r *running) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
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

func (r *running) failing(names ...string) func() bool {
	return func() bool {
		var got []string
		for _, f := range r.s.Failed() {
			got = append(got, f.Path)
		}
		return slices.Equal(got, names)
	}
}

func (r *running) transferred() int64 {
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
	q := newQueue(syncer.Full().Paths...)
	for i := range 1000 {
		write(t, r.in(fmt.Sprintf("d/f%03d", i)), "content")
	}
	cfg := r.config()
	cfg.Keep = true
	run := run(t, r.syncer(cfg), q)
	run.until(t, "one fails again and again", func() bool { all := run.s.Failed(); return len(all) == 1 && all[0].Count >= 3 })
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
			q := newQueue(syncer.Full().Paths...)
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
	run := run(t, r.syncer(cfg), newQueue())
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
	write(t, r.in("d/e/f"), "x")
	cfg.Failed = []syncer.Failed{{Path: "d/e/f", Paths: 1, Count: 9, First: time.Now()}}
	s := r.syncer(cfg)
	q := newQueue()
	write(t, r.dst+"/d", "a file in the way, which without --delete stays")
	run := run(t, s, q)
	run.until(t, "it fails once more", func() bool { all := s.Failed(); return len(all) > 0 && all[len(all)-1].Count == 10 })
	remove(t, r.dst+"/d")
	q.Defer(syncer.Batch{Paths: []syncer.Path{{Name: "d"}}}, 0)
	run.until(t, "it is there", func() bool { return isThere(filepath.Join(r.dst, "d/e/f")) })
	run.until(t, "nothing fails", run.failing())
}
