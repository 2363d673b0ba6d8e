package token

import (
	"encoding/binary"
	"io"
)

// Flag bytes of a compressed stream (rsync 3.5.0 token.c).
const (
	flagEnd      = 0x00
	flagToken    = 0x20 // then the block's number
	flagTokenRun = 0x21 // likewise, then how many follow it
	flagData     = 0x40 // with 6 bits of the length, then 8 more
	flagRel      = 0x80 // with the distance from the last run's end
	flagRelRun   = 0xC0 // likewise, then how many follow it

	maxRel    = 63
	maxRun    = 1<<16 - 1 // blocks behind a run's first
	maxRecord = 1<<14 - 1 // bytes of a data record
)

// method compresses literals into records.
type method interface {
	begin(fresh int64, stored bool)
	write(data []byte) error
	flush() error // the receiver must be able to read all that was written
	match(data []byte)
	close()
}

// compressed is the form of all kinds but Plain.
type compressed struct {
	records
	method  method
	run     run
	pending bool // literals since the last flush
}

func (w *compressed) Begin(fresh int64, stored bool) {
	w.run = run{}
	w.pending = false
	w.method.begin(fresh, stored)
}

func (w *compressed) Literal(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if err := w.endRun(); err != nil {
		return err
	}
	w.pending = true
	return w.method.write(data)
}

func (w *compressed) Block(i int32, data []byte) error {
	if err := w.flushLiteral(); err != nil {
		return err
	}
	if !w.run.extend(i) {
		if err := w.endRun(); err != nil {
			return err
		}
		w.run.start(i)
	}
	w.method.match(data)
	return nil
}

func (w *compressed) Flush() error { return w.endRun() }

func (w *compressed) End() error {
	if err := w.flushLiteral(); err != nil {
		return err
	}
	if err := w.endRun(); err != nil {
		return err
	}
	w.small = append(w.small[:0], flagEnd)
	return w.writeSmall()
}

func (w *compressed) Close() { w.method.close() }

func (w *compressed) flushLiteral() error {
	if !w.pending {
		return nil
	}
	w.pending = false
	return w.method.flush()
}

func (w *compressed) endRun() error {
	if !w.run.open {
		return nil
	}
	w.small = w.run.end(w.small[:0])
	return w.writeSmall()
}

// run gathers blocks that follow one another.
type run struct {
	open        bool
	first, last int32
	before      int32 // the last block of the run before, 0 at the beginning
}

func (r *run) start(i int32) { r.open, r.first, r.last = true, i, i }

func (r *run) extend(i int32) bool {
	if !r.open || i != r.last+1 || i-r.first > maxRun {
		return false
	}
	r.last = i
	return true
}

// end appends the run as it travels.
func (r *run) end(b []byte) []byte {
	n := r.last - r.first
	flag := [2]byte{flagToken, flagTokenRun}
	rel := r.first - r.before
	near := 0 <= rel && rel <= maxRel
	if near {
		flag = [2]byte{flagRel + byte(rel), flagRelRun + byte(rel)}
	}
	b = append(b, flag[min(n, 1)])
	if !near {
		b = binary.LittleEndian.AppendUint32(b, uint32(r.first))
	}
	if n > 0 {
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
	}
	r.open, r.before = false, r.last
	return b
}

// records cuts what a compressor puts out into data records.
type records struct {
	out   io.Writer
	small []byte // scratch for what is not data
	n     int    // bytes of buf[2:] that are filled
	buf   [2 + maxRecord + trailer]byte
	mute  bool // what is written is not for the receiver
}

// trailer is how many bytes are held back: the last 4 of a deflate flush do not travel.
const trailer = 4

func (r *records) Write(p []byte) (int, error) {
	if r.mute {
		return len(p), nil
	}
	whole := len(p)
	for len(p) > 0 {
		n := copy(r.buf[2+r.n:], p)
		r.n += n
		p = p[n:]
		if r.n == len(r.buf)-2 {
			if err := r.emit(maxRecord); err != nil {
				return 0, err
			}
		}
	}
	return whole, nil
}

// emit sends the first n bytes of what is there as a record.
func (r *records) emit(n int) error {
	if n == 0 {
		return nil
	}
	r.buf[0], r.buf[1] = flagData+byte(n>>8), byte(n)
	if _, err := r.out.Write(r.buf[:2+n]); err != nil {
		return err
	}
	r.n = copy(r.buf[2:], r.buf[2+n:2+r.n])
	return nil
}

// flush sends all but the last trim bytes, which are dropped.
func (r *records) flush(trim int) error {
	r.n -= trim
	for r.n > 0 {
		if err := r.emit(min(r.n, maxRecord)); err != nil {
			return err
		}
	}
	return nil
}

func (r *records) writeSmall() error {
	_, err := r.out.Write(r.small)
	return err
}
