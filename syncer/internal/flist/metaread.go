package flist

import (
	"crypto/md5"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// Bounds of what an entry may bring along (rsync 3.5.0 rsync.h, MAX_WIRE_*; a file's
// attributes together have fewer bytes than rsync allows).
const (
	maxXattrs    = 65536
	maxXattrName = 4096
	maxXattrSize = 128 << 20
	maxNamed     = 65536
)

// Decoder is the mirror of Encoder.
type Decoder struct {
	r         *wire.Reader
	format    Format
	missingOK bool
	start     int32 // index of the first entry of the list
	prev      previous
	earlier   map[int32]bool // indices of the first names of hard links in earlier lists
	access    []*meta.ACL    // as they came: without what the mode tells
	deflt     []*meta.ACL
	xattrs    [][]meta.Xattr
}

// meta reads what follows each entry.
func (d *Decoder) meta(e *Entry) {
	if d.format.hasACL(e) {
		if a := readACL(d.r, &d.access, d.format.inlineNames()); a != nil {
			if a = restored(a, e.Mode); !a.Minimal() {
				e.More().Access = a
			}
		}
		if e.IsDir() {
			if a := readACL(d.r, &d.deflt, d.format.inlineNames()); a != nil {
				e.More().Default = a
			}
		}
	}
	if d.format.Xattrs {
		if set := d.readXattrs(); len(set) > 0 {
			e.More().Xattrs = set
		}
	}
}

// number reads how an ACL or a set is told: 0 says that it follows, others which of n it is.
func number(r *wire.Reader, n int, what string) (i int, follows bool) {
	v := int(r.Varint())
	if v < 0 || v > n {
		r.Fail("%s %d of %d", what, v, n)
		return 0, false
	}
	return v - 1, v == 0 && r.Err() == nil
}

// readACL reads an ACL, a copy of which is kept; nil when it is empty. names says that names may
// stand in it.
func readACL(r *wire.Reader, known *[]*meta.ACL, names bool) *meta.ACL {
	i, follows := number(r, len(*known), "ACL")
	if follows {
		*known = append(*known, readACLBody(r, names))
		i = len(*known) - 1
	}
	if r.Err() != nil || (*known)[i] == nil {
		return nil
	}
	a := *(*known)[i]
	return &a
}

func readACLBody(r *wire.Reader, names bool) *meta.ACL {
	flags := r.Byte()
	if flags >= aclNamed<<1 {
		r.Fail("ACL with flags %#x", flags)
	}
	if flags == 0 {
		return nil
	}
	a := &meta.ACL{}
	for i, p := range []*uint8{&a.UserObj, &a.GroupObj, &a.Mask, &a.Other} {
		if *p = meta.Absent; flags>>i&1 != 0 {
			*p = perm(r, r.Varint())
		}
	}
	n := int32(0)
	if flags&aclNamed != 0 {
		n = r.Varint()
	}
	if n < 0 || n > maxNamed {
		r.Fail("ACL with %d names", n)
	}
	for ; n > 0 && r.Err() == nil; n-- {
		id, access := uint32(r.Varint()), r.Varint()
		if access&namedNameFollows != 0 {
			if !names {
				r.Fail("ACL with a name inline")
				return nil
			}
			r.String(int(r.Byte()))
		}
		a.Named = append(a.Named, meta.Named{ID: id, User: access&namedUser != 0, Perm: perm(r, access>>2)})
	}
	if flags == aclNamed && len(a.Named) == 0 {
		return nil
	}
	return a
}

func perm(r *wire.Reader, v int32) uint8 {
	if v < 0 || v > 7 {
		r.Fail("ACL with permissions %#o", v)
		return 0
	}
	return uint8(v)
}

func (d *Decoder) readXattrs() []meta.Xattr {
	i, follows := number(d.r, len(d.xattrs), "set of extended attributes")
	if follows {
		d.xattrs = append(d.xattrs, readXattrBody(d.r))
		i = len(d.xattrs) - 1
	}
	if d.r.Err() != nil {
		return nil
	}
	return d.xattrs[i]
}

func readXattrBody(r *wire.Reader) []meta.Xattr {
	n := r.Varint()
	if n < 0 || n > maxXattrs {
		r.Fail("%d extended attributes", n)
	}
	var set []meta.Xattr
	for ; n > 0 && r.Err() == nil; n-- {
		nameLen, size := int(r.Varint()), int(r.Varint())
		if nameLen < 2 || nameLen > maxXattrName || size < 0 || size > maxXattrSize {
			r.Fail("extended attribute of %d bytes with a name of %d", size, nameLen)
			return nil
		}
		name := r.String(nameLen)
		if r.Err() == nil && strings.IndexByte(name, 0) != nameLen-1 {
			r.Fail("extended attribute %q", name)
		}
		inline := size
		if size > meta.MaxInline {
			inline = md5.Size
		}
		data := make([]byte, inline)
		r.Full(data)
		set = append(set, meta.Xattr{Name: strings.TrimSuffix(name, "\x00"), Size: size, Data: data})
	}
	return set
}
