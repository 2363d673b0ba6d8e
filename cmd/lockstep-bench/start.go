package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	startRatio   = 2.  // until all is watched by inotify, to a bare inotify_add_watch(2) for each directory
	startMemory  = 300 // bytes a directory, beyond what an empty tree takes
	fanotifyTime = 50. // ms, whatever the tree
	// nowhere is a target where nobody answers: only the watching is measured.
	nowhere = "rsync://127.0.0.1:1/none/"
	// settleTime lets what was reserved for the walk go back to the kernel, and a first push fail.
	settleTime = 300 * time.Millisecond
)

// backends are what changes can come from here. fanotify needs a root that is one to the kernel.
func backends() []string {
	if os.Geteuid() != 0 {
		return []string{"inotify"}
	}
	return []string{"inotify", "fanotify"}
}

// startUp is how long it takes until a tree of many directories is watched, and the memory for that.
func (b *bench) startUp() error {
	root := filepath.Join(b.dir, "d")
	dirs, err := manyDirs(root, b.sizes.StartDirs)
	if err != nil {
		return err
	}
	empty := filepath.Join(b.dir, "no-directories")
	if err := os.Mkdir(empty, 0o755); err != nil {
		return err
	}
	for _, backend := range backends() {
		var ready, cpu pairs
		var perDir []float64
		ours := func() error {
			s, err := b.started(root, backend)
			if errors.Is(err, errOtherBackend) {
				return err
			}
			none, err2 := b.started(empty, backend)
			ready.ours = append(ready.ours, milliseconds(s.took))
			cpu.ours = append(cpu.ours, milliseconds(s.cpu))
			perDir = append(perDir, (s.resident-none.resident)*(1<<20)/float64(len(dirs)))
			return errors.Join(err, err2)
		}
		theirs := func() error {
			took, used, err := addBare(dirs)
			ready.theirs = append(ready.theirs, milliseconds(took))
			cpu.theirs = append(cpu.theirs, milliseconds(used))
			return err
		}
		err := ours() // once for the caches
		ready, cpu, perDir = pairs{}, pairs{}, nil
		for i := range b.sizes.StartRuns {
			if err == nil {
				err = inTurn(i, ours, theirs)
			}
		}
		if errors.Is(err, errOtherBackend) {
			fmt.Fprintf(b.progress, "no %s here … ", backend)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", backend, err)
		}
		of := fmt.Sprintf("%s, %d directories", backend, len(dirs))
		r := pairsRow("start", of, "until it watches", "ms", &ready)
		r.Rsync = nil // it is the bare calls'
		memory := row{Measurement: "start", Case: of, Value: "memory for a directory", Unit: "bytes", Samples: len(perDir), Lockstep: number(max(median(perDir), 0))}
		if backend == "fanotify" {
			r.Ratio = nil
			b.add(r.atMost(fanotifyTime))
			b.add(memory)
			continue
		}
		b.add(r.ratioAtMost(startRatio))
		if !b.sizes.Short { // what is the same for any tree counts for more in a small one
			memory = memory.atMost(startMemory)
		}
		b.add(memory)
		used := pairsRow("start", of, "processor time", "ms", &cpu)
		used.Rsync = nil
		b.add(used)
		bare := row{Measurement: "start", Case: of, Value: "bare inotify_add_watch(2)", Unit: "ms", Samples: len(ready.theirs)}
		bare.Lockstep = number(median(ready.theirs))
		b.add(bare)
	}
	return nil
}

// manyDirs makes about n directories and nothing else: one in ten holds nine others. It returns them
// all.
func manyDirs(root string, n int) (dirs []string, err error) {
	for i := range n/100 + 1 {
		for k := range 10 {
			for l := range 9 {
				if err := os.MkdirAll(fmt.Sprintf("%s/c-%05d/project-%d/r-%d", root, i, k, l), 0o755); err != nil {
					return nil, err
				}
			}
		}
	}
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		dirs = append(dirs, path)
		return err
	})
	return dirs, err
}

// addBare is the least that watching by inotify can cost.
func addBare(dirs []string) (took, cpu time.Duration, err error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(fd)
	start, before := time.Now(), ownTime()
	for _, dir := range dirs {
		if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_ALL_EVENTS); err != nil {
			return 0, 0, fmt.Errorf("watch %q: %w", dir, err)
		}
	}
	return time.Since(start), ownTime() - before, nil
}

// ownTime is the processor time of this program.
func ownTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // it fails for a wrong pointer
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// errOtherBackend: what was asked for does not work here.
var errOtherBackend = errors.New("another backend was taken")

type started struct {
	took     time.Duration
	cpu      time.Duration
	resident float64 // MiB
}

// started is one start, from its first moment to the log's line "watching".
func (b *bench) started(root, backend string) (s started, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, oneShotLimit)
	defer cancel()
	cmd := command(ctx, b.lockstep, "--watch", "--delete", "--no-tune", "--state-dir=none", "--index=off", "--watch-backend="+backend,
		"--log-format=json", root+"/", nowhere)
	log, err := cmd.StderrPipe()
	if err != nil {
		return s, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return s, err
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended: Wait tells
		_, _ = io.Copy(io.Discard, log)
		if end := cmd.Wait(); err == nil && end != nil {
			err = fmt.Errorf("run %q: %w", cmd.Args, end)
		}
	}()
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var line struct{ Msg, Backend string }
		if json.Unmarshal(lines.Bytes(), &line) != nil || line.Msg != "watching" {
			continue
		}
		s.took = time.Since(start)
		if line.Backend != backend {
			return s, errOtherBackend
		}
		did, err := workOf(cmd.Process.Pid)
		if err != nil {
			return s, err
		}
		s.cpu = did.cpu
		nap(settleTime)
		u, err := usageOf(cmd.Process.Pid)
		s.resident = u.resident
		return s, err
	}
	return s, errors.Join(fmt.Errorf("run %q: it ended before it watched", cmd.Args), lines.Err())
}
