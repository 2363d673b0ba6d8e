package places

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer"
)

// Sync is a source and its targets, as they were written, and what of the options counts for where it
// reads and writes.
type Sync struct {
	Source  string
	Targets []string
	Port    int // of daemons that the target names without one

	Delete, OneFileSystem bool
	Relative, Listed      bool // -R; --files-from
}

// Check refuses a sync that would harm itself or the machine.
func Check(s Sync) error {
	table := readMounts()
	src, content := s.source()
	from := table.at(src)
	var errs []error
	for _, target := range s.Targets {
		t, err := syncer.ParseTarget(target)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if t.Remote() {
			if t.Shell() && strings.HasPrefix(t.Path, "/") && path.Clean(t.Path) == "/" {
				errs = append(errs, isRoot(target))
			}
			continue
		}
		errs = append(errs, s.apart(table, &from, content, t.Path))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.distinct()
}

// distinct refuses two targets that are in one another.
func (s *Sync) distinct() error {
	e, err := s.entry()
	if err != nil {
		return err
	}
	for i := range e.Targets {
		for k := range i {
			if e.Targets[i].meets(&e.Targets[k]) {
				return fmt.Errorf("target %q and target %q are one place, or in one another: each is to be a place of its own", e.Targets[k].Written, e.Targets[i].Written)
			}
		}
	}
	return nil
}

func isRoot(target string) error {
	return fmt.Errorf("target %q is the root of the machine: all of it would be written over; name a directory below it", target)
}

// apart refuses a local target where the source is, also through symlinks and mounts.
func (s *Sync) apart(table mounts, from *place, content bool, target string) error {
	dir, root := table.at(resolved(target)), table.at("/")
	land := table.at(s.land(from.Path, content, dir.Path, isDir(target) || strings.HasSuffix(target, "/")))
	switch {
	case dir.same(&root):
		return isRoot(target)
	case from.same(&land) && content:
		return fmt.Errorf("source and target are the same directory %q", from.Path)
	case from.same(&land), from.same(&dir):
		return fmt.Errorf("target %q is where source %q stands already", target, s.Source)
	case from.reads(&land, s.OneFileSystem):
		return fmt.Errorf("target %q is inside the source %q: it would be sent into itself for ever", target, s.Source)
	case from.below(&land) && s.Delete:
		return fmt.Errorf("source %q is inside the target %q: --delete would delete it", s.Source, target)
	}
	return nil
}

// source is where the source is, and whether its content is sent, not the directory itself. Only then a
// symlink in its place is followed.
func (s *Sync) source() (path string, content bool) {
	base := filepath.Base(s.Source)
	if strings.HasSuffix(s.Source, "/") || base == "." || base == ".." || s.Listed {
		return resolved(s.Source), true
	}
	return filepath.Join(resolved(filepath.Dir(s.Source)), base), false
}

// land is where it lands, in the target's directory or, of a single file, in its place.
func (s *Sync) land(source string, content bool, target string, isDir bool) string {
	switch {
	case s.Listed:
		return target
	case s.Relative:
		_, rel, cut := strings.Cut(s.Source, "/./")
		if !cut {
			rel = s.Source
		}
		return filepath.Join(target, rel)
	case content:
		return target
	case isFile(source) && !isDir:
		return target // its new name
	}
	return filepath.Join(target, filepath.Base(source))
}
