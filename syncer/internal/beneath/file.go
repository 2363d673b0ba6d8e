package beneath

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// File is a regular file that is open for reading. It costs no system call beside those that
// are asked for: an os.File made of a descriptor with O_NONBLOCK is offered to the poller, in vain
// for a regular file, and looked at once more. It is for one goroutine at a time.
type File struct{ fd int }

// NewFile makes a File of a descriptor, and owns it from here on.
func NewFile(fd int) *File { return &File{fd} }

// Fd is the descriptor, for system calls; it stays the File's.
func (f *File) Fd() int { return f.fd }

// Read implements io.Reader.
func (f *File) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n, err := unix.Read(f.fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Rewind goes back to the beginning.
func (f *File) Rewind() error {
	_, err := unix.Seek(f.fd, 0, io.SeekStart)
	return err
}

// Stat is fstat(2).
func (f *File) Stat() (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstat(f.fd, &st)
	return st, err
}

// Close closes the descriptor; a second call does nothing.
func (f *File) Close() error {
	if f.fd < 0 {
		return nil
	}
	err := unix.Close(f.fd)
	f.fd = -1
	return err
}
