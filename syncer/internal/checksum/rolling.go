package checksum

import (
	"encoding/binary"
	"math/bits"
)

// Rolling is the state of the weak sum over a window: the sum of its bytes, taken as
// signed, and the sum of those sums.
type Rolling struct{ s1, s2 uint32 }

// NewRolling sums the window b.
func NewRolling(b []byte) Rolling {
	// Bytes are summed as unsigned after flipping their top bit, which adds 128 to each;
	// what that adds to both sums is taken off at the end.
	var s1, s2 uint32
	n := uint32(len(b))
	for len(b) >= chunk {
		c1, c2 := sumChunk(b)
		s2 += chunk*s1 + c2
		s1 += c1
		b = b[chunk:]
	}
	for _, x := range b {
		s1 += uint32(x ^ 0x80)
		s2 += s1
	}
	return Rolling{s1: s1 - 128*n, s2: s2 - 64*n*(n+1)}
}

// chunk is how many bytes are summed in 16-bit lanes before a lane could overflow: with
// words of 8 bytes and at most 510 a lane and word, the sum of sums reaches 510*105.
const chunk = 15 * 8

// sumChunk sums chunk bytes, four lanes at a time: even and odd bytes of each word in
// lanes of their own, and before of what came in earlier words, which counts 8 times more.
func sumChunk(b []byte) (s1, s2 uint32) {
	const lanes, flip = 0x00FF00FF00FF00FF, 0x8080808080808080
	b = b[:chunk]
	var even, odd, before uint64
	for i := 0; i < chunk; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:]) ^ flip
		before += even + odd
		even += w & lanes
		odd += w >> 8 & lanes
	}
	e0, e1, e2, e3 := split(even)
	o0, o1, o2, o3 := split(odd)
	b0, b1, b2, b3 := split(before)
	s1 = e0 + o0 + e1 + o1 + e2 + o2 + e3 + o3
	s2 = 8*(b0+b1+b2+b3) + 8*e0 + 7*o0 + 6*e1 + 5*o1 + 4*e2 + 3*o2 + 2*e3 + o3
	return s1, s2
}

func split(w uint64) (a, b, c, d uint32) {
	return uint32(w & 0xFFFF), uint32(w >> 16 & 0xFFFF), uint32(w >> 32 & 0xFFFF), uint32(w >> 48)
}

// Sum is the 32 bits that travel.
func (r Rolling) Sum() uint32 { return r.s1&0xFFFF | r.s2<<16 }

// Roll moves a window of n bytes on by one: out leaves it, in enters.
func (r *Rolling) Roll(n int, out, in byte) {
	o := uint32(int32(int8(out)))
	r.s1 += uint32(int32(int8(in))) - o
	r.s2 += r.s1 - uint32(n)*o
}

// Mix spreads the bits of a weak sum for a table of 1<<size slots.
func Mix(sum uint32, size int) uint32 {
	return uint32(uint64(bits.RotateLeft32(sum, 16))*0x9E3779B97F4A7C15>>32) >> (32 - size)
}
