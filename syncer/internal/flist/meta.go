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

// number appends the number of body, counted from 1, or 0 where it is to follow.
func (s *bodies) number(b, body []byte) (_ []byte, follows bool) {
	if i, ok := s.index[string(body)]; ok {
		return wire.AppendVarint(b, i+1), false
	}
	if s.index == nil {
		s.index = map[string]int32{}
	}
	s.index[string(body)] = int32(len(s.index))
	return append(b, 0), true
}

// appendMeta appends what follows each entry, abbreviated ones too (rsync 3.5.0 flist.c,
// send_file_name).
func (c *Encoder) appendMeta(b []byte, e *Entry) []byte {
	x := e.extra()
	if c.format.hasACL(e) {
		b = c.appendACL(b, &c.access, stripped(x.Access, e.Mode))
		if e.IsDir() {
			b = c.appendACL(b, &c.deflt, x.Default)
		}
	}
	if c.format.Xattrs {
		var follows bool
		c.xattrs.next = AppendXattrs(c.xattrs.next[:0], x.Xattrs)
		if b, follows = c.xattrs.number(b, c.xattrs.next); follows {
			b = append(b, c.xattrs.next...)
		}
	}
	return b
}

// appendACL appends the number of a among those that were sent, or a itself with the names in it
// that come first.
func (c *Encoder) appendACL(b []byte, sent *bodies, a *meta.ACL) []byte {
	sent.next = appendACL(sent.next[:0], a, nil)
	b, follows := sent.number(b, sent.next)
	if !follows {
		return b
	}
	return appendACL(b, a, func(n meta.Named) string {
		if n.User {
			return c.users.next(n.ID)
		}
		return c.groups.next(n.ID)
	})
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

// appendACL appends an ACL in full (rsync 3.5.0 acls.c, send_rsync_acl). nil is an empty one. name
// gives what is to stand beside an id; it may be nil.
func appendACL(b []byte, a *meta.ACL, name func(meta.Named) string) []byte {
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
		text := ""
		if name != nil {
			if text = name(n); text != "" {
				access |= namedNameFollows
			}
		}
		b = wire.AppendVarint(wire.AppendVarint(b, int32(n.ID)), access)
		if text != "" {
			b = appendIDName(b, text)
		}
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
