package syncer

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
)

// mounts remembers where below the source file systems were mounted. One that is
// unmounted leaves an empty directory behind, which must not look like a deletion of all
// that was in it. The zero value remembers nothing.
type mounts struct {
	seen map[string]bool // names in the transfer
	gone map[string]bool // those of them where nothing was mounted when it was looked last
}

// recall adds what an earlier run saw.
func (m *mounts) recall(names []string) error {
	for _, name := range names {
		if err := beneath.Check(name); err != nil {
			return fmt.Errorf("where file systems were mounted is not readable: %w", err)
		}
		if m.seen == nil {
			m.seen = map[string]bool{}
		}
		m.seen[name] = true
	}
	return nil
}

// release forgets those that are gone.
func (m *mounts) release() {
	for name := range m.gone {
		delete(m.seen, name)
	}
	m.gone = nil
}

// Mounts are the places below the source where file systems were mounted, in this run or an earlier
// one, to be kept for Config.Mounts of a later run. It is for the goroutine that pushes.
func (s *Syncer) Mounts() []string { return slices.Sorted(maps.Keys(s.mounts.seen)) }

// Unmounted are those of Mounts where nothing is mounted now, by their names below WatchRoot: what the
// target has there stays. It is for the goroutine that pushes.
func (s *Syncer) Unmounted() []string {
	var names []string
	for name := range s.mounts.gone {
		if rel := s.watchName(name); rel != "." && !s.cfg.DeleteUnmounted {
			names = append(names, rel)
		}
	}
	slices.Sort(names)
	return names
}

// look takes in what is mounted now below root and returns the names at which something
// was mounted before and is not any more, and the devices of those that are there.
func (m *mounts) look(root string) (map[string]bool, map[string]uint64, error) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, nil, nil // opening the source will tell
	}
	under := strings.TrimSuffix(root, "/") + "/"
	now := map[string]bool{}
	_, err = mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) {
		if name, ok := strings.CutPrefix(i.Mountpoint, under); ok {
			now[name] = true
		}
		return true, false
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the table of mounts: %w", err)
	}
	var gone map[string]bool
	for name := range m.seen {
		if !now[name] {
			if gone == nil {
				gone = map[string]bool{}
			}
			gone[name] = true
		}
	}
	if m.seen == nil {
		m.seen = now
	}
	for name := range now {
		m.seen[name] = true
	}
	m.gone = gone
	devices := map[string]uint64{}
	for name := range now {
		var st unix.Stat_t
		if unix.Lstat(under+name, &st) == nil {
			devices[name] = st.Dev
		}
	}
	return gone, devices, nil
}
