package syncer

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// mounts remembers where below the source file systems were mounted. One that is
// unmounted leaves an empty directory behind, which must not look like a deletion of all
// that was in it. The zero value remembers nothing.
type mounts struct {
	seen map[string]bool // names in the transfer
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
	devices := map[string]uint64{}
	for name := range now {
		var st unix.Stat_t
		if unix.Lstat(under+name, &st) == nil {
			devices[name] = st.Dev
		}
	}
	return gone, devices, nil
}
