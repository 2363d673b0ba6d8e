package token

import (
	"encoding/binary"
	"io"
)

// maxLiteral is the longest piece that rsync sends in one (CHUNK_SIZE); not all receivers
// would take more.
const maxLiteral = 32 << 10

// plain is the form without compression (rsync 3.5.0 token.c, simple_send_token).
type plain struct {
	out  io.Writer
	head [4]byte
}

func (p *plain) Begin(int64, bool) {}

func (p *plain) Close() {}

func (p *plain) Literal(data []byte) error {
	for len(data) > 0 {
		n := min(len(data), maxLiteral)
		if err := p.int32(int32(n)); err != nil {
			return err
		}
		if _, err := p.out.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func (p *plain) Block(i int32, _ []byte) error { return p.int32(-(i + 1)) }

func (p *plain) Flush() error { return nil }

func (p *plain) End() error { return p.int32(0) }

func (p *plain) int32(v int32) error {
	binary.LittleEndian.PutUint32(p.head[:], uint32(v))
	_, err := p.out.Write(p.head[:])
	return err
}
