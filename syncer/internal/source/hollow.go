package source

import (
	"context"
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
)

// Hollow says whether the directory dir holds nothing that takes part but directories, down to
// the last of them. One that kept names is something, and what cannot be read may be.
func (t *Tree) Hollow(ctx context.Context, dir string, kept func(dir string) bool) (bool, error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if t.opts.Unmounted[dir] || t.Crosses(dir) {
		return false, nil
	}
	fd, err := t.openPath(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return false, nil
	}
	if !t.isMounted(dir, fd) {
		unix.Close(fd)
		return false, nil
	}
	full := false
	var dirs []string
	err = eachName(fd, func(base []byte, _ uint64, kind uint8) {
		name := Join(dir, string(base))
		switch {
		case full:
		case kind == unix.DT_DIR:
			dirs = append(dirs, name)
		default:
			e, err := t.Lstat(name)
			if err == nil && e.IsDir() { // a symlink that is followed
				dirs = append(dirs, name)
				return
			}
			full = err != nil && !errors.Is(err, fs.ErrNotExist) || err == nil && t.lists(&e)
		}
	})
	unix.Close(fd)
	if full || err != nil {
		return false, nil
	}
	for _, name := range dirs {
		switch out, err := t.excluded(name, true); {
		case err != nil:
			return false, nil
		case out:
			continue
		}
		if kept(name) {
			return false, nil
		}
		if hollow, err := t.Hollow(ctx, name, kept); !hollow || err != nil {
			return false, err
		}
	}
	return true, nil
}

// lists says whether e, which is no directory, is listed with the directory that it is in.
func (t *Tree) lists(e *flist.Entry) bool {
	out, err := t.excluded(e.Name, false)
	return err != nil || !out && t.takesPart(e) && t.scope.Of(e.Name) >= Alone
}
