package flist

import (
	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// What an ACL says of itself (rsync 3.5.0 acls.c, XMIT_* and XFLAG_*).
const (
	aclUserObj  = 1 << 0
	aclGroupObj = 1 << 1
	aclMask     = 1 << 2
	aclOther    = 1 << 3
	aclNamed    = 1 << 4

	namedNameFollows = 1 << 0
	namedUser        = 1 << 1
)

// bodies are what was sent of one kind: what comes again travels as its number.
type bodies struct {
	index map[string]int32
	next  []byte
}

// append appends body, or its number counted from 1.
func (s *bodies) append(b, body []byte) []byte {
	if i, ok := s.index[string(body)]; ok {
		return wire.AppendVarint(b, i+1)
	}
	if s.index == nil {
		s.index = map[string]int32{}
	}
	s.index[string(body)] = int32(len(s.index))
	return append(append(b, 0), body...)
}

// appendMeta appends what follows each entry, abbreviated ones too (rsync 3.5.0 flist.c,
// send_file_name).
func (c *Encoder) appendMeta(b []byte, e *Entry) []byte {
	x := e.extra()
	if c.format.hasACL(e) {
		c.access.next = appendACL(c.access.next[:0], stripped(x.Access, e.Mode))
		b = c.access.append(b, c.access.next)
		if e.IsDir() {
			c.deflt.next = appendACL(c.deflt.next[:0], x.Default)
			b = c.deflt.append(b, c.deflt.next)
		}
	}
	if c.format.Xattrs {
		c.xattrs.next = AppendXattrs(c.xattrs.next[:0], x.Xattrs)
		b = c.xattrs.append(b, c.xattrs.next)
	}
	return b
}

// stripped is a without what the mode tells (rsync 3.5.0 acls.c, rsync_acl_strip_perms).
func stripped(a *meta.ACL, mode uint32) *meta.ACL {
	if a.Minimal() {
		return nil
	}
	s := meta.ACL{UserObj: meta.Absent, GroupObj: a.GroupObj, Mask: a.Mask, Other: meta.Absent, Named: a.Named}
	group := uint8(mode >> 3 & 7)
	if s.GroupObj == group {
		s.GroupObj = meta.Absent
	}
	if len(s.Named) > 0 && s.Mask == group {
		s.Mask = meta.Absent
	}
	return &s
}

// restored is the inverse of stripped.
func restored(a *meta.ACL, mode uint32) *meta.ACL {
	group := uint8(mode >> 3 & 7)
	if a.GroupObj == meta.Absent {
		a.GroupObj = group
	}
	if len(a.Named) > 0 && a.Mask == meta.Absent {
		a.Mask = group
	}
	return a.WithMode(mode)
}

// appendACL appends an ACL in full (rsync 3.5.0 acls.c, send_rsync_acl). nil is an empty one.
func appendACL(b []byte, a *meta.ACL) []byte {
	if a == nil {
		return append(b, 0)
	}
	flags := byte(0)
	parts := [...]uint8{a.UserObj, a.GroupObj, a.Mask, a.Other}
	for i, p := range parts {
		if p != meta.Absent {
			flags |= 1 << i
		}
	}
	if len(a.Named) > 0 {
		flags |= aclNamed
	}
	b = append(b, flags)
	for _, p := range parts {
		if p != meta.Absent {
			b = wire.AppendVarint(b, int32(p))
		}
	}
	if len(a.Named) == 0 {
		return b
	}
	b = wire.AppendVarint(b, int32(len(a.Named)))
	for _, n := range a.Named {
		access := int32(n.Perm) << 2
		if n.User {
			access |= namedUser
		}
		b = wire.AppendVarint(wire.AppendVarint(b, int32(n.ID)), access)
	}
	return b
}

// AppendXattrs appends a set of extended attributes in full (rsync 3.5.0 xattrs.c,
// send_xattr). Equal sets, and no others, have equal bytes.
func AppendXattrs(b []byte, set []meta.Xattr) []byte {
	b = wire.AppendVarint(b, int32(len(set)))
	for _, x := range set {
		b = wire.AppendVarint(b, int32(len(x.Name)+1))
		b = wire.AppendVarint(b, int32(x.Size))
		b = append(append(b, x.Name...), 0)
		b = append(b, x.Data...)
	}
	return b
}
