package local

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// plan is what base in dir is to have to be e, and how that is itemized. have is what of e's
// kind stands there, or nil; dir may be nil with it. done are the flags of what is done
// anyway: where they say that base is made anew, all is set, else what differs.
func (r *run) plan(dir *tree.Dir, base string, e *flist.Entry, have *unix.Stat_t, done int) (tree.Attrs, int, error) {
	want := r.t.attrs(e, have)
	if have == nil && !r.opts.Perms && !e.IsSymlink() {
		want.Mode = e.Mode & r.defaultPerms(dir)
	}
	flags := r.t.flags(e, have, want, done)
	kept := flags&(report.Transfer|report.LocalChange|report.IsNew) == 0
	if kept && want.Times && !e.IsDir() && r.t.sameTime(e, have) && !(e.IsRegular() && r.opts.Checksum) {
		want.Times = false // what is within the window stays (rsync.c, set_file_attrs)
	}
	if !r.opts.ACLs && !r.opts.Xattrs {
		return want, flags, nil
	}
	if have != nil && dir != nil {
		differs, err := r.differsBeside(dir.Path(base), e, have)
		if err != nil {
			return want, flags, err
		}
		flags |= differs
		if kept && differs == 0 && !want.NewOwner(have) { // chown(2) takes capabilities away
			return want, flags, nil
		}
		if kept && e.IsRegular() && differs&report.ReportACL != 0 && !r.opts.DryRun {
			// Its ACL settles a file's mode before rsync looks at it (rsync 3.5.0 generator.c,
			// recv_generator: set_file_attrs comes before itemize).
			flags &^= report.ReportPerms
		}
	}
	mode := want.Mode // a copy: want itself stays off the heap
	want.Beside = func(path string) error { return r.setBeside(path, e, mode) }
	return want, flags, nil
}

// defaultPerms are the permissions that a new name in dir may have, without Perms: those of its
// default ACL, if it has one, which stands for the umask (rsync 3.5.0 acls.c,
// default_perms_for_dir).
func (r *run) defaultPerms(dir *tree.Dir) uint32 {
	perms := 0o777 &^ r.t.opts.Umask
	if dir == nil {
		return perms
	}
	a, err := meta.Default(dir.Path("."))
	if err != nil || a == nil {
		return perms
	}
	group := a.GroupObj
	if a.Mask != meta.Absent {
		group = a.Mask
	}
	return uint32(a.UserObj)<<6 | uint32(group)<<3 | uint32(a.Other)
}

// differsBeside compares what path has beside stat(2) with what e has.
func (r *run) differsBeside(path string, e *flist.Entry, have *unix.Stat_t) (flags int, err error) {
	if r.opts.ACLs && !e.IsSymlink() {
		same, err := r.sameACLs(path, e, have.Mode)
		if err != nil {
			return 0, err
		}
		if !same {
			flags |= report.ReportACL
		}
	}
	if r.opts.Xattrs {
		standing, err := meta.Xattrs(path, r.t.id.root())
		if err != nil {
			return 0, err
		}
		if !slices.EqualFunc(standing, r.xattrs(e), sameXattr) {
			flags |= report.ReportXattr
		}
	}
	return flags, nil
}

// setBeside gives path what e has beside stat(2). mode is what e's name is to have.
func (r *run) setBeside(path string, e *flist.Entry, mode uint32) error {
	if r.opts.Xattrs {
		if err := r.setXattrs(path, e); err != nil {
			return err
		}
	}
	if r.opts.ACLs && !e.IsSymlink() {
		return r.setACLs(path, e, mode)
	}
	return nil
}

const (
	userSpace = "user."
	fakeSpace = "user.rsync." // where --fake-super keeps what is in no user's space
)

// keptXattr is an attribute that a name is to have.
type keptXattr struct {
	meta.Xattr
	source string // what it is called there
}

// xattrs is what e's name is to have on the target: who is not root keeps the user's
// attributes alone, and --fake-super keeps the others under names of its own (rsync 3.5.0
// xattrs.c, receive_xattr).
func (r *run) xattrs(e *flist.Entry) []keptXattr {
	if e.Extra == nil {
		return nil
	}
	kept := make([]keptXattr, 0, len(e.Extra.Xattrs))
	for _, x := range e.Extra.Xattrs {
		k := keptXattr{x, x.Name}
		switch {
		case r.t.id.root() || strings.HasPrefix(x.Name, userSpace):
		case r.t.id.fake:
			k.Name = fakeSpace + x.Name
		default:
			continue
		}
		kept = append(kept, k)
	}
	slices.SortFunc(kept, func(a, b keptXattr) int { return strings.Compare(a.Name, b.Name) })
	return kept
}

func sameXattr(a meta.Xattr, b keptXattr) bool {
	return a.Name == b.Name && a.Size == b.Size && string(a.Data) == string(b.Data)
}

// setXattrs makes the attributes of path those of e.
func (r *run) setXattrs(path string, e *flist.Entry) error {
	standing, err := meta.Xattrs(path, r.t.id.root())
	if err != nil {
		return err
	}
	there := make(map[string]meta.Xattr, len(standing))
	for _, x := range standing {
		there[x.Name] = x
	}
	for _, k := range r.xattrs(e) {
		x, ok := there[k.Name]
		delete(there, k.Name)
		if ok && sameXattr(x, k) {
			continue
		}
		if err := r.setXattr(path, e, k); err != nil {
			return err
		}
	}
	for name := range there {
		if err := meta.Remove(path, name); err != nil {
			return err
		}
	}
	return nil
}

// setXattr gives path the attribute k of e, whose value the list holds only when it is short.
func (r *run) setXattr(path string, e *flist.Entry, k keptXattr) error {
	if k.Size <= meta.MaxInline {
		return meta.Set(path, k.Name, k.Data)
	}
	value, err := r.src.Xattr(e.Name, k.source)
	if err != nil {
		return fmt.Errorf("%w: %w", tree.ErrSource, err)
	}
	return meta.Set(path, k.Name, value)
}

// moreOf is e.Extra, never nil.
func moreOf(e *flist.Entry) *flist.Extra {
	if e.Extra == nil {
		return &flist.Extra{}
	}
	return e.Extra
}
