package token

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// op is a token: a block of the basis, or literal bytes.
type op struct {
	block   int32
	literal []byte
}

// job is a file: the tokens and what they refer to.
type job struct {
	basis    []byte
	blockLen int
	ops      []op
	stored   bool
	fresh    int64
}

func (j *job) block(i int32) []byte {
	return j.basis[int(i)*j.blockLen : min(int(i+1)*j.blockLen, len(j.basis))]
}

func (j *job) want() []byte {
	var b []byte
	for _, o := range j.ops {
		if o.literal != nil {
			b = append(b, o.literal...)
		} else {
			b = append(b, j.block(o.block)...)
		}
	}
	return b
}

func (j *job) write(t fataler, w Writer) {
	t.Helper()
	w.Begin(j.fresh, j.stored)
	for _, o := range j.ops {
		var err error
		if o.literal != nil {
			err = w.Literal(o.literal)
		} else {
			err = w.Block(o.block, j.block(o.block))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// roundTrip writes jobs as one connection does and reads them again.
func roundTrip(t fataler, kind Kind, level, protocol int, jobs []job) (written []byte) {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(kind, level, protocol, &out)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i := range jobs {
		jobs[i].write(t, w)
	}
	written = bytes.Clone(out.Bytes())
	r := &reader{kind: kind, protocol: protocol, in: bytes.NewReader(written)}
	for i, j := range jobs {
		got, err := r.file(j.basis, j.blockLen)
		if err != nil {
			t.Fatalf("%v, level %d, file %d: %v", kind, level, i, err)
		}
		if !bytes.Equal(got, j.want()) {
			t.Fatalf("%v, level %d, file %d: %d bytes came out, want %d", kind, level, i, len(got), len(j.want()))
		}
	}
	if r.in.Len() > 0 {
		t.Fatalf("%v, level %d: %d bytes behind the last file", kind, level, r.in.Len())
	}
	return written
}

// text is data that compresses, but not by repeating itself alone.
func text(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	words := strings.Fields("the quick brown fox jumps over a lazy dog while rsync sends blocks of data")
	var b []byte
	for len(b) < n {
		b = append(b, words[rng.IntN(len(words))]...)
		b = append(b, ' ')
	}
	return b[:n]
}

func random(seed uint64, n int) []byte {
	var key [32]byte
	key[0] = byte(seed)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

// levels are worth a try each. The slow ones run no other goroutines than the default.
func levels(k Kind) []int {
	if syncertest.UnderRace {
		return []int{k.Default()}
	}
	switch k {
	case Zlib, Zlibx:
		return []int{1, 6, 9}
	case Zstd:
		return []int{zstdMin, 3, zstdMax}
	}
	return []int{0}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRoundTrip(t *testing.T) {
	basis := append(text(1, 300_000), random(1, 300_000)...)
	big := append(text(2, 300_000), random(2, 100_000)...)
	var run, back []op
	for i := range int32(600_000 / 700) {
		run = append(run, op{block: i})
		back = append(back, op{block: 856 - i})
	}
	mixed := func(blocks, every int) (ops []op) {
		for i := range blocks {
			if i%every == 0 {
				ops = append(ops, op{literal: big[i*100:][:1+i%5000]})
			}
			ops = append(ops, op{block: int32(i)})
		}
		return ops
	}
	long := make([]byte, 200_000) // a run of more blocks than one flag can tell
	var longRun []op
	for i := range int32(len(long)) {
		longRun = append(longRun, op{block: i})
	}
	jobs := []job{
		{},
		{ops: []op{{literal: []byte("x")}}},
		{ops: []op{{literal: big}}},
		{ops: []op{{literal: big}}, stored: true},
		{ops: []op{{literal: big}}, fresh: 1 << 40},
		{ops: []op{{literal: big[:70_000]}}},
		{basis: basis, blockLen: 700, ops: run},
		{basis: basis, blockLen: 700, ops: back},
		{basis: basis, blockLen: 700, ops: mixed(100, 3)},
		{basis: basis, blockLen: 700, ops: mixed(800, 80)},
		{basis: basis, blockLen: 700, ops: mixed(100, 3), stored: true},
		{basis: basis, blockLen: 131072, ops: []op{{block: 1}, {literal: basis[131072+60000:][:20000]}, {block: 4}, {literal: basis[:30000]}}},
		{basis: long, blockLen: 1, ops: longRun},
		{basis: basis, blockLen: 700, ops: []op{{block: 0}, {literal: basis[:1]}}}, // its history is not the next one's
		{ops: []op{{literal: basis[:128]}}},
	}
	for k := range numKinds {
		for _, level := range levels(k) {
			for _, protocol := range []int{30, 31} {
				if protocol == 30 && k != Zlib {
					continue // the one kind that knows a difference
				}
				t.Run(fmt.Sprintf("%v/level %d/protocol %d", k, level, protocol), func(t *testing.T) {
					t.Parallel()
					roundTrip(t, k, level, protocol, jobs)
				})
			}
		}
	}
}

// Large files are compressed by several goroutines, between files that are not.
func TestLarge(t *testing.T) {
	large := append(text(12, 7<<20), random(12, 2<<20)...)
	whole := []op{{literal: large[:3<<20]}, {literal: large[3<<20:]}}
	small := job{ops: []op{{literal: large[:1000]}}}
	for _, level := range []int{1, 3} {
		n := len(roundTrip(t, Zstd, level, 31, []job{
			small, {ops: whole, fresh: int64(len(large))}, {ops: whole[:1], fresh: int64(len(large))}, small, {ops: whole, stored: true}, {ops: whole, fresh: 1 << 30},
		}))
		if most := len(large) * 3; n > most {
			t.Errorf("level %d: %d bytes, want %d at most", level, n, most)
		}
	}
}

// What matched is worth something to the literals behind it with zlib, and to no other kind.
func TestHistory(t *testing.T) {
	basis := random(3, 131072)
	for _, blockLen := range []int{4096, 131072} { // fed through the compressor, and as its dictionary
		j := job{basis: basis, blockLen: blockLen, ops: []op{{literal: random(4, 100)}, {block: 0}, {literal: basis[blockLen-4000 : blockLen]}}}
		for k := range numKinds {
			n := len(roundTrip(t, k, k.Default(), 31, []job{j}))
			if small := n < 1000; small != (k == Zlib) {
				t.Errorf("%v: %d bytes for a literal that repeats the end of a block of %d", k, n, blockLen)
			}
		}
	}
}

func TestCompresses(t *testing.T) {
	data := text(5, 1<<20)
	noise := random(5, 1<<20)
	for k := range numKinds {
		if k == Plain {
			continue
		}
		jobs := func(data []byte, stored bool) []job { return []job{{ops: []op{{literal: data}}, stored: stored}} }
		if n := len(roundTrip(t, k, k.Default(), 31, jobs(data, false))); n > len(data)*6/10 {
			t.Errorf("%v: %d bytes of text became %d", k, len(data), n)
		}
		for _, stored := range []bool{false, true} {
			if n := len(roundTrip(t, k, k.Default(), 31, jobs(noise, stored))); n > len(noise)+len(noise)/100 {
				t.Errorf("%v: %d bytes of noise became %d, stored: %v", k, len(noise), n, stored)
			}
		}
		if n := len(roundTrip(t, k, k.Default(), 31, jobs(data, true))); n < len(data) {
			t.Errorf("%v: %d bytes of text were stored in %d", k, len(data), n)
		}
	}
}

// Bytes that rsync 3.5.0 put on the wire.
func TestRunsAsRsync(t *testing.T) {
	basis := make([]byte, 100*700)
	blocks := func(from, to int32) (ops []op) {
		for i := from; i <= to; i++ {
			ops = append(ops, op{block: i})
		}
		return ops
	}
	for _, tt := range []struct {
		name string
		ops  []op
		want string
	}{
		{"blocks 0 to 3", blocks(0, 3), "c0030000"},
		{"near", append(blocks(0, 3), blocks(5, 5)...), "c003008200"},
		{"far", append(blocks(0, 3), blocks(70, 71)...), "c003002146000000010000"},
		{"far, alone", append(blocks(0, 3), blocks(67, 67)...), "c00300204300000000"},
		{"back", append(blocks(2, 2), blocks(0, 0)...), "82200000000000"},
		{"nothing", nil, "00"},
	} {
		got := roundTrip(t, Zlibx, 6, 31, []job{{basis: basis, blockLen: 700, ops: tt.ops}})
		if hex.EncodeToString(got) != tt.want {
			t.Errorf("%s: %x, want %s", tt.name, got, tt.want)
		}
	}
}

func TestLevels(t *testing.T) {
	for _, tt := range []struct {
		kind      Kind
		level     int
		wantKind  Kind
		wantLevel int
	}{
		{Zlib, 0, Plain, 0}, {Zlibx, 0, Plain, 0}, {Zlib, -1, Zlib, 6}, {Zlibx, -5, Zlibx, 1}, {Zlib, 12, Zlib, 9}, {Zlib, 4, Zlib, 4},
		{Zstd, 0, Zstd, 3}, {Zstd, -1, Zstd, -1}, {Zstd, 99, Zstd, 22}, {Zstd, -1 << 20, Zstd, -1 << 17},
		{LZ4, 7, LZ4, 0}, {Plain, 7, Plain, 0},
	} {
		if k, l := tt.kind.At(tt.level); k != tt.wantKind || l != tt.wantLevel {
			t.Errorf("%v at %d is %v at %d, want %v at %d", tt.kind, tt.level, k, l, tt.wantKind, tt.wantLevel)
		}
	}
}

func TestParse(t *testing.T) {
	for _, k := range append(Offered(), Plain) {
		if got, ok := Parse(strings.ToUpper(k.String())); !ok || got != k {
			t.Errorf("%q is %v, %v", k, got, ok)
		}
	}
	if _, ok := Parse("brotli"); ok {
		t.Error("brotli is known")
	}
}

// An error of the connection ends a file, whatever the compressor holds.
func TestWriteError(t *testing.T) {
	for i := range 2 * numKinds {
		k := i / 2
		w, err := NewWriter(k, k.Default(), 31, &failing{left: 40_000})
		if err != nil {
			t.Fatal(err)
		}
		w.Begin(int64(i%2)<<40, false)
		for err == nil {
			err = w.Literal(random(6, 32<<10))
		}
		w.Close()
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%v: %v", k, err)
		}
	}
}

type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// Any sequence of tokens, of any files, comes out as it went in.
func TestRoundTripRandom(t *testing.T) {
	pool := append(text(7, 40_000), random(7, 40_000)...)
	rapid.Check(t, func(t *rapid.T) {
		kind := Kind(rapid.IntRange(0, int(numKinds)-1).Draw(t, "kind"))
		level := rapid.SampledFrom(levels(kind)).Draw(t, "level")
		protocol := rapid.IntRange(30, 32).Draw(t, "protocol")
		var jobs []job
		for range rapid.IntRange(1, 4).Draw(t, "files") {
			jobs = append(jobs, drawJob(t, pool))
		}
		roundTrip(t, kind, level, protocol, jobs)
	})
}

func drawJob(t *rapid.T, pool []byte) job {
	part := func(most int) []byte {
		n := rapid.IntRange(1, most).Draw(t, "length")
		return pool[rapid.IntRange(0, len(pool)-n).Draw(t, "at"):][:n]
	}
	j := job{blockLen: rapid.SampledFrom([]int{1, 700, 20_000, 70_000}).Draw(t, "block length"), basis: pool, stored: rapid.Bool().Draw(t, "stored"),
		fresh: rapid.SampledFrom([]int64{0, 0, 1 << 30}).Draw(t, "fresh")}
	last := int32((len(pool) - 1) / j.blockLen)
	at := int32(0)
	for range rapid.IntRange(0, 12).Draw(t, "tokens") {
		if rapid.Bool().Draw(t, "literal") {
			j.ops = append(j.ops, op{literal: part(40_000)})
			continue
		}
		if rapid.Bool().Draw(t, "jump") {
			at = rapid.Int32Range(0, last).Draw(t, "block")
		}
		for range rapid.IntRange(1, 5).Draw(t, "blocks") {
			if at <= last {
				j.ops = append(j.ops, op{block: at})
				at++
			}
		}
		at = min(at, last)
	}
	return j
}

func FuzzRoundTrip(f *testing.F) {
	pool := append(text(8, 40_000), random(8, 40_000)...)
	for k := range numKinds {
		f.Add(byte(k), byte(6), []byte{1, 2, 3, 200, 201, 5, 250, 0, 255, 6})
	}
	f.Fuzz(func(t *testing.T, kind, level byte, script []byte) {
		k := Kind(kind % byte(numKinds))
		k, l := k.At(int(level) % 23)
		j := job{basis: pool, blockLen: 1 + int(level)*11, stored: level&1 != 0}
		last := (len(pool) - 1) / j.blockLen
		for i, b := range script[:min(len(script), 64)] {
			if b < 128 {
				j.ops = append(j.ops, op{block: int32((i*31 + int(b)) % (last + 1))})
			} else {
				j.ops = append(j.ops, op{literal: pool[int(b)*i%30_000:][:1+(int(b)-128)*300]})
			}
		}
		roundTrip(t, k, l, 30+int(kind)%3, []job{j, j})
	})
}

type devNull struct{}

func (devNull) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkLiteral(b *testing.B) {
	const size = 16 << 20
	for _, data := range []struct {
		name string
		b    []byte
	}{{"text", text(9, size)}, {"noise", random(9, size)}} {
		for k := range numKinds {
			b.Run(fmt.Sprintf("%v/%s", k, data.name), func(b *testing.B) {
				w, err := NewWriter(k, k.Default(), 31, devNull{})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(size)
				b.ReportAllocs()
				for b.Loop() {
					w.Begin(0, false)
					for at := 0; at < size; at += 32 << 10 {
						w.Literal(data.b[at:][:32<<10])
					}
					w.End()
				}
			})
		}
	}
}

func BenchmarkBlock(b *testing.B) {
	basis := random(10, 32<<10)
	for k := range numKinds {
		b.Run(k.String()+"/32KiB", func(b *testing.B) {
			w, err := NewWriter(k, k.Default(), 31, devNull{})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(basis)))
			b.ReportAllocs()
			w.Begin(0, false)
			for i := int32(0); b.Loop(); i++ {
				w.Block(i, basis)
			}
		})
	}
}

// Tokens cost no memory, whatever their number: a file of a terabyte has millions.
func TestNothingAllocatedPerToken(t *testing.T) {
	basis := random(11, 32<<10)
	data := text(11, 20_000)
	for k := range numKinds {
		w, err := NewWriter(k, k.Default(), 31, devNull{})
		if err != nil {
			t.Fatal(err)
		}
		w.Begin(0, false)
		i := int32(0)
		step := func() {
			w.Literal(data)
			for range 10 {
				w.Block(i, basis)
				i++
			}
			i += 100
		}
		step()
		if n := testing.AllocsPerRun(50, step); n > 0 {
			t.Errorf("%v: %v allocations for ten blocks and a literal", k, n)
		}
	}
}
