package sender

import (
	"bytes"
	"fmt"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// wantsXattrs says whether a request lists the long values that are wanted, and so does its
// answer (rsync 3.5.0 sender.c, send_files and write_ndx_and_attrs). A name that the receiver
// linked by itself has none, where both sides know that.
func (p *push) wantsXattrs(flags int) bool {
	const linked = report.XnameFollows | report.LocalChange
	spared := p.t.protocol >= 31 && p.t.flags&cfXattrsOfLinks == 0 && flags&linked == linked
	return p.o.Xattrs && flags&report.ReportXattr != 0 && !p.o.DryRun && !spared
}

// readXattrs reads which values of e are wanted: places in its set, counted from 1, each
// told by its distance from the one before (rsync 3.5.0 xattrs.c, recv_xattr_request). A value
// is asked for once, for all files that have the same set.
func (p *push) readXattrs(e *flist.Entry) []int {
	var set []meta.Xattr
	if e.Extra != nil {
		set = e.Extra.Xattrs
	}
	var asked map[int]bool
	var wanted []int
	for place := 0; ; {
		step := int(p.r.Varint())
		if step == 0 || p.r.Err() != nil {
			return wanted
		}
		place += step
		if place < 1 || place > len(set) || set[place-1].Size <= meta.MaxInline {
			p.r.Fail("attribute %d was asked for, of %d", place, len(set))
			return nil
		}
		if asked == nil {
			asked = p.askedXattrs(set)
		}
		if asked[place] {
			p.r.Fail("attribute %s was asked for again", set[place-1].Name)
			return nil
		}
		asked[place] = true
		wanted = append(wanted, place)
	}
}

// askedXattrs is what was asked for of a set, by place.
func (p *push) askedXattrs(set []meta.Xattr) map[int]bool {
	key := string(flist.AppendXattrs(nil, set))
	asked := p.asked[key]
	if asked == nil {
		if p.asked == nil {
			p.asked = map[string]map[int]bool{}
		}
		asked = map[int]bool{}
		p.asked[key] = asked
	}
	return asked
}

// appendXattrs appends the values that a request wants (rsync 3.5.0 xattrs.c,
// send_xattr_request). One that cannot be read travels empty, as rsync has it, and the file is
// a problem: it comes again.
func (p *push) appendXattrs(b []byte, q *request) []byte {
	e := q.entry
	last := 0
	for _, place := range q.xattrs {
		x := &e.Extra.Xattrs[place-1]
		name := p.job.local(e.Name)
		value, err := p.src.Xattr(name, x.Name)
		switch now := meta.NewXattr(x.Name, value); {
		case err != nil:
			p.res.Problems = append(p.res.Problems, report.Problem{Path: name, Err: err})
			p.ioError |= wire.IOErrorGeneral
		case !bytes.Equal(now.Data, x.Data):
			p.res.Changed = append(p.res.Changed, name)
		}
		b = wire.AppendVarint(b, int32(place-last))
		b = wire.AppendVarint(b, int32(len(value)))
		b = append(b, value...)
		last = place
	}
	return append(b, 0)
}

// checkCrtimes says why -N cannot be had (rsync 3.5.0 compat.c, setup_protocol).
func (t *terms) checkCrtimes(o *Options) error {
	if !o.Crtimes || t.flags&cfVarintFlags != 0 {
		return nil
	}
	return report.Fail(report.CodeProtocol, fmt.Errorf("%w: the peer knows no --crtimes", wire.ErrProtocol), "rsync 3.2.0 or later is needed there")
}
