package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// A sample is what a lockstep has at a moment.
type sample struct {
	Target      string  `json:"target"`
	Seconds     float64 `json:"seconds"` // since the changes began
	Changes     int64   `json:"changes"`
	Resident    float64 `json:"resident_mib"`
	Peak        float64 `json:"peak_mib"` // since the sample before
	State       float64 `json:"state_mib"`
	Descriptors int     `json:"descriptors"`
	Threads     int     `json:"threads"`
	Goroutines  int     `json:"goroutines"`
}

const soakHead = "elapsed   target     changes  resident    peak   state  descriptors  threads  goroutines\n"

func (s *sample) line() string {
	return fmt.Sprintf("%-8s  %-6s  %10d  %8.1f  %6.1f  %6.1f  %11d  %7d  %10d\n", time.Duration(s.Seconds)*time.Second, s.Target,
		s.Changes, s.Resident, s.Peak, s.State, s.Descriptors, s.Threads, s.Goroutines)
}

// sample takes one and tells it.
func (b *bench) sample(w *watching, start time.Time, changes int64) (sample, error) {
	s := sample{Target: w.to.kind, Changes: changes}
	if !start.IsZero() {
		s.Seconds = time.Since(start).Seconds()
	}
	if err := w.count(&s); err != nil {
		return s, err
	}
	u, err := usageOf(w.cmd.Process.Pid)
	if err != nil {
		return s, err
	}
	size, err := diskUsage(w.state)
	if err != nil {
		return s, err
	}
	s.Resident, s.Peak, s.State = u.resident, u.peak, float64(size)/(1<<20)
	b.results.Soak = append(b.results.Soak, s)
	_, err = io.WriteString(b.progress, s.line())
	return s, err
}

// count fills in what can be counted.
func (w *watching) count(s *sample) error {
	pid := w.cmd.Process.Pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err
	}
	if s.Threads, err = parseThreads(text); err != nil {
		return err
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return err
	}
	now, err := w.status()
	s.Descriptors, s.Goroutines = len(fds), now.Goroutines
	return err
}

// parseThreads reads the line of proc_pid_status(5).
func parseThreads(status []byte) (int, error) {
	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte("Threads:")); ok {
			return strconv.Atoi(string(bytes.TrimSpace(value)))
		}
	}
	return 0, errors.New("there is no Threads")
}

// diskUsage is what du(1) says, in bytes. Names may come and go.
func diskUsage(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				sum += info.Sys().(*syscall.Stat_t).Blocks * 512
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return sum, err
}
