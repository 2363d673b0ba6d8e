package token

import "github.com/pierrec/lz4/v4"

// maxLZ4Stored is how much fits into a record of literals alone: their count takes a byte
// for each 255 of them.
const maxLZ4Stored = maxRecord - 1 - maxRecord/255 - 1

// lz4Blocks is LZ4: each record is a block of its own, of at most 16383 bytes of data.
type lz4Blocks struct {
	rec    *records
	comp   lz4.Compressor
	stored bool
	data   []byte // not compressed yet: less than a block
	out    []byte
}

func newLZ4(rec *records) *lz4Blocks {
	return &lz4Blocks{rec: rec, data: make([]byte, 0, maxRecord), out: make([]byte, lz4.CompressBlockBound(maxRecord))}
}

func (l *lz4Blocks) begin(_ int64, stored bool) { l.stored, l.data = stored, l.data[:0] }

func (l *lz4Blocks) match([]byte) {}

func (l *lz4Blocks) close() {}

func (l *lz4Blocks) write(data []byte) error {
	for len(data) > 0 {
		if len(l.data) == 0 && len(data) >= maxRecord {
			if err := l.block(data[:maxRecord]); err != nil {
				return err
			}
			data = data[maxRecord:]
			continue
		}
		n := min(len(data), maxRecord-len(l.data))
		l.data = append(l.data, data[:n]...)
		data = data[n:]
		if len(l.data) == maxRecord {
			if err := l.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lz4Blocks) flush() error {
	if len(l.data) == 0 {
		return nil
	}
	err := l.block(l.data)
	l.data = l.data[:0]
	return err
}

func (l *lz4Blocks) block(data []byte) error {
	n := 0
	if !l.stored {
		var err error
		if n, err = l.comp.CompressBlock(data, l.out); err != nil {
			return err
		}
	}
	if n > 0 && n <= maxRecord { // else the data don't compress
		return l.record(l.out[:n])
	}
	for len(data) > 0 {
		part := data[:min(len(data), maxLZ4Stored)]
		if err := l.record(appendLZ4Literals(l.out[:0], part)); err != nil {
			return err
		}
		data = data[len(part):]
	}
	return nil
}

func (l *lz4Blocks) record(b []byte) error {
	if _, err := l.rec.Write(b); err != nil {
		return err
	}
	return l.rec.flush(0)
}

// appendLZ4Literals appends a block without matches: a nibble of the count, its rest in bytes
// of which all but the last are 255, the literals (LZ4 block format).
func appendLZ4Literals(b, data []byte) []byte {
	n := len(data)
	b = append(b, byte(min(n, 15))<<4)
	if n >= 15 {
		for n -= 15; n >= 255; n -= 255 {
			b = append(b, 255)
		}
		b = append(b, byte(n))
	}
	return append(b, data...)
}
