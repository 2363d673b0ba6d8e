package sender

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func TestAhead(t *testing.T) {
	var key [32]byte
	data := make([]byte, 3*aheadPieces*aheadPiece+12345)
	rand.NewChaCha8(key).Read(data)
	broken := errors.New("broken")
	for _, size := range []int{0, 1, aheadPiece - 1, aheadPiece, aheadPiece + 1, len(data)} {
		for name, end := range map[string]error{"ends": io.EOF, "breaks": broken} {
			t.Run(fmt.Sprint(size, " ", name), func(t *testing.T) {
				want := data[:size]
				h := md5.New()
				a := newAhead(io.MultiReader(bytes.NewReader(want), iotest.ErrReader(end)), h)
				var got bytes.Buffer
				_, err := io.CopyBuffer(&got, struct{ io.Reader }{a}, make([]byte, 1000))
				a.close()
				if end == broken && !errors.Is(err, broken) || end == io.EOF && err != nil {
					t.Errorf("error %v", err)
				}
				if !bytes.Equal(got.Bytes(), want) {
					t.Errorf("%d bytes, want %d", got.Len(), len(want))
				}
				if sum := md5.Sum(want); !bytes.Equal(h.Sum(nil), sum[:]) {
					t.Errorf("the hash is not that of what was read")
				}
			})
		}
	}
}

// Closing ends it wherever it is: goleak is the judge.
func TestAheadEnds(t *testing.T) {
	for _, n := range []int{0, 1, aheadPiece, 3 * aheadPiece} {
		a := newAhead(iotest.OneByteReader(bytes.NewReader(make([]byte, 1<<20))), md5.New())
		io.ReadFull(a, make([]byte, n))
		a.close()
	}
}
