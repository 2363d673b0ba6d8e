package tree

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// File is a regular file that is being written: under a temporary name, or in place. It is
// for one goroutine.
type File struct {
	dir  *Dir
	name string
	fd   int // negative: closed
	temp bool
	held int // a duplicate of fd that keeps the lock until the file has its name; negative: none
}

// CreateTemp makes an empty file with a temporary name for name. Finish, then Rename put it
// into its place; Discard gives it up.
func (d *Dir) CreateTemp(name string) (*File, error) {
	f := &File{dir: d, temp: true, held: -1}
	var err error
	f.name, err = d.withTempName(name, func(temp string) (err error) {
		f.fd, err = unix.Openat(d.fd, temp,
			unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, tempMode)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create temporary file: %w", err)
	}
	lock(f.fd)
	return f, nil
}

// OpenInPlace opens the regular file name for being overwritten, or makes it: readers see it
// change, and a crash leaves it as far as it came. Finish ends it.
func (d *Dir) OpenInPlace(name string) (*File, error) {
	fd, err := d.openInPlace(name)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		if err == nil {
			err = unix.EINVAL
		}
		return nil, fmt.Errorf("open: %w", err)
	}
	return &File{dir: d, name: name, fd: fd, held: -1}, nil
}

func (d *Dir) openInPlace(name string) (int, error) {
	// O_NONBLOCK: a FIFO swapped in must not hold us up.
	const flags = unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := openRetry(d.fd, name, flags|unix.O_CREAT, tempMode)
	if !errors.Is(err, unix.EACCES) {
		return fd, err
	}
	// fs.protected_regular forbids O_CREAT of what is there in somebody else's sticky directory.
	if fd, err = openRetry(d.fd, name, flags, 0); !errors.Is(err, unix.EACCES) {
		return fd, err
	}
	// A file of our own that forbids writing allows it for as long as it takes to open it, as
	// in rsync 3.5.0 receiver.c, open_readonly_inplace.
	st, statErr := d.Lstat(name)
	if statErr != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Uid != uint32(unix.Geteuid()) {
		return -1, err
	}
	if chmodErr := d.Chmod(name, st.Mode&PermBits|unix.S_IRUSR|unix.S_IWUSR); chmodErr != nil {
		return -1, err
	}
	fd, err = openRetry(d.fd, name, flags, 0)
	if chmodErr := d.Chmod(name, st.Mode&PermBits); err == nil && chmodErr != nil {
		unix.Close(fd)
		return -1, chmodErr
	}
	return fd, err
}

func openRetry(dirfd int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dirfd, name, flags, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// Fd is the descriptor, open for writing; it stays the File's.
func (f *File) Fd() int { return f.fd }

// Finish gives the file its attributes and closes it. With sync its bytes are on the disk
// before anybody can see them under their name. An AttrError leaves it whole, to be renamed.
func (f *File) Finish(want Attrs, sync bool) error {
	var have unix.Stat_t
	var attrs error
	err := unix.Fstat(f.fd, &have)
	if err == nil {
		attrs = f.dir.setFileAttrs(f.fd, f.name, &have, want)
	}
	if errors.Is(attrs, ErrSource) {
		err = attrs
	}
	if err == nil && sync {
		if err = unix.Fsync(f.fd); err != nil {
			err = fmt.Errorf("fsync: %w", err)
		}
	}
	if f.temp && err == nil {
		f.held, _ = unix.FcntlInt(uintptr(f.fd), unix.F_DUPFD_CLOEXEC, 0) // or the name is free a little too early
	}
	// close(2) is where NFS and quotas tell of writes that did not happen.
	if closeErr := f.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := f.dir.setTime(f.name, want); attrs == nil {
		attrs = err
	}
	if attrs != nil {
		return &AttrError{attrs}
	}
	return nil
}

func (f *File) close() error {
	if f.fd < 0 {
		return nil
	}
	err := unix.Close(f.fd)
	f.fd = -1
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// Rename puts the finished file into d as name. unix.EXDEV says that d is on another file
// system; the file is then still there under its temporary name.
func (f *File) Rename(d *Dir, name string) error {
	if err := unix.Renameat(f.dir.fd, f.name, d.fd, name); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	f.temp = false
	f.release()
	return nil
}

// release gives up the lock.
func (f *File) release() {
	if f.held >= 0 {
		unix.Close(f.held)
		f.held = -1
	}
}

// Reopen opens the finished file again for reading; the caller closes the descriptor.
func (f *File) Reopen() (int, error) { return f.dir.OpenFile(f.name) }

// Discard closes the file, and removes it if it still has its temporary name.
func (f *File) Discard() {
	_ = f.close() // nobody wants to know any more
	if f.temp {
		_ = unix.Unlinkat(f.dir.fd, f.name, 0) // likewise
		f.temp = false
	}
	f.release()
}

// LinkNew gives base a second name in another directory, or in d. What stands there is EEXIST.
func (d *Dir) LinkNew(base string, to *Dir, name string) error {
	if err := unix.Linkat(d.fd, base, to.fd, name, 0); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	return nil
}

// RenameOver moves base to another directory, or within d, over what stands there.
func (d *Dir) RenameOver(base string, to *Dir, name string) error {
	if err := unix.Renameat(d.fd, base, to.fd, name); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	return nil
}
