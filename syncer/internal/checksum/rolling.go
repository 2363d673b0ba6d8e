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
	const flip = 0x8080_8080_8080_8080
	var even, odd, before uint64
	for i := 0; i < chunk; i += 5 * 8 {
		five := (*[5 * 8]byte)(b[i:]) // one check of bounds for five words
		w := binary.LittleEndian.Uint64(five[0:]) ^ flip
		before, even, odd = before+even+odd, even+w&lanes, odd+w>>8&lanes
		w = binary.LittleEndian.Uint64(five[8:]) ^ flip
		before, even, odd = before+even+odd, even+w&lanes, odd+w>>8&lanes
		w = binary.LittleEndian.Uint64(five[16:]) ^ flip
		before, even, odd = before+even+odd, even+w&lanes, odd+w>>8&lanes
		w = binary.LittleEndian.Uint64(five[24:]) ^ flip
		before, even, odd = before+even+odd, even+w&lanes, odd+w>>8&lanes
		w = binary.LittleEndian.Uint64(five[32:]) ^ flip
		before, even, odd = before+even+odd, even+w&lanes, odd+w>>8&lanes
	}
	// A product's highest lane is the sum of all lanes, each with the weight that stands in
	// the lane opposite. Even bytes count 8, 6, 4 and 2, odd ones 7, 5, 3 and 1.
	s1 = uint32((even + odd) * 0x0001_0001_0001_0001 >> 48)
	both := before&0x0000_FFFF_0000_FFFF + before>>16&0x0000_FFFF_0000_FFFF
	s2 = 8*(uint32(both)+uint32(both>>32)) +
		2*uint32(even*0x0004_0003_0002_0001>>48) + uint32(odd*0x0007_0005_0003_0001>>48)
	return s1, s2
}

// lanes are the even bytes of a word.
const lanes = 0x00FF_00FF_00FF_00FF

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
