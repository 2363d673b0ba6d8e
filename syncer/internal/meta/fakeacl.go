package meta

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Where --fake-super keeps ACLs: four 32-bit words for owner, group, mask and others, then two
// for each named entry (rsync 3.5.0 acls.c, get_rsync_acl; xattrs.c, XACC_ACL_ATTR).
const (
	fakeAccess  = internalPrefix + "aacl"
	fakeDefault = internalPrefix + "dacl"
	fakeHead    = 4 * 4
	fakeEntry   = 2 * 4
	fakeUser    = 1 << 31 // in the permissions of a named entry: it is a user's
)

// FakeAccess reads the access ACL that --fake-super has kept; mode is the file's, with which
// it is kept no more than an ACL of the disk is.
func FakeAccess(path string, mode uint32) (*ACL, error) {
	a, err := readFake(path, fakeAccess)
	if a == nil {
		return nil, err
	}
	fill(&a.UserObj, mode>>6)
	fill(&a.GroupObj, mode>>3)
	fill(&a.Other, mode)
	if len(a.Named) > 0 {
		fill(&a.Mask, mode>>3)
	}
	if a.Minimal() {
		return nil, nil
	}
	return a, a.check()
}

// FakeDefault reads the default ACL that --fake-super has kept.
func FakeDefault(path string) (*ACL, error) {
	a, err := readFake(path, fakeDefault)
	if a == nil {
		return nil, err
	}
	return a, a.check()
}

// fill puts the mode's permissions where an ACL leaves them to it.
func fill(perm *uint8, mode uint32) {
	if *perm == Absent {
		*perm = uint8(mode & 7)
	}
}

func readFake(path, name string) (*ACL, error) {
	b, err := Value(path, name)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(b) < fakeHead || (len(b)-fakeHead)%fakeEntry != 0 || len(b) > fakeHead+fakeEntry*MaxNamed {
		return nil, fmt.Errorf("%s: %w: %d bytes", name, ErrACL, len(b))
	}
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }
	a := &ACL{UserObj: uint8(word(0)), GroupObj: uint8(word(4)), Mask: uint8(word(8)), Other: uint8(word(12))}
	for _, perm := range []uint8{a.UserObj, a.GroupObj, a.Mask, a.Other} {
		if perm > 7 && perm != Absent {
			return nil, fmt.Errorf("%s: %w: permissions %#o", name, ErrACL, perm)
		}
	}
	for i := fakeHead; i < len(b); i += fakeEntry {
		perm := word(i + 4)
		a.Named = append(a.Named, Named{ID: word(i), User: perm&fakeUser != 0, Perm: uint8(perm & 7)})
	}
	a.sort()
	return a, nil
}

// SetFakeAccess keeps the access ACL a of a file with that mode; nil takes it away. What the
// mode says is left out but for the mask, as rsync does (acls.c, rsync_acl_strip_perms, and
// recv_rsync_acl, which puts the mask back).
func SetFakeAccess(path string, a *ACL, mode uint32) error {
	if a.Minimal() {
		return Remove(path, fakeAccess)
	}
	group := uint8(mode >> 3 & 7)
	c := *a
	c.UserObj, c.Other = Absent, Absent
	if c.GroupObj == group {
		c.GroupObj = Absent
	}
	return Set(path, fakeAccess, c.appendFake(nil))
}

// SetFakeDefault keeps a default ACL; nil takes it away.
func SetFakeDefault(path string, a *ACL) error {
	if a == nil {
		return Remove(path, fakeDefault)
	}
	return Set(path, fakeDefault, a.appendFake(nil))
}

func (a *ACL) appendFake(b []byte) []byte {
	for _, perm := range []uint8{a.UserObj, a.GroupObj, a.Mask, a.Other} {
		b = binary.LittleEndian.AppendUint32(b, uint32(perm))
	}
	for _, n := range a.Named {
		perm := uint32(n.Perm)
		if n.User {
			perm |= fakeUser
		}
		b = binary.LittleEndian.AppendUint32(b, n.ID)
		b = binary.LittleEndian.AppendUint32(b, perm)
	}
	return b
}
