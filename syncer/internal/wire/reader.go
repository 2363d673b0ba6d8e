package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// MaxVstring is the longest string with a length of its own in front.
const MaxVstring = 0x7FFF

// ErrProtocol is the root of all errors about what the peer sent: it is wrong, not lost.
var ErrProtocol = errors.New("protocol error")

// Reader reads the protocol's values. After the first error every method returns zero
// values and Err tells the error: a parser reads in wire order and asks once.
type Reader struct {
	r   io.Reader
	err error
	buf [16]byte
	ndx IndexState
}

// NewReader reads from r, which should be buffered.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Err is the first error that was met.
func (r *Reader) Err() error { return r.err }

// Fail makes err the reader's error, if it has none yet: for checks by the caller.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %w", ErrProtocol, fmt.Errorf(format, args...))
	}
}

// Full fills b.
func (r *Reader) Full(b []byte) {
	if r.err != nil {
		clear(b)
		return
	}
	if _, err := io.ReadFull(r.r, b); err != nil {
		clear(b)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		r.err = err
	}
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	r.Full(r.buf[:1])
	return r.buf[0]
}

// Short reads 2 bytes.
func (r *Reader) Short() uint16 {
	r.Full(r.buf[:2])
	return binary.LittleEndian.Uint16(r.buf[:])
}

// Int32 reads 4 bytes.
func (r *Reader) Int32() int32 {
	r.Full(r.buf[:4])
	return int32(binary.LittleEndian.Uint32(r.buf[:]))
}

// Varint reads what AppendVarint wrote.
func (r *Reader) Varint() int32 {
	first := r.Byte()
	extra := leadingOnes(first)
	if extra > 4 {
		r.Fail("varint of %d bytes", extra+1)
		return 0
	}
	v := r.rest(first, extra, extra)
	if v > 0xFFFFFFFF {
		r.Fail("varint %#x has more than 32 bits", v)
		return 0
	}
	return int32(uint32(v))
}

// Varlong reads what AppendVarlong wrote with the same minBytes.
func (r *Reader) Varlong(minBytes int) int64 {
	first := r.Byte()
	extra := leadingOnes(first)
	if minBytes+extra > 9 {
		r.Fail("varlong of %d bytes", minBytes+extra)
		return 0
	}
	return int64(r.rest(first, extra, minBytes-1+extra))
}

// rest reads the n bytes after first, whose top bits hold extra ones and a zero.
func (r *Reader) rest(first byte, extra, n int) uint64 {
	var le [9]byte
	r.Full(le[:n])
	le[n] = first & (0xFF >> (extra + 1))
	if le[8] != 0 {
		r.Fail("integer of more than 64 bits")
		return 0
	}
	return binary.LittleEndian.Uint64(le[:8])
}

// leadingOnes counts the ones before the first zero: at most 6, as 0xFC and above are one class.
func leadingOnes(b byte) int { return min(bits.LeadingZeros8(^b), 6) }

// Vstring reads a string of at most limit bytes.
func (r *Reader) Vstring(limit int) string {
	n := int(r.Byte())
	if n&0x80 != 0 {
		n = n&0x7F<<8 | int(r.Byte())
	}
	if n > limit {
		r.Fail("string of %d bytes, at most %d are allowed", n, limit)
	}
	return r.String(n)
}

// String reads n bytes; the caller has bounded n.
func (r *Reader) String(n int) string {
	if r.err != nil || n <= 0 {
		return ""
	}
	b := make([]byte, n)
	r.Full(b)
	return string(b)
}

// Index reads a file index.
func (r *Reader) Index() int32 {
	b := r.Byte()
	switch {
	case r.err != nil || b == 0:
		return IndexDone
	case b == 0xFF:
		v := r.indexValue(r.Byte(), r.ndx.neg+1)
		if v < 2 {
			r.Fail("file index -%d", v)
			return IndexDone
		}
		r.ndx.neg = v - 1
		return -v
	}
	v := r.indexValue(b, r.ndx.pos-1)
	if v < 0 {
		r.Fail("file index %d", v)
		return IndexDone
	}
	r.ndx.pos = v + 1
	return v
}

// indexValue reads the value that begins with b and counts from prev.
func (r *Reader) indexValue(b byte, prev int32) int32 {
	if b != 0xFE {
		return prev + int32(b)
	}
	r.Full(r.buf[:2])
	if r.buf[0]&0x80 == 0 {
		return prev + (int32(r.buf[0])<<8 | int32(r.buf[1]))
	}
	hi, lo := int32(r.buf[0]&0x7F), int32(r.buf[1])
	r.Full(r.buf[:2])
	return hi<<24 | lo | int32(r.buf[0])<<8 | int32(r.buf[1])<<16
}
