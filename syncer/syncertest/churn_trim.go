package syncertest

import (
	"errors"

	"golang.org/x/sys/unix"
)

// trimStream is the random stream of trimming; writers have the streams 0, 1, 2, ...
const trimStream = 1 << 32

// trimInterval is how many tries may pass between two looks at the size of the tree. A look costs
// as much as the tree is large.
func (r *churnRun) trimInterval() int64 { return int64(max(64, r.MaxEntries/8)) }

// trim removes random entries once there are more than MaxEntries, until seven eighths of that are
// left: one by one, and of the directories only empty ones, so that it takes no more than it should.
// Only one writer trims at a time; the others go on.
func (r *churnRun) trim() error {
	if !r.trimming.TryLock() {
		return nil
	}
	defer r.trimming.Unlock()
	if err := r.trimDir(r.root); err != nil {
		return err
	}
	if r.outside >= 0 {
		return r.trimDir(r.outside)
	}
	return nil
}

func (r *churnRun) trimDir(root int) error {
	all, err := listTree(root, ".", "")
	if err != nil {
		return r.harmless(err)
	}
	if len(all) <= r.MaxEntries {
		return nil
	}
	r.trimRNG.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	excess := len(all) - r.MaxEntries*7/8
	for _, path := range all {
		if excess <= 0 {
			return nil
		}
		p, err := at(root, path, false)
		if err != nil {
			continue // a writer was faster
		}
		err = unix.Unlinkat(p.dir, p.name, 0)
		if errors.Is(err, unix.EISDIR) {
			err = unix.Unlinkat(p.dir, p.name, unix.AT_REMOVEDIR)
		}
		p.close()
		if err == nil {
			excess--
		}
		if err := r.harmless(err); err != nil {
			return err
		}
	}
	return nil
}

// harmless drops the errors of a race with the writers.
func (r *churnRun) harmless(err error) error {
	switch {
	case err == nil, gone(err), errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EISDIR):
		return nil
	case !r.isRoot && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)):
		return nil
	}
	return err
}

// checkSmall keeps writers from taking away so large a part of the tree at once that little is
// left to work on.
func (r *churnRun) checkSmall(p place) error {
	st, err := p.lstat()
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return err
	}
	below, err := listTree(p.dir, p.name, "")
	if err != nil {
		return err
	}
	if len(below) > max(r.MaxEntries/8, 8) {
		return errMiss
	}
	return nil
}
