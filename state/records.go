package state

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/zeebo/xxh3"
	"golang.org/x/sys/unix"
)

// record is what the index keeps of one entry of a directory.
type record struct {
	name  []byte // within the directory
	print fingerprint
	dir   bool
	ino   uint64 // of a directory: which one it is, whatever happens to its metadata
}

func recordOf(name []byte, st *unix.Stat_t) record {
	r := record{name: name, print: fingerprintOf(st), dir: isDirectory(st)}
	if r.dir {
		r.ino = st.Ino
	}
	return r
}

// The records of a directory are kept in chunks: a checksum of 4 bytes over key and records, then the
// records, sorted by name. One is: length of the name (uvarint), the name, kind, fingerprint, and for a directory its
// inode.
const (
	maxChunk  = 1600 // bytes; two fit on a page of bbolt with their keys
	sumSize   = 4
	kindOther = 0
	kindDir   = 1
)

var errChunk = errors.New("malformed records")

func appendRecord(b []byte, r record) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.name)))
	b = append(b, r.name...)
	if !r.dir {
		return binary.LittleEndian.AppendUint64(append(b, kindOther), uint64(r.print))
	}
	b = binary.LittleEndian.AppendUint64(append(b, kindDir), uint64(r.print))
	return binary.LittleEndian.AppendUint64(b, r.ino)
}

// cutRecord returns the first record of b and what follows it. The name is b's.
func cutRecord(b []byte) (r record, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n == 0 || n > uint64(len(b)) || len(b)-size < int(n)+9 {
		return record{}, nil, errChunk
	}
	r.name, b = b[size:size+int(n)], b[size+int(n):]
	kind := b[0]
	r.print, b = fingerprint(binary.LittleEndian.Uint64(b[1:])), b[9:]
	switch {
	case kind == kindOther:
		return r, b, nil
	case kind == kindDir && len(b) >= 8:
		r.dir, r.ino = true, binary.LittleEndian.Uint64(b)
		return r, b[8:], nil
	}
	return record{}, nil, errChunk
}

func sumOf(key, body []byte) uint32 {
	return uint32(xxh3.HashSeed(body, xxh3.Hash(key)))
}

// seal makes a chunk's value of its records, of which the first sumSize bytes are left free.
func seal(key, value []byte) []byte {
	binary.LittleEndian.PutUint32(value, sumOf(key, value[sumSize:]))
	return value
}

// unseal returns the records in a chunk's value.
func unseal(key, value []byte) ([]byte, error) {
	if len(value) < sumSize || binary.LittleEndian.Uint32(value) != sumOf(key, value[sumSize:]) {
		return nil, errChunk
	}
	return value[sumSize:], nil
}

// find returns where name is in a chunk's records, or would be: the offset, and the size of what is there, 0
// if it is not.
func find(recs []byte, name []byte) (offset, size int, r record, err error) {
	for rest := recs; len(rest) > 0; {
		at := len(recs) - len(rest)
		r, rest, err = cutRecord(rest)
		if err != nil {
			return 0, 0, record{}, err
		}
		switch c := bytes.Compare(r.name, name); {
		case c == 0:
			return at, len(recs) - len(rest) - at, r, nil
		case c > 0:
			return at, 0, record{}, nil
		}
	}
	return len(recs), 0, record{}, nil
}

func countRecords(recs []byte) (n int64, err error) {
	for len(recs) > 0 {
		if _, recs, err = cutRecord(recs); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// half returns where to cut records in two.
func half(recs []byte) (int, error) {
	rest := recs
	for len(rest) > len(recs)/2 {
		var err error
		if _, rest, err = cutRecord(rest); err != nil {
			return 0, err
		}
	}
	return len(recs) - len(rest), nil
}
