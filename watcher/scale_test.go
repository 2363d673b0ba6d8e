package watcher

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"
)

var (
	scaleDirs  = flag.Int("scale.dirs", 20_000, "directories of BenchmarkScale")
	scaleFiles = flag.Int("scale.files", 100_000, "files of BenchmarkOverflow, 20 in a directory")
)

// BenchmarkScale watches a tree of directories three levels deep, and adds the same ones by a bare
// inotify_add_watch for scale, in one run.
func BenchmarkScale(b *testing.B) {
	root := benchRoot(b)
	dirs := scaleTree(b, root, *scaleDirs)
	if limit := readLimit("watches"); limit.value < 2*len(dirs) {
		b.Skipf("%s is %d: too low for %d directories", limit.name, limit.value, len(dirs))
	}
	bare, ours := time.Duration(1<<62), time.Duration(1<<62)
	var perDir float64
	for b.Loop() {
		bare = min(bare, addBare(b, dirs))
		took, bytes := addAll(b, root, len(dirs))
		ours, perDir = min(ours, took), bytes
	}
	b.ReportMetric(float64(bare.Milliseconds()), "ms-bare")
	b.ReportMetric(float64(ours.Milliseconds()), "ms-ready")
	b.ReportMetric(float64(ours)/float64(bare), "x-bare")
	b.ReportMetric(perDir, "RSS-B/dir")
}

// scaleTree makes about n directories: one of ten holds the nine others.
func scaleTree(b *testing.B, root string, n int) (dirs []string) {
	for i := range n/100 + 1 {
		for k := range 10 {
			for l := range 9 {
				mkdir(b, fmt.Sprintf("%s/customer-%05d/project-%d/release-%d", root, i, k, l))
			}
		}
	}
	must(b, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error { dirs = append(dirs, p); return err }))
	return dirs
}

func addBare(b *testing.B, dirs []string) time.Duration {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	must(b, err)
	defer unix.Close(fd)
	start := time.Now()
	for _, d := range dirs {
		_, err := unix.InotifyAddWatch(fd, d, unix.IN_ALL_EVENTS)
		must(b, err)
	}
	return time.Since(start)
}

func addAll(b *testing.B, root string, want int) (time.Duration, float64) {
	defer debug.SetGCPercent(debug.SetGCPercent(40)) // as the program has it
	debug.FreeOSMemory()
	before := resident(b)
	t := benchTree(root)
	start := time.Now()
	inst, err := t.openInstance()
	must(b, err)
	t.inst = inst
	t.addTree(context.Background(), root)
	took := time.Since(start)
	debug.FreeOSMemory()
	bytes := float64(resident(b)-before) / float64(want)
	if t.watches() != want {
		b.Fatalf("%d watches of %d", t.watches(), want)
	}
	runtime.KeepAlive(t)
	t.close()
	t.wait()
	return took, bytes
}

// BenchmarkOverflow is the answer to an overflow: all is watched anew and compared with the index.
func BenchmarkOverflow(b *testing.B) {
	root := benchRoot(b)
	for i := range *scaleFiles / 20 {
		dir := fmt.Sprintf("%s/directory-%03d/subdirectory-%02d", root, i/100, i%100)
		mkdir(b, dir)
		for k := range 20 {
			fd, err := unix.Creat(fmt.Sprintf("%s/file-%d.txt", dir, k), 0o644)
			must(b, err)
			unix.Close(fd)
		}
	}
	var built, answered, compared time.Duration
	var bytes int64
	for b.Loop() {
		core, logs := observer.New(zapcore.DebugLevel)
		h, l := newHarness(b, Config{Root: root}), new(loser)
		h.w.cfg.Logger, h.w.newInstance = zap.New(core), l.instance
		h.run()
		awaitLong(h, func(s Stats) bool { return s.Indexed })
		start := time.Now()
		l.overflow(1)
		awaitLong(h, func(s Stats) bool { return s.Comparisons > 0 })
		answered += time.Since(start)
		index := logs.FilterMessage("index built").All()[0].ContextMap()
		compare := logs.FilterMessage("tree compared with what was known of it").All()[0].ContextMap()
		if n := compare["entries"].(int64); n < int64(*scaleFiles) || compare["differ"].(int64) != 0 {
			b.Fatalf("compared: %v", compare)
		}
		built += index["took"].(time.Duration)
		compared += compare["took"].(time.Duration)
		bytes = index["bytes"].(int64)
		h.stop()
	}
	n := float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(built.Milliseconds())/n, "ms-build-paced")
	b.ReportMetric(float64(answered.Milliseconds())/n, "ms-answer")
	b.ReportMetric(float64(compared.Milliseconds())/n, "ms-compare")
	b.ReportMetric(float64(bytes)/(1<<20), "MiB-index")
}

// awaitLong has a longer patience than the harness.
func awaitLong(h *harness, ok func(Stats) bool) {
	h.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !ok(h.w.Stats()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			h.Fatalf("stats %+v", h.w.Stats())
		}
	}
}

// resident is the process's memory, in bytes: proc_pid_statm(5).
func resident(b *testing.B) int64 {
	text, err := os.ReadFile("/proc/self/statm")
	must(b, err)
	var size, pages int64
	_, err = fmt.Sscan(string(text), &size, &pages)
	must(b, err)
	return pages * int64(os.Getpagesize())
}
