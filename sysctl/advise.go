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
	Trees       int // each takes an inotify instance, or a fanotify group
	InUse       Holding
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

// ofNamespace reports a limit that a user namespace has of its own, and that ends with it.
func (s Setting) ofNamespace() bool { return strings.HasPrefix(s.Key, "user.") }

func (s Setting) line() string { return fmt.Sprintf("%s = %d\n", s.Key, s.New) }

// Advise says what the limits should be. Watches for twice the directories (trees grow), for all that
// is in use beside them, and for other watchers are wanted even if they could pin three quarters of the
// memory; beyond that the default is kept to a quarter. Memory of 0 or less is unknown and limits nothing.
func (l Limits) Advise(n Need, memTotalBytes int64) Advice {
	if memTotalBytes <= 0 {
		memTotalBytes = math.MaxInt64
	}
	// What is in use may be for these very trees: no sum of the two, or advice would grow when it is taken.
	dirs := clamp(n.Directories)
	needed := min(max(2*dirs, dirs+clamp(n.InUse.Watches))+spareWatches, memTotalBytes/4*3/watchBytes)
	watches := max(needed, min(wantWatches, memTotalBytes/4/watchBytes))
	queue := min(wantQueue, memTotalBytes/16/eventBytes)
	instances := room(max(l.MaxUserInstances, wantInstances), n.InUse.Instances, n.Trees)
	return Advice{Old: l, New: Limits{
		MaxUserWatches:   raise(l.MaxUserWatches, watches),
		MaxQueuedEvents:  raise(l.MaxQueuedEvents, queue),
		MaxUserInstances: raise(l.MaxUserInstances, instances),
	}}
}

// Advise says what fanotify's limits should be: a tree takes one group and one mark, so they are good
// unless others use them up.
func (l FanotifyLimits) Advise(n Need) FanotifyLimits {
	l.MaxUserGroups = raise(l.MaxUserGroups, room(l.MaxUserGroups, n.InUse.Groups, n.Trees))
	l.MaxUserMarks = raise(l.MaxUserMarks, room(l.MaxUserMarks, n.InUse.Marks, n.Trees))
	return l
}

// room is the limit that there is where one more for each tree fits, and twice what is needed elsewhere.
func room(limit, inUse, trees int) int64 {
	if needed := clamp(inUse) + clamp(trees); needed > int64(limit) {
		return 2 * needed
	}
	return int64(limit)
}

// clamp keeps a count in the range of the kernel's int, and sums of a few of them in that of an int64.
func clamp(count int) int64 { return min(int64(max(count, 0)), math.MaxInt32) }

// raise never lowers, and never asks for more than the kernel's int holds: it refuses such a value.
func raise(old int, want int64) int {
	return max(old, int(min(want, math.MaxInt32)))
}

// Settings lists all three, whether they change or not.
func (a Advice) Settings() []Setting { return settings(a.Old.each(), a.New.each()) }

// Changes lists what must grow.
func (a Advice) Changes() []Setting { return Growing(a.Settings()) }

// Settings lists the way from l to the limits in to.
func (l FanotifyLimits) Settings(to FanotifyLimits) []Setting { return settings(l.each(), to.each()) }

// NamespaceSettings lists the way to the advice for the limits of the user namespace, as ReadNamespace
// returned them. One that allows as much already, or is not known, is left out.
func (a Advice) NamespaceSettings(own Limits) []Setting {
	var out []Setting
	for _, s := range Growing(settings(own.eachOwn(), a.New.eachOwn())) {
		if s.Old > 0 {
			out = append(out, s)
		}
	}
	return out
}

// Growing picks those that must grow.
func Growing(settings []Setting) []Setting {
	var out []Setting
	for _, s := range settings {
		if s.New > s.Old {
			out = append(out, s)
		}
	}
	return out
}

func settings(from, to []limit) []Setting {
	var out []Setting
	for i := range from {
		out = append(out, Setting{from[i].key, *from[i].value, *to[i].value})
	}
	return out
}

// Empty reports that the limits are good as they are.
func (a Advice) Empty() bool { return len(a.Changes()) == 0 }

// Lines returns what a file in /etc/sysctl.d has to hold so that the changes outlive a reboot; "" if
// there are none.
func (a Advice) Lines() string { return lines(a.Changes()) }
