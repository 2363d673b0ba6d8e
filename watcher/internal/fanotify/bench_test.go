package fanotify

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// counter runs a group that counts what it tells.
func counter(b *testing.B, root string) (g *Group, events func() uint64, stop func()) {
	b.Helper()
	needRoot(b)
	g, err := Open(Config{Root: root})
	must(b, err)
	var mu sync.Mutex
	var n uint64
	last := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		must(b, g.Run(ctx, func(list []Event) {
			mu.Lock()
			n += uint64(len(list))
			mu.Unlock()
			for _, e := range list {
				if e.Path == "last" {
					close(last)
				}
			}
		}))
	})
	events = func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
	return g, events, func() {
		must(b, unix.Mknod(root+"/last", unix.S_IFREG, 0))
		<-last
		cancel()
		running.Wait()
		must(b, g.Close())
	}
}

func cpu() int64 {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkWriters has two goroutines make and remove files as fast as they can, each in 10
// directories of tmpfs: inside the root, outside, or with nobody watching. An operation is a file
// made and removed; the difference to "unwatched" is the price of watching.
func BenchmarkWriters(b *testing.B) {
	for _, where := range []string{"unwatched", "inside", "outside"} {
		b.Run(where, func(b *testing.B) {
			base := shm(b)
			mkdir(b, base+"/inside")
			for i := range 20 {
				mkdir(b, fmt.Sprintf("%s/%s/d%d", base, where, i))
			}
			stop := func() {}
			events := func() uint64 { return 0 }
			var g *Group
			if where != "unwatched" {
				g, events, stop = counter(b, base+"/inside")
			}
			b.ResetTimer()
			before := cpu()
			var writers sync.WaitGroup
			for w := range 2 {
				writers.Go(func() {
					for i := range b.N / 2 {
						path := fmt.Sprintf("%s/%s/d%d/f%d", base, where, w*10+i%10, i)
						must(b, unix.Mknod(path, unix.S_IFREG|0o600, 0))
						must(b, unix.Unlink(path))
					}
				})
			}
			writers.Wait()
			stop()
			b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
			n := events()
			if g != nil {
				n += g.Stats().Dropped
			}
			b.ReportMetric(float64(n)/float64(b.N), "events/op")
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkRead reads a queue that was filled before, so that nobody else takes the time: an
// operation is one event, read, parsed, resolved and told.
func BenchmarkRead(b *testing.B) {
	for _, where := range []string{"inside", "outside"} {
		b.Run(where, func(b *testing.B) {
			base := shm(b)
			mkdir(b, base+"/inside/d")
			mkdir(b, base+"/outside/d")
			needRoot(b)
			g, err := Open(Config{Root: base + "/inside"})
			must(b, err)
			b.StopTimer()
			for i := range b.N {
				path := fmt.Sprintf("%s/%s/d/f%d", base, where, i)
				must(b, unix.Mknod(path, unix.S_IFREG|0o600, 0))
				must(b, unix.Unlink(path)) // merged into the same event
			}
			must(b, unix.Mknod(base+"/inside/last", unix.S_IFREG, 0))
			b.ReportAllocs()
			b.StartTimer()
			n := 0
			ctx, cancel := context.WithCancel(context.Background())
			must(b, g.Run(ctx, func(list []Event) {
				n += len(list)
				for _, e := range list {
					if e.Path == "last" {
						cancel()
					}
				}
			}))
			b.StopTimer()
			n += int(g.Stats().Dropped)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
			must(b, g.Close())
		})
	}
}

// BenchmarkFind looks for a directory that is known, and for one that is not.
func BenchmarkFind(b *testing.B) {
	needRoot(b)
	for _, base := range []string{shm(b), tempDir(b)} {
		dirPath := base + "/a/b/c"
		mkdir(b, dirPath)
		fd, id, err := openDir(base)
		must(b, err)
		must(b, unix.Close(fd))
		handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, dirPath, 0)
		must(b, err)
		k := append(dirKey{}, id[:]...)
		k = append(k, key(0, handle.Size())[fsidSize:fsidSize+4]...)
		k = append(k, byte(handle.Type()), 0, 0, 0)
		k = append(k, handle.Bytes()...)
		t := &translator{
			resolver: resolver{root: base, mounts: &mounts{at: map[fsid]string{id: base}}},
			cache:    make(dirCache),
		}
		n := name{k, []byte("f")}
		if s, err := t.find(n); err != nil || s.path != "a/b/c/f" {
			b.Fatalf("%q, %v", s.path, err)
		}
		fs := "shm"
		if base[:4] == "/tmp" {
			fs = "temp"
		}
		b.Run(fs+"/cached", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = t.find(n)
			}
		})
		b.Run(fs+"/resolved", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				clear(t.cache)
				_, _ = t.find(n)
			}
		})
	}
}

// BenchmarkLatency is the time from a file's making to its event, after a pause and without one.
func BenchmarkLatency(b *testing.B) {
	for _, pause := range []time.Duration{3 * time.Millisecond, 0} {
		b.Run(fmt.Sprintf("pause=%v", pause), func(b *testing.B) {
			needRoot(b)
			root := shm(b)
			g, err := Open(Config{Root: root})
			must(b, err)
			told := make(chan struct{}, 1)
			ctx, cancel := context.WithCancel(context.Background())
			var running sync.WaitGroup
			running.Go(func() {
				must(b, g.Run(ctx, func([]Event) { told <- struct{}{} }))
			})
			var took time.Duration
			for i := 0; b.Loop(); i++ {
				time.Sleep(pause)
				start := time.Now()
				must(b, unix.Mknod(fmt.Sprintf("%s/%d", root, i), unix.S_IFREG, 0))
				<-told
				took += time.Since(start)
			}
			b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "ns/event")
			cancel()
			running.Wait()
			must(b, g.Close())
		})
	}
}

// BenchmarkOpen is the start: a probe and a mark.
func BenchmarkOpen(b *testing.B) {
	needRoot(b)
	root := shm(b)
	for b.Loop() {
		g, err := Open(Config{Root: root})
		must(b, err)
		must(b, g.Close())
	}
}
