package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// bufferSize is what one read(2) asks for: larger is not faster.
	bufferSize = 128 << 10
	// kernelCopyFrom is where copy_file_range(2) begins to pay: below it, one read and
	// one write cost less than setting up the kernel's pipe.
	kernelCopyFrom = bufferSize + 1
	// kernelChunk is copied between two looks at the context.
	kernelChunk = 8 << 20
)

// ErrSource marks an error of reading the source in what Copy returns; any other is
// the target's.
var ErrSource = errors.New("read source")

// Copier copies file data. It remembers between which file systems reflinks do not
// work. It is safe for concurrent use; the zero value works.
type Copier struct {
	// Pace says how many of the next n bytes, at least one, may be written, and waits until
	// they may. nil: all of them, at once. It must be set before the first copy.
	Pace    func(ctx context.Context, n int) (int, error)
	noClone sync.Map // [2]uint64{source device, target device}
	buffers sync.Pool
}

// Progress is told the bytes copied so far; nil is nobody.
type Progress func(done int64)

// Job is one file to be copied: Size bytes of Src, fewer when it ends before. Both are
// descriptors at offset 0, SrcDev and DstDev their devices.
type Job struct {
	Dst, Src       int
	SrcDev, DstDev uint64
	Size           int64
	From           int64 // bytes that Dst has already
	Sparse         bool  // blocks of zeros become holes; what is in Dst from From on is lost
	Tell           Progress
}

// Copy does j, and returns how far Dst reaches then, From included. What Dst has beyond that
// stays: the caller cuts it off.
func (c *Copier) Copy(ctx context.Context, j Job) (int64, error) {
	if j.Size <= j.From {
		return j.From, nil
	}
	if j.From == 0 {
		if n, err := c.clone(j.Dst, j.Src, j.SrcDev, j.DstDev, j.Size); n > 0 || err != nil {
			return n, err
		}
	} else if err := j.seek(); err != nil {
		return j.From, err
	}
	if j.Sparse {
		return c.sparseCopy(ctx, &j)
	}
	done := j.From
	if j.Size-j.From >= kernelCopyFrom {
		var err error
		if done, err = c.kernelCopy(ctx, &j); err != nil {
			return done, err
		}
	}
	// What is left: all of a small file, and of a large one what the kernel would not
	// copy; where that is nothing, one read says so.
	return c.plainCopy(ctx, &j, done)
}

// seek goes to where the copy is to begin.
func (j *Job) seek() error {
	if _, err := unix.Seek(j.Src, j.From, io.SeekStart); err != nil {
		return fmt.Errorf("%w: %w", ErrSource, err)
	}
	if _, err := unix.Seek(j.Dst, j.From, io.SeekStart); err != nil {
		return fmt.Errorf("seek: %w", err)
	}
	return nil
}

// may is how many of the next n bytes may be written now.
func (c *Copier) may(ctx context.Context, n int64) (int, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if c.Pace == nil {
		return int(n), nil
	}
	return c.Pace(ctx, int(n))
}

// clone makes dst share the blocks of src (ioctl_ficlone(2)). 0 without an error: it
// cannot be done here.
func (c *Copier) clone(dst, src int, srcDev, dstDev uint64, size int64) (int64, error) {
	pair := [2]uint64{srcDev, dstDev}
	if _, no := c.noClone.Load(pair); no {
		return 0, nil
	}
	if err := unix.IoctlFileClone(dst, src); err != nil {
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
			c.noClone.Store(pair, true) // those three are this file's, the others the file system's
		}
		return 0, nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(dst, &st); err != nil {
		return 0, fmt.Errorf("fstat: %w", err)
	}
	if st.Size > size {
		// The source grew since it was looked at.
		if err := unix.Ftruncate(dst, size); err != nil {
			return 0, fmt.Errorf("truncate: %w", err)
		}
		st.Size = size
	}
	return st.Size, nil
}

// kernelCopy copies with copy_file_range(2) as far as the kernel is willing.
func (c *Copier) kernelCopy(ctx context.Context, j *Job) (done int64, err error) {
	for done = j.From; done < j.Size; {
		most, err := c.may(ctx, min(j.Size-done, kernelChunk))
		if err != nil {
			return done, err
		}
		n, err := unix.CopyFileRange(j.Src, nil, j.Dst, nil, most, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ENOSPC || err == unix.EDQUOT || err == unix.EFBIG:
			return done, fmt.Errorf("write: %w", err)
		case err != nil || n <= 0:
			// Other file systems, special files, or an error whose side is not known:
			// reading and writing can do it, or will tell.
			return done, nil
		}
		done += int64(n)
		if j.Tell != nil {
			j.Tell(done)
		}
	}
	return done, nil
}

// plainCopy copies from done on with read(2) and write(2).
func (c *Copier) plainCopy(ctx context.Context, j *Job, done int64) (int64, error) {
	if done == j.Size {
		return done, nil
	}
	buf := c.buffer()
	defer c.buffers.Put(buf)
	for done < j.Size {
		most, err := c.may(ctx, min(j.Size-done, bufferSize))
		if err != nil {
			return done, err
		}
		n, err := readFull(j.Src, (*buf)[:most])
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, nil
		}
		if err := writeAll(j.Dst, (*buf)[:n]); err != nil {
			return done, err
		}
		done += int64(n)
		if j.Tell != nil && done < j.Size {
			j.Tell(done)
		}
	}
	return done, nil
}

// Same says whether the first size bytes of the files a and b are equal: descriptors
// at offset 0, a being the source's.
func (c *Copier) Same(ctx context.Context, a, b int, size int64) (bool, error) {
	bufA, bufB := c.buffer(), c.buffer()
	defer c.buffers.Put(bufA)
	defer c.buffers.Put(bufB)
	for done := int64(0); done < size; {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		n := min(size-done, bufferSize)
		nA, err := readFull(a, (*bufA)[:n])
		if err != nil {
			return false, err
		}
		// What the target cannot give back is not the same, whatever the reason.
		nB, err := readFull(b, (*bufB)[:n])
		if err != nil || nA != nB || string((*bufA)[:nA]) != string((*bufB)[:nB]) {
			return false, nil
		}
		if nA == 0 {
			return true, nil
		}
		done += int64(nA)
	}
	return true, nil
}

func (c *Copier) buffer() *[]byte {
	if b, ok := c.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, bufferSize)
	return &b
}

// readFull reads until b is full or the file ends.
func readFull(fd int, b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Read(fd, b[done:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return done, fmt.Errorf("%w: %w", ErrSource, err)
		case n <= 0:
			return done, nil
		}
		done += n
	}
	return done, nil
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n <= 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		b = b[n:]
	}
	return nil
}
