package index

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// listing is what was found of a directory's entries, or of some of them, to be merged with its
// records. It is filled in any order, then sorted.
type listing struct {
	arena []byte // per item: fingerprint and identity, 8 bytes each, then the name
	items []item
}

// item is an entry by name and place in the arena.
type item struct {
	key   uint64 // of the name, to sort by: see sortKey
	off   uint32
	size  uint16 // of the name
	state state
}

// state is what a look at a name said.
type state uint8

const (
	isOther = state(other)
	isFile  = state(regular)
	isDir   = state(directory)
)

const (
	unseen state = iota + 3 // it is there, but could not be looked at: what the index holds stays
	absent                  // it is not there
)

const itemHeader = 16

var errTooLarge = errors.New("directory too large")

func (l *listing) reset() {
	if cap(l.arena) > keepScratch {
		*l = listing{}
	}
	l.arena, l.items = l.arena[:0], l.items[:0]
}

// keepScratch is what a worker keeps of a listing for the next directory.
const keepScratch = 1 << 20

func (l *listing) add(name []byte, s state, p fingerprint, id identity) error {
	if int64(len(l.arena)) > math.MaxUint32-itemHeader-maxName || len(name) > maxName {
		return errTooLarge
	}
	off := uint32(len(l.arena))
	l.arena = binary.NativeEndian.AppendUint64(l.arena, uint64(p))
	l.arena = binary.NativeEndian.AppendUint64(l.arena, uint64(id))
	l.arena = append(l.arena, name...)
	l.items = append(l.items, item{off: off, size: uint16(len(name)), state: s})
	return nil
}

func (l *listing) name(it item) []byte {
	off := int(it.off) + itemHeader
	return l.arena[off : off+int(it.size)]
}

func (l *listing) print(it item) fingerprint {
	return fingerprint(binary.NativeEndian.Uint64(l.arena[it.off:]))
}

func (l *listing) identity(it item) identity {
	return identity(binary.NativeEndian.Uint64(l.arena[it.off+8:]))
}

// sort orders the items by name, each name once. (A directory that changes while it is listed can
// name an entry twice; the later look stays.)
func (l *listing) sort() {
	if len(l.items) < 2 {
		return
	}
	common := l.commonPrefix()
	for i := range l.items {
		l.items[i].key = sortKey(l.name(l.items[i])[common:])
	}
	slices.SortFunc(l.items, func(a, b item) int {
		if a.key != b.key {
			return cmp.Compare(a.key, b.key)
		}
		return cmp.Or(bytes.Compare(l.name(a), l.name(b)), cmp.Compare(b.off, a.off))
	})
	l.items = slices.CompactFunc(l.items, func(a, b item) bool {
		return a.key == b.key && bytes.Equal(l.name(a), l.name(b))
	})
}

// sortKey is the first 8 bytes of a name, so that most comparisons touch no name.
func sortKey(name []byte) uint64 {
	if len(name) >= 8 {
		return binary.BigEndian.Uint64(name)
	}
	var b [8]byte
	copy(b[:], name)
	return binary.BigEndian.Uint64(b[:])
}

// commonPrefix is the length of what all names begin with: of file-000001 and so on sortKey shall see
// the number.
func (l *listing) commonPrefix() int {
	first := l.name(l.items[0])
	n := len(first)
	for _, it := range l.items[1:] {
		name := l.name(it)
		n = min(n, len(name))
		for i := range n {
			if name[i] != first[i] {
				n = i
				break
			}
		}
	}
	return n
}
