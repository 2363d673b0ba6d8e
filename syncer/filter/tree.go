package filter

import (
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
)

// maxDirs bounds the directories whose rules are kept. A walk needs those on its way.
const maxDirs = 1 << 14

// Stamp tells one version of a file from another; times are in nanoseconds. The zero Stamp is that
// of a file that is not there.
type Stamp struct {
	Dev, Ino           uint64
	Size, Mtime, Ctime int64
}

// TreeConfig is what a Tree needs beside its rules.
type TreeConfig struct {
	Open Opener
	// Stat gives the version of a file that Open would open now. With it the files are looked at again
	// whenever a rule is asked for; nil: what was read is kept until Forget.
	Stat func(name string) (Stamp, error)
	// Top gives the directory in which the part of the transfer begins that dir belongs to: from there
	// on files are looked for. ok is false where dir is above, or outside. nil: all begins in ".".
	Top func(dir string) (top string, ok bool)
}

// Tree decides about the paths of a tree by a List and by the per-directory files in it. It is safe
// for concurrent use; two goroutines may read the same file.
//
// An error says which file, and where in it, cannot be read or understood: of nothing in its
// directory and below is known then whether it takes part.
type Tree struct {
	cfg  TreeConfig
	base *Dir

	mu       sync.Mutex // guards what follows
	dirs     map[string]known
	forgets  int               // calls of Forget: what was read before one is not kept after it
	included map[string]string // files that per-directory ones merge, with the directory that they count in
}

// known is the rules in a directory, if those above are still from and the files still as seen.
type known struct {
	from, in *Dir
	seen     []seen
}

type seen struct {
	name  string
	stamp Stamp
}

// NewTree makes a Tree of a side's rules.
func NewTree(l *List, side Side, cfg TreeConfig) *Tree {
	if cfg.Top == nil {
		cfg.Top = func(string) (string, bool) { return ".", true }
	}
	return &Tree{cfg: cfg, base: base(l, side), dirs: map[string]known{}, included: map[string]string{}}
}

// Excluded is List.Excluded on the sender's side and List.Protected on the receiver's.
func (t *Tree) Excluded(p string, isDir bool) (bool, error) {
	if p == "." {
		return false, nil
	}
	d, err := t.In(path.Dir(p))
	if err != nil {
		return false, err
	}
	return d.Excluded(p, isDir), nil
}

// In gives the rules for the names in the directory dir.
func (t *Tree) In(dir string) (*Dir, error) {
	d := t.base
	if len(d.merges) == 0 {
		return d, nil
	}
	top, ok := t.cfg.Top(dir)
	if !ok {
		return d, nil
	}
	var err error
	for at := range down(top, dir) {
		if d, err = t.enter(d, at); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// down goes from top to dir, a directory in or below it, both included.
func down(top, dir string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		if !yield(top) || dir == top {
			return
		}
		start := len(top) + 1
		if top == "." {
			start = 0
		}
		for i := start; i < len(dir); i++ {
			if dir[i] == '/' && !yield(dir[:i]) {
				return
			}
		}
		yield(dir)
	}
}

// enter gives the rules in dir, from being those in the directory above.
func (t *Tree) enter(from *Dir, dir string) (*Dir, error) {
	t.mu.Lock()
	k, ok := t.dirs[dir]
	forgets := t.forgets
	t.mu.Unlock()
	if ok && k.from == from && t.isFresh(k.seen) {
		return k.in, nil
	}
	k = known{from: from}
	open := func(name string) (io.ReadCloser, error) {
		if t.cfg.Stat != nil { // before reading: a change meanwhile will show
			stamp, err := t.cfg.Stat(name)
			if err != nil {
				return nil, err
			}
			k.seen = append(k.seen, seen{name, stamp})
			if stamp == (Stamp{}) {
				return nil, fs.ErrNotExist
			}
		}
		return t.cfg.Open(name)
	}
	in, included, err := from.enter(dir, open)
	k.in = in
	t.keep(dir, k, included, forgets)
	return in, err
}

func (t *Tree) isFresh(files []seen) bool {
	for _, f := range files {
		if now, err := t.cfg.Stat(f.name); err != nil || now != f.stamp {
			return false
		}
	}
	return true
}

// keep remembers what entering dir gave, if it succeeded, and the files that were merged in any case.
func (t *Tree) keep(dir string, k known, included []string, forgets int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range included {
		at, known := t.included[name]
		switch {
		case known:
			t.included[name] = common(at, dir)
		case len(t.included) < maxDirs:
			t.included[name] = dir
		}
	}
	if k.in == nil || forgets != t.forgets {
		return
	}
	if len(t.dirs) >= maxDirs {
		clear(t.dirs)
	}
	t.dirs[dir] = k
}

// common is the directory that both are in or below.
func common(a, b string) string {
	for !isBelow(b, a) {
		a = path.Dir(a)
	}
	return a
}

// isBelow says whether p is dir or below it.
func isBelow(p, dir string) bool {
	return dir == "." || strings.HasPrefix(p, dir) && (len(p) == len(dir) || p[len(dir)] == '/')
}

// Forget drops what was read in dir, and with it what was derived from that below.
func (t *Tree) Forget(dir string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forgets++
	delete(t.dirs, dir)
	if dir == "." {
		clear(t.dirs)
	}
}

// RuleFile says whether p is what a file of rules is called where p is, or is merged by one, and if so,
// in and below which directory it counts. Nothing is forgotten yet.
func (t *Tree) RuleFile(p string) (dir string, ok bool) {
	if len(t.base.merges) == 0 || p == "." {
		return "", false
	}
	t.mu.Lock()
	dir, ok = t.included[p]
	t.mu.Unlock()
	if ok {
		return dir, true
	}
	dir = path.Dir(p)
	for at := dir; ; at = path.Dir(at) {
		d, err := t.In(at)
		switch {
		case err == nil:
			return dir, d.looksFor(path.Base(p))
		case at == ".": // perhaps p is what cannot be read: what is looked for above is looked for here, too
			return dir, t.base.looksFor(path.Base(p))
		}
	}
}
