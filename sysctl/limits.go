package sysctl

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// DefaultDir is where the kernel shows the limits.
const DefaultDir = "/proc/sys/fs/inotify"

// Limits are the settings below fs.inotify. All are counted per real user.
type Limits struct {
	MaxUserWatches   int // watches: one for each directory and instance
	MaxQueuedEvents  int // events that wait in one instance before the kernel drops what comes
	MaxUserInstances int // inotify instances
}

// limit is one of the Limits by its name in /proc.
type limit struct {
	name  string
	value *int
}

func (l *Limits) each() []limit {
	return []limit{
		{"max_user_watches", &l.MaxUserWatches},
		{"max_queued_events", &l.MaxQueuedEvents},
		{"max_user_instances", &l.MaxUserInstances},
	}
}

// Read returns the limits shown in dir, "" for DefaultDir. Its error tells of all that could not be read
// (fs.ErrNotExist: this kernel has no inotify, or /proc is not there).
func Read(dir string) (Limits, error) {
	var l Limits
	var errs []error
	for _, f := range l.each() {
		v, err := readValue(filepath.Join(orDefault(dir), f.name))
		errs = append(errs, err)
		*f.value = v
	}
	return l, errors.Join(errs...)
}

func orDefault(dir string) string {
	if dir == "" {
		return DefaultDir
	}
	return dir
}

func readValue(name string) (int, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("read limit: %w", err)
	}
	v, err := parseValue(text)
	if err != nil {
		return 0, fmt.Errorf("read limit %s: %w", name, err)
	}
	return v, nil
}

// parseValue reads a number as the kernel prints an int that may not be negative: digits and a newline.
func parseValue(text []byte) (int, error) {
	s := string(bytes.TrimSpace(text[:min(len(text), 64)]))
	v, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, err // quotes the text
	}
	if v < 0 {
		return 0, fmt.Errorf("value %d is negative", v)
	}
	return int(v), nil
}
