package local

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// identity is what this process may give away.
type identity struct {
	super  bool
	groups map[uint32]bool
}

func whoAmI() (identity, error) {
	groups, err := unix.Getgroups()
	if err != nil {
		return identity{}, fmt.Errorf("read own groups: %w", err)
	}
	id := identity{super: unix.Geteuid() == 0, groups: map[uint32]bool{uint32(unix.Getegid()): true}}
	for _, g := range groups {
		id.groups[uint32(g)] = true
	}
	return id, nil
}

// attrs is what the name of e is to have; have is what stands there, of the same kind,
// or nil (rsync 3.5.0 rsync.c, dest_mode and set_file_attrs; uidlist.c, match_gid).
func (t *Target) attrs(e *flist.Entry, have *unix.Stat_t) tree.Attrs {
	a := tree.Attrs{UID: -1, GID: -1, Times: t.opts.Times, Sec: e.Sec, Nsec: e.Nsec}
	switch {
	case t.opts.Perms:
		a.Mode = e.Mode & tree.PermBits
	case have != nil:
		a.Mode = have.Mode & tree.PermBits
	default:
		a.Mode = e.Mode & 0o777 &^ t.opts.Umask
	}
	if t.opts.Owner && t.id.super {
		a.UID = int(e.UID)
	}
	if t.opts.Group && (t.id.super || t.id.groups[e.GID]) {
		a.GID = int(e.GID)
	}
	return a
}

// flags are the itemized differences between e and have, added to what is done anyway;
// have nil is a new name (rsync 3.5.0 generator.c, itemize).
func (t *Target) flags(e *flist.Entry, have *unix.Stat_t, want tree.Attrs, done int) int {
	if have == nil {
		return done | report.IsNew
	}
	if e.IsRegular() && e.Size != have.Size {
		done |= report.ReportSize
	}
	switch {
	case want.Times && !t.grains.same(e, have):
		done |= report.ReportTime
	case !want.Times && done&(report.Transfer|report.LocalChange) != 0:
		done |= report.ReportTime | report.TimesOff
	}
	if t.opts.Perms && !e.IsSymlink() && want.Mode != have.Mode&tree.PermBits {
		done |= report.ReportPerms
	}
	if want.UID >= 0 && uint32(want.UID) != have.Uid {
		done |= report.ReportOwner
	}
	if want.GID >= 0 && uint32(want.GID) != have.Gid {
		done |= report.ReportGroup
	}
	return done
}

// isChange says whether flags are worth a line (rsync.h, SIGNIFICANT_ITEM_FLAGS).
func isChange(flags int) bool {
	return flags&^(report.BasisTypeFollows|report.XnameFollows|report.LocalChange) != 0
}

func itemOf(e *flist.Entry, flags int) report.Item {
	return report.Item{Flags: flags, Mode: e.Mode, Name: e.Name, Link: e.Link, Size: e.Size, Local: true}
}

// kind groups types as rsync does: what is replaced by its own kind is no new name.
func kind(mode uint32) uint32 {
	switch t := mode & unix.S_IFMT; t {
	case unix.S_IFBLK:
		return unix.S_IFCHR
	case unix.S_IFSOCK:
		return unix.S_IFIFO
	default:
		return t
	}
}

// kindName is what rsync calls the kind of a name that wants a place.
func kindName(mode uint32) string {
	switch kind(mode) {
	case unix.S_IFREG:
		return "regular file"
	case unix.S_IFLNK:
		return "symlink"
	case unix.S_IFCHR:
		return "device file"
	case unix.S_IFDIR:
		return "directory"
	}
	return "special file"
}
