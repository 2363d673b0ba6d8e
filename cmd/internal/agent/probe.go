package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/sysctl"
)

// Probe tells whether the target can be pushed to: a daemon takes the password for the module, rsync answers behind the remote
// shell, a local directory can be written. It pushes nothing: what it tries is a dry run of an empty directory.
func (s Settings) Probe(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "lockstep-probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var said []string
	cfg, err := s.config(syncer.Sink{Message: func(text string, isError bool) {
		if text = strings.TrimSpace(text); isError && text != "" && len(said) < mostSaid {
			said = append(said, text)
		}
	}})
	if err != nil {
		return err
	}
	cfg.Source = dir + "/"
	single := false
	if st, err := os.Stat(s.Source); err == nil && !st.IsDir() { // a target may be the name of the file
		single, cfg.Source = true, filepath.Join(dir, filepath.Base(s.Source))
		if err := os.WriteFile(cfg.Source, nil, 0o600); err != nil {
			return err
		}
	}
	if !cfg.Target.Remote() {
		if err := writable(cfg.Target.Path, single, s.Mkpath); err != nil {
			return err
		}
	}
	cfg.Marker, cfg.AllowEmpty = "", true
	cfg.Recurse, cfg.Relative, cfg.Files, cfg.Delete, cfg.DryRun = true, false, nil, false, true
	cfg.NoPrewarm = true // there is no second push
	push, err := syncer.New(cfg)
	if err != nil {
		return err
	}
	rep, err := push.Push(ctx, syncer.Full())
	err = errors.Join(err, push.Close())
	if err == nil && len(rep.Problems) > 0 {
		err = rep.Problems[0]
	}
	if err != nil && len(said) > 0 {
		err = fmt.Errorf("%w: %s", err, strings.Join(said, "; "))
	}
	return err
}

// mostSaid is how many lines of the other side are told.
const mostSaid = 5

// writable says why a local target cannot be written to. Of one that is not there yet its parent is asked, or with mkpath
// the nearest directory above it; so it is of one that is a file, as a single file may be.
func writable(dir string, single, mkpath bool) error {
	dir = filepath.Clean(dir)
	if st, err := os.Stat(dir); err == nil && !st.IsDir() {
		if !single {
			return fmt.Errorf("%q is not a directory", dir)
		}
		dir = filepath.Dir(dir)
	}
	for {
		err := unix.Access(dir, unix.W_OK|unix.X_OK)
		up := filepath.Dir(dir)
		if !errors.Is(err, unix.ENOENT) || up == dir {
			if err != nil {
				return fmt.Errorf("%q cannot be written to: %w", dir, err)
			}
			return nil
		}
		if !mkpath {
			if _, err := os.Stat(up); err != nil {
				return fmt.Errorf("neither the target nor the directory %q above it is there: make it, or set --mkpath", up)
			}
		}
		dir = up
	}
}

// CheckSource tells what stands against watching the source now. A watch waits for one that is not there.
func (s Settings) CheckSource() error {
	st, err := os.Stat(s.Source)
	switch {
	case err != nil:
		return fmt.Errorf("the source %q cannot be read: %w", s.Source, withoutPath(err))
	case st.IsDir():
		d, err := os.Open(s.Source)
		if err != nil {
			return fmt.Errorf("the source %q cannot be read: %w", s.Source, withoutPath(err))
		}
		defer d.Close()
		if _, err := d.Readdirnames(1); err != nil && s.Delete && !s.AllowEmpty {
			return fmt.Errorf("the source %q is empty: nothing is deleted because of that, unless --allow-empty says so", s.Source)
		}
	case strings.HasSuffix(s.Source, "/"):
		return fmt.Errorf("the source %q is no directory", s.Source)
	}
	if s.Marker != "" {
		if _, err := os.Lstat(filepath.Join(s.Source, s.Marker)); err != nil {
			return fmt.Errorf("the marker %q is not below the source %q: nothing is pushed without it", s.Marker, s.Source)
		}
	}
	return nil
}

func withoutPath(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// Directories counts what has to be watched.
func (s Settings) Directories(ctx context.Context) (int, error) {
	cfg, err := s.config(syncer.Sink{})
	if err != nil {
		return 0, err
	}
	push, err := syncer.New(cfg)
	if err != nil {
		return 0, err
	}
	defer push.Close() // nothing was opened
	return sysctl.CountDirectories(ctx, push.WatchRoot(), push.Excluded)
}
