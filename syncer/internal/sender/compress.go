package sender

import (
	"fmt"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/token"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// maxNames bounds a list of names in the negotiation; rsync's has room for 256 bytes.
const maxNames = 1024

// compressChoice is the kind of compression that was asked for. negotiated says that the two
// sides are to find one; a peer that negotiates nothing means zlib then.
func (o *Options) compressChoice() (kind token.Kind, negotiated bool, err error) {
	switch name := strings.ToLower(o.CompressChoice); {
	case name == "" || name == "auto":
		negotiated = o.Compress || o.LevelGiven
	default:
		var ok bool
		if kind, ok = token.Parse(name); !ok {
			return 0, false, report.Fail(report.CodeUnsupported, fmt.Errorf("unknown compression %q", o.CompressChoice),
				"--compress-choice is one of zstd, lz4, zlibx, zlib and none")
		}
		if o.LevelGiven {
			kind, _ = kind.At(o.CompressLevel)
		}
	}
	return kind, negotiated, nil
}

// compressArguments are the words that tell the peer about compression: whether the letter z
// is among the short options, and a long option (rsync 3.5.0 options.c, server_options). The
// letter stands before the capabilities: a daemon that refuses it reads no further, and so does
// not negotiate.
func (o *Options) compressArguments() (z bool, long []string) {
	kind, negotiated, err := o.compressChoice()
	switch {
	case err != nil: // setup says so
	case negotiated:
		z = true
		if o.LevelGiven && o.CompressLevel == 0 {
			// The only level that the receiver must know: with zlib it is no compression.
			long = []string{"--compress-level=0"}
		}
	case kind == token.Zlibx:
		long = []string{"--new-compress"}
	case kind == token.Zlib:
		z, long = true, []string{"--old-compress"}
	case kind != token.Plain:
		long = []string{"--compress-choice=" + kind.String()}
	}
	return z, long
}

// offer is what this side says in the negotiation.
func (o *Options) offer() []byte {
	b := offerChecksums(o)
	if _, negotiated, _ := o.compressChoice(); negotiated {
		var names []string
		for _, k := range token.Offered() {
			names = append(names, k.String())
		}
		b = wire.AppendVstring(b, strings.Join(names, " "))
	}
	return b
}

// settleCompression decides about kind and level as the peer does by itself. Where the two
// negotiate its list is read: the first of ours that it knows.
func (t *terms) settleCompression(r *wire.Reader, o *Options, negotiates bool) error {
	kind, negotiated, err := o.compressChoice()
	if err != nil {
		return err
	}
	if negotiated {
		kind = token.Zlib
		if negotiates {
			list := r.Vstring(maxNames)
			if r.Err() != nil {
				return nil // the caller asks
			}
			if kind = firstKnown(list); kind == token.Plain {
				return report.Fail(report.CodeUnsupported, fmt.Errorf("%w: no compression in common, the peer knows %q", wire.ErrProtocol, list),
					"push without --compress, or name one that it has by --compress-choice")
			}
		}
	}
	t.level = kind.Default()
	if o.LevelGiven {
		kind, t.level = kind.At(o.CompressLevel)
	}
	t.compress = kind
	return nil
}

// firstKnown is the first kind that we offer among the names of list, Plain if there is none.
func firstKnown(list string) token.Kind {
	known := map[token.Kind]bool{}
	for name := range strings.FieldsSeq(list) {
		if k, ok := token.Parse(name); ok {
			known[k] = true
		}
	}
	for _, k := range token.Offered() {
		if known[k] {
			return k
		}
	}
	return token.Plain
}
