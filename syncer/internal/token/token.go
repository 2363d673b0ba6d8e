package token

import (
	"fmt"
	"io"
	"strings"
)

// Kind is a form of token streams.
type Kind uint8

// The kinds with a compressor stand in rsync's order of preference.
const (
	Plain Kind = iota
	Zstd
	LZ4
	Zlibx
	Zlib
	numKinds
)

func (k Kind) String() string {
	return [...]string{"none", "zstd", "lz4", "zlibx", "zlib"}[k]
}

// Parse finds a kind by its name in the negotiation, of any case.
func Parse(name string) (Kind, bool) {
	for k := range numKinds {
		if strings.EqualFold(name, k.String()) {
			return k, true
		}
	}
	return 0, false
}

// Offered are the kinds to offer in a negotiation, in the order that both sides must use.
func Offered() []Kind { return []Kind{Zstd, LZ4, Zlibx, Zlib} }

// Levels of rsync 3.5.0 token.c, init_compression_level.
const (
	zlibMax, zlibDefault          = 9, 6
	zstdMin, zstdMax, zstdDefault = -1 << 17, 22, 3
)

// At is the kind and the level that --compress-level=level makes of k. Both sides work it
// out by themselves, so it must come to the same kind: zlib of level 0 is no compression.
func (k Kind) At(level int) (Kind, int) {
	switch k {
	case Zlib, Zlibx:
		switch {
		case level == 0:
			return Plain, 0
		case level == -1:
			return k, zlibDefault
		}
		return k, min(max(level, 1), zlibMax)
	case Zstd:
		if level == 0 {
			level = zstdDefault
		}
		return k, min(max(level, zstdMin), zstdMax)
	}
	return k, 0
}

// Default is the level where none is asked for.
func (k Kind) Default() int {
	switch k {
	case Zlib, Zlibx:
		return zlibDefault
	case Zstd:
		return zstdDefault
	}
	return 0
}

// Writer writes the streams of one connection, one file after the other. data is not kept
// beyond a call. After an error it is of no further use. It is not safe for concurrent use.
type Writer interface {
	// Begin starts a file, of which fresh bytes are sure to be one run of literals: 0 if that
	// is not known. stored says that compressing its data is not worth the time.
	Begin(fresh int64, stored bool)
	// Literal writes bytes that the receiver does not have, any number of them.
	Literal(data []byte) error
	// Block says that the receiver's block i stands here; data are its bytes.
	Block(i int32, data []byte) error
	// Flush hands out a run of blocks that may go on: the receiver can copy them meanwhile.
	Flush() error
	// End ends the file; everything is with out by then.
	End() error
	// Close ends goroutines, after the last file or at any time; it waits for writes of
	// theirs that are under way.
	Close()
}

// NewWriter makes a Writer for kind and level, as At returned them. protocol is the
// connection's; out should gather small writes.
func NewWriter(kind Kind, level, protocol int, out io.Writer) (Writer, error) {
	if kind == Plain {
		return &plain{out: out}, nil
	}
	w := &compressed{records: records{out: out}}
	switch kind {
	case Zlib, Zlibx:
		d, err := newDeflate(&w.records, kind, level, protocol)
		if err != nil {
			return nil, err
		}
		w.method = d
	case Zstd:
		w.method = newZstd(&w.records, level)
	case LZ4:
		w.method = newLZ4(&w.records)
	default:
		return nil, fmt.Errorf("no token stream of kind %d", kind)
	}
	return w, nil
}
