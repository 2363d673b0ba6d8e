package syncertest

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// outsideSlots is how many names Outside has: few, so that what goes out comes back.
const outsideSlots = 8

// withPlaces does something with two paths.
func (w *churnWriter) withPlaces(from, to string, do func(from, to place) error) error {
	return w.withPlace(from, false, func(a place) error {
		return w.withPlace(to, false, func(b place) error { return do(a, b) })
	})
}

func (w *churnWriter) slot() place {
	return place{w.outside, fmt.Sprintf("slot %d", w.rng.IntN(outsideSlots))}
}

// mkdir makes a directory with all above it and, at once, files and a directory inside: whoever
// watches the parent has no watch on it yet.
func (w *churnWriter) mkdir(s churnStep) error {
	inside := path.Join(s.path, w.names.dir(w.rng), "x")
	return w.withPlace(inside, true, func(p place) error {
		for range w.rng.IntN(4) {
			leaf := place{p.dir, w.names.leaf(w.rng)}
			file, err := leaf.open(unix.O_WRONLY | unix.O_CREAT)
			if err != nil {
				return err
			}
			_, err = file.Write(w.noise(w.size()))
			if err := errors.Join(err, file.Close()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *churnWriter) renameWithin(s churnStep) error {
	to := path.Join(path.Dir(s.path), path.Base(s.to))
	return w.withPlaces(s.path, to, func(from, to place) error { return from.rename(to, 0) })
}

// rename goes anywhere, and over whatever is there.
func (w *churnWriter) rename(s churnStep) error {
	return w.withPlaces(s.path, s.to, func(from, to place) error { return from.rename(to, 0) })
}

func (w *churnWriter) renameDir(s churnStep) error {
	return w.withPlaces(s.path, s.to, func(from, to place) error {
		st, err := from.lstat()
		if err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return errMiss
		}
		return from.rename(to, 0)
	})
}

// renameAndWrite goes on writing to a file under its new name.
func (w *churnWriter) renameAndWrite(s churnStep) error {
	return w.withPlaces(s.path, s.to, func(from, to place) error {
		file, err := from.open(unix.O_WRONLY | unix.O_APPEND)
		if err != nil {
			return err
		}
		err = from.rename(to, 0)
		if err == nil {
			_, err = file.Write(w.noise(1 + w.rng.IntN(512)))
		}
		return errors.Join(err, file.Close())
	})
}

func (w *churnWriter) exchange(s churnStep) error {
	return w.withPlaces(s.path, s.to, func(from, to place) error { return from.rename(to, unix.RENAME_EXCHANGE) })
}

func (w *churnWriter) moveOut(s churnStep) error {
	return w.withPlace(s.path, false, func(p place) error {
		if err := w.checkSmall(p); err != nil {
			return err
		}
		return p.rename(w.slot(), 0)
	})
}

func (w *churnWriter) moveIn(s churnStep) error {
	return w.withPlace(s.path, false, func(p place) error { return w.slot().rename(p, 0) })
}

func (w *churnWriter) unlink(s churnStep) error {
	return w.withPlace(s.path, false, func(p place) error { return unix.Unlinkat(p.dir, p.name, 0) })
}

func (w *churnWriter) removeTree(s churnStep) error {
	return w.withPlace(s.path, false, func(p place) error {
		if err := w.checkSmall(p); err != nil {
			return err
		}
		return removeTree(p.dir, p.name)
	})
}

// chmod picks from modes that root alone can live with, or from those that leave an owner his
// access.
func (w *churnWriter) chmod(s churnStep) error {
	files := []uint32{0o644, 0o600, 0o640, 0o755, 0o750, 0o664}
	dirs := []uint32{0o755, 0o700, 0o775, 0o1777, 0o2755}
	if w.isRoot {
		files = append(files, 0, 0o400, 0o111, 0o4755, 0o2755, 0o6711, 0o1644)
		dirs = append(dirs, 0, 0o555, 0o311, 0o4755)
	}
	file, dir := files[w.rng.IntN(len(files))], dirs[w.rng.IntN(len(dirs))]
	return w.withPlace(s.path, false, func(p place) error { return p.chmod(file, dir) })
}

// chown picks owners with names and without.
func (w *churnWriter) chown(s churnStep) error {
	ids := []int{0, 1, 33, 1000, 12345, 65534}
	uid, gid := ids[w.rng.IntN(len(ids))], ids[w.rng.IntN(len(ids))]
	return w.withPlace(s.path, false, func(p place) error {
		return unix.Fchownat(p.dir, p.name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// touch sets an mtime between 2001 and 2033.
func (w *churnWriter) touch(s churnStep) error {
	mtime := unix.Timespec{Sec: 1e9 + w.rng.Int64N(1e9), Nsec: w.rng.Int64N(1e9)}
	return w.withPlace(s.path, false, func(p place) error {
		times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, mtime}
		return unix.UtimesNanoAt(p.dir, p.name, times, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// linkTarget picks what a symlink holds: something in the tree, or nothing that is there.
func (w *churnWriter) linkTarget() string {
	targets := []string{
		w.names.leaf(w.rng), w.names.dir(w.rng), w.names.pick(w.rng, leafPath), ".", "no such",
		strings.Repeat("long/", 200) + "target",
	}
	if !w.PlainLinks {
		targets = append(targets, "..", "../"+w.names.pick(w.rng, leafPath), "../../../..", "/", "/etc/passwd", "a/../../b")
	}
	return targets[w.rng.IntN(len(targets))]
}

func (w *churnWriter) symlink(s churnStep) error {
	return w.withPlace(s.path, false, func(p place) error { return unix.Symlinkat(w.linkTarget(), p.dir, p.name) })
}

// swapSymlink points a name somewhere else in one step, as deployments do.
func (w *churnWriter) swapSymlink(s churnStep) error {
	return w.withPlace(s.path, false, func(p place) error {
		temp := w.temp(p)
		return w.putInPlace(temp, p, unix.Symlinkat(w.linkTarget(), temp.dir, temp.name))
	})
}

func (w *churnWriter) mkfifo(s churnStep) error {
	return w.withPlace(s.path, false, func(p place) error { return unix.Mknodat(p.dir, p.name, unix.S_IFIFO|0o640, 0) })
}
