package checksum

import (
	"crypto/md5"
	"encoding/binary"
	"hash"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/zeebo/xxh3"
	"golang.org/x/crypto/md4" //lint:ignore SA1019 old peers know nothing better
)

// Kind is a strong sum.
type Kind uint8

// In the order of preference that both sides must use: a peer from 3.5.0 on follows its
// own order, and only canonical lists make both choose alike.
const (
	XXH128 Kind = iota
	XXH3
	XXH64
	MD5
	MD4
	numKinds
)

// MaxSize is the length of the longest digest, bytes.
const MaxSize = 16

func (k Kind) String() string {
	return [...]string{"xxh128", "xxh3", "xxh64", "md5", "md4"}[k]
}

// Size is the length of the digest in bytes.
func (k Kind) Size() int { return [...]int{16, 8, 8, 16, 16}[k] }

// Parse finds a sum by its name in the negotiation, of any case; "xxhash" is xxh64.
func Parse(name string) (Kind, bool) {
	name = strings.ToLower(name)
	if name == "xxhash" {
		return XXH64, true
	}
	for k := range numKinds {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

// Offered are the sums to offer in a negotiation. MD4 is known but not offered: rsync's
// builds disagree about where its seed goes.
func Offered() []Kind { return []Kind{XXH128, XXH3, XXH64, MD5} }

// New hashes a whole file: without a seed. Its Sum appends the digest as it travels.
func (k Kind) New() hash.Hash {
	switch k {
	case XXH128:
		return xxh128{xxh3.New()}
	case XXH3:
		return little{xxh3.New()}
	case XXH64:
		return little{xxhash.New()}
	case MD5:
		return md5.New()
	}
	return md4.New()
}

// little turns a 64-bit sum into its bytes on the wire.
type little struct{ hash.Hash64 }

func (h little) Sum(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, h.Sum64()) }

type xxh128 struct{ *xxh3.Hasher }

func (h xxh128) Size() int { return 16 }

func (h xxh128) Sum(b []byte) []byte { return append128(b, h.Sum128()) }

func append128(b []byte, s xxh3.Uint128) []byte {
	b = binary.LittleEndian.AppendUint64(b, s.Lo)
	return binary.LittleEndian.AppendUint64(b, s.Hi)
}

// Block hashes blocks with a connection's seed. It is not safe for concurrent use.
type Block struct {
	kind      Kind
	seed      uint64
	seedBytes []byte
	seedFirst bool
	h         hash.Hash
	digest    *xxhash.Digest
}

// Block makes a hasher of blocks. The seed is the connection's; seedFirst tells whether
// MD5 takes it before the data (rsync's CF_CHKSUM_SEED_FIX) or behind, as old peers do.
func (k Kind) Block(seed int32, seedFirst bool) *Block {
	b := &Block{kind: k, seed: uint64(int64(seed)), seedFirst: seedFirst && k != MD4}
	switch k {
	case MD5, MD4:
		b.h = k.New()
		if seed != 0 {
			b.seedBytes = binary.LittleEndian.AppendUint32(nil, uint32(seed))
		}
	case XXH64:
		b.digest = xxhash.NewWithSeed(b.seed)
	}
	return b
}

// Append appends the digest of the block data to dst.
func (b *Block) Append(dst, data []byte) []byte {
	switch b.kind {
	case XXH128:
		return append128(dst, xxh3.Hash128Seed(data, b.seed))
	case XXH3:
		return binary.LittleEndian.AppendUint64(dst, xxh3.HashSeed(data, b.seed))
	case XXH64:
		b.digest.ResetWithSeed(b.seed)
		b.digest.Write(data)
		return binary.LittleEndian.AppendUint64(dst, b.digest.Sum64())
	}
	b.h.Reset()
	if b.seedFirst {
		b.h.Write(b.seedBytes)
	}
	b.h.Write(data)
	if !b.seedFirst {
		b.h.Write(b.seedBytes)
	}
	return b.h.Sum(dst)
}
