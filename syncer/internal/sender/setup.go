package sender

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/internal/checksum"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/token"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// The compatibility flags of the peer (rsync 3.5.0 compat.c, CF_*).
const (
	cfIncRecurse     = 1 << 0
	cfSafeList       = 1 << 3
	cfXattrsOfLinks  = 1 << 4 // CF_AVOID_XATTR_OPTIM
	cfSeedFix        = 1 << 5
	cfInplacePartial = 1 << 6
	cfVarintFlags    = 1 << 7
	cfID0Names       = 1 << 8
)

// terms are what the two sides agreed on for one connection.
type terms struct {
	protocol  int
	flags     int32
	sum       checksum.Kind
	seed      int32
	seedFirst bool
	// refuses says that a peer which negotiates did not: it met an option that it refuses
	// before it came to our capabilities, and is about to say so.
	refuses  bool
	compress token.Kind
	level    int
}

// setup is what follows the arguments, before multiplexing begins (rsync 3.5.0 compat.c,
// setup_protocol and negotiate_the_strings). offered says that our checksums were offered already,
// inPieces that incremental recursion was.
func setup(w io.Writer, br *bufio.Reader, o *Options, protocol int, offered, inPieces bool) (terms, error) {
	r := wire.NewReader(br)
	t := terms{protocol: protocol, flags: r.Varint(), sum: checksum.MD5}
	if t.flags&cfIncRecurse != 0 && !inPieces {
		r.Fail("the peer wants incremental recursion, which was not offered")
	}
	negotiates := t.flags&cfVarintFlags != 0
	t.refuses = offered && !negotiates
	if r.Err() == nil && negotiates {
		if !offered {
			if _, err := w.Write(o.offer()); err != nil {
				return t, fmt.Errorf("offer checksums and compression: %w", err)
			}
		}
		if err := t.negotiate(r, o); err != nil {
			return t, err
		}
	}
	if r.Err() == nil {
		if err := t.checkCrtimes(o); err != nil {
			return t, err
		}
		if err := t.settleCompression(r, o, negotiates); err != nil {
			return t, err
		}
	}
	t.seed = r.Int32()
	t.seedFirst = t.flags&cfSeedFix != 0
	if err := r.Err(); err != nil {
		return t, fmt.Errorf("set up the transfer: %w", err)
	}
	return t, nil
}

func offerChecksums(o *Options) []byte {
	var names []string
	for _, k := range o.Checksums {
		names = append(names, k.String())
	}
	return wire.AppendVstring(nil, strings.Join(names, " "))
}

// negotiate takes the first of our checksums that the peer knows: both sides list them
// strongest first, so both take the same.
func (t *terms) negotiate(r *wire.Reader, o *Options) error {
	list := r.Vstring(1024)
	if r.Err() != nil {
		return nil // the caller asks
	}
	offered := map[checksum.Kind]bool{}
	for name := range strings.FieldsSeq(list) {
		if k, ok := checksum.Parse(name); ok {
			offered[k] = true
		}
	}
	for _, k := range o.Checksums {
		if offered[k] {
			t.sum = k
			return nil
		}
	}
	return report.Fail(report.CodeUnsupported, fmt.Errorf("%w: no checksum in common, the peer knows %q", wire.ErrProtocol, list), "")
}

// format is what was agreed about the file list.
func (t *terms) format(o *Options) flist.Format {
	f := flist.Format{
		Protocol:    t.protocol,
		VarintFlags: t.flags&cfVarintFlags != 0,
		SafeEnd:     t.protocol >= 31 || t.flags&cfSafeList != 0,
		ID0Names:    t.flags&cfID0Names != 0,
		Owner:       o.Owner,
		Group:       o.Group,
		Links:       o.Links,
		Devices:     o.Devices,
		Specials:    o.Specials,
		NumericIDs:  o.NumericIDs,
		HardLinks:   o.HardLinks,
		ACLs:        o.ACLs,
		Xattrs:      o.Xattrs,
		Atimes:      o.Atimes,
		Crtimes:     o.Crtimes,
	}
	if o.Checksum {
		f.SumLen = t.sum.Size()
	}
	return f
}
