package meta

import (
	"crypto/md5"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// internalPrefix begins the attributes in which --fake-super keeps what it may not set:
// they are not copied (rsync 3.5.0 xattrs.c, rsync_xal_get).
const internalPrefix = "user.rsync.%"

// maxAttempts bounds how often a value or a list that grows while it is read is read anew.
const maxAttempts = 16

// Xattrs returns the extended attributes of path in the order of their names' bytes. Those of
// the system namespace, ACLs among them, are left out; without super all but the user's are,
// which is what a receiver that is not root keeps. A sender passes super: it sends what it sees.
func Xattrs(path string, super bool) ([]Xattr, error) {
	names, err := attrNames(path, super)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	out := make([]Xattr, 0, len(names))
	for _, name := range names {
		value, err := Value(path, name)
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) {
			continue // removed a moment ago, or listed without being readable
		}
		if err != nil {
			return nil, err
		}
		out = append(out, NewXattr(name, value))
	}
	return out, nil
}

// NewXattr is the attribute of that name and value, which it keeps.
func NewXattr(name string, value []byte) Xattr {
	if len(value) <= MaxInline {
		return Xattr{Name: name, Size: len(value), Data: value}
	}
	sum := md5.Sum(value)
	return Xattr{Name: name, Size: len(value), Data: sum[:]}
}

// attrNames lists the names that are copied, sorted.
func attrNames(path string, super bool) ([]string, error) {
	list, err := grow(256, func(b []byte) (int, error) { return unix.Llistxattr(path, b) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list extended attributes: %w", err)
	}
	var names []string
	for name := range strings.SplitSeq(string(list), "\x00") {
		if name != "" && copied(name, super) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func copied(name string, super bool) bool {
	switch {
	case strings.HasPrefix(name, internalPrefix):
		return false
	case super:
		return !strings.HasPrefix(name, "system.")
	}
	return strings.HasPrefix(name, "user.")
}

// Value reads an attribute. That it is not there is unix.ENODATA.
func Value(path, name string) ([]byte, error) {
	value, err := grow(MaxInline, func(b []byte) (int, error) { return unix.Lgetxattr(path, name, b) })
	if err != nil {
		return nil, fmt.Errorf("read extended attribute %s: %w", name, err)
	}
	return value, nil
}

// Set gives path an attribute.
func Set(path, name string, value []byte) error {
	if err := unix.Lsetxattr(path, name, value, 0); err != nil {
		return fmt.Errorf("set extended attribute %s: %w", name, err)
	}
	return nil
}

// Remove takes an attribute away; that it is gone already is no error.
func Remove(path, name string) error {
	err := unix.Lremovexattr(path, name)
	if err != nil && !errors.Is(err, unix.ENODATA) {
		return fmt.Errorf("remove extended attribute %s: %w", name, err)
	}
	return nil
}

// grow calls get with a buffer of n bytes, and with larger ones as long as it says ERANGE.
func grow(n int, get func([]byte) (int, error)) ([]byte, error) {
	for range maxAttempts {
		b := make([]byte, n)
		got, err := get(b)
		if err == nil {
			return b[:got], nil
		}
		if !errors.Is(err, unix.ERANGE) {
			return nil, err
		}
		if n, err = get(nil); err != nil { // with no room the kernel tells the size
			return nil, err
		}
		n = max(n, 1)
	}
	return nil, unix.ERANGE
}
