package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/zeebo/xxh3"
	"golang.org/x/sys/unix"
)

// What is in the directory of a pair.
const (
	stateName   = "state.db"
	lockName    = "lock"      // flock(2) says whether a process has the pair open
	pairName    = "pair.json" // which pair it is, readable while the state is locked
	corruptName = stateName + ".corrupt-"
)

// lockWait is how long a lock is waited for: Inspect holds it for an instant, and one that was killed may
// still be on its way out.
const lockWait = 300 * time.Millisecond

// pair is what pairName holds.
type pair struct {
	Source, Target string
}

// pairDir names the directory of a pair: readable, and unique by its hash.
func pairDir(dir string, p pair) string {
	slug := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, p.Target)
	slug = strings.Trim(slug, "-.")
	if len(slug) > 60 {
		slug = slug[len(slug)-60:]
	}
	return filepath.Join(dir, fmt.Sprintf("%s-%016x", slug, xxh3.HashString(p.Source+"\x00"+p.Target)))
}

// makeDir makes the state directory and the pair's in it, and checks that files can be made there.
func makeDir(dir string, p pair) (string, error) {
	// What is in it is private; but a pair may be given to another user, who has to get there.
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return "", fmt.Errorf("make state directory %q: %w", dir, err)
	}
	path := pairDir(dir, p)
	err := os.Mkdir(path, 0o700)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("state directory %q: %w", dir, err)
	}
	if err := unix.Access(path, unix.W_OK|unix.X_OK); err != nil {
		return "", fmt.Errorf("state directory %q is not writable: %w", path, err)
	}
	return path, nil
}

// writePair says which pair the directory is of. It is replaced whole, or not at all.
func writePair(dir string, p pair) error {
	path := filepath.Join(dir, pairName)
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(path); err == nil && string(old) == string(text) {
		return nil
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// lock takes the lock of a pair's directory for this process. Closing the file gives it back, and so does
// the end of the process.
func lock(dir string, how int) (*os.File, error) {
	flags := os.O_RDONLY
	if how == unix.LOCK_EX {
		flags = os.O_RDWR | os.O_CREATE
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), flags, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockWait); ; time.Sleep(lockWait / 10) {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			err = fmt.Errorf("lock %q: %w", f.Name(), err)
		case how == unix.LOCK_EX && time.Now().Before(end):
			continue
		default:
			err = fmt.Errorf("%w: %q is locked", ErrBusy, f.Name())
		}
		f.Close()
		return nil, err
	}
}

// moveAside gives a state file that is of no use another name, and keeps no older one.
func moveAside(path string) error {
	older, err := filepath.Glob(filepath.Join(globQuote(filepath.Dir(path)), corruptName+"*"))
	if err != nil {
		return err
	}
	aside := filepath.Join(filepath.Dir(path), corruptName+time.Now().UTC().Format("20060102T150405.000000000"))
	if err := os.Rename(path, aside); err != nil {
		return err
	}
	for _, name := range older {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return syncDir(filepath.Dir(path))
}

// globQuote makes a path match itself.
func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
