package agent

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer"
)

// isRemote says whether rsync would take a source for one on another machine.
func isRemote(source string) bool {
	t, err := syncer.ParseTarget(source)
	return err == nil && t.Remote()
}

// apart refuses a local target where the source is, also through symlinks.
func apart(source, target string, deletes bool) error {
	src, content := stands(source)
	land := resolved(target)
	if !content {
		land = filepath.Join(land, filepath.Base(src))
	}
	switch {
	case src == land && content:
		return fmt.Errorf("source and target are the same directory %q", src)
	case src == land, src == resolved(target):
		return fmt.Errorf("target %q is where source %q stands already", target, source)
	case within(land, src):
		return fmt.Errorf("target %q is inside the source %q: it would be sent into itself for ever", target, source)
	case within(src, land) && deletes:
		return fmt.Errorf("source %q is inside the target %q: --delete would delete it", source, target)
	}
	return nil
}

// stands is where a source is, and whether its content is sent, not the directory itself.
// Only then a symlink in its place is followed.
func stands(source string) (path string, content bool) {
	base := filepath.Base(source)
	if strings.HasSuffix(source, "/") || base == "." || base == ".." {
		return resolved(source), true
	}
	return filepath.Join(resolved(filepath.Dir(source)), base), false
}

func within(path, dir string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// resolved is path, absolute, with the symlinks resolved of as much of it as exists.
func resolved(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return filepath.Clean(path)
	}
	rest := ""
	for p := abs; ; p = filepath.Dir(p) {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			return filepath.Join(real, rest)
		}
		if p == "/" {
			return abs
		}
		rest = filepath.Join(filepath.Base(p), rest)
	}
}
