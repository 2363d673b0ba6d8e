package syncer

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/internal/option"
)

// Options are rsync's, by rsync's names.
type Options = option.Set

// Archive is -a: -rlptgoD.
func Archive() Options { return option.Archive() }

// Defaults is an empty command line.
func Defaults() Options { return option.Defaults() }

// Config is one source and one target.
type Config struct {
	Source string // as rsync takes it: a trailing slash means the content, not the directory
	Target Target
	Port   int // where Target gives none; 0 is DefaultPort
	// Password is asked for when the daemon wants one; nil gives none.
	Password func() (string, error)
	// AllowEmpty says that an empty source may empty the target.
	AllowEmpty bool
	// Keep says that the Syncer lives on after a push: a missing source is waited for,
	// and what was sent is remembered.
	Keep bool

	Options
	Sink Sink
	// Protocol to announce to a daemon, 30 to 32; 0 is the newest.
	Protocol int
}

// place is a source's root and what of it takes part.
type place struct {
	root   string // absolute: where names of the transfer begin
	prefix string // "" or the name that all of them begin with
	single bool   // prefix is no directory
}

// locate applies rsync's rule of the trailing slash to a source.
func locate(source string) (place, error) {
	if source == "" {
		return place{}, errors.New("the source is empty")
	}
	if strings.IndexByte(source, 0) >= 0 {
		return place{}, fmt.Errorf("source %q holds a NUL byte", source)
	}
	abs, err := filepath.Abs(source)
	if err != nil {
		return place{}, fmt.Errorf("source %q: %w", source, err)
	}
	content := strings.HasSuffix(source, "/") || abs == "/"
	if base := path.Base(source); base == "." || base == ".." {
		content = true
	}
	if content {
		return place{root: abs}, nil
	}
	p := place{root: filepath.Dir(abs), prefix: filepath.Base(abs)}
	if fi, err := os.Lstat(abs); err == nil {
		p.single = !fi.IsDir()
	}
	return p, nil
}
