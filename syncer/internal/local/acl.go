package local

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
)

// sameACLs compares the ACLs of path, whose st_mode is mode, with those of e.
func (r *run) sameACLs(path string, e *flist.Entry, mode uint32) (bool, error) {
	want := moreOf(e)
	access, err := r.access(path, mode)
	if err != nil || !meta.EqualAccess(access, want.Access) {
		return false, err
	}
	if !e.IsDir() {
		return true, nil
	}
	standing, err := r.defaults(path)
	return standing.Equal(want.Default), err
}

func (r *run) access(path string, mode uint32) (*meta.ACL, error) {
	if r.t.id.fake {
		return meta.FakeAccess(path, mode)
	}
	return meta.Access(path)
}

func (r *run) defaults(path string) (*meta.ACL, error) {
	if r.t.id.fake {
		return meta.FakeDefault(path)
	}
	return meta.Default(path)
}

// setACLs gives path the ACLs of e.
func (r *run) setACLs(path string, e *flist.Entry, mode uint32) error {
	access, defaults := meta.SetAccess, meta.SetDefault
	if r.t.id.fake {
		access, defaults = meta.SetFakeAccess, meta.SetFakeDefault
	}
	want := moreOf(e)
	if err := aclError(access(path, want.Access, mode)); err != nil || !e.IsDir() {
		return err
	}
	return aclError(defaults(path, want.Default))
}

// aclError passes over a file system that has no ACLs, as rsync does (3.5.0 acls.c,
// no_acl_syscall_error): that the source's are not kept shows in each comparison.
func aclError(err error) error {
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}
