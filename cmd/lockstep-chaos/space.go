package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// roleEnv makes this program one of its own children: the one that runs a seed, one that only holds a
// network namespace, or one that gives up rights before it becomes another program.
const roleEnv = "LOCKSTEP_CHAOS_ROLE"

// argumentEnv has the role's argument, in JSON.
const argumentEnv = "LOCKSTEP_CHAOS_ARGUMENT"

const (
	roleSeed   = "seed"
	roleHold   = "hold"
	roleLaunch = "launch"
)

func play(role string) int {
	argument := []byte(os.Getenv(argumentEnv))
	os.Unsetenv(roleEnv)
	os.Unsetenv(argumentEnv)
	err := fmt.Errorf("there is no role %q", role)
	switch role {
	case roleSeed:
		err = playSeed(argument)
	case roleHold:
		for { // until it is killed
			_ = unix.Pause()
		}
	case roleLaunch:
		err = playLaunch(argument)
	case roleSick:
		err = playSick(argument)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "lockstep-chaos as %s: %v\n", role, err)
		return codeSetup
	}
	return 0
}

// asRole is this program in a role.
func asRole(ctx context.Context, role string, argument any) (*exec.Cmd, error) {
	text, err := json.Marshal(argument)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args[0] = "lockstep-chaos"
	cmd.Env = append(os.Environ(), roleEnv+"="+role, argumentEnv+"="+string(text))
	cmd.Dir = "/"
	return cmd, nil
}

// inSpace runs a seed as the first process of new namespaces. When that ends the kernel ends all that
// it started, unmounts all that it mounted and removes its network.
func inSpace(ctx context.Context, c config) (result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.longest(), fmt.Errorf("it hung: it was to be over after %v", c.longest()))
	defer cancel()
	cmd, err := asRole(ctx, roleSeed, c)
	if err != nil {
		return result{}, err
	}
	log, err := os.Create(filepath.Join(c.Out, "chaos.log"))
	if err != nil {
		return result{}, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
		Setsid:     true, // ^C is for the outer process
	}
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	r, readErr := readResult(c.Out)
	r.Seed = c.Seed
	if err == nil {
		err = readErr
	}
	return r, err
}

// longest is when a seed is given up: its time, and the slowest way to an end of its last round.
func (c config) longest() time.Duration { return c.Time + 2*c.Limit + time.Minute }

// playSeed runs a seed in the namespaces that inSpace made.
func playSeed(argument []byte) error {
	var c config
	if err := json.Unmarshal(argument, &c); err != nil {
		return err
	}
	if os.Getpid() != 1 {
		return errors.New("this is not the first process of a namespace of its own")
	}
	// Nothing that is mounted here may be seen outside.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	// lockstep notes there who writes where on this machine, and each run is a machine of its own.
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	r := runSeed(context.Background(), c)
	return writeResult(c.Out, r)
}

// launch is what a program is to be run without, or within.
type launch struct {
	Net     string // the network namespace to join: /proc/PID/ns/net
	NoDAC   bool   // without the right to pass over permissions
	Watches int    // how many inotify watches it may have; it is in a user namespace of its own then
	Argv    []string
}

// start starts a program. Its standard output and error go to the end of a file.
func (l launch) start(logName string) (*child, error) {
	attr := &syscall.SysProcAttr{}
	if l.Watches > 0 {
		all := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1 << 31}}
		attr.Cloneflags, attr.UidMappings, attr.GidMappings = unix.CLONE_NEWUSER, all, all
	}
	c, err := startRole(roleLaunch, l, attr, logName)
	if err != nil {
		return nil, fmt.Errorf("start %q: %w", l.Argv, err)
	}
	return c, nil
}

// startRole starts this program in a role, as the first of a process group.
func startRole(role string, argument any, attr *syscall.SysProcAttr, logName string) (*child, error) {
	cmd, err := asRole(context.Background(), role, argument)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logName, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	attr.Setpgid = true
	cmd.SysProcAttr = attr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{pid: cmd.Process.Pid, done: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// playLaunch gives up what is to be given up, and becomes the program.
func playLaunch(argument []byte) error {
	var l launch
	if err := json.Unmarshal(argument, &l); err != nil {
		return err
	}
	runtime.LockOSThread() // namespaces and capabilities are a thread's
	if l.Net != "" {
		fd, err := unix.Open(l.Net, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", l.Net, err)
		}
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("join %s: %w", l.Net, err)
		}
	}
	if l.NoDAC { // what is not in the bounding set is not gained by execve(2), not even by root
		for _, c := range []uintptr{unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH} {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
				return fmt.Errorf("drop capability %d: %w", c, err)
			}
		}
	}
	if l.Watches > 0 {
		if err := os.WriteFile(watchesFile, fmt.Append(nil, l.Watches), 0o644); err != nil {
			return fmt.Errorf("limit watches: %w", err)
		}
	}
	program, err := exec.LookPath(l.Argv[0])
	if err != nil {
		return err
	}
	return unix.Exec(program, l.Argv, os.Environ())
}

// watchesFile limits the watches of the user namespace of who opens it (namespaces(7)).
const watchesFile = "/proc/sys/user/max_inotify_watches"

// child is a program that runs.
type child struct {
	pid  int
	done chan struct{} // closed when it has ended
	err  error         // how; to be read after done
}

func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// signal tells all of its process group.
func (c *child) signal(sig unix.Signal) error {
	if err := unix.Kill(-c.pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %v to %d: %w", sig, c.pid, err)
	}
	return nil
}

// kill ends it at once.
func (c *child) kill() error {
	err := c.signal(unix.SIGKILL)
	<-c.done
	return err
}
