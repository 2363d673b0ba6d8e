package rsh

import (
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// endGrace is how long a process may take to end after its pipes were closed: a round trip,
	// if the network lives.
	endGrace = 2 * time.Second
	// killGrace is how long it may take after SIGTERM.
	killGrace = time.Second
	// lastWords is how long is listened to what else holds a dead process's standard error: a
	// master of the user's own (ControlPersist) keeps it open.
	lastWords = 100 * time.Millisecond
)

// process is a remote shell of ours. It is reaped as soon as it ends.
type process struct {
	cmd    *exec.Cmd
	group  bool          // it leads a process group
	exited chan struct{} // closed when it ended and was reaped
	said   *said
}

// start starts the words with the standard input and output given, which it closes. One goroutine
// starts the process and waits for it, locked to its thread: the kernel sends the
// parent-death signal when that thread ends.
func start(words []string, stdin, stdout *os.File, detached bool) (*process, error) {
	defer closeAll(stdin, stdout)
	errs, errw, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer errw.Close()
	cmd := exec.Command(words[0], words[1:]...)
	// A nil file is /dev/null to exec, a typed nil is not.
	if stdin != nil {
		cmd.Stdin = stdin
	}
	if stdout != nil {
		cmd.Stdout = stdout
	}
	cmd.Stderr = errw
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGTERM, Setsid: detached}
	if detached {
		cmd.Env = append(os.Environ(), "SSH_ASKPASS_REQUIRE=never")
	}
	p := &process{cmd: cmd, group: detached, exited: make(chan struct{}), said: newSaid(errs)}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() // how it ended is in cmd.ProcessState
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		errw.Close()
		p.said.end()
		return nil, err
	}
	return p, nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// end waits for the process, at first for grace, then with signals, and returns its exit code:
// negative where a signal ended it.
func (p *process) end(grace time.Duration) int {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if !p.running() {
			break
		}
		t := time.NewTimer(grace)
		select {
		case <-p.exited:
		case <-t.C:
			p.signal(sig)
		}
		t.Stop()
		grace = killGrace
	}
	<-p.exited
	p.said.end()
	return p.cmd.ProcessState.ExitCode()
}

// signal reaches what the shell started, too, where it leads a group. Where it shares ours,
// because it may ask at the terminal, what it started sees its pipes end.
func (p *process) signal(sig unix.Signal) {
	if p.group {
		unix.Kill(-p.cmd.Process.Pid, sig)
		return
	}
	p.cmd.Process.Signal(sig)
}
