package delta

import (
	"fmt"

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
	weak   []uint32
	strong []byte // StrongLen bytes a block
}

// ReadSums reads the sums that follow head. Memory grows with what really arrives.
func ReadSums(r *wire.Reader, h Head) (*Sums, error) {
	s := &Sums{Head: h}
	const batch = 4096
	size := 4 + int(h.StrongLen)
	buf := make([]byte, min(int(h.Count), batch)*size)
	for left := int(h.Count); left > 0; {
		b := buf[:min(left, batch)*size]
		r.Full(b)
		if err := r.Err(); err != nil {
			return nil, fmt.Errorf("read %d block sums: %w", h.Count, err)
		}
		left -= len(b) / size
		for ; len(b) > 0; b = b[size:] {
			s.weak = append(s.weak, uint32(b[0])|uint32(b[1])<<8|uint32(b[2])<<16|uint32(b[3])<<24)
			s.strong = append(s.strong, b[4:size]...)
		}
	}
	return s, nil
}

func (s *Sums) strongOf(i int32) []byte {
	n := int(s.StrongLen)
	return s.strong[int(i)*n : (int(i)+1)*n]
}
