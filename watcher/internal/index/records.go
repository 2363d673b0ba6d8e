package index

import (
	"encoding/binary"
)

// kind is as much of an entry's type as the index has to remember.
type kind uint8

const (
	other kind = iota
	regular
	directory
)

// maxName is more than NAME_MAX; a FUSE filesystem can have longer names (FUSE_NAME_MAX).
const maxName = 1 << 12

// records are the entries of a part of a directory, sorted by name. Each is
//
//	length of the name << 2 | kind, as uvarint: one byte for names below 32 bytes
//	the name
//	fingerprint, 8 bytes
//
// The bytes are our own; no input from elsewhere is read as records.
type records []byte

type record struct {
	name  []byte
	kind  kind
	print fingerprint
	size  int // bytes it takes
}

const printSize = 8

// at decodes the record at an offset.
func (r records) at(off int) record {
	head, n := uint64(r[off]), 1
	if head >= 0x80 {
		head, n = binary.Uvarint(r[off:])
	}
	start := off + n
	end := start + int(head>>2)
	return record{
		name:  r[start:end],
		kind:  kind(head & 3),
		print: fingerprint(binary.NativeEndian.Uint64(r[end:])),
		size:  end + printSize - off,
	}
}

// setFingerprint overwrites that of the record at an offset.
func (r records) setFingerprint(off int, p fingerprint) {
	end := off + r.at(off).size
	binary.NativeEndian.PutUint64(r[end-printSize:end], uint64(p))
}

func (r records) count() int {
	n := 0
	for off := 0; off < len(r); off += r.at(off).size {
		n++
	}
	return n
}

func (r records) append(name []byte, k kind, p fingerprint) records {
	r = binary.AppendUvarint(r, uint64(len(name))<<2|uint64(k))
	r = append(r, name...)
	return binary.NativeEndian.AppendUint64(r, uint64(p))
}
