package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

const (
	worldSize  = "2g" // of the memory that all of it takes at most
	sourceSize = 512  // MiB
	targetSize = 160  // MiB: more than the tree ever has
	inodes     = 4000 // of a target
	peerHost   = "10.99.0.2"
	ourAddress = "10.99.0.1/30"
)

// world is all that a run takes place in.
type world struct {
	ctx  context.Context
	c    config
	plan plan
	dir  string // a tmpfs: it goes with the namespace

	disk     disk   // the source's file system
	tree     string // the source as the harness changes it
	source   string // the source as lockstep is told of it
	writers  *writers
	targets  []*target
	programs []*lockstep // under test
	holder   *child      // holds the daemon's network namespace
	daemon   *daemon
	sshd     *syncertest.SSHD
}

// target is a replica and the lockstep that makes it.
type target struct {
	targetPlan
	index    int
	disk     disk
	replica  string // the directory that is to become equal
	dst      string // as lockstep is told of it
	flags    []string
	lockstep *lockstep
}

func (t *target) String() string { return t.Kind }

// newWorld builds everything, and starts all but lockstep and the writers.
func newWorld(ctx context.Context, c config, p plan) (*world, error) {
	w := &world{ctx: ctx, c: c, plan: p, dir: filepath.Join(c.Out, "world")}
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mount("tmpfs", w.dir, "tmpfs", 0, "mode=755,size="+worldSize); err != nil {
		return nil, fmt.Errorf("mount a tmpfs: %w", err)
	}
	if err := run("ip", "link", "set", "lo", "up"); err != nil {
		return nil, err
	}
	if err := w.makeSource(); err != nil {
		return nil, fmt.Errorf("make the source: %w", err)
	}
	for i, tp := range p.Targets {
		if err := w.makeTarget(i, tp); err != nil {
			return nil, fmt.Errorf("make the %s target: %w", tp.Kind, err)
		}
	}
	if p.Joint {
		w.programs = append(w.programs, newLockstep(w, w.targets...))
	} else {
		for _, t := range w.targets {
			w.programs = append(w.programs, newLockstep(w, t))
		}
	}
	return w, nil
}

// makeSource makes a file system with the tree and a directory beside it, for moves out and in.
func (w *world) makeSource() error {
	d, err := newDisk(filepath.Join(w.dir, "disk"), "ext4", sourceSize, 0)
	if err != nil {
		return err
	}
	w.disk, w.tree = d, filepath.Join(d.mount, "tree")
	w.source = w.tree
	for _, dir := range []string{w.tree, filepath.Join(w.tree, "churn"), filepath.Join(d.mount, "outside")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if w.plan.Bind {
		w.source = filepath.Join(w.dir, "source")
		if err := errors.Join(os.Mkdir(w.source, 0o755), w.bind()); err != nil {
			return err
		}
	}
	w.writers, err = newWriters(w.tree, filepath.Join(d.mount, "outside"), w.c.Seed, w.without())
	return err
}

// without is what the churn may not do, since nobody could be right after it.
func (w *world) without() []string {
	var acts []string
	if w.plan.NoDAC { // what it cannot read would stay so
		acts = append(acts, "chmod", "chown")
	}
	if !w.plan.Keeps { // after a restart size and mtime are all that it has to go by, as rsync
		acts = append(acts, "rewrite and set mtime back")
	}
	return acts
}

// bind mounts the tree where lockstep looks for it.
func (w *world) bind() error {
	return unix.Mount(w.tree, w.source, "", unix.MS_BIND, "")
}

func (w *world) makeTarget(i int, tp targetPlan) error {
	t := &target{targetPlan: tp, index: i}
	var err error
	if t.disk, err = newDisk(filepath.Join(w.dir, fmt.Sprintf("target%d", i)), tp.FS, targetSize, inodes); err != nil {
		return err
	}
	if tp.FS == fsSick {
		if err := w.mountSick(&t.disk); err != nil {
			return err
		}
	}
	t.replica = filepath.Join(t.disk.hidden(), "replica") // judges do not look through what is to fail
	if err := os.Mkdir(t.replica, 0o755); err != nil {
		return err
	}
	shown := filepath.Join(t.disk.shown(), "replica")
	switch tp.Kind {
	case kindLocal:
		t.dst = shown + "/"
	case kindDaemon:
		if err := w.makeDaemon(shown); err != nil {
			return err
		}
		t.dst = "rsync://" + peerHost + "/m/"
	case kindSSH:
		if w.sshd, err = syncertest.NewSSHD(); err != nil {
			return err
		}
		t.dst, t.flags = w.sshd.Host()+":"+shown+"/", []string{"-e", w.sshd.Rsh()}
	}
	w.targets = append(w.targets, t)
	return nil
}

// makeDaemon starts a daemon in a network namespace of its own, behind a pair of interfaces.
func (w *world) makeDaemon(module string) error {
	cmd, err := asRole(context.Background(), roleHold, nil)
	if err != nil {
		return err
	}
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	w.holder = &child{pid: cmd.Process.Pid, done: make(chan struct{})} // it ends with the namespace
	net := fmt.Sprintf("/proc/%d/ns/net", w.holder.pid)
	for _, args := range [][]string{
		{"ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", fmt.Sprint(w.holder.pid)},
		{"ip", "addr", "add", ourAddress, "dev", "near"},
		{"ip", "link", "set", "near", "up"},
	} {
		if err := run(args...); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"ip", "addr", "add", peerHost + "/30", "dev", "far"},
		{"ip", "link", "set", "lo", "up"},
		{"ip", "link", "set", "far", "up"},
	} {
		if err := w.runFar(net, args...); err != nil {
			return err
		}
	}
	w.daemon, err = newDaemon(filepath.Join(w.dir, "daemon"), module, net)
	if err != nil {
		return err
	}
	return w.daemon.start()
}

// runFar runs a program in another network namespace.
func (w *world) runFar(net string, args ...string) error {
	c, err := launch{Net: net, Argv: args}.start(filepath.Join(w.c.Out, "net.log"))
	if err != nil {
		return err
	}
	<-c.done
	if c.err != nil {
		return fmt.Errorf("in the daemon's network: %s: %w: %s", strings.Join(args, " "), c.err, lastLines(filepath.Join(w.c.Out, "net.log"), 1))
	}
	return nil
}

// logs are the last lines of what all programs wrote.
func (w *world) logs(lines int) string {
	var b strings.Builder
	for _, l := range w.programs {
		fmt.Fprintf(&b, "-- the last of the log of %s:\n%s\n", l, lastLines(l.log, lines))
	}
	if w.daemon != nil {
		fmt.Fprintf(&b, "-- the last of the daemon's log:\n%s\n", lastLines(w.daemon.log(), lines/2))
	}
	return b.String()
}

func lastLines(name string, n int) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(len(lines)-n, 0):], "\n")
}
