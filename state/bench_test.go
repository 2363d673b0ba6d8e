package state

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/internal/dirent"
	"golang.org/x/sys/unix"
)

// millionEnv asks for the benchmark of 1,000,000 files, whose tree takes a minute to make. Its value is
// the directory to make it in.
const millionEnv = "STATE_BENCH_MILLION"

// makeTree makes dirs directories of perDir files each, 100 in each directory above.
func makeTree(tb testing.TB, root string, dirs, perDir int) {
	tb.Helper()
	for i := range dirs {
		dir := fmt.Sprintf("%s/directory-%03d/subdirectory-%02d", root, i/100, i%100)
		must(tb, os.MkdirAll(dir, 0o755))
		for k := range perDir {
			fd, err := unix.Creat(dir+"/file-"+strconv.Itoa(k)+".txt", 0o644)
			must(tb, err)
			unix.Close(fd)
		}
	}
}

// bareScan is the fastest way to lstat everything: a shared stack of paths, some workers, nothing kept.
func bareScan(root string, workers int) int {
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
				fd, err := openAt(unix.AT_FDCWD, path, toList)
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

// BenchmarkRestart is Open and Differs of a tree in which nothing changed, beside a bare scan in the same run.
func BenchmarkRestart(b *testing.B) {
	b.Run("100000files", func(b *testing.B) {
		root := b.TempDir()
		makeTree(b, root, 5000, 20)
		benchRestart(b, root)
	})
	b.Run("1000000files", func(b *testing.B) {
		base := os.Getenv(millionEnv)
		if base == "" {
			b.Skipf("%s names no directory to make 1,000,000 files in", millionEnv)
		}
		root := base + "/state-bench-million"
		if _, err := os.Stat(root + "/complete"); err != nil {
			makeTree(b, root, 50_000, 20)
			write(b, root+"/complete", "")
		}
		benchRestart(b, root)
	})
}

func benchRestart(b *testing.B, root string) {
	cfg := Config{Dir: b.TempDir(), Source: root, Target: "t", Root: root, Quiet: time.Millisecond}
	s, _, err := Open(cfg)
	must(b, err)
	start := time.Now()
	push(b, s, Path{".", true})
	begin := time.Since(start)
	settled(b, s)
	must(b, s.Close())
	st, err := os.Stat(filepath.Join(pairDir(cfg.Dir, pair{root, "t"}), stateName))
	must(b, err)
	bareScan(root, runtime.GOMAXPROCS(0))
	var bare, restart, bareCPU, restartCPU time.Duration
	for b.Loop() {
		start, before := time.Now(), cpuTime(b)
		n := bareScan(root, runtime.GOMAXPROCS(0))
		bare, bareCPU = bare+time.Since(start), bareCPU+cpuTime(b)-before
		start, before = time.Now(), cpuTime(b)
		s, _, err := Open(cfg)
		must(b, err)
		scan, err := s.Differs(context.Background(), []Path{{".", true}}, func(list []Path) error {
			return fmt.Errorf("differs: %v", list)
		})
		must(b, err)
		restart, restartCPU = restart+time.Since(start), restartCPU+cpuTime(b)-before
		if scan.Entries != int64(n)+1 { // the root
			b.Fatalf("%d entries, not %d", scan.Entries, n+1)
		}
		must(b, s.Close())
	}
	b.ReportMetric(begin.Seconds(), "s/begin")
	b.ReportMetric(float64(restart)/float64(bare), "x-bare")
	b.ReportMetric(float64(restartCPU)/float64(bareCPU), "x-bare-cpu")
	b.ReportMetric(float64(bare)/1e9/float64(b.N), "s/bare")
	b.ReportMetric(float64(st.Size())/(1<<20), "MiB-file")
	b.ReportMetric(float64(resident(b))/(1<<20), "MiB-resident")
}

func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func resident(b *testing.B) int {
	text, err := os.ReadFile("/proc/self/statm")
	must(b, err)
	var size, pages int
	_, err = fmt.Sscan(string(text), &size, &pages)
	must(b, err)
	return pages * os.Getpagesize()
}

// BenchmarkBegin is a Begin of one path that is not in doubt yet, with its commit, and of one that is.
func BenchmarkBegin(b *testing.B) {
	root := b.TempDir()
	write(b, root+"/f", "")
	for _, doubted := range []bool{false, true} {
		b.Run(map[bool]string{false: "commit", true: "hot"}[doubted], func(b *testing.B) {
			s := opened(b, Config{Dir: b.TempDir(), Root: root, Quiet: time.Hour})
			n := 0
			for b.Loop() {
				path := Path{Name: "f"}
				if !doubted {
					n++
					path.Name = strconv.Itoa(n)
				}
				push(b, s, path)
			}
		})
	}
}
