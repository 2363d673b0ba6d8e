package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

const limitsDir = "/proc/sys/fs/inotify/"

// watchedDirs is how many directories are watched at once at the most.
func (s *sizes) watchedDirs() int {
	files := max(s.MemoryFiles, s.SoakFiles, slices.Max(s.LatencyTrees), 2*s.IdleFiles, s.OutageFiles)
	return max(2*files/filesPerDir, s.StartDirs)
}

// raiseWatches makes sure that so many directories can be watched, beside what others of this user
// watch, and returns the function that puts the limit back.
func raiseWatches(dirs int) (restore func() error, err error) {
	need := 2*dirs + 1024
	limit, err := readLimit("max_user_watches")
	if err != nil || limit >= need {
		return nothing, err
	}
	if restore, err = setLimit("max_user_watches", need); err != nil {
		return nothing, fmt.Errorf("raise fs.inotify.max_user_watches to at least %d: %w", need, err)
	}
	return restore, nil
}

func nothing() error { return nil }

func readLimit(name string) (int, error) {
	text, err := os.ReadFile(limitsDir + name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("read fs.inotify.%s: %w", name, err)
	}
	return n, nil
}

// setLimit returns the function that puts back what was there.
func setLimit(name string, n int) (restore func() error, err error) {
	old, err := readLimit(name)
	if err != nil {
		return nothing, err
	}
	write := func(n int) error { return os.WriteFile(limitsDir+name, []byte(strconv.Itoa(n)), 0o644) }
	return func() error { return write(old) }, write(n)
}
