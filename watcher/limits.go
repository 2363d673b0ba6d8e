package watcher

import (
	"os"
	"strconv"
	"strings"
)

// limit is one of inotify's per-user limits under the name an operator sets it by.
type limit struct {
	name  string
	value int // -1 if it cannot be read
}

// readLimit reads the limit on what ("watches", "instances"). A user namespace has one of its own beside
// the system's (namespaces(7), user.max_inotify_*); the lower one is the one that is hit.
func readLimit(what string) limit {
	system := limit{name: "fs.inotify.max_user_" + what}
	system.value = readSysctl(system.name)
	own := limit{name: "user.max_inotify_" + what}
	own.value = readSysctl(own.name)
	if own.value >= 0 && (system.value < 0 || own.value < system.value) {
		return own
	}
	return system
}

// readSysctl gives -1 for what cannot be read: 0 is a limit, too.
func readSysctl(name string) int {
	b, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return -1
	}
	return n
}
