package local

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

const (
	// dirsAhead is how many directories of the source are read before the walk comes to them: it
	// works on the target meanwhile.
	dirsAhead = 16
	// largeDir is from how many entries on a directory is not read ahead of: a few large ones
	// would fill the memory.
	largeDir = 2000
)

// listing is what reading a directory of the source came to.
type listing struct {
	dir      string
	crosses  bool // it is on another file system, and not to be read
	entries  []flist.Entry
	problems []report.Problem
	err      error
	taken    chan struct{} // of a large one: closed when the walk has it
}

func list(src *source.Tree, dir string) listing {
	if src.Crosses(dir) {
		return listing{dir: dir, crosses: true}
	}
	entries, problems, err := src.ReadDir(dir)
	return listing{dir: dir, entries: entries, problems: problems, err: err}
}

// judge says what a directory of the source holds. complete says that a name that is not in the
// list is not in the directory, or is to be deleted all the same if it is not found there. The
// error says that the directory is gone. What else went wrong goes to problem.
func (r *run) judge(l *listing, problem func(path string, err error)) (entries []flist.Entry, complete bool, err error) {
	if errors.Is(l.err, fs.ErrNotExist) {
		return nil, false, l.err
	}
	complete = !l.crosses && (l.err == nil && len(l.problems) == 0 || r.opts.IgnoreErrors)
	if l.err != nil {
		problem(l.dir, l.err)
		complete = complete && !errors.Is(l.err, source.ErrUnmounted) && !errors.Is(l.err, source.ErrRules)
	}
	for _, p := range l.problems {
		problem(p.Path, p.Err)
		complete = complete && !errors.Is(p.Err, source.ErrUnmounted)
	}
	return l.entries, complete, nil
}

// ahead reads directories in the order of a walk. It is for one goroutine.
type ahead struct {
	src      *source.Tree
	listings chan listing
	cancel   context.CancelFunc
	reading  sync.WaitGroup
}

// readAhead begins to read top and what is below it. The caller stops it.
func readAhead(ctx context.Context, src *source.Tree, top string) *ahead {
	a := &ahead{src: src, listings: make(chan listing, dirsAhead)}
	ctx, a.cancel = context.WithCancel(ctx)
	a.reading.Go(func() {
		defer close(a.listings)
		a.read(ctx, top)
	})
	return a
}

func (a *ahead) stop() {
	a.cancel()
	a.reading.Wait()
}

// read lists dir and what is below it, as far as the walk may come. False: it is over.
func (a *ahead) read(ctx context.Context, dir string) bool {
	if ctx.Err() != nil {
		return false
	}
	l := list(a.src, dir)
	var dirs []string // noted now: the entries are the walk's once they are sent
	for i := range l.entries {
		if l.entries[i].IsDir() {
			dirs = append(dirs, l.entries[i].Name)
		}
	}
	if len(l.entries) >= largeDir {
		l.taken = make(chan struct{})
	}
	select {
	case a.listings <- l:
	case <-ctx.Done():
		return false
	}
	if l.taken != nil {
		select {
		case <-l.taken:
		case <-ctx.Done():
			return false
		}
	}
	for _, d := range dirs {
		if !a.read(ctx, d) {
			return false
		}
	}
	return true
}

// next is the listing of dir. Those before it, which the walk passed by, are dropped.
func (a *ahead) next(dir string) listing {
	for l := range a.listings {
		if l.taken != nil {
			close(l.taken)
		}
		if l.dir == dir {
			return l
		}
	}
	return list(a.src, dir)
}
