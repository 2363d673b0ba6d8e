package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The vectors were captured from rsync 3.5.0.
func TestVarintVectors(t *testing.T) {
	for _, tt := range []struct {
		v    int32
		want string
	}{
		{0, "00"}, {0x7F, "7f"}, {0x98, "8098"}, {0x119, "8119"}, {0x1FF, "81ff"}, {300, "812c"},
		{65534, "c0feff"}, {12345, "b039"}, {-1, "f0ffffffff"}, {0x0C01, "8c01"}, {0x1FE, "81fe"},
	} {
		if got := hex.EncodeToString(AppendVarint(nil, tt.v)); got != tt.want {
			t.Errorf("AppendVarint(%#x) = %s, want %s", tt.v, got, tt.want)
		}
	}
}

func TestVarlongVectors(t *testing.T) {
	for _, tt := range []struct {
		v    int64
		min  int
		want string
	}{
		{12, 3, "000c00"}, {4096, 3, "000010"}, {1700000000, 4, "6500f153"}, {0, 4, "00000000"},
	} {
		if got := hex.EncodeToString(AppendVarlong(nil, tt.v, tt.min)); got != tt.want {
			t.Errorf("AppendVarlong(%d, %d) = %s, want %s", tt.v, tt.min, got, tt.want)
		}
	}
	if got := len(AppendVarlong(nil, -1, 4)); got != 9 {
		t.Errorf("a time before 1970 takes %d bytes, want 9", got)
	}
}

func TestIndexVectors(t *testing.T) {
	var s IndexState
	var got []byte
	for _, n := range []int32{0, 2, IndexDone, IndexDelStats} {
		got = s.Append(got, n)
	}
	if want := "010200ff02"; hex.EncodeToString(got) != want {
		t.Errorf("got %x, want %s", got, want)
	}
	s = IndexState{}
	if got := hex.EncodeToString(s.Append(nil, IndexListEnd)); got != "ff01" {
		t.Errorf("first list end = %s, want ff01", got)
	}
	s = IndexState{}
	got = s.Append(s.Append(nil, -102), IndexListEnd)
	if want := "ff65fffe80020000"; hex.EncodeToString(got) != want {
		t.Errorf("sub-list then list end = %x, want %s", got, want)
	}
}

func TestIntegersRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v32 := rapid.Int32().Draw(t, "v32")
		v64 := rapid.Int64().Draw(t, "v64")
		short := rapid.Uint16().Draw(t, "short")
		minBytes := rapid.IntRange(3, 4).Draw(t, "min")
		s := rapid.StringN(0, 300, 300).Draw(t, "s")
		b := AppendVarint(nil, v32)
		b = AppendVarlong(b, v64, minBytes)
		b = AppendShort(b, short)
		b = AppendVstring(b, s)
		b = AppendInt32(b, v32)
		r := NewReader(bytes.NewReader(b))
		if got := r.Varint(); got != v32 {
			t.Fatalf("varint %d came back as %d", v32, got)
		}
		if got := r.Varlong(minBytes); got != v64 {
			t.Fatalf("varlong %d came back as %d", v64, got)
		}
		if got := r.Short(); got != short {
			t.Fatalf("short %d came back as %d", short, got)
		}
		if got := r.Vstring(MaxVstring); got != s {
			t.Fatalf("vstring %q came back as %q", s, got)
		}
		if got := r.Int32(); got != v32 {
			t.Fatalf("int32 %d came back as %d", v32, got)
		}
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
	})
}

func TestIndexRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ns := rapid.SliceOf(rapid.OneOf(
			rapid.Int32Range(0, 300), rapid.Int32Range(0, math.MaxInt32-1), rapid.Int32Range(-5000, -1),
		)).Draw(t, "ns")
		var s IndexState
		var b []byte
		for _, n := range ns {
			b = s.Append(b, n)
		}
		r := NewReader(bytes.NewReader(b))
		for i, n := range ns {
			if got := r.Index(); got != n || r.Err() != nil {
				t.Fatalf("index %d: %d came back as %d, %v", i, n, got, r.Err())
			}
		}
	})
}

func TestReaderRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string
		read func(*Reader)
	}{
		{"varint of 6 bytes", "f80000000000", func(r *Reader) { r.Varint() }},
		{"varint of 33 bits", "f1ffffffff", func(r *Reader) { r.Varint() }},
		{"long vstring", "ffff00", func(r *Reader) { r.Vstring(255) }},
		{"varlong of 10 bytes", "fc0000000000000000000000", func(r *Reader) { r.Varlong(4) }},
		{"negative index below one", "ff00", func(r *Reader) { r.Index() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, err := hex.DecodeString(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			r := NewReader(bytes.NewReader(in))
			tt.read(r)
			if !errors.Is(r.Err(), ErrProtocol) {
				t.Errorf("error %v, want a protocol error", r.Err())
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("\x81\xfe\x00\x0c\x00\x01\x00\xa0\xff\x02\x05hello"))
	f.Add([]byte("\xf0\xff\xff\xff\xff\xfe\x80\x02\x00\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in))
		for r.Err() == nil {
			r.Varint()
			r.Varlong(3)
			r.Index()
			if s := r.Vstring(255); len(s) > 255 {
				t.Fatalf("a string of %d bytes passed a limit of 255", len(s))
			}
			r.Varlong(4)
			r.Index()
			r.Short()
		}
	})
}
