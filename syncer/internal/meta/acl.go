package meta

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// The kernel's form of an ACL: a version, then entries of 8 bytes (Linux
// uapi/linux/posix_acl_xattr.h and posix_acl.h).
const (
	aclVersion  = 2
	aclHeader   = 4
	aclEntry    = 8
	undefinedID = 0xFFFFFFFF

	tagUserObj  = 0x01
	tagUser     = 0x02
	tagGroupObj = 0x04
	tagGroup    = 0x08
	tagMask     = 0x10
	tagOther    = 0x20
)

// MaxNamed bounds the entries for users and groups of one ACL: as many as an attribute of
// 64 KiB holds, which is the most that Linux takes.
const MaxNamed = (64<<10 - aclHeader) / aclEntry

// ErrACL says that bytes are no ACL.
var ErrACL = errors.New("malformed ACL")

// ParseACL reads the kernel's form.
func ParseACL(b []byte) (*ACL, error) {
	if len(b) < aclHeader || (len(b)-aclHeader)%aclEntry != 0 {
		return nil, fmt.Errorf("%w: %d bytes", ErrACL, len(b))
	}
	if v := binary.LittleEndian.Uint32(b); v != aclVersion {
		return nil, fmt.Errorf("%w: version %d", ErrACL, v)
	}
	a := &ACL{UserObj: Absent, GroupObj: Absent, Mask: Absent, Other: Absent}
	for e := range slices.Chunk(b[aclHeader:], aclEntry) {
		tag, perm := binary.LittleEndian.Uint16(e), binary.LittleEndian.Uint16(e[2:])
		if err := a.add(tag, perm, binary.LittleEndian.Uint32(e[4:])); err != nil {
			return nil, err
		}
	}
	a.sort()
	return a, a.check()
}

// add takes one entry.
func (a *ACL) add(tag, perm uint16, id uint32) error {
	if perm > 7 {
		return fmt.Errorf("%w: permissions %#o", ErrACL, perm)
	}
	var place *uint8
	switch tag {
	case tagUserObj:
		place = &a.UserObj
	case tagGroupObj:
		place = &a.GroupObj
	case tagMask:
		place = &a.Mask
	case tagOther:
		place = &a.Other
	case tagUser, tagGroup:
		a.Named = append(a.Named, Named{ID: id, User: tag == tagUser, Perm: uint8(perm)})
		return nil
	default:
		return fmt.Errorf("%w: tag %#x", ErrACL, tag)
	}
	if *place != Absent {
		return fmt.Errorf("%w: tag %#x twice", ErrACL, tag)
	}
	*place = uint8(perm)
	return nil
}

func (a *ACL) sort() {
	slices.SortStableFunc(a.Named, func(x, y Named) int {
		switch {
		case x.User != y.User && x.User:
			return -1
		case x.User != y.User:
			return 1
		case x.ID != y.ID && x.ID < y.ID:
			return -1
		case x.ID != y.ID:
			return 1
		}
		return 0
	})
}

// check holds what acl(5) asks of a valid ACL.
func (a *ACL) check() error {
	if a.UserObj == Absent || a.GroupObj == Absent || a.Other == Absent {
		return fmt.Errorf("%w: no entry for the owner, the group or others", ErrACL)
	}
	if len(a.Named) > 0 && a.Mask == Absent {
		return fmt.Errorf("%w: named entries without a mask", ErrACL)
	}
	for i := 1; i < len(a.Named); i++ {
		if a.Named[i-1].ID == a.Named[i].ID && a.Named[i-1].User == a.Named[i].User {
			return fmt.Errorf("%w: id %d twice", ErrACL, a.Named[i].ID)
		}
	}
	return nil
}

// Append appends the kernel's form. What is Absent is left out: only a complete ACL is one
// that the kernel takes.
func (a *ACL) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, aclVersion)
	b = appendObj(b, tagUserObj, a.UserObj)
	b = a.appendNamed(b, tagUser, true)
	b = appendObj(b, tagGroupObj, a.GroupObj)
	b = a.appendNamed(b, tagGroup, false)
	b = appendObj(b, tagMask, a.Mask)
	return appendObj(b, tagOther, a.Other)
}

func appendObj(b []byte, tag uint16, perm uint8) []byte {
	if perm == Absent {
		return b
	}
	return appendEntry(b, tag, perm, undefinedID)
}

func (a *ACL) appendNamed(b []byte, tag uint16, user bool) []byte {
	for _, n := range a.Named {
		if n.User == user {
			b = appendEntry(b, tag, n.Perm, n.ID)
		}
	}
	return b
}

func appendEntry(b []byte, tag uint16, perm uint8, id uint32) []byte {
	b = binary.LittleEndian.AppendUint16(b, tag)
	b = binary.LittleEndian.AppendUint16(b, uint16(perm))
	return binary.LittleEndian.AppendUint32(b, id)
}

// Minimal says whether the mode of a file says as much as a.
func (a *ACL) Minimal() bool { return a == nil || a.Mask == Absent && len(a.Named) == 0 }

// Equal says whether a and o say the same; nil is equal to nil alone.
func (a *ACL) Equal(o *ACL) bool {
	if a == nil || o == nil {
		return a == o
	}
	return a.UserObj == o.UserObj && a.GroupObj == o.GroupObj && a.Mask == o.Mask && a.Other == o.Other &&
		slices.Equal(a.Named, o.Named)
}

// EqualAccess says whether two access ACLs grant the same beyond the mode of their files: the
// owner's, the mask's and others' permissions are the mode's.
func EqualAccess(a, o *ACL) bool {
	if a.Minimal() || o.Minimal() {
		return a.Minimal() && o.Minimal()
	}
	return a.GroupObj == o.GroupObj && slices.Equal(a.Named, o.Named)
}

// WithMode is a with the permissions of a mode where the mode rules (acl(5), "Correspondence
// between ACL entries and file permission bits").
func (a *ACL) WithMode(mode uint32) *ACL {
	c := *a
	group := uint8(mode >> 3 & 7)
	c.UserObj, c.Other = uint8(mode>>6&7), uint8(mode&7)
	if c.Mask != Absent || len(c.Named) > 0 {
		c.Mask = group
	} else {
		c.GroupObj = group
	}
	return &c
}
