package token

import (
	"bytes"
	"compress/flate" // another implementation than the writer's
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// reader is a receiver: it applies the streams of a connection to their bases.
type reader struct {
	kind     Kind
	protocol int
	in       *bytes.Reader
	basis    []byte
	blockLen int

	out     []byte
	history []byte // what the decompressor of the file saw
	stream  []byte // compressed data of the run of literals; with zstd of the connection
	literal int    // with zstd: what came out of stream already
	records int
}

// file reads one file's stream.
func (r *reader) file(basis []byte, blockLen int) ([]byte, error) {
	r.basis, r.blockLen = basis, blockLen
	r.out, r.history = nil, nil
	read := r.compressed
	if r.kind == Plain {
		read = r.plain
	}
	if err := read(); err != nil {
		return nil, err
	}
	return r.out, nil
}

func (r *reader) int32() (int32, error) {
	var b [4]byte
	_, err := io.ReadFull(r.in, b[:])
	return int32(binary.LittleEndian.Uint32(b[:])), err
}

func (r *reader) plain() error {
	for {
		n, err := r.int32()
		switch {
		case err != nil || n == 0:
			return err
		case n < 0:
			if err := r.block(-(n + 1)); err != nil {
				return err
			}
			continue
		case n > maxLiteral:
			return fmt.Errorf("literal of %d bytes", n)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r.in, b); err != nil {
			return err
		}
		r.out = append(r.out, b...)
	}
}

func (r *reader) compressed() error {
	token := int32(0)
	for {
		flag, err := r.in.ReadByte()
		if err != nil {
			return err
		}
		if flag&0xC0 == flagData {
			if err := r.record(flag); err != nil {
				return err
			}
			continue
		}
		if err := r.inflate(); err != nil {
			return err
		}
		if flag == flagEnd {
			return nil
		}
		if flag&flagRel != 0 {
			token += int32(flag & maxRel)
			flag >>= 6
		} else if token, err = r.int32(); err != nil {
			return err
		}
		n := uint16(0)
		if flag&1 != 0 {
			if err := binary.Read(r.in, binary.LittleEndian, &n); err != nil {
				return err
			}
			if n == 0 {
				return errors.New("run of one block")
			}
		}
		for i := range int32(n) + 1 {
			if err := r.block(token + i); err != nil {
				return err
			}
		}
		token += int32(n)
	}
}

func (r *reader) record(flag byte) error {
	low, err := r.in.ReadByte()
	if err != nil {
		return err
	}
	b := make([]byte, int(flag&0x3F)<<8|int(low))
	if _, err := io.ReadFull(r.in, b); err != nil {
		return err
	}
	if len(b) == 0 {
		return errors.New("empty record")
	}
	r.records++
	if r.kind != LZ4 {
		r.stream = append(r.stream, b...)
		return nil
	}
	out := make([]byte, 33<<10) // rsync's has room for 32 KiB
	n, err := lz4.UncompressBlock(b, out)
	r.out = append(r.out, out[:n]...)
	return err
}

// inflate ends a run of literals: what came must be enough for all of them.
func (r *reader) inflate() error {
	switch r.kind {
	case Zlib, Zlibx:
		if len(r.stream) == 0 {
			return nil
		}
		in := bytes.NewReader(append(r.stream, 0, 0, 0xFF, 0xFF))
		out, err := io.ReadAll(flate.NewReaderDict(in, r.history[max(0, len(r.history)-window):]))
		if !errors.Is(err, io.ErrUnexpectedEOF) { // the stream goes on
			return fmt.Errorf("inflate: %w", err)
		}
		if in.Len() > 0 {
			return fmt.Errorf("%d bytes of deflate data too many", in.Len())
		}
		r.stream = r.stream[:0]
		r.out = append(r.out, out...)
		r.history = append(r.history, out...)
	case Zstd:
		dec, err := zstd.NewReader(bytes.NewReader(r.stream), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(1<<27))
		if err != nil {
			return err
		}
		defer dec.Close()
		out, err := io.ReadAll(dec)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("zstd: %w", err)
		}
		r.out = append(r.out, out[r.literal:]...)
		r.literal = len(out)
	}
	return nil
}

func (r *reader) block(i int32) error {
	from := int64(i) * int64(r.blockLen)
	if i < 0 || from >= int64(len(r.basis)) {
		return fmt.Errorf("block %d", i)
	}
	b := r.basis[from:min(from+int64(r.blockLen), int64(len(r.basis)))]
	r.out = append(r.out, b...)
	if r.kind != Zlib {
		return nil
	}
	for at, left := b, len(b); left > 0; {
		n := min(left, 65535)
		r.history = append(r.history, at[:n]...)
		if left -= n; r.protocol >= 31 {
			at = at[n:]
		}
	}
	return nil
}
