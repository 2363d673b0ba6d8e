package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// work is what the threads of a process did so far.
type work struct {
	cpu     time.Duration
	wakeups int // times that a thread went on after it had waited
}

func (w work) since(before work) work { return work{w.cpu - before.cpu, w.wakeups - before.wakeups} }

// share is how much of one processor that is.
func (w work) share(of time.Duration) float64 { return w.cpu.Seconds() / of.Seconds() }

// workOf adds up the threads of a process that live; those of a Go program seldom end.
func workOf(pid int) (work, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(tasks) == 0 {
		return work{}, errors.Join(err, fmt.Errorf("process %d has no threads", pid))
	}
	var sum work
	for _, t := range tasks {
		w, err := workOfTask(t)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return work{}, err
		}
		sum.cpu += w.cpu
		sum.wakeups += w.wakeups
	}
	return sum, nil
}

func workOfTask(dir string) (w work, err error) {
	times, err := os.ReadFile(dir + "/schedstat") // ns on a processor, ns waiting for one, times on one
	if err != nil {
		return w, err
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return w, err
	}
	if w.cpu, err = parseSchedstat(times); err != nil {
		return w, err
	}
	w.wakeups, err = parseSwitches(status)
	return w, err
}

// parseSchedstat reads the first number: Linux 6.18 fs/proc/base.c, proc_pid_schedstat.
func parseSchedstat(text []byte) (time.Duration, error) {
	f := bytes.Fields(text)
	if len(f) != 3 {
		return 0, fmt.Errorf("schedstat %q: not three numbers", text)
	}
	ns, err := strconv.ParseUint(string(f[0]), 10, 63)
	return time.Duration(ns), err
}

// parseSwitches reads voluntary_ctxt_switches of proc_pid_status(5).
func parseSwitches(status []byte) (int, error) {
	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte("voluntary_ctxt_switches:")); ok {
			return strconv.Atoi(string(bytes.TrimSpace(value)))
		}
	}
	return 0, errors.New("there is no voluntary_ctxt_switches")
}
