package token

import (
	"runtime"

	"github.com/klauspost/compress/zstd"
)

// zstdStream is Zstd: one stream for the whole connection. As long as its files are of one
// sort it is a single frame, so that a file can refer to those before it.
type zstdStream struct {
	rec   *records
	level zstd.EncoderLevel
	want  frame // for the file at hand
	open  frame
	one   *zstd.Encoder
	many  *zstd.Encoder
}

// frame is a sort of frames.
type frame uint8

const (
	noFrame   frame = iota
	oneFrame        // compressed here
	manyFrame       // compressed in pieces, by as many goroutines as there are processors
	rawFrame        // stored, written by hand
)

const (
	// zstdWindow is that of libzstd's level 3, far below what its decoders take (128 MiB).
	zstdWindow = 2 << 20
	// manyWindow is that of files that are compressed in pieces, which the library makes four
	// windows long: small ones keep all processors busy. Of text it costs up to 5% of bytes;
	// levels that are asked for to save bytes have the other window.
	manyWindow = 512 << 10
	// manyThreads bounds the memory for pieces: about 6 MiB for each, or 20 MiB.
	manyThreads = 4
)

func (z *zstdStream) manyWindow() int {
	if z.level <= zstd.SpeedDefault {
		return manyWindow
	}
	return zstdWindow
}

// pays says whether so much data in one run are worth pieces: there are at least two.
func (z *zstdStream) pays(fresh int64) bool {
	return fresh >= 8*int64(z.manyWindow()) && threads() > 1
}

func newZstd(rec *records, level int) *zstdStream {
	return &zstdStream{rec: rec, level: zstdLevel(level)}
}

// encoder makes an encoder that writes before Write or, with threads, Flush returns.
func (z *zstdStream) encoder(window, threads int) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil,
		zstd.WithEncoderLevel(z.level),
		zstd.WithWindowSize(window),
		zstd.WithEncoderConcurrency(threads),
		zstd.WithConcurrentBlocks(threads > 1),
		zstd.WithEncoderCRC(false)) // the file has a checksum
}

// zstdLevel is the library's level for one of libzstd's: it has four, of which the last is
// like libzstd's 11 or so. What is above is clamped, and so is what is below 1.
func zstdLevel(level int) zstd.EncoderLevel {
	switch {
	case level < 3:
		return zstd.SpeedFastest
	case level < 7:
		return zstd.SpeedDefault
	case level < 11:
		return zstd.SpeedBetterCompression
	}
	return zstd.SpeedBestCompression
}

func (z *zstdStream) begin(fresh int64, stored bool) {
	switch {
	case stored:
		z.want = rawFrame
	case z.pays(fresh):
		z.want = manyFrame
	default:
		z.want = oneFrame
	}
}

func threads() int { return min(runtime.GOMAXPROCS(0), manyThreads) }

func (z *zstdStream) match([]byte) {}

func (z *zstdStream) write(data []byte) error {
	if z.open != z.want {
		if err := z.change(); err != nil {
			return err
		}
	}
	if enc := z.current(); enc != nil {
		_, err := enc.Write(data)
		return err
	}
	for len(data) > 0 {
		n := min(len(data), maxRawBlock)
		if err := z.rawBlock(data[:n], false); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// current is the encoder of the open frame, nil if that needs none.
func (z *zstdStream) current() *zstd.Encoder {
	switch z.open {
	case oneFrame:
		return z.one
	case manyFrame:
		return z.many
	}
	return nil
}

func (z *zstdStream) flush() error {
	if enc := z.current(); enc != nil {
		if err := enc.Flush(); err != nil {
			return err
		}
	}
	return z.rec.flush(0)
}

// change ends the open frame and begins one of the sort that is wanted.
func (z *zstdStream) change() (err error) {
	switch enc := z.current(); {
	case enc != nil:
		err = enc.Close()
	case z.open == rawFrame:
		err = z.rawBlock(nil, true)
	}
	if err != nil {
		return err
	}
	z.open = z.want
	switch z.open {
	case oneFrame:
		if z.one == nil {
			z.one, err = z.encoder(zstdWindow, 1)
		}
	case manyFrame:
		if z.many == nil {
			z.many, err = z.encoder(z.manyWindow(), threads())
		}
	default:
		_, err = z.rec.Write(rawHeader[:])
	}
	if enc := z.current(); enc != nil && err == nil {
		enc.Reset(z.rec)
	}
	return err
}

// close ends the goroutines.
func (z *zstdStream) close() {
	if z.many != nil {
		z.many.Reset(nil)
	}
}

// maxRawBlock is the format's limit for a block.
const maxRawBlock = 128 << 10

// rawHeader begins a frame of unknown length with a window of 128 KiB (RFC 8878, 3.1.1.1).
var rawHeader = [...]byte{0x28, 0xB5, 0x2F, 0xFD, 0, (17 - 10) << 3}

// rawBlock writes a block that is stored (RFC 8878, 3.1.1.2).
func (z *zstdStream) rawBlock(data []byte, last bool) error {
	h := uint32(len(data)) << 3 // type 0
	if last {
		h |= 1
	}
	if _, err := z.rec.Write([]byte{byte(h), byte(h >> 8), byte(h >> 16)}); err != nil {
		return err
	}
	_, err := z.rec.Write(data)
	return err
}
