package index

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Look makes the records of paths, and of nothing below them, what lstat says now, without
// reporting: that they changed is known already, and whoever acts on it looks later than this. Paths
// may be gone. Of a directory that is new the index then holds that it is empty. A path in a directory
// that the index does not hold, or that is not the one it holds, is left to Compare, and so is a
// directory that the index holds and that went or was replaced: what was in it is not known already. Look
// returns which of the paths are unsettled (see Scan), or could not be looked at for a passing reason.
func (x *Index) Look(paths []string) (unsettled []string) {
	if x.root == nil {
		return nil
	}
	root, err := openRoot(x.cfg.Root)
	if err != nil {
		return slices.Clone(paths) // no descriptor, most likely
	}
	defer unix.Close(root)
	now := x.cfg.Now()
	var st unix.Stat_t
	if err := stat(root, &st); err != nil || identityOf(&st) != x.root.id {
		return nil
	}
	l := &lister{x: x}
	m := &merger{x: x, keep: true}
	for group := range siblings(paths) {
		if group[0] == "." {
			x.lookAtRoot(l, &st, now)
			continue
		}
		x.lookInDir(l, m, root, group)
	}
	return l.unsettled
}

// siblings yields the valid paths in groups of one directory each.
func siblings(paths []string) func(func([]string) bool) {
	paths = slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return !validPath(p) })
	slices.SortFunc(paths, func(a, b string) int {
		parentA, nameA := splitPath(a)
		parentB, nameB := splitPath(b)
		if c := strings.Compare(parentA, parentB); c != 0 {
			return c
		}
		return strings.Compare(nameA, nameB)
	})
	paths = slices.Compact(paths)
	return func(yield func([]string) bool) {
		for len(paths) > 0 {
			parent, _ := splitPath(paths[0])
			n := 1
			for n < len(paths) && paths[0] != "." && paths[n] != "." {
				if p, _ := splitPath(paths[n]); p != parent {
					break
				}
				n++
			}
			if !yield(paths[:n]) {
				return
			}
			paths = paths[n:]
		}
	}
}

func (x *Index) lookAtRoot(l *lister, st *unix.Stat_t, now time.Time) {
	x.rootFP = fingerprintOf(st)
	if !settled(st, now) {
		x.rootFP = unknown
		l.unsettled = append(l.unsettled, ".")
	}
}

// lookInDir looks at paths, all in one directory.
func (x *Index) lookInDir(l *lister, m *merger, root int, paths []string) {
	parent, _ := splitPath(paths[0])
	d := x.find(parent)
	if d == nil {
		return
	}
	l.found.reset()
	fd, err := x.openKnown(root, parent, d)
	switch {
	case gone(err):
		for _, path := range paths {
			_, name := splitPath(path)
			_ = l.found.add([]byte(name), absent, unknown, 0)
		}
	case err != nil:
		l.unsettled = append(l.unsettled, paths...)
		return
	case fd < 0:
		return
	default:
		defer unix.Close(fd)
		for _, path := range paths {
			_, name := splitPath(path)
			if l.lookAt(fd, parent, name) != nil {
				return
			}
		}
	}
	l.found.sort()
	m.merge(d, parent, &l.found, true)
}

// openKnown opens the directory at path if it is the one that the index holds as d; -1 if not.
func (x *Index) openKnown(root int, path string, d *dir) (int, error) {
	fd, err := openBelow(root, path, toLook)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err := stat(fd, &st); err != nil || identityOf(&st) != d.id {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
