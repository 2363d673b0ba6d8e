package syncer

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// place is a source's root and what of it takes part.
type place struct {
	root   string // absolute: where names of the transfer begin
	prefix string // "" or the name that all of them begin with; several components with --relative
	single bool   // prefix is no directory
	scope  *source.Scope
}

// renames says that the target may be the one file's own new name: nothing else is listed.
func (p *place) renames() bool { return p.single && !p.scope.Implies() }

// locate applies rsync's rules to a source: that of the trailing slash, --relative, --files-from.
func locate(written string, o *Options) (place, error) {
	if written == "" {
		return place{}, errors.New("the source is empty")
	}
	if strings.IndexByte(written, 0) >= 0 {
		return place{}, fmt.Errorf("source %q holds a NUL byte", written)
	}
	switch {
	case o.Files != nil:
		return locateFiles(written, o)
	case o.Relative:
		return locateRelative(written, o)
	}
	abs, err := filepath.Abs(written)
	if err != nil {
		return place{}, fmt.Errorf("source %q: %w", written, err)
	}
	content := strings.HasSuffix(written, "/") || abs == "/"
	if base := path.Base(written); base == "." || base == ".." {
		content = true
	}
	if content {
		return place{root: abs, scope: source.PrefixScope("", false, false)}, nil
	}
	return placeOf(filepath.Dir(abs), filepath.Base(abs), false, false, o), nil
}

// locateFiles is a source of which --files-from names what takes part.
func locateFiles(written string, o *Options) (place, error) {
	if !o.Relative {
		return place{}, errors.New("--files-from without --relative is not supported: give --files-from alone")
	}
	abs, err := filepath.Abs(written)
	if err != nil {
		return place{}, fmt.Errorf("source %q: %w", written, err)
	}
	scope, err := source.FileScope(o.Files, o.Recurse)
	return place{root: abs, scope: scope}, err
}

// locateRelative is a source whose path is kept, from its beginning or from a "/./" in it on.
func locateRelative(written string, o *Options) (place, error) {
	dir, active, cut := strings.Cut(written, "/./")
	switch {
	case !cut && strings.HasPrefix(written, "/"):
		dir, active = "/", written
	case !cut:
		dir, active = ".", written
	case dir == "":
		dir = "/"
	}
	dot := !cut && strings.HasPrefix(active, "./")
	for c := range strings.SplitSeq(active, "/") {
		if c == ".." {
			return place{}, fmt.Errorf("found \"..\" dir in relative path: %s", written)
		}
	}
	root, err := filepath.Abs(dir)
	if err != nil {
		return place{}, fmt.Errorf("source %q: %w", written, err)
	}
	prefix := strings.TrimPrefix(path.Clean("/"+active), "/")
	if prefix == "" {
		return place{root: root, scope: source.PrefixScope("", false, false)}, nil
	}
	slash := strings.HasSuffix(active, "/") || strings.HasSuffix(active, "/.")
	return placeOf(root, prefix, slash, dot, o), nil
}

func placeOf(root, prefix string, slash, dot bool, o *Options) place {
	return place{
		root:   root,
		prefix: prefix,
		single: isSingle(filepath.Join(root, prefix), slash, o),
		scope:  source.PrefixScope(prefix, slash, dot),
	}
}

// isSingle says whether the source is no directory. One that is not there may become one.
func isSingle(abs string, slash bool, o *Options) bool {
	fi, err := os.Lstat(abs)
	if err != nil {
		return false
	}
	if fi.Mode()&os.ModeSymlink == 0 {
		return !fi.IsDir()
	}
	text, _ := os.Readlink(abs)
	if !slash && !o.CopyLinks && !o.CopyDirlinks && (!o.CopyUnsafeLinks || !source.UnsafeLink(filepath.Base(abs), text)) {
		return true
	}
	fi, err = os.Stat(abs)
	return err != nil || !fi.IsDir()
}
