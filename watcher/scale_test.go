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

	"golang.org/x/sys/unix"
)

var scaleDirs = flag.Int("scale.dirs", 20_000, "directories of BenchmarkScale")

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

// resident is the process's memory, in bytes: proc_pid_statm(5).
func resident(b *testing.B) int64 {
	text, err := os.ReadFile("/proc/self/statm")
	must(b, err)
	var size, pages int64
	_, err = fmt.Sscan(string(text), &size, &pages)
	must(b, err)
	return pages * int64(os.Getpagesize())
}
