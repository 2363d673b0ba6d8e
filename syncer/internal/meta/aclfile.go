package meta

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	accessName  = "system.posix_acl_access"
	defaultName = "system.posix_acl_default"
)

// Access reads the access ACL; nil when the mode says it all.
func Access(path string) (*ACL, error) {
	a, err := readACL(path, accessName)
	if a.Minimal() {
		return nil, err
	}
	return a, err
}

// Default reads the ACL that new names in a directory get; nil when there is none.
func Default(path string) (*ACL, error) { return readACL(path, defaultName) }

func readACL(path, name string) (*ACL, error) {
	b, err := Value(path, name)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(b) == aclHeader {
		return nil, nil // no entries: the kernel takes such an ACL as none
	}
	a, err := ParseACL(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return a, nil
}

// SetAccess gives path the access ACL a, and with it the permission bits of mode; nil takes
// away what is beyond the mode.
func SetAccess(path string, a *ACL, mode uint32) error {
	if a.Minimal() {
		return removeACL(path, accessName)
	}
	return Set(path, accessName, a.WithMode(mode).Append(nil))
}

// SetDefault gives a directory a default ACL; nil takes it away.
func SetDefault(path string, a *ACL) error {
	if a == nil {
		return removeACL(path, defaultName)
	}
	return Set(path, defaultName, a.Append(nil))
}

func removeACL(path, name string) error {
	err := Remove(path, name)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}
