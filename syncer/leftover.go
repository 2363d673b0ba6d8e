package syncer

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// leftoverMax is how many directories are kept in mind one by one. More become the whole tree.
const leftoverMax = 1 << 12

// leftovers are the directories in which a push that ended badly may have left temporary names: a peer
// that was killed had no chance to remove them, nor had one whose disk failed. Their paths are pushed
// again, but nobody would look for names beside them. So the next push does, where it may delete.
type leftovers map[string]bool

// with adds the directories to what is pushed, or the whole tree where there are too many, or where the
// target cannot be looked at in levels.
func (l leftovers) with(paths []Path, levels bool) []Path {
	if len(l) == 0 || slices.Contains(paths, Path{Name: ".", Tree: true}) {
		return paths
	}
	all := append([]Path{}, paths...)
	if len(l) > leftoverMax || !levels {
		return append(all, Path{Name: ".", Tree: true})
	}
	for dir := range l {
		all = append(all, Path{Name: dir, Level: true})
	}
	return all
}

// note learns from how a push of paths ended.
func (l leftovers) note(paths []Path, rep *Report, err error) {
	if err == nil && !rep.Partial && len(rep.Problems) == 0 {
		clear(l)
	}
	switch {
	case err != nil && began(err) || rep.Partial || rep.broke:
		for _, p := range paths {
			l.add(p.Name)
		}
	default:
		for _, p := range rep.Problems {
			switch failedOf(p).Errno {
			case unix.EIO, unix.ENOSPC, unix.EDQUOT, unix.EROFS: // which may have kept a name from being removed, too
				l.add(p.Path)
			}
		}
	}
}

// add keeps the directory in mind that name is in.
func (l leftovers) add(name string) {
	if name != "." && name != "" && len(l) <= leftoverMax {
		l[parent(name)] = true
	}
}

// began says of the error of a push whether anything can have been written before.
func began(err error) bool {
	if errors.Is(err, ErrRoot) {
		return false
	}
	var f *Failure
	if !errors.As(err, &f) {
		return true
	}
	switch f.Code {
	case CodeUsage, CodeSelect, CodeUnsupported, CodeStart, CodeSocket, CodeConTimeout:
		return false
	}
	return true
}
