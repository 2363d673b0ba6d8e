package sender

import (
	"errors"
	"hash"
	"io"
	"runtime"

	"github.com/lockstep-sync/lockstep/syncer/internal/checksum"
	"github.com/lockstep-sync/lockstep/syncer/internal/token"
)

const (
	aheadPieces = 4
	aheadPiece  = 256 << 10
	// aheadSize is where reading ahead begins to pay: a smaller file is read by then.
	aheadSize = 4 << 20
)

// readsAhead says whether a file of that size is read and hashed beside the matching. Hashes
// from xxh64 on cost less than handing data to another processor, unless this one compresses.
func (p *push) readsAhead(size int64) bool {
	slow := p.t.compress != token.Plain || p.t.sum == checksum.MD5 || p.t.sum == checksum.MD4
	return slow && size >= aheadSize && runtime.GOMAXPROCS(0) > 1
}

// ahead reads a file and hashes what it read, in a goroutine of its own, while pieces before
// are matched and sent. Of what it read ahead there are at most aheadPieces pieces.
type ahead struct {
	full chan piece  // with room for all pieces: it is what was read ahead
	free chan []byte // likewise, so that giving one back never waits
	stop chan struct{}
	done chan struct{}
	cur  piece
	left []byte // of cur
}

type piece struct {
	data []byte
	err  error
}

// newAhead starts reading file; hash belongs to it until close returns.
func newAhead(file io.Reader, h hash.Hash) *ahead {
	a := &ahead{
		full: make(chan piece, aheadPieces), free: make(chan []byte, aheadPieces),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	for range aheadPieces {
		a.free <- nil
	}
	go a.run(file, h)
	return a
}

func (a *ahead) run(file io.Reader, h hash.Hash) {
	defer close(a.done)
	for {
		var p piece
		select {
		case p.data = <-a.free:
		case <-a.stop:
			return
		}
		if p.data == nil {
			p.data = make([]byte, aheadPiece)
		}
		n, err := io.ReadFull(file, p.data)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		p.data, p.err = p.data[:n], err
		h.Write(p.data)
		select {
		case a.full <- p:
		case <-a.stop:
			return
		}
		if err != nil {
			return
		}
	}
}

// Read is for the matching.
func (a *ahead) Read(b []byte) (int, error) {
	for len(a.left) == 0 {
		if a.cur.err != nil {
			return 0, a.cur.err
		}
		if a.cur.data != nil {
			a.free <- a.cur.data[:cap(a.cur.data)]
		}
		a.cur = <-a.full
		a.left = a.cur.data
	}
	n := copy(b, a.left)
	a.left = a.left[n:]
	return n, nil
}

// close ends the goroutine, wherever it is, and waits for it.
func (a *ahead) close() {
	close(a.stop)
	<-a.done
}
