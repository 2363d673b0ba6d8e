package delta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/lockstep-sync/lockstep/syncer/internal/checksum"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// sumsOf plays the receiver: the sums of basis, as bytes that ReadSums reads.
func sumsOf(t fataler, basis []byte, blockLen, strongLen int, h *checksum.Block) *Sums {
	t.Helper()
	head := Head{BlockLen: int32(blockLen), StrongLen: int32(strongLen), Remainder: int32(len(basis) % blockLen)}
	var b []byte
	for rest := basis; len(rest) > 0; head.Count++ {
		n := min(blockLen, len(rest))
		r := checksum.NewRolling(rest[:n])
		b = binary.LittleEndian.AppendUint32(b, r.Sum())
		b = append(b, h.Append(nil, rest[:n])[:strongLen]...)
		rest = rest[n:]
	}
	r := wire.NewReader(bytes.NewReader(append(head.Append(nil), b...)))
	got := ReadHead(r, checksum.MaxSize)
	if got != head {
		t.Fatalf("head %+v came back as %+v: %v", head, got, r.Err())
	}
	s, err := ReadSums(r, got)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// apply plays the receiver that gets tokens.
type apply struct {
	basis            []byte
	head             Head
	out              []byte
	literal, matched int
	t                fataler
}

func (a *apply) Literal(b []byte) error {
	if len(b) == 0 || len(b) > MaxLiteral {
		a.t.Fatalf("literal of %d bytes", len(b))
	}
	a.out = append(a.out, b...)
	a.literal += len(b)
	return nil
}

func (a *apply) Block(i int32, data []byte) error {
	if i < 0 || i >= a.head.Count {
		a.t.Fatalf("block %d of %d", i, a.head.Count)
	}
	off := int(i) * int(a.head.BlockLen)
	b := a.basis[off : off+int(a.head.Len(i))]
	if !bytes.Equal(b, data) {
		a.t.Fatalf("block %d is not what was matched", i)
	}
	a.out = append(a.out, b...)
	a.matched += len(b)
	return nil
}

func random(seed uint64, n int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

// The tokens applied to the basis give the file, whatever was done to it.
func TestTokensGiveTheFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blockLen := rapid.SampledFrom([]int{1, 7, 64, 700}).Draw(t, "blockLen")
		basis := random(rapid.Uint64().Draw(t, "seed"), rapid.IntRange(0, 5000).Draw(t, "len"))
		if rapid.Bool().Draw(t, "repetitive") {
			for i := range basis {
				basis[i] &= 1
			}
		}
		file := bytes.Clone(basis)
		for range rapid.IntRange(0, 4).Draw(t, "edits") {
			at := rapid.IntRange(0, len(file)).Draw(t, "at")
			n := rapid.IntRange(0, len(file)-at).Draw(t, "n")
			switch rapid.IntRange(0, 3).Draw(t, "edit") {
			case 0:
				file = append(file[:at:at], file[at+n:]...)
			case 1:
				file = append(file[:at:at], append(random(uint64(at), 50), file[at:]...)...)
			case 2:
				file = append(file, file[at:at+n]...)
			case 3:
				copy(file[at:], random(uint64(n), 30))
			}
		}
		h := checksum.XXH128.Block(3, true)
		sums := sumsOf(t, basis, blockLen, 16, h)
		a := &apply{basis: basis, head: sums.Head, t: t}
		if err := NewMatcher(h).Match(iotest.OneByteReader(bytes.NewReader(file)), sums, a); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.out, file) {
			t.Fatalf("tokens gave %d bytes, the file has %d", len(a.out), len(file))
		}
	})
}

// fataler is what a test, a benchmark and a rapid check have in common.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// What did not change is not sent again.
func TestMatchSavesWhatItCan(t *testing.T) {
	basis := random(1, 1<<20)
	insert := append(append(bytes.Clone(basis[:300_000]), "inserted"...), basis[300_000:]...)
	overwrite := bytes.Clone(basis)
	copy(overwrite[500_000:], random(2, 4096))
	for _, tt := range []struct {
		name       string
		file       []byte
		maxLiteral int
	}{
		{"the same", basis, 0},
		{"8 bytes inserted", insert, 1032},
		{"4 KiB overwritten", overwrite, 4096 + 2*1024},
		{"first half", basis[:1<<19], 1024},
		{"second half first", append(bytes.Clone(basis[1<<19:]), basis[:1<<19]...), 2 * 1024},
		{"a prefix added", append([]byte("x"), basis...), 1},
		{"all new", random(9, 1<<20), 1 << 20},
		{"empty", nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := checksum.MD5.Block(3, true)
			sums := sumsOf(t, basis, 1024, 3, h)
			a := &apply{basis: basis, head: sums.Head, t: t}
			if err := NewMatcher(h).Match(bytes.NewReader(tt.file), sums, a); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a.out, tt.file) {
				t.Fatal("the tokens do not give the file")
			}
			if a.literal > tt.maxLiteral {
				t.Errorf("%d literal bytes, want at most %d", a.literal, tt.maxLiteral)
			}
		})
	}
}

func TestMatchReportsReadErrors(t *testing.T) {
	boom := errors.New("disk on fire")
	basis := random(1, 10_000)
	h := checksum.XXH3.Block(1, true)
	for name, sums := range map[string]*Sums{"no basis": nil, "basis": sumsOf(t, basis, 700, 2, h)} {
		file := io.MultiReader(bytes.NewReader(basis[:5000]), iotest.ErrReader(boom))
		a := &apply{basis: basis, t: t}
		if sums != nil {
			a.head = sums.Head
		}
		err := NewMatcher(h).Match(file, sums, a)
		var re *ReadError
		if !errors.As(err, &re) || !errors.Is(err, boom) {
			t.Errorf("%s: error %v, want a ReadError", name, err)
		}
		if !bytes.Equal(a.out, basis[:5000]) {
			t.Errorf("%s: %d bytes came out before the error, want 5000", name, len(a.out))
		}
	}
}

func TestReadHeadRefuses(t *testing.T) {
	for _, h := range []Head{
		{Count: -1}, {Count: maxBlocks + 1, BlockLen: 700, StrongLen: 2}, {Count: 1, StrongLen: 2},
		{Count: 1, BlockLen: MaxBlockLen + 1, StrongLen: 2}, {Count: 1, BlockLen: 700, StrongLen: 17},
		{Count: 1, BlockLen: 700, StrongLen: -1}, {Count: 1, BlockLen: 700, StrongLen: 2, Remainder: 701}, {Count: 1, BlockLen: 700},
	} {
		r := wire.NewReader(bytes.NewReader(h.Append(nil)))
		if got := ReadHead(r, 16); !errors.Is(r.Err(), wire.ErrProtocol) || got != (Head{}) {
			t.Errorf("head %+v was read as %+v, error %v", h, got, r.Err())
		}
	}
}

// A peer that gives every block the same sums must not cost quadratic time or a wrong file.
func TestHostileSums(t *testing.T) {
	basis := make([]byte, 200_000)
	h := checksum.XXH128.Block(1, true)
	sums := sumsOf(t, basis, 2, 16, h)
	for i := range sums.strong {
		sums.strong[i] = 0xAA // the weak sums match, no strong one does
	}
	file := make([]byte, 20_000)
	a := &apply{basis: basis, head: sums.Head, t: t}
	if err := NewMatcher(h).Match(bytes.NewReader(file), sums, a); err != nil {
		t.Fatal(err)
	}
	if a.literal != len(file) {
		t.Errorf("%d literal bytes, want all %d", a.literal, len(file))
	}
}

func FuzzReadSums(f *testing.F) {
	f.Add(append(Head{Count: 2, BlockLen: 700, StrongLen: 2, Remainder: 440}.Append(nil), "abcdefabcdef"...))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := wire.NewReader(bytes.NewReader(in))
		h := ReadHead(r, 16)
		if r.Err() != nil {
			return
		}
		s, err := ReadSums(r, h)
		if err != nil {
			return
		}
		a := &apply{basis: make([]byte, int(h.Count)*int(h.BlockLen)), head: h, t: t}
		_ = NewMatcher(checksum.MD5.Block(1, true)).Match(bytes.NewReader(in), s, discard{a})
	})
}

// discard checks block numbers but not their bytes: fuzzed sums belong to no basis.
type discard struct{ *apply }

func (d discard) Block(i int32, data []byte) error {
	if i < 0 || i >= d.head.Count || len(data) != int(d.head.Len(i)) {
		d.t.Fatalf("block %d with %d bytes", i, len(data))
	}
	return nil
}

type null struct{}

func (null) Literal([]byte) error      { return nil }
func (null) Block(int32, []byte) error { return nil }

func BenchmarkMatch(b *testing.B) {
	const size = 64 << 20
	basis := random(1, size)
	h := checksum.XXH128.Block(1, true)
	for _, bm := range []struct {
		name string
		file []byte
	}{{"same", basis}, {"new", random(2, size)}} {
		b.Run(fmt.Sprintf("64MiB/%s", bm.name), func(b *testing.B) {
			sums := sumsOf(b, basis, 8192, 5, h)
			b.SetBytes(size)
			b.ReportAllocs()
			m := NewMatcher(h)
			for b.Loop() {
				if err := m.Match(bytes.NewReader(bm.file), sums, null{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
