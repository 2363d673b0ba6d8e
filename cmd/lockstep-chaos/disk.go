package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// disk is a mounted file system of a size of its own.
type disk struct {
	mount   string
	fs      string
	sick    string   // where it is shown through a FUSE file system; "" if it is not
	server  *child   // of that
	ailment ailment  // of that
	loop    *os.File // its block device; held open, so that it stays while nothing is mounted
}

// newDisk makes one and mounts it at a new directory. inodes 0 leaves their number to the system.
func newDisk(mount, fs string, mebibytes, inodes int) (disk, error) {
	d := disk{mount: mount, fs: fs}
	if fs == fsSick {
		d.fs = "tmpfs"
	}
	if err := os.Mkdir(mount, 0o755); err != nil {
		return d, err
	}
	if d.fs == "tmpfs" {
		return d, unix.Mount("tmpfs", mount, "tmpfs", 0, fmt.Sprintf("mode=755,size=%dm,nr_inodes=%d", mebibytes, inodes))
	}
	image := mount + ".img"
	f, err := os.OpenFile(image, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return d, err
	}
	defer f.Close()
	if err := f.Truncate(int64(mebibytes) << 20); err != nil {
		return d, err
	}
	args := []string{"mkfs.ext4", "-q", "-F", "-m", "0", "-I", "256"}
	if inodes > 0 {
		args = append(args, "-N", fmt.Sprint(inodes))
	}
	if err := run(append(args, image)...); err != nil {
		return d, err
	}
	if d.loop, err = attachLoop(f); err != nil {
		return d, fmt.Errorf("attach a loop device: %w", err)
	}
	return d, d.remount()
}

// shown is where others see it.
func (d disk) shown() string {
	if d.sick != "" {
		return d.sick
	}
	return d.mount
}

// hidden is where what others see is kept.
func (d disk) hidden() string {
	if d.sick != "" {
		return filepath.Join(d.mount, "backing")
	}
	return d.mount
}

// remount mounts an ext4 that is not mounted.
func (d disk) remount() error {
	if err := unix.Mount(d.loop.Name(), d.mount, d.fs, 0, ""); err != nil {
		return fmt.Errorf("mount %s at %s: %w", d.loop.Name(), d.mount, err)
	}
	return nil
}

// attachLoop makes a file a block device, until the last who holds it open is gone (loop(4)).
func attachLoop(image *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for range 50 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &unix.LoopConfig{Fd: uint32(image.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}})
		if err == nil {
			return loop, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) { // another was faster
			return nil, err
		}
	}
	return nil, errors.New("others are always faster")
}

// ballast is the directory that takes what the disk is filled with.
func (d disk) ballast() string { return filepath.Join(d.mount, "ballast") }

func (d disk) dropBallast() error { return os.RemoveAll(d.ballast()) }

func fillDisk(_ *world, t *target, rng *rand.Rand) (func() error, error) {
	if err := os.MkdirAll(t.disk.ballast(), 0o755); err != nil {
		return t.disk.dropBallast, err
	}
	f, err := os.Create(filepath.Join(t.disk.ballast(), "file"))
	if err != nil {
		return t.disk.dropBallast, err
	}
	defer f.Close()
	leave := int64(rng.IntN(3)) * int64(rng.IntN(300<<10)) // at times a little stays free
	return t.disk.dropBallast, fill(f, leave)
}

// fill takes all space of a file system but for a few bytes.
func fill(f *os.File, leave int64) error {
	size := int64(0)
	for step := int64(64 << 20); step >= 4096; {
		err := unix.Fallocate(int(f.Fd()), 0, size, step)
		switch {
		case err == nil:
			size += step
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		case !errors.Is(err, unix.EINTR):
			return fmt.Errorf("fill the disk: %w", err)
		}
	}
	return f.Truncate(max(size-leave, 0))
}

func fillInodes(_ *world, t *target, _ *rand.Rand) (func() error, error) {
	if err := os.MkdirAll(t.disk.ballast(), 0o755); err != nil {
		return t.disk.dropBallast, err
	}
	for i := range 2 * inodes {
		f, err := os.Create(filepath.Join(t.disk.ballast(), fmt.Sprint(i)))
		if errors.Is(err, unix.ENOSPC) {
			return t.disk.dropBallast, nil
		}
		if err != nil {
			return t.disk.dropBallast, err
		}
		f.Close()
	}
	return t.disk.dropBallast, errors.New("the inodes do not come to an end")
}

// readOnly makes the mount read-only, once nobody has a file open for writing there.
func readOnly(w *world, t *target, _ *rand.Rand) (func() error, error) {
	remount := func(flags uintptr) error {
		return unix.Mount("", t.disk.shown(), "", unix.MS_REMOUNT|unix.MS_BIND|flags, "")
	}
	heal := func() error { return remount(0) }
	err := untilDone(w.ctx, func() error { return remount(unix.MS_RDONLY) }, unix.EBUSY)
	if errors.Is(err, unix.EBUSY) {
		return heal, fmt.Errorf("%w: the target is always written to", errSkip)
	}
	return heal, err
}

// immutable sets the flag of chattr(1) on some directories of the replica. Who may read may list
// them, but nobody may make or remove a name there.
func immutable(_ *world, t *target, rng *rand.Rand) (func() error, error) {
	var dirs []string
	_ = filepath.WalkDir(t.replica, func(name string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() && len(dirs) < 200 { // it changes meanwhile; what is seen will do
			dirs = append(dirs, name)
		}
		return nil
	})
	if len(dirs) == 0 {
		return nil, fmt.Errorf("%w: there is no directory", errSkip)
	}
	rng.Shuffle(len(dirs), func(i, j int) { dirs[i], dirs[j] = dirs[j], dirs[i] })
	var held []*os.File // by descriptor: their names may change
	heal := func() error {
		var errs []error
		for _, f := range held {
			errs = append(errs, setImmutable(f, false), f.Close())
		}
		return errors.Join(errs...)
	}
	for _, name := range dirs[:min(len(dirs), 4)] {
		f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_DIRECTORY, 0)
		if err != nil {
			continue // it is gone
		}
		held = append(held, f)
		if err := setImmutable(f, true); err != nil {
			return heal, fmt.Errorf("chattr +i: %w", err)
		}
	}
	return heal, nil
}

// setImmutable leaves the other flags alone (ioctl_iflags(2)).
func setImmutable(f *os.File, on bool) error {
	const immutableFlag = 0x10 // FS_IMMUTABLE_FL
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	flags &^= immutableFlag
	if on {
		flags |= immutableFlag
	}
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags)
}

// run runs a program of the system.
func run(args ...string) error {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
