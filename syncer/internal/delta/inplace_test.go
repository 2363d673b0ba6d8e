package delta

import (
	"bytes"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/lockstep-sync/lockstep/syncer/internal/checksum"
)

// over plays a receiver that writes the new file over its basis.
type over struct {
	file  []byte // basis, and new file up to at
	head  Head
	at    int
	moved int // bytes of blocks that had to be written
	t     fataler
}

func (o *over) write(b []byte) {
	if grow := o.at + len(b) - len(o.file); grow > 0 {
		o.file = append(o.file, make([]byte, grow)...)
	}
	o.at += copy(o.file[o.at:], b)
}

func (o *over) Literal(b []byte) error {
	o.write(b)
	return nil
}

func (o *over) Block(i int32, data []byte) error {
	off := int(i) * int(o.head.BlockLen)
	b := bytes.Clone(o.file[off : off+int(o.head.Len(i))])
	if !bytes.Equal(b, data) {
		o.t.Fatalf("block %d was written over before it was asked for", i)
	}
	if off != o.at {
		o.moved += len(b)
	}
	o.write(b)
	return nil
}

// Written over its basis the file is what it is to be, whatever moved where.
func TestInPlaceGivesTheFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blockLen := rapid.SampledFrom([]int{1, 7, 64}).Draw(t, "blockLen")
		basis := random(rapid.Uint64().Draw(t, "seed"), rapid.IntRange(0, 3000).Draw(t, "len"))
		if rapid.Bool().Draw(t, "repetitive") {
			for i := range basis {
				basis[i] &= 1
			}
		}
		var file []byte // pieces of the basis in any order
		for range rapid.IntRange(0, 8).Draw(t, "pieces") {
			at := rapid.IntRange(0, len(basis)).Draw(t, "at")
			file = append(file, basis[at:at+rapid.IntRange(0, len(basis)-at).Draw(t, "n")]...)
			file = append(file, random(uint64(at), rapid.IntRange(0, 20).Draw(t, "new"))...)
		}
		h := checksum.XXH128.Block(3, true)
		sums := sumsOf(t, basis, blockLen, 16, h)
		sums.InPlace = true
		o := &over{file: bytes.Clone(basis), head: sums.Head, t: t}
		if err := NewMatcher(h).Match(iotest.HalfReader(bytes.NewReader(file)), sums, o); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(o.file[:o.at], file) {
			t.Fatalf("%d bytes were written, the file has %d", o.at, len(file))
		}
	})
}

func TestInPlaceMatches(t *testing.T) {
	const n = 700
	basis := random(1, 100*n)
	same := bytes.Repeat([]byte("0123456"), 20*n/7) // all blocks alike
	for _, tt := range []struct {
		name           string
		basis, file    []byte
		literal, moved int
	}{
		{"unchanged", basis, basis, 0, 0},
		{"one block differs", basis, bytes.Join([][]byte{basis[:5*n], random(2, n), basis[6*n:]}, nil), n, 0},
		{"a block is cut out", basis, append(basis[:5*n:5*n], basis[6*n:]...), 0, 94 * n},
		{"a block is put in: what follows is written over", basis, bytes.Join([][]byte{basis[:50*n], random(2, n), basis[50*n:]}, nil), 51 * n, 0},
		{"blocks that stayed are there still", same, bytes.Join([][]byte{same, same[:5*n]}, nil), 0, 5 * n},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := checksum.XXH128.Block(3, true)
			sums := sumsOf(t, tt.basis, n, 16, h)
			sums.InPlace = true
			o := &over{file: bytes.Clone(tt.basis), head: sums.Head, t: t}
			a := &apply{basis: tt.basis, head: sums.Head, t: t}
			if err := NewMatcher(h).Match(bytes.NewReader(tt.file), sums, o); err != nil {
				t.Fatal(err)
			}
			if err := NewMatcher(h).Match(bytes.NewReader(tt.file), sums, a); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(o.file[:o.at], tt.file) || a.literal != tt.literal || o.moved != tt.moved {
				t.Errorf("%d literal bytes and %d moved, want %d and %d", a.literal, o.moved, tt.literal, tt.moved)
			}
		})
	}
}

// Blocks that are all alike and all written over cost no more than others.
func TestInPlaceManyAlike(t *testing.T) {
	const n, count = 64, 1 << 15
	basis := make([]byte, n*count)
	file := append([]byte("x"), basis...) // shifted: no block stands where it stood
	h := checksum.XXH128.Block(3, true)
	sums := sumsOf(t, basis, n, 16, h)
	sums.InPlace = true
	o := &over{file: bytes.Clone(basis), head: sums.Head, t: t}
	if err := NewMatcher(h).Match(bytes.NewReader(file), sums, o); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(o.file[:o.at], file) {
		t.Error("the file came out wrong")
	}
}
