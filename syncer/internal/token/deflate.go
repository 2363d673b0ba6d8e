package token

import (
	"errors"

	"github.com/klauspost/compress/flate"
)

const (
	window    = 32 << 10
	maxStored = 1<<16 - 1 // bytes of a stored block
)

// deflate is zlib and zlibx: a raw deflate stream for each file.
type deflate struct {
	rec    *records
	w      *flate.Writer
	stored bool
	fresh  bool // nothing of the file went through w

	// Of zlib only: what the receiver's decompressor has in its history. missed counts
	// the bytes at its end that matched and did not go through w.
	history *history
	missed  int
	repeats bool // see match
}

func newDeflate(rec *records, kind Kind, level, protocol int) (*deflate, error) {
	w, err := flate.NewWriter(rec, level)
	if err != nil {
		return nil, err
	}
	d := &deflate{rec: rec, w: w}
	if kind == Zlib {
		d.history = &history{}
		d.repeats = protocol < 31
	}
	return d, nil
}

func (d *deflate) begin(_ int64, stored bool) {
	d.stored, d.fresh, d.missed = stored, true, 0
	if d.history != nil {
		d.history.b = d.history.b[:0]
	}
}

func (d *deflate) write(data []byte) error {
	if d.stored {
		return d.store(data)
	}
	if err := d.catchUp(); err != nil {
		return err
	}
	if d.history != nil {
		d.history.add(data)
	}
	_, err := d.w.Write(data)
	return err
}

// catchUp brings the compressor's history to the state of the receiver's. The library cannot
// take data in without compressing them: a few go through it and what comes out is thrown
// away; many take their place as a dictionary, of which only the window counts.
func (d *deflate) catchUp() error {
	switch {
	case d.fresh && d.missed == 0:
		d.w.ResetDict(d.rec, nil) // Reset would take the last dictionary again
	case d.fresh || d.missed > window/2:
		d.w.ResetDict(d.rec, d.history.last(window))
	case d.missed > 0:
		d.rec.mute = true
		_, err1 := d.w.Write(d.history.last(d.missed))
		err2 := d.w.Flush()
		d.rec.mute = false
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
	}
	d.fresh, d.missed = false, 0
	return nil
}

// match takes a block into the history. Receivers feed it to their decompressor in pieces of
// at most 65535 bytes, and before protocol 31 each piece begins where the block begins
// (rsync 3.5.0 token.c, see_deflate_token).
func (d *deflate) match(data []byte) {
	if d.history == nil || d.stored {
		return
	}
	for from, left := 0, len(data); left > 0; {
		n := min(left, maxStored)
		d.history.add(data[from : from+n])
		d.missed += n
		left -= n
		if !d.repeats {
			from += n
		}
	}
}

func (d *deflate) close() {}

// flush ends a run of literals with an empty stored block, whose last 4 bytes the receiver
// adds by itself.
func (d *deflate) flush() error {
	if d.stored {
		if _, err := d.rec.Write([]byte{0, 0, 0, 0xFF, 0xFF}); err != nil {
			return err
		}
	} else if err := d.w.Flush(); err != nil {
		return err
	}
	return d.rec.flush(trailer)
}

// store writes stored blocks; they begin at whole bytes, as the beginning and each flush do.
func (d *deflate) store(data []byte) error {
	for len(data) > 0 {
		n := min(len(data), maxStored)
		head := [5]byte{0, byte(n), byte(n >> 8), ^byte(n), ^byte(n >> 8)}
		if _, err := d.rec.Write(head[:]); err != nil {
			return err
		}
		if _, err := d.rec.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// history is the end of what was added.
type history struct{ b []byte }

func (h *history) add(data []byte) {
	if len(data) >= window {
		h.b = append(h.b[:0], data[len(data)-window:]...)
		return
	}
	if len(h.b)+len(data) > 2*window {
		h.b = h.b[:copy(h.b, h.last(window))]
	}
	h.b = append(h.b, data...)
}

// last is the last n bytes, or all there are.
func (h *history) last(n int) []byte { return h.b[max(0, len(h.b)-n):] }
