package syncertest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// process is a running daemon, the leader of its own session and so of its own process group, in
// which the processes that serve connections stay. When the leader exits it stays a zombie until
// end reaps it: so long its number, which is the group's, is given to nobody else, and a signal to
// the group can hit no stranger.
type process struct {
	pid    int
	exited chan struct{} // closed when the leader has exited
	reap   chan struct{} // closed by end: nothing of the group runs any more
	done   chan struct{} // closed when the leader was reaped
}

// startProcess starts "rsync --daemon". One goroutine starts it and waits for it, locked to its
// thread, because the kernel sends the parent-death signal when that thread ends (prctl(2),
// PR_SET_PDEATHSIG): a test binary that is killed takes its daemon along.
func startProcess(program string, args []string, stderr string, env ...string) (*process, error) {
	if program == "" {
		program = "rsync"
	}
	path, err := exec.LookPath(program)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w (%w)", ErrNoRsync, err)
	}
	if err != nil {
		return nil, err
	}
	errFile, err := os.OpenFile(stderr, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}, env...)
	cmd.Stdout, cmd.Stderr = errFile, errFile
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL}

	p := &process{exited: make(chan struct{}), reap: make(chan struct{}), done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		errFile.Close()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.wait(cmd)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) wait(cmd *exec.Cmd) {
	for unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	close(p.exited)
	<-p.reap
	_ = cmd.Wait() // how it exited is in its log; that it did is what matters here
	close(p.done)
}

func (p *process) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// end sends sig to the whole group and returns when nothing of it runs any more; after the grace
// time it sends SIGKILL.
func (p *process) end(sig unix.Signal, grace time.Duration) error {
	if err := unix.Kill(-p.pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process group %d: %w", p.pid, err)
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	kill := time.NewTimer(grace)
	defer kill.Stop()
	giveUp := time.NewTimer(grace + 10*time.Second)
	defer giveUp.Stop()
	for {
		running, err := groupRuns(p.pid)
		if err != nil {
			return err
		}
		if !running {
			close(p.reap)
			<-p.done
			return nil
		}
		select {
		case <-tick.C:
		case <-kill.C:
			sig = unix.SIGKILL
		case <-giveUp.C:
			return fmt.Errorf("process group %d is still there after SIGKILL", p.pid)
		}
		if sig == unix.SIGKILL { // again and again: a process may just have been forked
			_ = unix.Kill(-p.pid, sig)
		}
	}
}

// groupRuns looks for a process of the group that is not a zombie. Kill with signal 0 cannot
// tell: it also finds the zombies, and in a container whose first process does not wait for
// them, those of a daemon's orphaned children stay for ever.
func groupRuns(pgid int) (bool, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return false, err
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil { // it is gone
			continue
		}
		// proc_pid_stat(5): "pid (comm) state ppid pgrp ..."; comm may hold anything, even ")".
		i := bytes.LastIndexByte(text, ')')
		fields := bytes.Fields(text[i+1:])
		if len(fields) < 3 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
			continue
		}
		if string(fields[2]) == strconv.Itoa(pgid) {
			return true, nil
		}
	}
	return false, nil
}
