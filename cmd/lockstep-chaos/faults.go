package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// What a fault is on. No two of a round are on the same thing.
const (
	onLockstep = "lockstep"
	onServer   = "server" // the daemon
	onLink     = "link"
	onDisk     = "disk" // the target's file system
	onSource   = "source"
)

// errSkip is a fault that found nothing to do, as a connection to cut where there is none.
var errSkip = errors.New("left out")

// fault is something that goes wrong, and how it gets well again.
type fault struct {
	name   string
	about  string
	on     string
	weight int
	hold   time.Duration // how long it lasts at most; 0 is 2.5 s
	// possible says why this machine cannot have it; nil: each can.
	possible func() error
	// fits says whether it makes sense in a setting and for a target.
	fits func(p plan, t targetPlan) bool
	// inject begins it, and returns what ends it.
	inject func(w *world, t *target, rng *rand.Rand) (heal func() error, err error)
}

func (f fault) mostHeld() time.Duration {
	if f.hold > 0 {
		return f.hold
	}
	return 2500 * time.Millisecond
}

func faultNames() []string {
	var names []string
	for _, f := range faults() {
		names = append(names, f.name)
	}
	return names
}

func faultNamed(name string) fault {
	for _, f := range faults() {
		if f.name == name {
			return f
		}
	}
	panic("lockstep-chaos: a plan with a fault that does not exist: " + name)
}

// impossible probes which faults this machine cannot have.
func impossible() map[string]string {
	no := map[string]string{}
	for _, f := range faults() {
		if f.possible == nil {
			continue
		}
		if err := f.possible(); err != nil {
			no[f.name] = err.Error()
		}
	}
	return no
}

// leftOut are faults that no machine can have here, and why.
var leftOut = [][2]string{
	{"clock", "a jump of the wall clock would hit the whole machine: time namespaces shift only the monotonic clocks"},
}

func listFaults(w io.Writer) {
	no := impossible()
	for _, f := range faults() {
		fmt.Fprintf(w, "%-14s %s\n", f.name, f.about)
		if why, is := no[f.name]; is {
			fmt.Fprintf(w, "%-14s   not here: %s\n", "", why)
		}
	}
	for _, f := range leftOut {
		fmt.Fprintf(w, "%-14s   not at all: %s\n", f[0], f[1])
	}
}

// withoutSSH: in a user namespace ssh cannot have the files of root as its own.
func withoutSSH(p plan, _ targetPlan) bool {
	for _, t := range p.Targets {
		if t.Kind == kindSSH {
			return false
		}
	}
	return true
}

func onFS(fs string) func(plan, targetPlan) bool {
	return func(_ plan, t targetPlan) bool { return t.FS == fs }
}

func to(kinds ...string) func(plan, targetPlan) bool {
	return func(_ plan, t targetPlan) bool {
		for _, k := range kinds {
			if t.Kind == k {
				return true
			}
		}
		return false
	}
}

// faults lists them all. The order is part of what a seed means.
func faults() []fault {
	return []fault{
		{name: "kill", about: "kill -9 of lockstep, which is started again at once or later", on: onLockstep, weight: 6, inject: killLockstep},
		{name: "term", about: "SIGTERM to lockstep, which is started again at once or later", on: onLockstep, weight: 1, inject: termLockstep},
		{name: "stop", about: "SIGSTOP and SIGCONT of lockstep", on: onLockstep, weight: 2, inject: stopLockstep},
		{name: "overflow", about: "lockstep is started again with a kernel queue of a few events", on: onLockstep, weight: 2, inject: shortQueue,
			possible: canOverflow},
		{name: "watches", about: "lockstep is started again with too few inotify watches", on: onLockstep, weight: 1, inject: fewWatches,
			possible: canLimitWatches, fits: withoutSSH},

		{name: "kill-daemon", about: "kill -9 of the daemon and all that serve", on: onServer, weight: 3, inject: killDaemon, fits: to(kindDaemon)},
		{name: "kill-child", about: "kill -9 of the daemon's processes that serve", on: onServer, weight: 3, inject: killServing, fits: to(kindDaemon)},
		{name: "stop-child", about: "SIGSTOP and SIGCONT of the daemon's processes that serve", on: onServer, weight: 2, inject: stopServing, fits: to(kindDaemon)},
		{name: "stop-daemon", about: "SIGSTOP and SIGCONT of the daemon: who connects is accepted by the kernel and told nothing", on: onServer, weight: 1, inject: stopDaemon, fits: to(kindDaemon)},

		{name: "link", about: "the network link goes down and up", on: onLink, weight: 3, inject: linkDown, fits: to(kindDaemon)},
		{name: "cut", about: "all connections are reset (ss -K)", on: onLink, weight: 2, inject: cutConnections, possible: canCut, fits: to(kindDaemon)},
		{name: "narrow", about: "the link carries 2 Mbit/s and drops what does not fit (tc tbf)", on: onLink, weight: 2, inject: narrowLink,
			possible: canShape("tbf", "rate", "2mbit", "burst", "8kb", "latency", "50ms"), fits: to(kindDaemon)},
		{name: "lossy", about: "the link delays by 40 ms and loses 5% (tc netem)", on: onLink, weight: 2, inject: lossyLink,
			possible: canShape("netem", "delay", "40ms", "loss", "5%"), fits: to(kindDaemon)},

		{name: "full", about: "ENOSPC: the target's disk is filled, and freed", on: onDisk, weight: 3, inject: fillDisk},
		{name: "inodes", about: "ENOSPC: the target has no free inode, and has some again", on: onDisk, weight: 2, inject: fillInodes},
		{name: "read-only", about: "EROFS: the target is remounted read-only, and back", on: onDisk, weight: 2, inject: readOnly},
		{name: "immutable", about: "EPERM: some of the target's directories are immutable (chattr +i)", on: onDisk, weight: 1, inject: immutable,
			fits: onFS("ext4")},
		{name: "eio", about: "EIO: a third of what is asked of the target's file system fails", on: onDisk, weight: 3, inject: sicken(unix.EIO),
			possible: canFUSE, fits: onFS(fsSick)},
		{name: "quota", about: "EDQUOT: the target's file system takes no more", on: onDisk, weight: 3, inject: sicken(unix.EDQUOT),
			possible: canFUSE, fits: onFS(fsSick)},

		{name: "unmount", about: "the source's file system is unmounted, and mounted again", on: onSource, weight: 3, inject: unmountSource},
		{name: "unbind", about: "the source's mount goes away and leaves an empty directory, while its files change elsewhere", on: onSource, weight: 3, inject: unbindSource,
			fits: func(p plan, _ targetPlan) bool { return p.Bind }},
		{name: "move-root", about: "the source directory is renamed away and back", on: onSource, weight: 2, inject: moveRoot,
			fits: func(p plan, _ targetPlan) bool { return !p.Bind }},
		{name: "empty-root", about: "an empty directory takes the source's place, and gives it back", on: onSource, weight: 2, inject: emptyRoot,
			fits: func(p plan, _ targetPlan) bool { return !p.Bind }},
		{name: "permission", about: "chmod 000 of directories and files of the source, for a lockstep that cannot pass over it", on: onSource, weight: 6, inject: flipPermissions,
			fits: func(p plan, _ targetPlan) bool { return p.NoDAC }},
	}
}
