package watcher

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// benchRoot is on tmpfs where there is one: the disk is not what is measured.
func benchRoot(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "watcher")
	if err != nil {
		return b.TempDir()
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func benchTree(root string) *tree {
	g := &ground{root: root, excluded: func(string, bool) bool { return false }}
	return newTree(g, func() (source, error) {
		fs, err := newFsnotify()
		return fsSource{fs}, err
	})
}

// BenchmarkAdd watches a tree of 50,000 directories with 2 files each.
func BenchmarkAdd(b *testing.B) {
	const dirs = 50_000
	root := benchRoot(b)
	for i := range dirs / 50 {
		for k := range 49 {
			dir := fmt.Sprintf("%s/directory-%d/subdirectory-%d", root, i, k)
			mkdir(b, dir)
			write(b, dir+"/a", "")
			write(b, dir+"/b", "")
		}
	}
	if limit := readLimit("watches"); limit.value < 2*dirs {
		b.Skipf("%s is %d: too low", limit.name, limit.value)
	}
	b.Run("50000dirs", func(b *testing.B) {
		b.ReportAllocs()
		before, after := heap(), uint64(0)
		for b.Loop() {
			t := benchTree(root)
			inst, err := t.openInstance()
			must(b, err)
			t.inst = inst
			t.addTree(context.Background(), root)
			b.StopTimer()
			if t.watches() != dirs+1 || len(t.polled.reasons) > 0 {
				b.Fatalf("%d watches, %d polled", t.watches(), len(t.polled.reasons))
			}
			after = heap()
			runtime.KeepAlive(t)
			t.close()
			t.wait()
			b.StartTimer()
		}
		b.ReportMetric(float64(after-before)/dirs, "heap-B/dir")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/dirs, "ns/dir")
	})
	b.Run("WalkDir", func(b *testing.B) { // for scale
		for b.Loop() {
			n := 0
			must(b, filepath.WalkDir(root, func(string, os.DirEntry, error) error { n++; return nil }))
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/dirs, "ns/dir")
	})
}

// BenchmarkEvents measures rounds that fit the kernel's queue, from the first system call to the last
// change emitted: the writer is this very process, and takes its share of the processors.
func BenchmarkEvents(b *testing.B) {
	const round = 5000
	b.Run("create", func(b *testing.B) {
		n := 0
		benchEvents(b, func(root string) {
			for range round {
				n++
				fd, err := unix.Creat(fmt.Sprintf("%s/%d", root, n%100_000), 0o600)
				must(b, err)
				unix.Close(fd)
			}
		})
	})
	b.Run("write", func(b *testing.B) {
		var fds [2]int
		benchEvents(b, func(root string) {
			for i := range fds {
				fd, err := unix.Creat(fmt.Sprintf("%s/%d", root, i), 0o600)
				must(b, err)
				fds[i] = fd
			}
			for i := range round {
				_, err := unix.Write(fds[i%2], []byte("x"))
				must(b, err)
			}
			unix.Close(fds[0])
			unix.Close(fds[1])
		})
	})
}

func benchEvents(b *testing.B, round func(root string)) {
	root := benchRoot(b)
	h := start(b, Config{Root: root})
	b.ReportAllocs()
	for b.Loop() {
		round(root)
		h.sync()
		h.take()
	}
	s := h.w.Stats()
	b.ReportMetric(float64(s.Events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(s.Overflows), "overflows")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkDrain is the cost of an event to the goroutine that drains, and to the owner.
func BenchmarkDrain(b *testing.B) {
	names := make([]string, 4096)
	for i := range names {
		names[i] = fmt.Sprintf("/some/root/with/a/directory-%d/file-%d", i%64, i)
	}
	t := benchTree("/some/root")
	t.inst = &instance{pending: newPending(maxPending)}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		t.inst.pending.add(event{name: names[i%len(names)], op: OpModify}, "")
		if i++; i%len(names) == 0 {
			t.handle(context.Background(), func() bool { t.marks.take(); return true })
		}
	}
}

// BenchmarkLatency is from a write to its emission, idle before.
func BenchmarkLatency(b *testing.B) {
	for _, backend := range []string{BackendInotify, BackendFanotify} {
		b.Run(backend, func(b *testing.B) {
			if backend == BackendFanotify && os.Geteuid() != 0 {
				b.Skip("fanotify needs root")
			}
			benchLatency(b, backend)
		})
	}
}

func benchLatency(b *testing.B, backend string) {
	root := benchRoot(b)
	got := make(chan Change, 64)
	h := newHarness(b, Config{Root: root, Backend: backend})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- h.w.Run(ctx, func(list []Change) {
			for _, c := range list {
				got <- c
			}
		})
	}()
	<-got
	f, err := os.Create(root + "/" + strings.Repeat("f", 10))
	must(b, err)
	defer f.Close()
	<-got
	var all []time.Duration
	for b.Loop() {
		time.Sleep(3 * time.Millisecond) // idle: in a stream fanotify's events gather for a millisecond
		start := time.Now()
		_, err := f.Write([]byte("x"))
		must(b, err)
		<-got
		all = append(all, time.Since(start))
	}
	slices.Sort(all)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(all[len(all)/2].Nanoseconds())/1000, "us-median")
	b.ReportMetric(float64(all[len(all)*95/100].Nanoseconds())/1000, "us-p95")
	cancel()
	must(b, <-done)
}
