package hooks

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// termGrace is how long a hook's processes have between SIGTERM and SIGKILL.
	termGrace = 2 * time.Second
	// lastWords is how long is waited, after a hook's end, for the output of what it left in the background.
	lastWords = 250 * time.Millisecond
)

var errTimeout = errors.New("it took too long and was ended")

// process is one run of a hook.
type process struct {
	hook  Hook
	env   []string
	paths []string
}

// result is what came of it.
type result struct {
	code    int            // its exit code; -1: it has none
	signal  syscall.Signal // that ended it
	err     error          // why it has no code, or why it was ended
	stopped bool           // its context ended
	took    time.Duration
	said    *output
}

func (r *result) vetoes() bool { return r.err == nil && r.code == vetoCode }

// run starts the hook and returns when it has ended, by itself or by the end of its time or of ctx.
func (p *process) run(ctx context.Context) *result {
	res := &result{code: -1, said: &output{}}
	start := time.Now()
	defer func() { res.took = time.Since(start) }()
	stdin, err := pathsFile(p.paths)
	if err != nil {
		res.err = err
		return res
	}
	defer stdin.Close()
	cmd := exec.Command(p.hook.Argv[0], p.hook.Argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = "/", p.env, stdin // "/": no file system is held busy by it
	cmd.Stdout, cmd.Stderr = res.said, res.said
	cmd.WaitDelay = lastWords
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if res.err = cmd.Start(); res.err != nil {
		return res
	}
	res.err = p.attend(ctx, cmd.Process.Pid)
	res.stopped = res.err != nil && ctx.Err() != nil
	waitErr := cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case !ok:
		res.err = cmp.Or(res.err, waitErr)
	case status.Signaled():
		res.signal = status.Signal()
	default:
		res.code = status.ExitStatus()
	}
	return res
}

// attend returns when the leader of the process group has ended, which is not reaped then: so nobody else can have
// its number, and what is killed is its group. The error is why it was ended.
func (p *process) attend(ctx context.Context, pid int) error {
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		awaitExit(pid)
	}()
	limit := time.NewTimer(cmp.Or(p.hook.Timeout, DefaultTimeout))
	defer limit.Stop()
	var why error
	select {
	case <-exited:
		return nil
	case <-limit.C:
		why = errTimeout
	case <-ctx.Done():
		why = context.Cause(ctx)
	}
	_ = unix.Kill(-pid, unix.SIGTERM)
	grace := time.NewTimer(termGrace)
	defer grace.Stop()
	select {
	case <-exited:
	case <-grace.C:
	}
	_ = unix.Kill(-pid, unix.SIGKILL) // of the group somebody may be left
	<-exited
	return why
}

// awaitExit returns when a child has ended, and leaves it to be reaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// pathsFile is a file in memory with the paths, each with a NUL behind it, to be read from its beginning.
func pathsFile(paths []string) (*os.File, error) {
	fd, err := unix.MemfdCreate("lockstep-paths", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "paths")
	var text strings.Builder
	for _, p := range paths {
		text.WriteString(p)
		text.WriteByte(0)
	}
	if _, err := f.WriteString(text.String()); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.Seek(0, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// closeOnExec keeps from children what the process itself was started with: all that it opens has the flag.
func closeOnExec() {
	if unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	open, err := os.ReadDir("/proc/self/fd") // before Linux 5.11
	if err != nil {
		return
	}
	for _, e := range open {
		var fd int
		for _, digit := range e.Name() {
			fd = fd*10 + int(digit-'0')
		}
		if fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}
