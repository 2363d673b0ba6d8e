package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
)

// ErrRules says that a per-directory file of filter rules cannot be read or understood. It never is
// fs.ErrNotExist, though a file that such a file names may be missing.
var ErrRules = errors.New("filter rules")

func rulesError(err error) error {
	if err == nil || errors.Is(err, ErrRules) {
		return err
	}
	return fmt.Errorf("%w: %v", ErrRules, err)
}

// Rules are the filter rules of the source as t reads them; what was read once counts until t is closed.
func (t *Tree) Rules() *filter.Tree { return t.rules }

// excluded says whether a rule leaves out name.
func (t *Tree) excluded(name string, isDir bool) (bool, error) {
	out, err := t.rules.Excluded(name, isDir)
	return out, rulesError(err)
}

// hides is excluded where a name of which that is not known may be left out: a look at the directory will tell.
func (t *Tree) hides(name string, isDir bool) bool {
	out, err := t.excluded(name, isDir)
	return out || err != nil
}

// WatchRules are the rules of the source at root beyond one push: nothing is held open, and what was
// read is looked at again whenever they are asked.
func WatchRules(root string, opts Options) *filter.Tree {
	scope := opts.Scope
	if scope == nil {
		scope = PrefixScope(opts.Prefix, false, false)
	}
	return filter.NewTree(opts.Filter, filter.Sender, filter.TreeConfig{
		Open: func(name string) (io.ReadCloser, error) {
			t, err := Open(root, opts)
			if err != nil {
				return nil, err
			}
			defer t.Close()
			return t.openRules(name)
		},
		Stat: func(name string) (filter.Stamp, error) { return stampOf(root, name) },
		Top:  scope.begins,
	})
}

// stampOf looks at a file of rules, following symlinks as opening it does.
func stampOf(root, name string) (filter.Stamp, error) {
	if !path.IsAbs(name) {
		name = filepath.Join(root, name)
	}
	var st unix.Stat_t
	switch err := unix.Stat(name, &st); {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return filter.Stamp{}, nil
	case err != nil:
		return filter.Stamp{}, err
	}
	return filter.Stamp{Dev: st.Dev, Ino: st.Ino, Size: st.Size, Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano()}, nil
}

// openRules opens a file of filter rules: name is one in the transfer, or absolute. As in rsync a
// symlink is followed, and a directory of that name is none; but within the tree no symlink leads out.
func (t *Tree) openRules(name string) (io.ReadCloser, error) {
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY
	fd, err := -1, error(nil)
	if path.IsAbs(name) {
		fd, err = unix.Open(name, flags|unix.O_CLOEXEC, 0)
	} else if fd, err = t.openPath(name, flags); errors.Is(err, unix.ELOOP) {
		at, rel := t.at(name)
		fd, err = beneath.OpenFollowing(at, rel, flags)
	}
	return RuleFile(fd, err)
}

// RuleFile makes of an open(2) of a file of rules what a filter.Opener gives.
func RuleFile(fd int, err error) (io.ReadCloser, error) {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return nil, fs.ErrNotExist
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("a symlink that leads out of the tree, or in a circle: %w", err)
	case err != nil:
		return nil, err
	}
	f := beneath.NewFile(fd)
	st, err := f.Stat()
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
		return f, nil
	}
	f.Close()
	switch {
	case err != nil:
		return nil, err
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return nil, fs.ErrNotExist
	}
	return nil, errors.New("it is no regular file")
}

// begins gives the directory in which the part of the transfer begins that has dir in it, as
// filter.TreeConfig wants it: rsync looks for files of rules in the directories that it goes through,
// not in those above.
func (s *Scope) begins(dir string) (top string, ok bool) {
	switch {
	case s.Everything():
		return ".", true
	case s.files == nil:
		return s.prefix, isAt(dir, s.prefix)
	}
	for end := 0; ; end++ {
		if end < len(dir) && dir[end] != '/' {
			continue
		}
		if f, named := s.files[dir[:end]]; named && (s.recurse || f.slash && end == len(dir)) {
			return dir[:end], true
		}
		if end == len(dir) {
			break
		}
	}
	f, named := s.files["."]
	return ".", named && (s.recurse || f.slash && dir == ".")
}

// TargetBegins is the same for a target: a receiver looks in all directories of the list, implied ones too.
func (t *Tree) TargetBegins(dir string) (top string, ok bool) {
	switch {
	case t.scope.Of(".") != Outside:
		return ".", true
	case dir == ".":
		return "", false
	}
	top, _, _ = strings.Cut(dir, "/")
	return top, true
}

// isAt says whether name is dir or below it.
func isAt(name, dir string) bool {
	return name == dir || len(name) > len(dir) && name[len(dir)] == '/' && name[:len(dir)] == dir
}
