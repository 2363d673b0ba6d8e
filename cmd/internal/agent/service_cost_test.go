package agent

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

var (
	costSyncs   = flag.Int("cost.syncs", 5, "how many syncs TestServiceCost runs, with three targets each")
	costFiles   = flag.Int("cost.files", 20, "how many files each has")
	costIdle    = flag.Duration("cost.idle", 0, "how long TestServiceCost looks at what an idle Service costs; 0: it does not")
	costBackend = flag.String("cost.backend", "auto", "their --watch-backend")
	costProfile = flag.String("cost.profile", "", "write profiles of the memory and of the idle processor to `FILE`.heap and FILE.cpu")
)

// TestServiceCost counts what a sync with three targets takes, and with flags measures what many do:
//
//	go test ./cmd/internal/agent -run TestServiceCost -v -cost.syncs 50 -cost.files 2000 -cost.idle 30s
func TestServiceCost(t *testing.T) {
	debug.SetGCPercent(40) // as the command does
	s := newServed(t)
	for i := range *costSyncs {
		name := fmt.Sprint("s", i)
		c := s.sync(name, name+"x", name+"y", name+"z")
		for k := range c.Targets {
			c.Targets[k].WatchBackend = *costBackend
		}
		for f := range *costFiles {
			s.put(name, fmt.Sprintf("d%d/f%d", f/100, f), "x")
		}
	}
	begun := time.Now()
	s.start(ServiceOptions{})
	var slowest time.Duration // of the answers while all is pushed
	pushed := make(chan struct{})
	go func() {
		defer close(pushed)
		if _, err := s.Flush(t.Context(), ""); err != nil {
			t.Error(err)
		}
	}()
	for busy := true; busy; {
		start := time.Now()
		s.Status()
		slowest = max(slowest, time.Since(start))
		select {
		case <-pushed:
			busy = false
		case <-time.After(20 * time.Millisecond):
		}
	}
	first := time.Since(begun)
	a := s.Status()
	targets := 3 * *costSyncs
	t.Logf("%d targets in step after %v, a status took at most %v meanwhile: %d goroutines, %d descriptors, %d KiB resident",
		targets, first, slowest, a.Goroutines, a.Descriptors, a.Resident>>10)
	if most := 60 + 16*targets; a.Goroutines > most { // other tests' are among them
		t.Logf("%s", stacks())
		t.Errorf("%d goroutines for %d targets, want at most %d", a.Goroutines, targets, most)
	}
	if *costIdle > 0 {
		s.idle()
	}
	s.reloadOne()
}

// idle tells what it takes while nothing happens.
func (s *served) idle() {
	time.Sleep(10 * time.Second) // what was pushed is noted, and a verification has its rest: a measurement, not a wait
	debug.FreeOSMemory()
	if *costProfile != "" {
		heap, err := os.Create(*costProfile + ".heap")
		if err != nil {
			s.t.Fatal(err)
		}
		defer heap.Close()
		cpu, err := os.Create(*costProfile + ".cpu")
		if err != nil {
			s.t.Fatal(err)
		}
		defer cpu.Close()
		if err := errors.Join(pprof.WriteHeapProfile(heap), pprof.StartCPUProfile(cpu)); err != nil {
			s.t.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	begun, cpu := time.Now(), processor()
	time.Sleep(*costIdle)
	part := float64(processor()-cpu) / float64(time.Since(begun))
	var slowest time.Duration
	for range 100 {
		start := time.Now()
		s.Status()
		slowest = max(slowest, time.Since(start))
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.t.Logf("idle: %.2f%% of a core, %d MiB resident, %d MiB of it heap; %d goroutines; a status takes at most %v",
		100*part, resident()>>20, m.HeapInuse>>20, runtime.NumGoroutine(), slowest)
}

// reloadOne changes one sync, which touches no other.
func (s *served) reloadOne() {
	before := s.list()
	pushes := map[string]int64{}
	each := func(do func(api.Target)) {
		for _, one := range s.Status().Syncs[1:] {
			for _, target := range one.Targets {
				do(target)
			}
		}
	}
	each(func(target api.Target) { pushes[target.Target] = target.Totals.Pushes })
	s.configs[0].Targets[0].Settle = 7 * time.Millisecond
	begun := time.Now()
	if _, err := s.Reload(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("one of %d is made anew in %v", len(before), time.Since(begun))
	for i, u := range s.list()[1:] {
		if u != before[i+1] {
			s.t.Errorf("%s was made anew", u.cfg.Name)
		}
	}
	s.flushed("s0")
	each(func(target api.Target) {
		if n := target.Totals.Pushes - pushes[target.Target]; n != 0 {
			s.t.Errorf("%s was pushed to %d times", target.Target, n)
		}
	})
}

// processor is the time that the process has had a processor.
func processor() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}
