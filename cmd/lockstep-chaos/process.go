package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is what /proc/PID/stat tells.
type process struct {
	pid, parent, group int
	state              byte
}

// processes are all of this pid namespace.
func processes() ([]process, error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil { // it is gone
			continue
		}
		if p, ok := parseStat(text); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

// parseStat reads "pid (comm) state ppid pgrp …", where comm may hold anything (proc_pid_stat(5)).
func parseStat(text []byte) (process, bool) {
	first, _, _ := bytes.Cut(text, []byte(" "))
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 3 {
		return process{}, false
	}
	pid, err1 := strconv.Atoi(string(first))
	parent, err2 := strconv.Atoi(string(fields[1]))
	group, err3 := strconv.Atoi(string(fields[2]))
	return process{pid, parent, group, fields[0][0]}, err1 == nil && err2 == nil && err3 == nil
}

// usage is what a process holds.
type usage struct {
	Descriptors, Threads, Zombies int
	RSS                           int64 // KiB
}

// usageOf looks into /proc.
func usageOf(pid int) (usage, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	open, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return usage{}, err
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return usage{}, err
	}
	u := usage{Descriptors: len(open), Threads: int(statusNumber(status, "Threads")), RSS: statusNumber(status, "VmRSS")}
	all, err := processes()
	for _, p := range all {
		if p.parent == pid && p.state == 'Z' {
			u.Zombies++
		}
	}
	return u, err
}

// statusNumber is the number of a line of /proc/PID/status.
func statusNumber(status []byte, key string) int64 {
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			n, _ := strconv.ParseInt(strings.Fields(value + " 0")[0], 10, 64)
			return n
		}
	}
	return 0
}
