package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// daemonConfig is that of a stock daemon that stores all that it is given.
const daemonConfig = `address = %s
port = 873
use chroot = yes
uid = root
gid = root
reverse lookup = no
munge symlinks = no
lock file = %s
log file = %s
[m]
path = %s
read only = no
`

// daemon is a stock rsync daemon in a network namespace of its own.
type daemon struct {
	dir, net string
	child    *child
}

func newDaemon(dir, module, net string) (*daemon, error) {
	d := &daemon{dir: dir, net: net}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(daemonConfig, peerHost, filepath.Join(dir, "lock"), d.log(), module)
	return d, os.WriteFile(d.config(), []byte(text), 0o600)
}

func (d *daemon) config() string { return filepath.Join(d.dir, "rsyncd.conf") }
func (d *daemon) log() string    { return filepath.Join(d.dir, "log") }

// start returns once it listens; whether the network leads there is another matter.
func (d *daemon) start() error {
	if d.child != nil && !d.child.ended() {
		return nil
	}
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		var err error
		d.child, err = launch{Net: d.net, Argv: []string{"rsync", "--daemon", "--no-detach", "--config=" + d.config()}}.start(filepath.Join(d.dir, "stderr"))
		if err != nil {
			return err
		}
		for !d.child.ended() {
			if d.listens() {
				return nil
			}
			time.Sleep(2 * time.Millisecond)
		}
		// The port may still belong to one that was killed.
	}
	return fmt.Errorf("the rsync daemon does not start: %s", lastLines(filepath.Join(d.dir, "stderr"), 5))
}

// listens looks for a socket in state TCP_LISTEN on port 873 in its namespace (proc_pid_net(5)).
func (d *daemon) listens() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", d.child.pid))
	return err == nil && strings.Contains(string(text), ":0369 00000000:0000 0A")
}

// serving are the processes that serve connections: one for each, and its receiver.
func (d *daemon) serving() []int {
	group := d.child.pid
	all, err := processes()
	if err != nil {
		return nil
	}
	var pids []int
	for _, p := range all {
		if p.group == group && p.pid != group && p.state != 'Z' {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

func killDaemon(w *world, _ *target, _ *rand.Rand) (func() error, error) {
	return w.daemon.start, w.daemon.child.kill()
}

func nothing() error { return nil }

// signalServing waits for a moment at which the daemon serves, and gives the processes a signal.
func signalServing(w *world, sig unix.Signal) ([]int, error) {
	errNone := fmt.Errorf("%w: no connection is served", errSkip)
	var pids []int
	err := untilDone(w.ctx, func() error {
		if pids = w.daemon.serving(); len(pids) == 0 {
			return errNone
		}
		return nil
	}, errNone)
	for _, pid := range pids {
		if e := unix.Kill(pid, sig); e != nil && !errors.Is(e, unix.ESRCH) {
			err = errors.Join(err, e)
		}
	}
	return pids, err
}

func killServing(w *world, _ *target, _ *rand.Rand) (func() error, error) {
	_, err := signalServing(w, unix.SIGKILL)
	return nothing, err
}

func stopServing(w *world, _ *target, _ *rand.Rand) (func() error, error) {
	pids, err := signalServing(w, unix.SIGSTOP)
	return func() error {
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGCONT); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		return nil
	}, err
}

func stopDaemon(w *world, _ *target, _ *rand.Rand) (func() error, error) {
	c := w.daemon.child
	return func() error { return c.signal(unix.SIGCONT) }, c.signal(unix.SIGSTOP)
}
