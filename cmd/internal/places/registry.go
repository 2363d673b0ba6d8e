package places

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
)

// ErrTaken says that another sync on this machine writes there, or back.
var ErrTaken = errors.New("another sync is in the way")

// RunDirEnv names the directory of claims in the place of the usual one.
const RunDirEnv = "LOCKSTEP_RUN_DIR"

const (
	suffix = ".sync"
	// patience is how long another start may take to look around.
	patience = 5 * time.Second
)

// entry is a claim as it is written.
type entry struct {
	PID     int     `json:"pid"`
	Written string  `json:"source"` // as on its command line
	From    place   `json:"from"`
	Targets []claim `json:"targets"`
}

// claim is a target: a place on this machine, or the name of one on another.
type claim struct {
	Written string `json:"target"`
	Place   *place `json:"place,omitempty"`
	Remote  string `json:"remote,omitempty"`
}

func (c *claim) meets(o *claim) bool {
	if c.Place != nil && o.Place != nil {
		return c.Place.meets(o.Place)
	}
	return c.Remote != "" && (c.Remote == o.Remote || within(c.Remote, o.Remote) || within(o.Remote, c.Remote))
}

// Claim takes the targets of a sync for as long as it runs, until release. ErrTaken says that another one
// has one of them, or something above or below it, or that it would come round to the source again.
// Any other error says that nothing is known of others.
func Claim(s Sync) (release func(), err error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	others, err := running(dir)
	if err != nil {
		return nil, err
	}
	own, err := s.entry()
	if err != nil {
		return nil, err
	}
	if err := own.against(others); err != nil {
		return nil, err
	}
	return own.hold(dir)
}

func (s *Sync) entry() (*entry, error) { return s.entryIn(readMounts()) }

func (s *Sync) entryIn(table mounts) (*entry, error) {
	src, content := s.source()
	e := &entry{PID: os.Getpid(), Written: s.Source, From: table.at(src)}
	for _, target := range s.Targets {
		t, err := syncer.ParseTarget(target)
		if err != nil {
			return nil, err
		}
		c := claim{Written: target}
		if t.Remote() {
			c.Remote = remote(&t, s.Port, s.land(src, content, "", true))
		} else {
			p := table.at(s.land(src, content, resolved(t.Path), isDir(t.Path) || strings.HasSuffix(t.Path, "/")))
			c.Place = &p
		}
		e.Targets = append(e.Targets, c)
	}
	return e, nil
}

// remote is the name of a target on another machine. Who asks for it is no part of it, unless its path
// begins in somebody's home.
func remote(t *syncer.Target, port int, land string) string {
	host := strings.ToLower(t.Host)
	switch {
	case t.Module != "":
		return path.Join("rsync:", strings.ToLower(t.Addr(port)), t.Module, t.Path, land)
	case strings.HasPrefix(t.Path, "/"):
		return path.Join("host:", host, t.Path, land)
	}
	return path.Join("home:", t.User+"@"+host, t.Path, land)
}

// against looks for a reason not to run beside others.
func (e *entry) against(others []*entry) error {
	for i := range e.Targets {
		for _, o := range others {
			for k := range o.Targets {
				if e.Targets[i].meets(&o.Targets[k]) {
					return fmt.Errorf("%w: %q to %q (pid %d) writes into the place where %q to %q would: end it first, or choose another directory",
						ErrTaken, o.Written, o.Targets[k].Written, o.PID, e.Written, e.Targets[i].Written)
				}
			}
		}
	}
	return e.circle(others)
}

// circle follows what is written to where it is read again.
func (e *entry) circle(others []*entry) error {
	came := map[*entry]bool{}
	for next := []*entry{e}; len(next) > 0; next = next[1:] {
		for i := range next[0].Targets {
			to := &next[0].Targets[i]
			if to.Place == nil {
				continue
			}
			if next[0] != e && to.Place.meets(&e.From) {
				return fmt.Errorf("%w: what %q sends would come back from %q to %q (pid %d), round and round: end that one first",
					ErrTaken, e.Written, next[0].Written, to.Written, next[0].PID)
			}
			for _, o := range others {
				if !came[o] && to.Place.meets(&o.From) {
					came[o] = true
					next = append(next, o)
				}
			}
		}
	}
	return nil
}

// hold writes e into dir, with a lock for as long as it is held.
func (e *entry) hold(dir string) (release func(), err error) {
	f, err := os.CreateTemp(dir, strconv.Itoa(e.PID)+"-*"+suffix)
	if err != nil {
		return nil, err
	}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		err = json.NewEncoder(f).Encode(e)
	}
	release = func() {
		os.Remove(f.Name()) // or whoever comes next does it
		f.Close()
	}
	if err != nil {
		release()
		return nil, fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return release, nil
}

// running are the claims in dir that somebody holds. Those of the dead are removed.
func running(dir string) ([]*entry, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		return nil, err
	}
	var list []*entry
	for _, name := range names {
		if e := held(name); e != nil {
			list = append(list, e)
		}
	}
	return list, nil
}

// held reads a claim; nil: nobody holds it, or it is from a version that writes otherwise.
func held(name string) *entry {
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		os.Remove(name)
		return nil
	}
	e := new(entry)
	if json.NewDecoder(f).Decode(e) != nil {
		return nil
	}
	return e
}

// lockDir keeps other starts out, so that of two at once one sees the other.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) || time.Now().After(end) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}
