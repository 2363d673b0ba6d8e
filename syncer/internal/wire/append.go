package wire

import (
	"encoding/binary"
	"math/bits"
)

// AppendInt32 appends v as 4 bytes, little-endian.
func AppendInt32(b []byte, v int32) []byte {
	return binary.LittleEndian.AppendUint32(b, uint32(v))
}

// AppendShort appends v as 2 bytes, little-endian.
func AppendShort(b []byte, v uint16) []byte {
	return binary.LittleEndian.AppendUint16(b, v)
}

// AppendVarint appends v in 1 to 5 bytes: the first byte's leading ones tell how many
// follow (rsync 3.5.0 io.c, write_varint).
func AppendVarint(b []byte, v int32) []byte {
	return appendVar(b, uint64(uint32(v)), 1)
}

// AppendVarlong appends v in at least minBytes and at most 9 bytes (rsync 3.5.0 io.c,
// write_varlong). Sizes use 3, times 4; a negative v takes all 9.
func AppendVarlong(b []byte, v int64, minBytes int) []byte {
	return appendVar(b, uint64(v), minBytes)
}

func appendVar(b []byte, v uint64, minBytes int) []byte {
	n := max((bits.Len64(v)+7)/8, minBytes) // bytes of v that are sent
	extra := n - minBytes
	var le [8]byte
	binary.LittleEndian.PutUint64(le[:], v)
	top := le[n-1]
	if free := byte(1) << (7 - extra); top >= free {
		// The top byte does not fit beside the marks: it follows like the others.
		// (extra+1 ones; 8 bytes of value need at most 0xFC or so with minBytes 3.)
		b = append(b, ^(free - 1))
		return append(b, le[:n]...)
	}
	marks := ^(byte(1)<<(7-extra)<<1 - 1)
	b = append(b, marks|top)
	return append(b, le[:n-1]...)
}

// AppendVstring appends s with its length in front: one byte below 128, else two.
// It holds at most MaxVstring bytes.
func AppendVstring(b []byte, s string) []byte {
	if len(s) > 0x7F {
		b = append(b, 0x80|byte(len(s)>>8))
	}
	b = append(b, byte(len(s)))
	return append(b, s...)
}

// Special file indices (rsync 3.5.0 rsync.h).
const (
	IndexDone     = -1 // NDX_DONE: the end of a phase
	IndexListEnd  = -2 // NDX_FLIST_EOF
	IndexDelStats = -3 // NDX_DEL_STATS: five varints follow
)

// IndexState is what one direction of a connection remembers between file indices.
// The zero value is the beginning of a connection.
type IndexState struct {
	pos, neg int32 // the last value, less its initial one: -1 and 1
}

// Append appends the file index n (rsync 3.5.0 io.c, write_ndx).
func (s *IndexState) Append(b []byte, n int32) []byte {
	var diff, v int32
	switch {
	case n == IndexDone:
		return append(b, 0)
	case n >= 0:
		diff, v = n-(s.pos-1), n
		s.pos = n + 1
	default:
		b = append(b, 0xFF)
		v = -n
		diff = v - (s.neg + 1)
		s.neg = v - 1
	}
	switch {
	case diff > 0 && diff < 0xFE:
		return append(b, byte(diff))
	case diff < 0 || diff > 0x7FFF:
		return append(b, 0xFE, byte(v>>24)|0x80, byte(v), byte(v>>8), byte(v>>16))
	}
	return append(b, 0xFE, byte(diff>>8), byte(diff))
}
