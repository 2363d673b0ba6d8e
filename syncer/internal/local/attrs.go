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
	fake   bool // what only root may give is written down: --fake-super
	groups map[uint32]bool
}

// root says whether all that root may do is done, not written down.
func (id *identity) root() bool { return id.super && !id.fake }

// devices says whether devices can be made, or written down.
func (id *identity) devices() bool { return id.super || id.fake }

func whoAmI() (identity, error) {
	groups, err := unix.Getgroups()
	if err != nil {
		return identity{}, fmt.Errorf("read own groups: %w", err)
	}
	id := identity{super: unix.Geteuid() == 0 || mayChown(), groups: map[uint32]bool{uint32(unix.Getegid()): true}}
	for _, g := range groups {
		id.groups[uint32(g)] = true
	}
	return id, nil
}

// mayChown says that we may give files away without being root: to have CAP_CHOWN is to be meant to
// do as root does.
func mayChown() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_CHOWN) != 0
}

// attrs is what the name of e is to have; have is what stands there, of the same kind,
// or nil (rsync 3.5.0 rsync.c, dest_mode and set_file_attrs; uidlist.c, match_gid).
func (t *Target) attrs(e *flist.Entry, have *unix.Stat_t) tree.Attrs {
	if t.opts.NoImpliedDirs && e.Flags&(flist.Top|flist.Partial) == flist.Top|flist.Partial {
		return t.impliedAttrs(have)
	}
	a := tree.Attrs{UID: -1, GID: -1, Times: t.keepsTime(e), Sec: e.Sec, Nsec: e.Nsec}
	switch {
	case t.opts.Perms:
		a.Mode = e.Mode & tree.PermBits
	case have != nil:
		a.Mode = t.standingMode(e, have)
	default:
		a.Mode = e.Mode & 0o777 &^ t.opts.Umask
	}
	if t.opts.Owner && (t.id.super || t.id.fake) {
		a.UID = int(t.users.local(e.UID))
	}
	if t.opts.Group {
		if gid := t.groups.local(e.GID); t.id.super || t.id.fake || t.id.groups[gid] {
			a.GID = int(gid)
		}
	}
	if t.opts.Atimes && !e.IsDir() && e.Extra != nil && !(e.IsSymlink() && t.opts.OmitLinkTimes) {
		a.Atimes, a.Atime = true, e.Extra.Atime
	}
	if t.id.fake {
		a.Type, a.Rdev = e.Mode&unix.S_IFMT, e.Rdev()
	}
	return a
}

// impliedAttrs are those of a directory that is only there because of what is below it, with
// --no-implied-dirs: its own, or a new directory's.
func (t *Target) impliedAttrs(have *unix.Stat_t) tree.Attrs {
	a := tree.Attrs{UID: -1, GID: -1, Mode: 0o777 &^ t.opts.Umask}
	if have != nil {
		a.Mode = have.Mode & tree.PermBits
	}
	if t.id.fake {
		a.Type = unix.S_IFDIR
	}
	return a
}

// keepsTime says whether the options keep the mtime of names like e.
func (t *Target) keepsTime(e *flist.Entry) bool {
	switch {
	case e.IsDir():
		return t.opts.Times && !t.opts.OmitDirTimes
	case e.IsSymlink():
		return t.opts.Times && !t.opts.OmitLinkTimes
	}
	return t.opts.Times
}

// standingMode is have's own, with Executability as far as e differs in whether it can be
// executed at all: by whoever may read it.
func (t *Target) standingMode(e *flist.Entry, have *unix.Stat_t) uint32 {
	mode := have.Mode & tree.PermBits
	switch {
	case !t.opts.Executability || !e.IsRegular():
	case e.Mode&0o111 == 0:
		mode &^= 0o111
	case mode&0o111 == 0:
		mode |= mode & 0o444 >> 2
	}
	return mode
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
	switch keeps := t.keepsTime(e); {
	case keeps && !t.sameTime(e, have):
		done |= report.ReportTime
	case !keeps && done&(report.Transfer|report.LocalChange) != 0:
		done |= report.ReportTime
		if !t.opts.Times {
			done |= report.TimesOff
		}
	}
	if want.Atimes && !e.IsSymlink() && want.Atime != have.Atim.Sec {
		done |= report.ReportAtime
	}
	if t.differsInMode(e, have, want) {
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

func (t *Target) differsInMode(e *flist.Entry, have *unix.Stat_t, want tree.Attrs) bool {
	switch {
	case e.IsSymlink():
		return false
	case t.opts.Perms:
		return want.Mode != have.Mode&tree.PermBits
	}
	return t.opts.Executability && (have.Mode&0o111 == 0) != (e.Mode&0o111 == 0)
}

// isChange says whether flags are worth a line (rsync.h, SIGNIFICANT_ITEM_FLAGS).
func isChange(flags int) bool {
	return flags&^(report.BasisTypeFollows|report.XnameFollows|report.LocalChange) != 0
}

func itemOf(e *flist.Entry, flags int) report.Item {
	return report.Item{Flags: flags, Mode: e.Mode, Name: e.Name, Link: e.Link(), Size: e.Size, Local: true}
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
