package delta

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

const (
	// MaxBlockLen is the longest block of protocol 30 and later.
	MaxBlockLen = 1 << 17
	// maxBlocks bounds the blocks of one basis: 8 TiB in blocks of the longest kind.
	maxBlocks = 1 << 26
)

// Head describes the blocks of a basis. The zero value says that there is no basis.
type Head struct {
	Count     int32 // blocks
	BlockLen  int32 // bytes of each block but perhaps the last
	StrongLen int32 // bytes of each strong sum: the digest's first
	Remainder int32 // bytes of the last block; 0 when it is whole
}

// ReadHead reads and checks a head; digestLen is the length of the strong sum's digest.
func ReadHead(r *wire.Reader, digestLen int) Head {
	h := Head{Count: r.Int32(), BlockLen: r.Int32(), StrongLen: r.Int32(), Remainder: r.Int32()}
	switch {
	case r.Err() != nil:
	case h.Count < 0 || h.Count > maxBlocks:
		r.Fail("sum head with %d blocks", h.Count)
	case h.BlockLen < 0 || h.BlockLen > MaxBlockLen || h.BlockLen == 0 && h.Count > 0:
		r.Fail("sum head with blocks of %d bytes", h.BlockLen)
	case h.StrongLen < 0 || int(h.StrongLen) > digestLen || h.StrongLen == 0 && h.Count > 0:
		r.Fail("sum head with strong sums of %d bytes, the digest has %d", h.StrongLen, digestLen)
	case h.Remainder < 0 || h.Remainder > h.BlockLen:
		r.Fail("sum head with a last block of %d bytes, blocks have %d", h.Remainder, h.BlockLen)
	}
	if r.Err() != nil {
		return Head{}
	}
	return h
}

// Append appends h as it travels.
func (h Head) Append(b []byte) []byte {
	for _, v := range []int32{h.Count, h.BlockLen, h.StrongLen, h.Remainder} {
		b = wire.AppendInt32(b, v)
	}
	return b
}

// Len is the length of block i in bytes.
func (h Head) Len(i int32) int32 {
	if i == h.Count-1 && h.Remainder != 0 {
		return h.Remainder
	}
	return h.BlockLen
}

// Sums are a basis: the weak and the strong sum of each of its blocks.
type Sums struct {
	Head
	// InPlace says that the receiver writes the new file over the basis: a block is there only
	// as long as nothing was written over it.
	InPlace bool

	r      *wire.Reader // brings those that are not there yet
	weak   []uint32
	strong []byte // StrongLen bytes a block
	buf    []byte
}

const (
	fewSums  = 64   // read at once while they are waited for
	manySums = 4096 // read at once where all of them are
)

// NewSums are the sums that follow head on r. Match reads them when it needs them, so that it
// can begin before the receiver has gone through its basis; Rest must be called before r is
// read on.
func NewSums(r *wire.Reader, h Head) *Sums { return &Sums{Head: h, r: r} }

// ReadSums reads the sums that follow head.
func ReadSums(r *wire.Reader, h Head) (*Sums, error) {
	s := NewSums(r, h)
	return s, s.Rest()
}

// Rest reads what did not arrive yet. Memory grows with what really does.
func (s *Sums) Rest() error { return s.need(s.Count, manySums) }

// need makes sure that the first n sums are there, and reads batch of them at once.
func (s *Sums) need(n int32, batch int) error {
	size := 4 + int(s.StrongLen)
	for len(s.weak) < int(n) {
		k := min(int(s.Count)-len(s.weak), batch)
		s.buf = slices.Grow(s.buf[:0], k*size)[:k*size]
		s.r.Full(s.buf)
		if err := s.r.Err(); err != nil {
			return fmt.Errorf("read %d block sums: %w", s.Count, err)
		}
		for b := s.buf; len(b) > 0; b = b[size:] {
			s.weak = append(s.weak, binary.LittleEndian.Uint32(b))
			s.strong = append(s.strong, b[4:size]...)
		}
	}
	return nil
}

func (s *Sums) strongOf(i int32) []byte {
	n := int(s.StrongLen)
	return s.strong[int(i)*n : (int(i)+1)*n]
}
