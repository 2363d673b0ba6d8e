package delta

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/lockstep-sync/lockstep/syncer/internal/checksum"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// trickle hands out the sums of a basis and counts how many blocks' sums were read.
type trickle struct {
	io.Reader
	read int
}

func (t *trickle) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p[:min(len(p), 700)])
	t.read += n
	return n, err
}

func (t *trickle) ReadByte() (byte, error) {
	var b [1]byte
	_, err := t.Read(b[:])
	return b[0], err
}

// wireSums are the sums of basis as they travel.
func wireSums(basis []byte, blockLen, strongLen int, h *checksum.Block) (Head, []byte) {
	head := Head{BlockLen: int32(blockLen), StrongLen: int32(strongLen), Remainder: int32(len(basis) % blockLen)}
	var b []byte
	for ; len(basis) > 0; head.Count++ {
		block := basis[:min(blockLen, len(basis))]
		basis = basis[len(block):]
		weak := checksum.NewRolling(block)
		b = wire.AppendInt32(b, int32(weak.Sum()))
		b = append(b, h.Append(nil, block)[:strongLen]...)
	}
	return head, b
}

// lag notes how many bytes of sums had arrived when a token came.
type lag struct {
	*apply
	in      *trickle
	arrived []int
}

func (l *lag) Block(i int32, data []byte) error {
	l.arrived = append(l.arrived, l.in.read)
	return l.apply.Block(i, data)
}

// What is unchanged is sent while the receiver still works on its sums; what is not waits for
// all of them, and comes out right.
func TestMatchFollowsTheSums(t *testing.T) {
	basis := random(1, 1_000_300)
	h := checksum.XXH128.Block(1, true)
	for name, file := range map[string][]byte{
		"same":            basis,
		"longer":          append(bytes.Clone(basis), random(2, 5000)...),
		"shorter":         basis[:600_000],
		"empty":           nil,
		"changed":         append(append(bytes.Clone(basis[:500_100]), random(3, 700)...), basis[500_100:]...),
		"changed at once": append([]byte("x"), basis...),
		"other":           random(4, 300_000),
	} {
		t.Run(name, func(t *testing.T) {
			head, b := wireSums(basis, 1000, 16, h)
			in := &trickle{Reader: bytes.NewReader(append(b, "rest"...))}
			r := wire.NewReader(in)
			a := &lag{apply: &apply{basis: basis, head: head, t: t}, in: in}
			if err := NewMatcher(h).Match(bytes.NewReader(file), NewSums(r, head), a); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a.out, file) {
				t.Errorf("%d bytes came out, want the %d of the file", len(a.out), len(file))
			}
			if name == "same" && (len(a.arrived) != 1001 || a.arrived[0] > 100*20 || a.arrived[500] > 600*20) {
				t.Errorf("%d blocks; %d bytes of sums had arrived at the first", len(a.arrived), a.arrived[0])
			}
			var rest [4]byte
			if r.Full(rest[:]); string(rest[:]) != "rest" {
				t.Errorf("%q is left behind the sums, error %v", rest, r.Err())
			}
		})
	}
}

// A peer that ends amid its sums ends the match, which is no error of the file.
func TestMatchWithoutAllSums(t *testing.T) {
	basis := random(1, 100_000)
	h := checksum.XXH128.Block(1, true)
	head, b := wireSums(basis, 1000, 16, h)
	for _, n := range []int{0, 10, 20 * 50, len(b) - 1} {
		a := &apply{basis: basis, head: head, t: t}
		err := NewMatcher(h).Match(bytes.NewReader(basis), NewSums(wire.NewReader(bytes.NewReader(b[:n])), head), a)
		var readErr *ReadError
		if err == nil || errors.As(err, &readErr) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
}

// Memory is that of the sums that came, whatever their head says.
func TestSumsAreBounded(t *testing.T) {
	head := Head{Count: maxBlocks, BlockLen: 700, StrongLen: 16}
	s, err := ReadSums(wire.NewReader(bytes.NewReader(make([]byte, 1000))), head)
	if err == nil || cap(s.weak)*4+cap(s.strong)+cap(s.buf) > 200_000 {
		t.Errorf("%v, %d sums", err, cap(s.weak))
	}
}
