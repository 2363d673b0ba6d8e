package sender

import (
	"io"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
	"github.com/lockstep-sync/lockstep/syncer/internal/delta"
)

// What a receiver's basis is (rsync 3.5.0 rsync.h, FNAMECMP_*); others need only be repeated.
const (
	basisFile    = 0x80 // the file itself
	basisPartial = 0x81 // what an earlier push left in --partial-dir
)

// writesOver says whether the receiver writes the new file over its basis (rsync 3.5.0
// sender.c, send_files).
func (p *push) writesOver(q *request) bool {
	return q.basis == basisFile && p.o.inplace() || q.basis == basisPartial && p.t.flags&cfInplacePartial != 0
}

// appends says whether a request for data asks for what is behind the receiver's end of the
// file: the first one does, a second asks for all of it.
func (p *push) appends(index int32) bool {
	return (p.o.Append || p.o.AppendVerify) && !p.appended[index]
}

// markAppended notes that the file was sent that way.
func (p *push) markAppended(index int32) {
	if p.appended == nil {
		p.appended = map[int32]bool{}
	}
	p.appended[index] = true
}

// length is how many bytes the blocks of a basis have.
func length(h delta.Head) int64 {
	n := int64(h.Count) * int64(h.BlockLen)
	if h.Remainder != 0 {
		n -= int64(h.BlockLen - h.Remainder)
	}
	return max(n, 0)
}

// skip passes over the n bytes that the receiver has; with --append-verify they are part of
// the checksum (rsync 3.5.0 match.c, match_sums).
func (p *push) skip(f *beneath.File, n int64) error {
	if n == 0 {
		return nil
	}
	if !p.o.AppendVerify {
		if _, err := unix.Seek(f.Fd(), n, io.SeekStart); err != nil {
			return &delta.ReadError{Err: err}
		}
		return nil
	}
	// A file that ends too early makes a checksum that is not the receiver's: it asks again.
	if _, err := io.Copy(p.out.hash, io.LimitReader(f, n)); err != nil {
		return &delta.ReadError{Err: err}
	}
	return nil
}
