package syncertest

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxChurnFile = 256 << 10 // what a create or a write makes at most
	maxChurnGrow = 1 << 20   // no append goes beyond that
)

// size picks the size of a file: mostly small, at times none, seldom large.
func (w *churnWriter) size() int {
	switch p := w.rng.IntN(20); {
	case p < 1:
		return 0
	case p < 14:
		return w.rng.IntN(4 << 10)
	case p < 19:
		return w.rng.IntN(32 << 10)
	}
	return w.rng.IntN(maxChurnFile)
}

func (w *churnWriter) noise(size int) []byte {
	buf := make([]byte, size)
	fillNoise(buf, w.rng)
	return buf
}

// withPlace does something at a path.
func (w *churnWriter) withPlace(path string, create bool, do func(place) error) error {
	p, err := at(w.root, path, create)
	if err != nil {
		return err
	}
	defer p.close()
	return do(p)
}

// withFile does something with the regular file at a path, and gives its state before.
func (w *churnWriter) withFile(path string, flags int, do func(*os.File, unix.Stat_t) error) error {
	return w.withPlace(path, false, func(p place) error {
		file, err := p.open(flags)
		if err != nil {
			return err
		}
		var st unix.Stat_t
		err = unix.Fstat(int(file.Fd()), &st)
		if err == nil {
			err = do(file, st)
		}
		return errors.Join(err, file.Close())
	})
}

// create makes or truncates a file; every other time it makes the directories too.
func (w *churnWriter) create(s churnStep) error {
	return w.withPlace(s.path, w.rng.IntN(2) == 0, func(p place) error {
		file, err := p.open(unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC)
		if err != nil {
			return err
		}
		_, err = file.Write(w.noise(w.size()))
		return errors.Join(err, file.Close())
	})
}

// write writes somewhere inside a file, or beyond its end.
func (w *churnWriter) write(s churnStep) error {
	return w.withFile(s.path, unix.O_WRONLY, func(file *os.File, st unix.Stat_t) error {
		offset := w.rng.Int64N(min(st.Size, maxChurnGrow) + 512)
		_, err := file.WriteAt(w.noise(1+w.rng.IntN(4<<10)), offset)
		return err
	})
}

func (w *churnWriter) appendTo(s churnStep) error {
	return w.withFile(s.path, unix.O_WRONLY|unix.O_APPEND, func(file *os.File, st unix.Stat_t) error {
		if st.Size > maxChurnGrow {
			return errMiss
		}
		_, err := file.Write(w.noise(1 + w.rng.IntN(8<<10)))
		return err
	})
}

// appendSlowly keeps a file open between writes, like a log.
func (w *churnWriter) appendSlowly(s churnStep) error {
	return w.withFile(s.path, unix.O_WRONLY|unix.O_APPEND, func(file *os.File, st unix.Stat_t) error {
		if st.Size > maxChurnGrow {
			return errMiss
		}
		pause := time.NewTicker(time.Duration(1+w.rng.IntN(5)) * time.Millisecond)
		defer pause.Stop()
		for range 4 {
			if _, err := file.Write(w.noise(1 + w.rng.IntN(512))); err != nil {
				return err
			}
			<-pause.C
		}
		return nil
	})
}

func (w *churnWriter) truncate(s churnStep) error {
	return w.withFile(s.path, unix.O_WRONLY, func(file *os.File, st unix.Stat_t) error {
		return file.Truncate(w.rng.Int64N(st.Size + 4<<10))
	})
}

// overwrite changes all bytes of a file and not its size.
func (w *churnWriter) overwrite(file *os.File, st unix.Stat_t) error {
	if st.Size == 0 {
		return errMiss
	}
	_, err := file.WriteAt(w.noise(int(st.Size)), 0)
	return err
}

func (w *churnWriter) rewrite(s churnStep) error {
	return w.withFile(s.path, unix.O_WRONLY, w.overwrite)
}

// rewriteWithinSecond leaves the file with another mtime in the same second, which rsync's quick
// check takes for no change.
func (w *churnWriter) rewriteWithinSecond(s churnStep) error {
	return w.withFile(s.path, unix.O_WRONLY, func(file *os.File, st unix.Stat_t) error {
		if err := w.overwrite(file, st); err != nil {
			return err
		}
		return setMtime(file, unix.Timespec{Sec: st.Mtim.Sec, Nsec: w.rng.Int64N(1e9)})
	})
}

// rewriteMtimeBack leaves a file with new bytes that looks untouched.
func (w *churnWriter) rewriteMtimeBack(s churnStep) error {
	return w.withFile(s.path, unix.O_WRONLY, func(file *os.File, st unix.Stat_t) error {
		if err := w.overwrite(file, st); err != nil {
			return err
		}
		return setMtime(file, st.Mtim)
	})
}

// temp is a place beside p that no other writer uses.
func (w *churnWriter) temp(p place) place {
	return place{p.dir, fmt.Sprintf(".churn-%d.tmp", w.id)}
}

// replace puts a new file over what is there, as editors and package managers do.
func (w *churnWriter) replace(s churnStep) error {
	return w.withPlace(s.path, false, func(p place) error {
		temp := w.temp(p)
		file, err := temp.open(unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC)
		if err != nil {
			return err
		}
		_, err = file.Write(w.noise(w.size()))
		return w.putInPlace(temp, p, errors.Join(err, file.Close()))
	})
}

// putInPlace renames temp over p, or removes it if that or what came before failed.
func (w *churnWriter) putInPlace(temp, p place, err error) error {
	if err == nil {
		err = temp.rename(p, 0)
	}
	if err != nil {
		_ = unix.Unlinkat(temp.dir, temp.name, 0) // the first error is the one that counts
	}
	return err
}
