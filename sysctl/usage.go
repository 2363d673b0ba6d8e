package sysctl

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Usage is what the processes that can be seen hold of inotify and fanotify.
type Usage struct {
	Processes  []Process // those that hold something, the one with most watches first
	Unreadable int       // processes that only root, or root of the host, may look into
	Vanished   int       // processes that ended while they were looked at
	Partial    bool      // this is a PID namespace: what runs outside is not seen
}

// Process is what one process holds.
type Process struct {
	PID     int
	UID     uint32 // the effective one: the kernel counts for it, fs/notify/inotify/inotify_user.c
	Command string // at most 15 bytes, which the process chose: they may be anything
	Holding
}

// Holding counts what is held. An instance that processes share, as after fork(2), is in the count of
// each, since nothing in /proc tells.
type Holding struct {
	Instances, Watches int // of inotify
	Groups, Marks      int // of fanotify
}

// User is what the processes of one user hold together.
type User struct {
	UID uint32
	Holding
}

func (h Holding) plus(o Holding) Holding {
	return Holding{h.Instances + o.Instances, h.Watches + o.Watches, h.Groups + o.Groups, h.Marks + o.Marks}
}

// order puts first who holds most.
func order(a, b Holding) int {
	return cmp.Or(b.Watches-a.Watches, b.Instances-a.Instances, b.Marks-a.Marks, b.Groups-a.Groups)
}

// Users returns the sums by user, the one with most watches first: the limits are counted so.
func (u Usage) Users() []User {
	sums := map[uint32]Holding{}
	for _, p := range u.Processes {
		sums[p.UID] = sums[p.UID].plus(p.Holding)
	}
	var out []User
	for uid, h := range sums {
		out = append(out, User{uid, h})
	}
	slices.SortFunc(out, func(a, b User) int { return cmp.Or(order(a.Holding, b.Holding), cmp.Compare(a.UID, b.UID)) })
	return out
}

// ReadUsage looks into every process shown in proc, "" for DefaultProc. What it may not see it counts;
// the error is about proc itself.
func ReadUsage(proc string) (Usage, error) {
	proc = orDefault(proc)
	dir, err := os.Open(proc)
	if err != nil {
		return Usage{}, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return Usage{}, fmt.Errorf("list processes: %w", err)
	}
	u := Usage{Partial: inPIDNamespace(proc)}
	for _, name := range names {
		pid, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			continue // not a process
		}
		p, err := readProcess(proc, int(pid))
		switch {
		case gone(err):
			u.Vanished++
		case err != nil:
			u.Unreadable++
		case p.Holding != Holding{}:
			u.Processes = append(u.Processes, p)
		}
	}
	slices.SortFunc(u.Processes, func(a, b Process) int { return cmp.Or(order(a.Holding, b.Holding), a.PID-b.PID) })
	return u, nil
}

// gone recognises a process, or a descriptor of one, that is there no longer; ESRCH is what reading a
// file of an ended process gives.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

func readProcess(proc string, pid int) (Process, error) {
	p := Process{PID: pid}
	dir := filepath.Join(proc, strconv.Itoa(pid))
	fds, err := os.Open(filepath.Join(dir, "fd"))
	if err != nil {
		return p, err
	}
	defer fds.Close()
	names, err := fds.Readdirnames(-1)
	if err != nil {
		return p, err
	}
	for _, fd := range names {
		h, err := readDescriptor(dir, fd)
		if err != nil && !gone(err) {
			return p, err
		}
		p.Holding = p.Holding.plus(h)
	}
	if p.Holding == (Holding{}) {
		return p, nil // spares two files for most processes
	}
	if p.UID, err = readUID(dir); err != nil {
		return p, err
	}
	comm, err := os.ReadFile(filepath.Join(dir, "comm"))
	p.Command = strings.TrimSuffix(string(comm), "\n")
	return p, err
}

func readDescriptor(dir, fd string) (Holding, error) {
	target, err := os.Readlink(filepath.Join(dir, "fd", fd))
	if err != nil {
		return Holding{}, err
	}
	inotify, fanotify := target == "anon_inode:inotify", target == "anon_inode:[fanotify]"
	if !inotify && !fanotify {
		return Holding{}, nil
	}
	f, err := os.Open(filepath.Join(dir, "fdinfo", fd))
	if err != nil {
		return Holding{}, err
	}
	defer f.Close()
	n, err := countMarks(f)
	if inotify {
		return Holding{Instances: 1, Watches: n}, err
	}
	return Holding{Groups: 1, Marks: n}, err
}

// countMarks counts the lines of watches and marks in an fdinfo file, proc_pid_fdinfo(5): "inotify wd:…"
// and "fanotify …" but for "fanotify flags:…", which is about the group. A file of a million lines is
// never in memory.
func countMarks(r io.Reader) (int, error) {
	count := 0
	for in := bufio.NewReader(r); ; {
		line, err := in.ReadSlice('\n')
		if isMark(line) {
			count++
		}
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a long line is none of its own
			_, err = in.ReadSlice('\n')
		}
		if errors.Is(err, io.EOF) {
			return count, nil
		}
		if err != nil {
			return count, err
		}
	}
}

func isMark(line []byte) bool {
	if bytes.HasPrefix(line, []byte("inotify wd:")) {
		return true
	}
	rest, ok := bytes.CutPrefix(line, []byte("fanotify "))
	return ok && !bytes.HasPrefix(rest, []byte("flags:"))
}

func readUID(dir string) (uint32, error) {
	text, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return 0, err
	}
	return parseUID(text)
}

// parseUID reads "Uid:	1000	1000	1000	1000": real, effective, saved and file system's; proc_pid_status(5).
func parseUID(status []byte) (uint32, error) {
	for line := range bytes.Lines(status) {
		rest, ok := bytes.CutPrefix(line, []byte("Uid:"))
		if !ok {
			continue
		}
		f := bytes.Fields(rest)
		if len(f) != 4 {
			return 0, fmt.Errorf("line %.80q has not four numbers", line)
		}
		uid, err := strconv.ParseUint(string(f[1]), 10, 32)
		return uint32(uid), err
	}
	return 0, errors.New("no line Uid")
}

// inPIDNamespace reports that processes outside are not shown. The initial namespace's inode has a
// fixed number, PROC_PID_INIT_INO of Linux include/linux/proc_ns.h.
func inPIDNamespace(proc string) bool {
	link, err := os.Readlink(filepath.Join(proc, "self/ns/pid"))
	return err == nil && link != "pid:[4026531836]"
}
