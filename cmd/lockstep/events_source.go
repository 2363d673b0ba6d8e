package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lockstep-sync/lockstep/watcher"
)

// eventSource is one directory that is watched: a PATH, or that of PATHs which are files in it.
type eventSource struct {
	arg       string // a PATH, for messages
	root      string // the directory, absolute, without symlinks
	below     string // what is printed of it, before the names in it
	recursive bool
	files     map[string]*eventFile // by name; nil: all that is in the directory
	without   []string              // directories left out, absolute
	nested    []*eventSource        // PATHs below this one tell of themselves
	moves     eventMoves
	runner    runner
	tell      func(news)
}

// eventMoves are directories that were moved a moment ago. The watcher lists them, and tells of all that
// is in them as found. Of one that was renamed within the source, what was in it before is no news.
type eventMoves struct {
	from uint32 // the cookie of the last name that went away
	to   map[string]eventMove
}

type eventMove struct {
	renamed time.Time // zero: it came from outside
	noted   time.Time
}

// listedFor is how long after a directory was moved the listing of it may be told.
const listedFor = 10 * time.Second

// note takes an event. The two halves of a rename within a tree come one after the other.
func (m *eventMoves) note(s *eventSource, e *watcher.Event) {
	if e.Op&watcher.OpMovedFrom != 0 {
		m.from = e.Cookie
	}
	if e.Op&watcher.OpMovedTo == 0 || !e.Dir {
		return
	}
	now := time.Now()
	maps.DeleteFunc(m.to, func(_ string, move eventMove) bool { return now.Sub(move.noted) > listedFor })
	if m.to == nil {
		m.to = map[string]eventMove{}
	}
	move := eventMove{noted: now}
	if e.Cookie == m.from {
		move.renamed = changeTime(s.abs(e.Path)) // rename(2) sets the ctime of what it renames
	}
	m.to[e.Path] = move
}

// old reports that what was found was there when the directory around it was renamed.
func (m *eventMoves) old(s *eventSource, path string) bool {
	for dir := path; len(m.to) > 0 && dir != "."; dir = filepath.Dir(dir) {
		if move, ok := m.to[dir]; ok && time.Since(move.noted) <= listedFor {
			changed := changeTime(s.abs(path))
			return !changed.IsZero() && changed.Before(move.renamed)
		}
	}
	return false
}

// changeTime is zero for what is not there.
func changeTime(path string) time.Time {
	var st syscall.Stat_t
	if syscall.Lstat(path, &st) != nil {
		return time.Time{}
	}
	return time.Unix(st.Ctim.Unix())
}

// eventFile is a PATH that is a file.
type eventFile struct {
	arg   string
	there bool
}

// occurrence is an event as it is printed.
type occurrence struct {
	watched, name string // %w and %f
	op            watcher.Op
	dir           bool
	cookie        uint32
	found         bool
}

// gone reports that something is no longer watched.
func (o *occurrence) gone() bool { return o.op&(watcher.OpDeleteSelf|watcher.OpUnmount) != 0 }

// sources finds out what the PATHs are.
func (o *eventsOptions) sources() ([]*eventSource, error) {
	var all []*eventSource
	for _, path := range o.paths {
		dir, err := o.place(path)
		if err != nil {
			return nil, fmt.Errorf("couldn't watch %q: %w", path, bare(err))
		}
		all = adopt(all, dir)
	}
	var without []string
	for _, path := range o.without {
		if abs, err := resolved(path); err == nil { // what is not there yet may come
			without = append(without, abs)
		}
	}
	for _, s := range all {
		s.without = without
		for _, other := range all {
			if other != s && other.files == nil && (other.root != s.root || s.files != nil) && inside(other.root, s.root) {
				s.nested = append(s.nested, other)
			}
		}
	}
	return all, nil
}

// adopt adds s, unless it is one that is there: the same directory given twice tells once.
func adopt(all []*eventSource, s *eventSource) []*eventSource {
	for _, have := range all {
		switch {
		case have.root != s.root || (have.files == nil) != (s.files == nil):
			continue
		case s.files == nil:
			return all
		}
		for name, f := range s.files {
			have.files[name] = f
		}
		return all
	}
	return append(all, s)
}

// place makes a source of one PATH.
func (o *eventsOptions) place(path string) (*eventSource, error) {
	link, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if o.noDereference && link.Mode()&fs.ModeSymlink != 0 {
		return fileSource(path, path)
	}
	abs, err := resolved(path)
	if err != nil {
		return nil, err
	}
	st, err := os.Stat(abs)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		return fileSource(path, abs)
	}
	below := path
	// inotifywait prints a symlink to a directory without a slash, unless it goes into it.
	if !strings.HasSuffix(below, "/") && (o.recursive || link.Mode()&fs.ModeSymlink == 0) {
		below += "/"
	}
	return &eventSource{arg: path, root: abs, below: below, recursive: o.recursive}, nil
}

func fileSource(arg, path string) (*eventSource, error) {
	dir, err := resolved(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return &eventSource{arg: arg, root: dir, files: map[string]*eventFile{filepath.Base(path): {arg: arg, there: true}}}, nil
}

func resolved(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// bare is an error without the path, which is told already.
func bare(err error) error {
	if pe, ok := err.(*fs.PathError); ok {
		return pe.Err
	}
	return err
}

// inside reports that path is dir or below it.
func inside(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(dir, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// config is for the watcher of s.
func (s *eventSource) config(o *eventsOptions) watcher.Config {
	return watcher.Config{
		Root:     s.root,
		Shallow:  !s.recursive,
		Ops:      o.wanted() & (watcher.OpOpen | watcher.OpAccess | watcher.OpCloseNoWrite),
		OnEvent:  func(e []watcher.Event) { s.tell(news{from: s, events: e}) },
		Excluded: func(path string, isDir bool) bool { return s.excludes(&o.filter, path, isDir) },
	}
}

// excludes spares watches; it never leaves out what would be told. So of a directory that is
// left out only what is in it counts: its own creation is told by the one above.
func (s *eventSource) excludes(filter *eventFilter, path string, isDir bool) bool {
	if s.files != nil {
		return s.files[path] == nil
	}
	if s.leavesOut(filepath.Dir(s.abs(path))) {
		return true
	}
	return isDir && filter.wantsNoneBelow(s.below+path)
}

func (s *eventSource) abs(path string) string { return filepath.Join(s.root, path) }

func (s *eventSource) leavesOut(dir string) bool {
	for _, w := range s.without {
		// A PATH at or below what is left out is watched nevertheless.
		if inside(dir, w) && !inside(s.root, w) {
			return true
		}
	}
	return false
}

// occurrences is what inotifywait makes of an event.
func (s *eventSource) occurrences(e watcher.Event) []occurrence {
	if e.Op == watcher.OpOverflow {
		return nil
	}
	if s.files != nil {
		return s.ofFile(e)
	}
	s.moves.note(s, &e)
	if e.Found && s.moves.old(s, e.Path) {
		return nil
	}
	o := occurrence{op: e.Op, dir: e.Dir, cookie: e.Cookie, found: e.Found}
	dir := e.Path
	if !e.Self && e.Path != "." {
		dir, o.name = filepath.Split(e.Path)
		dir = filepath.Clean(dir)
	}
	abs := s.abs(dir)
	if s.leavesOut(abs) {
		return nil
	}
	for _, n := range s.nested {
		if abs == n.root || n.recursive && inside(abs, n.root) {
			return nil
		}
	}
	o.watched = s.below
	if dir != "." {
		o.watched += dir + "/"
	}
	return []occurrence{o}
}

// ofFile translates what the directory tells of a file into what the file's own watch would tell.
func (s *eventSource) ofFile(e watcher.Event) []occurrence {
	f := s.files[e.Path]
	if f == nil {
		return nil
	}
	was := f.there
	told := func(ops ...watcher.Op) (out []occurrence) {
		for _, op := range ops {
			out = append(out, occurrence{watched: f.arg, op: op, dir: e.Dir, cookie: e.Cookie, found: e.Found})
		}
		return out
	}
	const own = watcher.OpModify | watcher.OpAttrib | watcher.OpCloseWrite | watcher.OpOpen | watcher.OpAccess | watcher.OpCloseNoWrite
	switch {
	case e.Op&watcher.OpMovedFrom != 0:
		f.there = false
		return told(watcher.OpMoveSelf)
	case e.Op&watcher.OpDelete != 0:
		f.there = false
		return told(watcher.OpAttrib, watcher.OpDeleteSelf) // its count of links changes first
	case e.Op&(watcher.OpMovedTo|watcher.OpCreate) != 0:
		f.there = true
		if was { // it was replaced
			return told(watcher.OpAttrib, watcher.OpDeleteSelf)
		}
		return nil
	case e.Op&own != 0:
		return told(e.Op & own)
	}
	return nil
}
