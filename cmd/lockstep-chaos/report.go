package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// hunting runs seeds and counts what came of them.
type hunting struct {
	ctx    context.Context
	o      options
	work   string
	begun  time.Time
	queues queues // as they were before anything was lowered; nil if they cannot be read

	mu     sync.Mutex // guards what follows, and turns at out
	out    io.Writer
	totals map[string]*total
	sum    result
	ran    int
	failed int // runs in which lockstep did something wrong
	broken int // runs that could not be carried out
}

// total is what came of a fault.
type total struct {
	injected, skipped, failed int
	slowest                   time.Duration
}

func newHunt(ctx context.Context, o options, work string, out io.Writer) *hunting {
	h := &hunting{ctx: ctx, o: o, work: work, begun: time.Now(), out: out, totals: map[string]*total{}}
	h.queues, _ = readQueues() // without them there is nothing to restore
	for name, why := range o.Impossible {
		fmt.Fprintf(out, "left out: %s: %s\n", name, why)
	}
	for _, f := range leftOut {
		fmt.Fprintf(out, "left out: %s: %s\n", f[0], f[1])
	}
	return h
}

// runAll runs all seeds, some at a time, and stops early when ctx ends.
func (h *hunting) runAll() {
	seeds := make(chan uint64)
	var wg sync.WaitGroup
	for range max(h.o.parallel, 1) {
		wg.Go(func() {
			for seed := range seeds {
				h.runOne(seed)
			}
		})
	}
	for i := range h.o.seeds {
		select {
		case seeds <- h.o.first + uint64(i):
			continue
		case <-h.ctx.Done():
		}
		break
	}
	close(seeds)
	wg.Wait()
}

func (h *hunting) runOne(seed uint64) {
	c := h.o.config
	c.Seed = seed
	c.Out = filepath.Join(h.work, fmt.Sprintf("seed-%d", seed))
	if err := os.Mkdir(c.Out, 0o755); err != nil {
		h.tell(result{Seed: seed, Broken: err.Error()})
		return
	}
	r, err := inSpace(h.ctx, c)
	switch {
	case h.ctx.Err() != nil:
		r.Broken = "it was ended from outside"
	case err != nil:
		r.Broken = errors.Join(err, errors.New(lastLines(filepath.Join(c.Out, "chaos.log"), 20))).Error()
	}
	if r.Broken != "" && h.queues != nil { // it may have ended before it restored them
		if err := h.queues.write(); err != nil {
			r.Broken += ": " + err.Error()
		}
	}
	if len(r.Failures) == 0 && r.Broken == "" {
		if err := os.RemoveAll(c.Out); err != nil {
			r.Broken = err.Error()
		}
	}
	h.tell(r)
}

// tell prints a run, and adds it to the totals.
func (h *hunting) tell(r result) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ran++
	h.sum.Rounds += r.Rounds
	h.sum.Changes += r.Changes
	h.sum.Pins += r.Pins
	h.sum.Versions += r.Versions
	h.sum.Most.RSS = max(h.sum.Most.RSS, r.Most.RSS)
	h.sum.Most.Descriptors = max(h.sum.Most.Descriptors, r.Most.Descriptors)
	h.sum.Most.Threads = max(h.sum.Most.Threads, r.Most.Threads)
	for i, s := range r.Shots {
		h.count(s, len(r.Failures) > 0 && i == len(r.Shots)-1)
	}
	verdict := "ok"
	switch {
	case len(r.Failures) > 0:
		verdict = "FAILED"
		h.failed++
	case r.Broken != "":
		verdict = "broken"
		h.broken++
	}
	fmt.Fprintf(h.out, "seed %d: %s, %v, %d rounds, %d changes (%s)\n", r.Seed, verdict, r.Took.Round(100*time.Millisecond), r.Rounds, r.Changes, r.Setting)
	for _, s := range r.Shots {
		fmt.Fprintf(h.out, "  %s\n", s)
	}
	if r.Broken != "" {
		fmt.Fprintf(h.out, "  could not be carried out: %s\n", indent(r.Broken))
	}
	for _, f := range r.Failures {
		fmt.Fprintf(h.out, "  FAILED %s\n", indent(f))
	}
	if len(r.Failures) > 0 {
		fmt.Fprintf(h.out, "  again: %s\n  logs: %s\n  %s\n", h.again(r.Seed), filepath.Join(h.work, fmt.Sprintf("seed-%d", r.Seed)), indent(r.Logs))
	}
}

// again is the command line that runs a seed once more.
func (h *hunting) again(seed uint64) string {
	words := []string{"go run ./cmd/lockstep-chaos", fmt.Sprintf("-seed %d -time %v", seed, h.o.Time), "-targets " + strings.Join(h.o.Targets, ",")}
	if len(h.o.Faults) > 0 {
		words = append(words, "-faults "+strings.Join(h.o.Faults, ","))
	}
	if len(h.o.Options) > 0 {
		words = append(words, fmt.Sprintf("-options %q", strings.Join(h.o.Options, " ")))
	}
	return strings.Join(words, " ")
}

func indent(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") }

func (s shotResult) String() string {
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
	line := fmt.Sprintf("%8v  %-12s %-7s", round(s.At), s.Fault, s.Target)
	if s.Skipped != "" {
		return line + s.Skipped
	}
	return line + fmt.Sprintf("for %v, equal %v after all was well", round(s.Held), round(s.Healed))
}

func (h *hunting) count(s shotResult, failed bool) {
	t := h.totals[s.Fault]
	if t == nil {
		t = &total{}
		h.totals[s.Fault] = t
	}
	if s.Skipped != "" {
		t.skipped++
		return
	}
	t.injected++
	t.slowest = max(t.slowest, s.Healed)
	if failed {
		t.failed++
	}
}

// table prints the totals.
func (h *hunting) table() {
	w := tabwriter.NewWriter(h.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nfault\tinjected\tfound nothing to hit\tfailed\tslowest to be equal\n")
	for _, name := range faultNames() {
		t := h.totals[name]
		if t == nil {
			t = &total{}
		}
		if _, no := h.o.Impossible[name]; no || len(h.o.Faults) > 0 && !slices.Contains(h.o.Faults, name) {
			continue
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%v\n", name, t.injected, t.skipped, t.failed, t.slowest.Round(10*time.Millisecond))
	}
	w.Flush()
	fmt.Fprintf(h.out, "\n%d runs, %d failed, %d could not be carried out, in %v: %d rounds, %d changes to the source,\n"+
		"%d looks for pinned names and %d reads of whole files on the targets; at most %d MiB resident, %d descriptors, %d threads\n",
		h.ran, h.failed, h.broken, time.Since(h.begun).Round(time.Second), h.sum.Rounds, h.sum.Changes,
		h.sum.Pins, h.sum.Versions, h.sum.Most.RSS>>10, h.sum.Most.Descriptors, h.sum.Most.Threads)
}
