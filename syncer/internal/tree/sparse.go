package tree

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// holeMost is the largest block that is looked at as a whole: file systems that advertise
// more (NFS: a megabyte) keep smaller holes than that.
const holeMost = 4 << 10

var zeros [holeMost]byte

// sparseCopy copies from j.From on and leaves out the blocks that are all zeros. Where the
// source has holes it does not even read.
func (c *Copier) sparseCopy(ctx context.Context, j *Job) (int64, error) {
	if err := unix.Ftruncate(j.Dst, j.From); err != nil {
		return j.From, fmt.Errorf("truncate: %w", err)
	}
	buf := c.buffer()
	defer c.buffers.Put(buf)
	block := holeSize(j.Dst)
	done := j.From
	for done < j.Size {
		from, to, err := dataAt(j.Src, done, j.Size)
		if err != nil {
			return done, err
		}
		if from < to {
			end, err := c.copyData(ctx, j, *buf, block, from, to)
			if err != nil {
				return end, err
			}
			if end < to {
				to = end // the source became shorter
				done = to
				break
			}
		}
		done = to
	}
	if err := unix.Ftruncate(j.Dst, done); err != nil {
		return done, fmt.Errorf("truncate: %w", err)
	}
	return done, nil
}

// holeSize is in what blocks zeros are looked for in what is written to fd.
func holeSize(fd int) int64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Blksize < 512 || st.Blksize > holeMost {
		return holeMost
	}
	return st.Blksize
}

// dataAt is the next stretch of data in src at or after at. An empty one at the end says that
// there is none up to there.
func dataAt(src int, at, size int64) (from, to int64, err error) {
	const seekData, seekHole = 3, 4 // lseek(2); both go nowhere that matters to pread(2)
	from, err = unix.Seek(src, at, seekData)
	switch err {
	case nil:
	case unix.ENXIO:
		return holeEnd(src, at, size)
	default:
		return at, size, nil // a file system that does not know: all of it is data
	}
	if from >= size {
		return size, size, nil
	}
	to, err = unix.Seek(src, from, seekHole)
	if err != nil || to <= from {
		to = size
	}
	return from, min(to, size), nil
}

// holeEnd is where a hole at the end of src ends, as an empty stretch.
func holeEnd(src int, at, size int64) (int64, int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(src, &st); err != nil {
		return at, at, fmt.Errorf("%w: %w", ErrSource, err)
	}
	if end := min(max(st.Size, at), size); end == size {
		return end, end, nil
	}
	// It became shorter: reading finds out where it ends.
	return at, size, nil
}

// copyData copies a stretch, but for its blocks of zeros, and returns where it came to.
func (c *Copier) copyData(ctx context.Context, j *Job, buf []byte, block, from, to int64) (int64, error) {
	for from < to {
		// The first read may end early, so that the others begin with a block.
		most, err := c.may(ctx, min(to-from, int64(len(buf))-from%block))
		if err != nil {
			return from, err
		}
		n, err := preadFull(j.Src, buf[:most], from)
		if err != nil {
			return from, err
		}
		if n == 0 {
			return from, nil
		}
		if err := writeData(j.Dst, buf[:n], block, from); err != nil {
			return from, err
		}
		from += int64(n)
		if j.Tell != nil {
			j.Tell(from)
		}
	}
	return from, nil
}

// writeData writes b, which belongs at offset at, but for the blocks that are all zeros.
func writeData(fd int, b []byte, block, at int64) error {
	for start := 0; start < len(b); {
		end, hole := start, false
		for end < len(b) {
			next := min(len(b), end+int(block-(at+int64(end))%block))
			if zero := bytes.Equal(b[end:next], zeros[:next-end]); end == start {
				hole = zero
			} else if zero != hole {
				break
			}
			end = next
		}
		if !hole {
			if err := pwriteAll(fd, b[start:end], at+int64(start)); err != nil {
				return err
			}
		}
		start = end
	}
	return nil
}

func preadFull(fd int, b []byte, at int64) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Pread(fd, b[done:], at+int64(done))
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

func pwriteAll(fd int, b []byte, at int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(fd, b, at)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}
