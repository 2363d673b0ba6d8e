package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

const watchesFile = "/proc/sys/fs/inotify/max_user_watches"

// raiseWatches makes sure that so many directories can be watched, beside what others of this user
// watch, and returns the function that puts the limit back.
func raiseWatches(dirs int) (restore func() error, err error) {
	nothing := func() error { return nil }
	need := 2*dirs + 1024
	old, err := os.ReadFile(watchesFile)
	if err != nil {
		return nothing, err
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(old)))
	if err != nil {
		return nothing, fmt.Errorf("read %q: %w", watchesFile, err)
	}
	if limit >= need {
		return nothing, nil
	}
	if err := os.WriteFile(watchesFile, []byte(strconv.Itoa(need)), 0o644); err != nil {
		return nothing, fmt.Errorf("raise fs.inotify.max_user_watches to at least %d: %w", need, err)
	}
	return func() error { return os.WriteFile(watchesFile, old, 0o644) }, nil
}
