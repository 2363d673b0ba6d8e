package local

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// spot is where the backup of a name goes.
type spot struct {
	dir  *tree.Dir
	name string
	own  bool // dir is to be closed
}

func (s *spot) close() {
	if s.own {
		s.dir.Close()
	}
}

// spot finds the place for the backup of base, which at holds and which is called name on
// the target.
func (b *backups) spot(at *tree.Dir, base, name string) (spot, error) {
	to := spot{dir: at, name: base + b.t.opts.Suffix}
	if b.t.opts.BackupDir == "" {
		return to, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	if b.dir == nil {
		if b.dir, err = b.t.root.Reach(b.t.opts.BackupDir, true); err != nil {
			return to, err
		}
	}
	to.own = true
	to.dir, err = b.dir.Open(path.Dir(name))
	if isAny(err, unix.ENOENT, unix.ENOTDIR, unix.ELOOP) {
		to.dir, err = b.make(path.Dir(name))
	}
	return to, err
}

// make makes the directory dir below --backup-dir, with owner and mode of its original.
// Whatever else stands there goes (backup.c, copy_valid_path).
func (b *backups) make(dir string) (*tree.Dir, error) {
	at, err := b.dir.Open(".")
	for done := 0; err == nil && done < len(dir); {
		c, _, _ := strings.Cut(dir[done:], "/")
		done += len(c) + 1
		err = b.makeOne(at, c, dir[:done-1])
		if err == nil {
			var next *tree.Dir
			next, err = at.Open(c)
			at.Close()
			at = next
		} else {
			at.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make backup directory: %w", err)
	}
	return at, nil
}

func (b *backups) makeOne(at *tree.Dir, base, name string) error {
	have, err := at.Lstat(base)
	switch {
	case err == nil && have.Mode&unix.S_IFMT == unix.S_IFDIR:
		return nil
	case err == nil:
		err = at.Unlink(base)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err == nil {
		err = at.Mkdir(base, 0o777)
	}
	if err == nil && b.t.opts.Fsync {
		err = at.Sync()
	}
	if err != nil {
		return err
	}
	original, err := b.t.lstat(name)
	if err != nil {
		return nil // it went by itself: its content was backed up nevertheless
	}
	if have, err = at.Lstat(base); err != nil {
		return err
	}
	return at.SetAttrs(base, &have, b.t.attrsOf(&original))
}

// lstat looks at a name below the target's root.
func (t *Target) lstat(name string) (unix.Stat_t, error) {
	at, err := t.root.OpenParent(name)
	if err != nil {
		return unix.Stat_t{}, err
	}
	defer at.Close()
	return at.Lstat(path.Base(name))
}

// attrsOf is what a copy of a name on the target is to have that looks like st.
func (t *Target) attrsOf(st *unix.Stat_t) tree.Attrs {
	a := tree.Attrs{UID: -1, GID: -1, Mode: st.Mode & tree.PermBits}
	if t.opts.Owner && t.id.super {
		a.UID = int(st.Uid)
	}
	if t.opts.Group && (t.id.super || t.id.groups[st.Gid]) {
		a.GID = int(st.Gid)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		a.Times, a.Sec, a.Nsec = t.opts.Times, st.Mtim.Sec, uint32(st.Mtim.Nsec)
	}
	return a
}
