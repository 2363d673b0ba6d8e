package delta

import (
	"bytes"
	"errors"
	"io"
	"math/bits"
	"slices"

	"github.com/lockstep-sync/lockstep/syncer/internal/checksum"
)

const (
	// MaxLiteral is the longest run of literal bytes handed out at once, as rsync's.
	MaxLiteral = 32 << 10
	// maxCandidates bounds the blocks tried at one offset, as rsync 3.5.0 does.
	maxCandidates = 1024
	// readSize is how much of the file is read at once.
	readSize = 256 << 10
)

// Tokens takes what Match finds, in the order of the new file. data is valid during the call.
type Tokens interface {
	Literal(data []byte) error
	// Block says that the receiver's block i stands here; data are its bytes.
	Block(i int32, data []byte) error
}

// Matcher matches file after file of one connection. Its memory is used again, so that
// a small file costs none. It is not safe for concurrent use.
type Matcher struct {
	block *checksum.Block
	table *table

	// Of the file being matched: buf[lit:pos] is literal that was not handed out, buf[pos:]
	// is what was read ahead.
	sums     *Sums
	out      Tokens
	file     io.Reader
	eof      bool
	readErr  error
	buf      []byte
	lit, pos int
	base     int64          // where buf begins in the file
	expect   int32          // the block behind the last match
	kept     map[int32]bool // in place: blocks that stand in the new file where they stood
	strong   []byte
}

// NewMatcher makes a Matcher; block computes strong sums with the connection's seed.
func NewMatcher(block *checksum.Block) *Matcher { return &Matcher{block: block, table: &table{}} }

// Match reads file to its end and hands out its tokens. sums may be nil: there is no
// basis; it reads those that did not arrive yet. An error of file is returned as a
// *ReadError; all tokens up to it were handed out.
func (m *Matcher) Match(file io.Reader, sums *Sums, out Tokens) error {
	*m = Matcher{block: m.block, table: m.table, buf: m.buf[:0], strong: m.strong, sums: sums, out: out, file: file}
	defer func() { m.sums, m.out, m.file = nil, nil, nil }()
	if sums == nil || sums.Count == 0 {
		return m.copyLiteral()
	}
	if err := m.follow(); err != nil {
		return err
	}
	return m.run()
}

// ReadError is an error of the file that was matched, not of the connection.
type ReadError struct{ Err error }

func (e *ReadError) Error() string { return "read: " + e.Err.Error() }
func (e *ReadError) Unwrap() error { return e.Err }

func (m *Matcher) copyLiteral() error {
	m.room(readSize)
	for {
		n, err := io.ReadFull(m.file, m.buf[:readSize])
		for b := m.buf[:n]; len(b) > 0; {
			l := min(len(b), MaxLiteral)
			if err := m.out.Literal(b[:l]); err != nil {
				return err
			}
			b = b[l:]
		}
		if err != nil {
			return readEnd(err)
		}
	}
}

// room makes sure that buf can hold n bytes; what it holds is lost if it cannot yet.
func (m *Matcher) room(n int) {
	if cap(m.buf) < n {
		m.buf = make([]byte, 0, n)
	}
}

// readEnd turns the end of a file into nil and everything else into a ReadError.
func readEnd(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return &ReadError{err}
}

// table finds blocks by their weak sum: open hashing with chains of block numbers.
type table struct {
	size int // log2 of len(head)
	head []int32
	next []int32
	// maybe has a bit for each sum that is there, by 18 other bits of it: it stays in the
	// first-level cache, and nearly every offset of new data ends at it.
	maybe [1 << 18 / 64]uint64
}

// fold makes 18 bits of a weak sum.
func fold(sum uint32) uint32 { return sum * 0x9E3779B1 >> 14 }

// scan rolls a window of n bytes over out, which leaves it, and in, which enters, until
// its sum may be that of a block. It returns how many bytes it moved on.
func (t *table) scan(roll *checksum.Rolling, out, in []byte, n int) (moved int, found bool) {
	r := *roll
	in = in[:len(out)]
	for i := range out {
		r.Roll(n, out[i], in[i])
		sum := r.Sum()
		if f := fold(sum); t.maybe[f>>6]>>(f&63)&1 == 0 {
			continue
		}
		if t.head[checksum.Mix(sum, t.size)] >= 0 {
			*roll = r
			return i + 1, true
		}
	}
	*roll = r
	return len(out), false
}

// build enters all blocks of full length. The short last one can only stand at the
// end of the file and is tried there.
func (t *table) build(s *Sums) {
	t.size = max(bits.Len32(uint32(s.Count)), 8) + 1
	t.head = slices.Grow(t.head[:0], 1<<t.size)[:1<<t.size]
	t.next = slices.Grow(t.next[:0], int(s.Count))[:s.Count]
	for i := range t.head {
		t.head[i] = -1
	}
	clear(t.maybe[:])
	for i := s.Count - 1; i >= 0; i-- { // backwards: chains ascend
		if s.Len(i) != s.BlockLen {
			continue
		}
		slot := checksum.Mix(s.weak[i], t.size)
		t.next[i] = t.head[slot]
		t.head[slot] = i
		f := fold(s.weak[i])
		t.maybe[f>>6] |= 1 << (f & 63)
	}
}

// follow goes along the basis as its sums arrive, up to the first block that is not in the
// file where it is there: from then on any block may match, and all of them must be known.
func (m *Matcher) follow() error {
	n := int(m.sums.BlockLen)
	for i := int32(0); !m.sums.InPlace && i < m.sums.Count && m.sums.Len(i) == m.sums.BlockLen && m.fill(n); i++ {
		if err := m.sums.need(i+1, fewSums); err != nil {
			return err
		}
		window := m.buf[m.pos : m.pos+n]
		m.strong = m.strong[:0]
		if roll := checksum.NewRolling(window); roll.Sum() != m.sums.weak[i] || !m.confirm(i, window) {
			break
		}
		if err := m.matched(i, n); err != nil {
			return err
		}
	}
	return m.sums.Rest()
}

func (m *Matcher) run() error {
	n := int(m.sums.BlockLen)
	if !m.fill(n) {
		return m.tail()
	}
	m.table.build(m.sums)
	for m.fill(n) {
		window := m.buf[m.pos : m.pos+n]
		roll := checksum.NewRolling(window)
		i := m.find(roll.Sum(), window)
		if i < 0 {
			var err error
			if i, err = m.slide(roll, n); err != nil {
				return err
			}
			if i < 0 {
				continue // the buffer's end came first: begin anew
			}
		}
		if err := m.matched(i, n); err != nil {
			return err
		}
	}
	return m.tail()
}

// slide moves the window byte by byte, through what is in the buffer, until a block matches.
func (m *Matcher) slide(roll checksum.Rolling, n int) (int32, error) {
	for m.pos+n < len(m.buf) {
		// As far as the literal may grow in one piece, or the buffer goes.
		steps := min(MaxLiteral-(m.pos-m.lit), len(m.buf)-m.pos-n)
		moved, found := m.table.scan(&roll, m.buf[m.pos:m.pos+steps], m.buf[m.pos+n:m.pos+n+steps], n)
		m.pos += moved
		if m.pos-m.lit >= MaxLiteral {
			if err := m.literal(m.pos); err != nil {
				return -1, err
			}
		}
		if !found {
			continue
		}
		if i := m.find(roll.Sum(), m.buf[m.pos:m.pos+n]); i >= 0 {
			return i, nil
		}
	}
	// No room to roll on: the window itself is known not to match.
	m.pos++
	return -1, nil
}

// find returns the block whose sums are those of window, or -1.
func (m *Matcher) find(sum uint32, window []byte) int32 {
	m.strong = m.strong[:0]
	if m.sums.InPlace {
		return m.findInPlace(sum, window)
	}
	if e := m.expect; e < m.sums.Count && m.sums.weak[e] == sum && m.sums.Len(e) == int32(len(window)) && m.confirm(e, window) {
		return e
	}
	i := m.table.head[checksum.Mix(sum, m.table.size)]
	for tries := 0; i >= 0 && tries < maxCandidates; i = m.table.next[i] {
		if m.sums.weak[i] != sum {
			continue
		}
		tries++
		if m.confirm(i, window) {
			return i
		}
	}
	return -1
}

func (m *Matcher) confirm(i int32, window []byte) bool {
	if len(m.strong) == 0 {
		m.strong = m.block.Append(m.strong, window)
	}
	return bytes.Equal(m.strong[:m.sums.StrongLen], m.sums.strongOf(i))
}

// matched hands out the literal before the window and the window as block i.
func (m *Matcher) matched(i int32, n int) error {
	if err := m.literal(m.pos); err != nil {
		return err
	}
	if err := m.out.Block(i, m.buf[m.pos:m.pos+n]); err != nil {
		return err
	}
	m.pos += n
	m.lit = m.pos
	m.expect = i + 1
	return nil
}

// tail deals with what is shorter than a block: the basis's short last block may stand
// at the very end of the file.
func (m *Matcher) tail() error {
	last := m.sums.Count - 1
	n := int(m.sums.Len(last))
	if at := len(m.buf) - n; m.readErr == nil && n < int(m.sums.BlockLen) && at >= m.pos && m.there(last, m.base+int64(at)) {
		window := m.buf[at:]
		m.strong = m.strong[:0]
		if r := checksum.NewRolling(window); r.Sum() == m.sums.weak[last] && m.confirm(last, window) {
			m.pos = at
			if err := m.matched(last, n); err != nil {
				return err
			}
		}
	}
	m.pos = len(m.buf)
	if err := m.literal(m.pos); err != nil {
		return err
	}
	return readEnd(m.readErr)
}

// literal hands out buf[lit:end].
func (m *Matcher) literal(end int) error {
	for m.lit < end {
		n := min(end-m.lit, MaxLiteral)
		if err := m.out.Literal(m.buf[m.lit : m.lit+n]); err != nil {
			return err
		}
		m.lit += n
	}
	return nil
}

// fill makes sure that n bytes are in the buffer behind pos; false when the file has
// fewer left.
func (m *Matcher) fill(n int) bool {
	if len(m.buf)-m.pos >= n {
		return true
	}
	if len(m.buf) == 0 {
		m.room(MaxLiteral + n + readSize)
	}
	keep := copy(m.buf, m.buf[m.lit:])
	m.base += int64(m.lit)
	m.pos -= m.lit
	m.lit = 0
	m.buf = m.buf[:keep]
	for !m.eof && len(m.buf)-m.pos < n {
		k, err := m.file.Read(m.buf[len(m.buf):cap(m.buf)])
		m.buf = m.buf[:len(m.buf)+k]
		if err != nil {
			m.eof, m.readErr = true, readEnd(err)
		}
	}
	return len(m.buf)-m.pos >= n
}
