package source

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
)

// Reach says in how far a name takes part, before any rule is asked.
type Reach uint8

const (
	Outside Reach = iota
	Above         // a directory above something that takes part: rsync's implied directory
	Alone         // takes part, but what is in it does not
	Inside        // takes part with all that is in it
)

// Scope is the part of a tree that the user named: all of it, one name, or those of
// --files-from. The zero value is all of it. It does not change.
type Scope struct {
	prefix  string
	recurse bool
	slash   bool             // the prefix was written with a slash at its end
	dot     bool             // the root itself is an implied directory
	files   map[string]named // nil: no list
	order   []string
	above   map[string]bool
}

// named is a name of --files-from.
type named struct {
	slash bool // written with a slash at its end: a symlink is followed, and a directory's names take part
}

// PrefixScope is the scope of a single name with all that is below it, "" for everything. slash
// says that it was written with a slash at its end, so that it is followed if it is a symlink;
// dot that it was written with "./" before it, which makes the root an implied directory.
func PrefixScope(prefix string, slash, dot bool) *Scope {
	s := &Scope{prefix: prefix, recurse: true, slash: slash, dot: dot}
	s.addAbove(prefix)
	return s
}

// FileScope is the scope of --files-from: the named files, and the named directories with
// all that is below them where recurse says so. Without it a directory comes alone; with a slash
// at the end of its name, with what is directly in it (rsync(1), --files-from).
func FileScope(names []string, recurse bool) (*Scope, error) {
	s := &Scope{recurse: recurse, files: make(map[string]named, len(names))}
	var errs []error
	for _, written := range names {
		name, slash, dot, err := cleanName(written)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		old, known := s.files[name]
		s.files[name] = named{slash: slash || old.slash}
		s.dot = s.dot || dot
		if !known {
			s.order = append(s.order, name)
			s.addAbove(name)
		}
	}
	slices.Sort(s.order)
	return s, errors.Join(errs...)
}

// cleanName reads a name of --files-from: below the source whatever it says, as in rsync.
// dot is that it begins with "./".
func cleanName(written string) (name string, slash, dot bool, err error) {
	if i := strings.Index(written, "/./"); i > 0 && strings.Trim(written[:i], "./") != "" && strings.Trim(written[i:], "./") != "" {
		return "", false, false, fmt.Errorf("%q in --files-from: a name that is cut by /./ is not supported", written)
	}
	// A ".." at the beginning leads nowhere: the source is the root.
	name = strings.TrimPrefix(path.Clean("/"+written), "/")
	if name == "" {
		return ".", true, false, nil
	}
	slash = strings.HasSuffix(written, "/") || strings.HasSuffix(written, "/.")
	if err := beneath.Check(name); err != nil {
		return "", false, false, fmt.Errorf("%q in --files-from: %w", written, err)
	}
	return name, slash, strings.HasPrefix(written, "./"), nil
}

func (s *Scope) addAbove(name string) {
	if name == "" || name == "." {
		return
	}
	if s.above == nil {
		s.above = map[string]bool{}
	}
	for dir := path.Dir(name); dir != "." && !s.above[dir]; dir = path.Dir(dir) {
		s.above[dir] = true
	}
	if s.dot {
		s.above["."] = true
	}
}

// Everything says that no name is outside.
func (s *Scope) Everything() bool { return s == nil || s.prefix == "" && s.files == nil }

// Implies says that not all of it is below one name: directories above it, or several names.
func (s *Scope) Implies() bool { return s != nil && (s.files != nil || len(s.above) > 0) }

// Named are the cleaned names of --files-from; nil without it.
func (s *Scope) Named() []string {
	if s == nil {
		return nil
	}
	return s.order
}

// Of is name's reach.
func (s *Scope) Of(name string) Reach {
	switch {
	case s.Everything():
		return Inside
	case s.files != nil:
		return s.ofFile(name)
	case name == s.prefix || strings.HasPrefix(name, s.prefix+"/"):
		return Inside
	case s.above[name]:
		return Above
	}
	return Outside
}

func (s *Scope) ofFile(name string) Reach {
	if f, ok := s.files[name]; ok {
		if s.recurse || f.slash {
			return Inside
		}
		return Alone
	}
	for dir := name; dir != "."; {
		dir = path.Dir(dir)
		f, ok := s.files[dir]
		switch {
		case ok && s.recurse:
			return Inside
		case ok && f.slash && dir == path.Dir(name):
			return Alone
		}
	}
	if s.above[name] || name == "." && s.dot {
		return Above
	}
	return Outside
}

// whole says that everything below dir takes part.
func (s *Scope) whole(dir string) bool {
	return s.Everything() || s.Of(dir) == Inside && (s.files == nil || s.recurse)
}

// holds says whether name, which is missing, is to be missing on the target: rsync deletes in
// directories whose content is listed, never in implied ones. A source that is a single file is
// held by itself.
func (s *Scope) holds(name string) bool {
	return s.Of(path.Dir(name)) == Inside || !s.Implies() && name == s.prefix
}

// follows says whether name is followed if it is a symlink to a directory: the implied
// directories are directories on the target (rsync(1), --relative), and a slash asks for it.
func (s *Scope) follows(name string) bool {
	if s.Everything() {
		return false
	}
	return s.files[name].slash || s.slash && name == s.prefix || s.Of(name) == Above
}

// below are the named files at or below the implied directory dir.
func (s *Scope) below(dir string) []string {
	if s.files == nil {
		return []string{s.prefix}
	}
	var names []string
	for _, name := range s.order {
		if dir == "." || strings.HasPrefix(name, dir+"/") {
			names = append(names, name)
		}
	}
	return names
}
