package index

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/internal/dirent"
	"golang.org/x/sys/unix"
)

// millionEnv asks for the benchmarks of 1,000,000 files, whose tree takes a minute to make. Its value is
// the directory to make it in.
const millionEnv = "INDEX_BENCH_MILLION"

// makeTree makes dirs directories of perDir files each, 100 in each directory above.
func makeTree(tb testing.TB, root string, dirs, perDir int) {
	tb.Helper()
	for i := range dirs {
		dir := fmt.Sprintf("%s/directory-%03d/subdirectory-%02d", root, i/100, i%100)
		mkdir(tb, dir)
		for k := range perDir {
			fd, err := unix.Creat(dir+"/file-"+strconv.Itoa(k)+".txt", 0o644)
			must(tb, err)
			unix.Close(fd)
		}
	}
}

// plainWalk is the fastest way to lstat everything: a shared stack of paths, some workers, nothing
// kept. It is what Compare is measured by.
func plainWalk(root string, workers int) int {
	var (
		mu    sync.Mutex // guards all below
		wake  = sync.NewCond(&mu)
		stack = []string{root}
		busy  int
		total int
	)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			buf := make([]byte, dirent.BufferSize)
			st := new(unix.Stat_t)
			n := 0
			mu.Lock()
			defer mu.Unlock()
			defer func() { total += n }()
			for {
				for len(stack) == 0 && busy > 0 {
					wake.Wait()
				}
				if len(stack) == 0 {
					wake.Broadcast()
					return
				}
				path := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				busy++
				mu.Unlock()
				var dirs []string
				fd, err := unix.Open(path, toList, 0)
				for err == nil {
					var size int
					if size, err = dirent.Read(fd, buf); size == 0 {
						break
					}
					_ = dirent.Parse(buf[:size], func(name []byte, typ uint8, _ uint64) error {
						n++
						_ = dirent.Stat(fd, name, st)
						if typ == unix.DT_DIR {
							dirs = append(dirs, path+"/"+string(name))
						}
						return nil
					})
				}
				unix.Close(fd)
				mu.Lock()
				busy--
				stack = append(stack, dirs...)
				wake.Broadcast()
			}
		})
	}
	wg.Wait()
	return total
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkBuild is the first Compare, beside a plain walk in the same run, and what the index keeps.
func BenchmarkBuild(b *testing.B) {
	b.Run("100000files", func(b *testing.B) {
		root := tempDir(b)
		makeTree(b, root, 5000, 20)
		benchBuild(b, root, 100_000)
	})
	b.Run("1000000files", func(b *testing.B) {
		benchBuild(b, million(b), 1_000_000)
	})
	b.Run("1000000names", func(b *testing.B) { // in one directory: one worker has all the work
		if os.Getenv(millionEnv) == "" {
			b.Skipf("%s is not set", millionEnv)
		}
		root := tempDir(b)
		makeTree(b, root, 1, 1_000_000)
		benchBuild(b, root, 1_000_000)
	})
}

// million returns a tree of 1,000,000 files in 50,000 directories, made once.
func million(b *testing.B) string {
	b.Helper()
	base := os.Getenv(millionEnv)
	if base == "" {
		b.Skipf("%s names no directory to make 1,000,000 files in", millionEnv)
	}
	root := base + "/index-bench-million"
	if _, err := os.Stat(root + "/complete"); err != nil {
		makeTree(b, root, 50_000, 20)
		write(b, root+"/complete", "")
		time.Sleep(2 * coarseClock) // stamps settle
	}
	return root
}

func benchBuild(b *testing.B, root string, files int) {
	plainWalk(root, DefaultWorkers)
	var plain, build, again time.Duration
	var kept, claimed float64
	for b.Loop() {
		start := time.Now()
		plainWalk(root, DefaultWorkers)
		plain += time.Since(start)

		before := heap()
		start = time.Now()
		x := New(Config{Root: root})
		_, err := x.Compare(context.Background(), ".", nil, nil)
		build += time.Since(start)
		must(b, err)
		kept += float64(heap() - before)
		claimed += float64(x.Bytes())

		start = time.Now()
		n := 0
		_, err = x.Compare(context.Background(), ".", nil, func(Difference) { n++ })
		again += time.Since(start)
		must(b, err)
		if n > 0 || x.Len() < files {
			b.Fatalf("%d differences, %d entries", n, x.Len())
		}
	}
	n := float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(plain.Seconds()*1000/n, "plain-ms")
	b.ReportMetric(build.Seconds()*1000/n, "build-ms")
	b.ReportMetric(again.Seconds()*1000/n, "unchanged-ms")
	b.ReportMetric(build.Seconds()/plain.Seconds(), "build/plain")
	b.ReportMetric(again.Seconds()/plain.Seconds(), "unchanged/plain")
	b.ReportMetric(kept/n/float64(files), "heap-B/file")
	b.ReportMetric(claimed/n/float64(files), "claimed-B/file")
}

// BenchmarkLook is one update in a directory of many names.
func BenchmarkLook(b *testing.B) {
	for _, files := range []int{20, 100_000} {
		b.Run(fmt.Sprintf("%dnames", files), func(b *testing.B) {
			root := tempDir(b)
			for k := range files {
				fd, err := unix.Creat(root+"/file-"+strconv.Itoa(k)+".txt", 0o644)
				must(b, err)
				unix.Close(fd)
			}
			x := built(b, Config{Root: root})
			paths := []string{"file-7.txt"}
			b.ReportAllocs()
			for b.Loop() {
				x.Forget(paths[0], false)
				x.Look(paths)
			}
		})
	}
}
