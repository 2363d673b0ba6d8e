package checksum

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

// dumb is the definition: s1 = Σ x, s2 = Σ (k-i)·x over signed bytes.
func dumb(b []byte) uint32 {
	var s1, s2 int32
	for i, x := range b {
		s1 += int32(int8(x))
		s2 += int32(len(b)-i) * int32(int8(x))
	}
	return uint32(s1)&0xFFFF | uint32(s2)<<16
}

func randomBytes(seed uint64, n int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

func TestRollingIsTheDefinition(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 119, 120, 121, 239, 240, 700, 32768, 131072} {
		b := randomBytes(uint64(n), n)
		if got, want := NewRolling(b).Sum(), dumb(b); got != want {
			t.Errorf("%d random bytes: %#x, want %#x", n, got, want)
		}
		for _, fill := range []byte{0, 0x7F, 0x80, 0xFF} {
			for i := range b {
				b[i] = fill
			}
			if got, want := NewRolling(b).Sum(), dumb(b); got != want {
				t.Errorf("%d bytes of %#x: %#x, want %#x", n, fill, got, want)
			}
		}
	}
}

func TestRollMovesTheWindow(t *testing.T) {
	const n = 700
	b := randomBytes(1, 5000)
	r := NewRolling(b[:n])
	for i := 0; i+n < len(b); i++ {
		r.Roll(n, b[i], b[i+n])
		if got, want := r.Sum(), dumb(b[i+1:i+1+n]); got != want {
			t.Fatalf("at %d: %#x, want %#x", i+1, got, want)
		}
	}
}

// Digests of whole files as rsync 3.5.0 put them on the wire for "hello world\n".
func TestWholeFileDigests(t *testing.T) {
	for _, tt := range []struct {
		kind Kind
		want string
	}{
		{MD5, "6f5902ac237024bdd0c176cb93063dc4"},
		{XXH128, "254448a533e7b23613cd0071d8c9faee"},
	} {
		h := tt.kind.New()
		h.Write([]byte("hello "))
		h.Write([]byte("world\n"))
		if got := hex.EncodeToString(h.Sum(nil)); got != tt.want {
			t.Errorf("%v = %s, want %s", tt.kind, got, tt.want)
		}
	}
}

func TestKinds(t *testing.T) {
	data := []byte("some block of data")
	for k := range numKinds {
		got, ok := Parse(k.String())
		if !ok || got != k {
			t.Errorf("Parse(%q) = %v, %v", k.String(), got, ok)
		}
		h := k.New()
		h.Write(data)
		whole := h.Sum(nil)
		if len(whole) != k.Size() {
			t.Errorf("%v: digest of %d bytes, Size says %d", k, len(whole), k.Size())
		}
		// With seed 0 a block's sum is the unseeded one.
		if got := k.Block(0, true).Append(nil, data); string(got) != string(whole) {
			t.Errorf("%v: block sum with seed 0 is %x, whole sum %x", k, got, whole)
		}
		b := k.Block(-5, true)
		first := b.Append(nil, data)
		if again := b.Append(nil, data); string(again) != string(first) || string(first) == string(whole) {
			t.Errorf("%v: seeded block sums %x and %x, unseeded %x", k, first, again, whole)
		}
	}
	if _, ok := Parse("crc32"); ok {
		t.Error("crc32 is known")
	}
}

func BenchmarkRolling(b *testing.B) {
	for _, n := range []int{700, 32 << 10} {
		b.Run(map[int]string{700: "700B", 32 << 10: "32KiB"}[n], func(b *testing.B) {
			data := randomBytes(1, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				NewRolling(data)
			}
		})
	}
}

func BenchmarkBlock(b *testing.B) {
	data := randomBytes(1, 32<<10)
	for k := range numKinds {
		b.Run(k.String()+"/32KiB", func(b *testing.B) {
			h := k.Block(1, true)
			var dst []byte
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				dst = h.Append(dst[:0], data)
			}
		})
	}
}
