package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// bench is one run.
type bench struct {
	ctx             context.Context
	sizes           sizes
	lockstep, rsync string
	dir             string // all that is written
	daemon          *syncertest.Daemon
	compare         syncertest.CompareOptions
	restore         func() error // of the kernel's limits
	progress        io.Writer
	start           time.Time
	results         results
	trees           map[int]tree // by number of files
	replicas        map[replicaKey]place
	watches, places int // made so far: their names
}

// A measurement adds rows. An error means that a result was wrong.
type measurement struct {
	name  string
	run   func(*bench) error
	asked bool // not done unless it is named
}

func measurements() []measurement {
	return []measurement{
		{name: "delta", run: (*bench).delta}, // first, for it takes the most space and gives it back
		{name: "new", run: (*bench).newData},
		{name: "text", run: (*bench).textData},
		{name: "first", run: (*bench).first},
		{name: "small", run: (*bench).small},
		{name: "latency", run: (*bench).latency},
		{name: "burst", run: (*bench).burst},
		{name: "move", run: (*bench).move},
		{name: "memory", run: (*bench).memory},
		{name: "outage", run: (*bench).outage},
		{name: "targets", run: (*bench).targets},
		{name: "many", run: (*bench).million},
		{name: "start", run: (*bench).startUp},
		{name: "events", run: (*bench).events},
		{name: "idle", run: (*bench).idle},
		{name: "soak", run: (*bench).soak, asked: true},
	}
}

func (m *measurement) wanted(only string) bool {
	if only == "" {
		return !m.asked
	}
	return slices.Contains(strings.Split(only, ","), m.name)
}

func measurementNames() []string {
	var names []string
	for _, m := range measurements() {
		names = append(names, m.name)
	}
	return names
}

func checkOnly(only string) error {
	for name := range strings.SplitSeq(only, ",") {
		if only != "" && !slices.Contains(measurementNames(), name) {
			return fmt.Errorf("there is no measurement %q, but %s", name, strings.Join(measurementNames(), ", "))
		}
	}
	return nil
}

func newBench(ctx context.Context, o options, progress io.Writer) (*bench, error) {
	lockstep, err1 := program(o.lockstep)
	rsync, err2 := program(o.rsync)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(workDir(o.dir, o.sizes), "lockstep-bench-")
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	b := &bench{
		ctx: ctx, sizes: o.sizes, lockstep: lockstep, rsync: rsync, dir: dir, progress: progress,
		start: time.Now(), trees: map[int]tree{}, replicas: map[replicaKey]place{},
		compare: syncertest.CompareOptions{IgnoreOwners: os.Geteuid() != 0},
		restore: func() error { return nil },
	}
	if err := b.open(); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// program is the absolute path of a program: children run elsewhere.
func program(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

func (b *bench) open() (err error) {
	fs, err := statfs(b.dir)
	if err != nil {
		return err
	}
	if fs.free < b.sizes.needDisk {
		return fmt.Errorf("%q has %d MiB free, %d MiB are needed (-dir names another place, -short needs less)",
			b.dir, fs.free>>20, b.sizes.needDisk>>20)
	}
	if b.restore, err = raiseWatches(b.sizes.watchedDirs()); err != nil {
		return err
	}
	if b.results.Host, err = b.describe(); err != nil {
		return err
	}
	b.results.Host.Filesystem, b.results.Short = fs.name, b.sizes.Short
	for _, name := range []string{"local", "module"} {
		if err := os.Mkdir(filepath.Join(b.dir, name), 0o755); err != nil {
			return err
		}
	}
	b.daemon, err = syncertest.NewDaemon(syncertest.DaemonConfig{
		Program: b.rsync, Chroot: os.Geteuid() == 0,
		Modules: []syncertest.Module{{Name: "m", Path: filepath.Join(b.dir, "module")}},
	})
	if err != nil {
		return err
	}
	return b.daemon.Start()
}

// describe tells what is measured on.
func (b *bench) describe() (host, error) {
	out, err := command(b.ctx, b.rsync, "--version").Output()
	if err != nil {
		return host{}, fmt.Errorf("run %q: %w", b.rsync, err)
	}
	version, _, _ := strings.Cut(string(out), "  protocol")
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return host{}, err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return host{}, err
	}
	fields := strings.Fields(string(load))
	return host{
		Kernel: unix.ByteSliceToString(uts.Release[:]), CPUs: runtime.NumCPU(),
		Rsync: strings.Join(strings.Fields(version), " "), Load: strings.Join(fields[:min(3, len(fields))], " "),
	}, nil
}

// measure goes on after a wrong result: the others are of use.
func (b *bench) measure(only string) error {
	var errs []error
	for _, m := range measurements() {
		if !m.wanted(only) {
			continue
		}
		if b.ctx.Err() != nil {
			return errors.Join(append(errs, fmt.Errorf("%s and what follows was not measured: %w", m.name, context.Cause(b.ctx)))...)
		}
		start := time.Now()
		fmt.Fprintf(b.progress, "%s … ", m.name)
		if err := m.run(b); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
		}
		fmt.Fprintf(b.progress, "%.1f s\n", time.Since(start).Seconds())
	}
	return errors.Join(errs...)
}

func (b *bench) add(r row) { b.results.Rows = append(b.results.Rows, r) }

func (b *bench) print(w io.Writer, asJSON bool) error {
	b.results.Seconds = time.Since(b.start).Seconds()
	if asJSON {
		return b.results.writeJSON(w)
	}
	return b.results.writeText(w)
}

// close removes everything, and nothing but the large file of delta is removed before: an ext4
// without a journal does not give out the inode of a deleted file for a minute or more and searches
// past those it may not give (Linux 6.18 fs/ext4/ialloc.c, recently_deleted), so that every file
// made after many were deleted costs a multiple. What it returns is not about a result, but should not be silent.
func (b *bench) close() error {
	var errs []error
	if b.daemon != nil {
		errs = append(errs, b.daemon.Close())
	}
	return errors.Join(append(errs, b.restore(), b.remove())...)
}

// remove removes several trees at once: mounted with "discard" the file system waits for the disk
// at each file.
func (b *bench) remove() error {
	var g errgroup.Group
	g.SetLimit(8)
	for _, sub := range []string{"local", "module", "."} {
		dir := filepath.Join(b.dir, sub)
		names, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return errors.Join(err, g.Wait())
		}
		for _, name := range names {
			g.Go(func() error { return os.RemoveAll(filepath.Join(dir, name.Name())) })
		}
	}
	return errors.Join(g.Wait(), os.RemoveAll(b.dir))
}
