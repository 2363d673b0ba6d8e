package debounce

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

const million = 1_000_000

// benchPaths are a million files in 50,000 directories, with names as long as those of a web root.
func benchPaths() []string {
	paths := make([]string, million)
	for i := range paths {
		paths[i] = fmt.Sprintf("site-%02d/upload/%04d/image-of-thing-%07d.jpeg", i%50, i/50%1000, i)
	}
	return paths
}

func filled(cfg Config, paths []string) *Queue {
	q := NewQueue(cfg)
	for i, p := range paths {
		q.Add(epoch.Add(time.Duration(i)*time.Microsecond), Change{Path: p})
	}
	return q
}

var unbounded = Config{MaxPaths: -1, Settle: time.Hour, MaxDelay: 2 * time.Hour}

func BenchmarkAdd(b *testing.B) {
	paths := benchPaths()
	b.Run("1M-distinct", func(b *testing.B) {
		b.ReportAllocs()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var q *Queue
		for b.Loop() {
			q = filled(unbounded, paths)
		}
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/million, "heap-B/path")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/million, "ns/path")
		runtime.KeepAlive(q)
	})
	b.Run("1M-distinct/bounded", func(b *testing.B) {
		cfg := unbounded
		cfg.MaxPaths = 0
		for b.Loop() {
			filled(cfg, paths)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/million, "ns/path")
	})
	q := filled(unbounded, paths)
	b.Run("again/1M-queued", func(b *testing.B) {
		i, now := 0, epoch.Add(time.Minute)
		for b.Loop() {
			now = now.Add(time.Microsecond)
			q.Add(now, Change{Path: paths[i*7919%million]})
			i++
		}
	})
	b.Run("below-tree/1M-queued", func(b *testing.B) {
		now := epoch.Add(time.Minute)
		q.Add(now, Change{Path: "site-07/upload", Tree: true})
		for b.Loop() {
			now = now.Add(time.Microsecond)
			q.Add(now, Change{Path: paths[7]})
		}
	})
	b.Run("tree-of-20/1M-queued", func(b *testing.B) { // 20 files come, and are swallowed by their directory
		now := epoch.Add(time.Minute)
		for i := 0; b.Loop(); i++ {
			dir := fmt.Sprintf("new/%d", i)
			for j := range 20 {
				q.Add(now, Change{Path: fmt.Sprintf("%s/%d", dir, j)})
			}
			q.Add(now, Change{Path: dir, Tree: true})
		}
	})
}

func BenchmarkSwallow(b *testing.B) {
	paths := benchPaths()
	for _, bm := range []struct{ name, dir string }{{"1M/all", "."}, {"1M/20000", "site-07"}, {"1M/20", "site-07/upload/0123"}} {
		b.Run(bm.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				q := filled(unbounded, paths)
				runtime.GC()
				b.StartTimer()
				q.Add(epoch.Add(time.Minute), Change{Path: bm.dir, Tree: true})
			}
		})
	}
}

func BenchmarkTake(b *testing.B) {
	paths := benchPaths()
	b.Run("1M/all", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			q := filled(unbounded, paths)
			runtime.GC()
			b.StartTimer()
			q.Take(epoch.Add(3 * time.Hour))
		}
	})
	q := filled(unbounded, paths)
	b.Run("1M/one", func(b *testing.B) { // a change comes and leaves while a million others are deferred
		now := epoch.Add(time.Minute)
		for b.Loop() {
			q.Defer(now, now, Batch{Changes: []Change{{Path: "site-07/upload/one"}}})
			if got, _ := q.Take(now); len(got.Changes) != 1 {
				b.Fatalf("%d changes", len(got.Changes))
			}
		}
	})
	b.Run("1M/next", func(b *testing.B) {
		for b.Loop() {
			q.Next()
		}
	})
}

func BenchmarkLine(b *testing.B) {
	b.ReportAllocs()
	l := NewLine(Config{Settle: -1, HotMax: -1})
	for b.Loop() {
		l.Add(Change{Path: "www/index.html"})
		if _, err := l.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
