package sysctl

import (
	"fmt"
	"math"
	"strings"
)

// What is wanted of every machine whose memory allows it, whatever its trees hold today.
const (
	wantWatches   = 1 << 20
	wantQueue     = 1 << 15
	wantInstances = 1 << 10
)

const (
	// watchBytes is the kernel memory that a watch costs: mostly the inode it pins (ext4: 1.1 KiB).
	watchBytes = 1331
	// eventBytes is the most that a queued event costs: its header and a name of 255 bytes.
	eventBytes = 320
	// spareWatches is for the other watchers of the same user: an editor, a kubelet, tail -f.
	spareWatches = 8192
)

// Need is what is to be watched.
type Need struct {
	Directories int
}

// Advice is what the limits are and what they should be. Only what is larger in New counts.
type Advice struct {
	Old, New Limits
}

// Setting is a change of one limit.
type Setting struct {
	Key      string // as sysctl(8) knows it
	Old, New int
}

// String returns "key: old -> new".
func (s Setting) String() string { return fmt.Sprintf("%s: %d -> %d", s.Key, s.Old, s.New) }

func (s Setting) line() string { return fmt.Sprintf("%s = %d\n", s.Key, s.New) }

// Advise says what the limits should be. Watches for twice the directories (trees grow), and for other
// watchers, are wanted even if they could pin three quarters of the memory; beyond that the default
// is kept to a quarter. Memory of 0 or less is unknown and limits nothing.
func (l Limits) Advise(n Need, memTotalBytes int64) Advice {
	if memTotalBytes <= 0 {
		memTotalBytes = math.MaxInt64
	}
	needed := min(2*min(int64(max(n.Directories, 0)), math.MaxInt32)+spareWatches, memTotalBytes/4*3/watchBytes)
	watches := max(needed, min(wantWatches, memTotalBytes/4/watchBytes))
	queue := min(wantQueue, memTotalBytes/16/eventBytes)
	return Advice{Old: l, New: Limits{
		MaxUserWatches:   raise(l.MaxUserWatches, watches),
		MaxQueuedEvents:  raise(l.MaxQueuedEvents, queue),
		MaxUserInstances: raise(l.MaxUserInstances, wantInstances),
	}}
}

// raise never lowers, and never asks for more than the kernel's int holds: it refuses such a value.
func raise(old int, want int64) int {
	return max(old, int(min(want, math.MaxInt32)))
}

// Changes lists what must grow.
func (a Advice) Changes() []Setting {
	var out []Setting
	to := a.New.each()
	for i, from := range a.Old.each() {
		if s := (Setting{"fs.inotify." + from.name, *from.value, *to[i].value}); s.New > s.Old {
			out = append(out, s)
		}
	}
	return out
}

// Empty reports that the limits are good as they are.
func (a Advice) Empty() bool { return len(a.Changes()) == 0 }

// Lines returns what a file in /etc/sysctl.d has to hold so that the changes outlive a reboot; "" if
// there are none.
func (a Advice) Lines() string {
	var b strings.Builder
	for _, s := range a.Changes() {
		b.WriteString(s.line())
	}
	return b.String()
}
