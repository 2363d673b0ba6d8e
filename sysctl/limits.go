package sysctl

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// DefaultProc is where the kernel shows the limits and what is in use.
const DefaultProc = "/proc"

// Limits are the settings below fs.inotify. All are counted per user.
type Limits struct {
	MaxUserWatches   int // watches: one for each directory and instance
	MaxQueuedEvents  int // events that wait in one instance before the kernel drops what comes
	MaxUserInstances int // inotify instances
}

// FanotifyLimits are the settings below fs.fanotify. Who has CAP_SYS_ADMIN may do without all three.
type FanotifyLimits struct {
	MaxUserMarks    int // marks: one for each file system, mount or directory, and group
	MaxQueuedEvents int // events that wait in one group
	MaxUserGroups   int // fanotify groups: what an instance is to inotify
}

// limit is one setting by the name that sysctl(8) knows.
type limit struct {
	key   string
	value *int
}

func (l *Limits) each() []limit {
	return []limit{
		{"fs.inotify.max_user_watches", &l.MaxUserWatches},
		{"fs.inotify.max_queued_events", &l.MaxQueuedEvents},
		{"fs.inotify.max_user_instances", &l.MaxUserInstances},
	}
}

// eachOwn are those that a user namespace has of its own; there is no queue among them.
func (l *Limits) eachOwn() []limit {
	return []limit{
		{"user.max_inotify_watches", &l.MaxUserWatches},
		{"user.max_inotify_instances", &l.MaxUserInstances},
	}
}

func (l *FanotifyLimits) each() []limit {
	return []limit{
		{"fs.fanotify.max_user_marks", &l.MaxUserMarks},
		{"fs.fanotify.max_queued_events", &l.MaxQueuedEvents},
		{"fs.fanotify.max_user_groups", &l.MaxUserGroups},
	}
}

// Read returns the limits shown in proc, "" for DefaultProc. Its error tells of all that could not be
// read (fs.ErrNotExist: this kernel has no inotify, or /proc is not there).
func Read(proc string) (Limits, error) {
	var l Limits
	err := readEach(proc, l.each())
	return l, err
}

// ReadFanotify is Read for fanotify, whose limits there are since Linux 5.13.
func ReadFanotify(proc string) (FanotifyLimits, error) {
	var l FanotifyLimits
	err := readEach(proc, l.each())
	return l, err
}

// ReadNamespace returns the limits on watches and instances that this user namespace has beside the
// system's, namespaces(7): the lower one is hit. In the initial namespace they are the system's own
// under another name, and none is returned.
func ReadNamespace(proc string) (Limits, error) {
	var l Limits
	if !inUserNamespace(orDefault(proc)) {
		return l, nil
	}
	err := readEach(proc, l.eachOwn())
	return l, err
}

func readEach(proc string, limits []limit) error {
	var errs []error
	for _, l := range limits {
		v, err := readValue(keyPath(proc, l.key))
		errs = append(errs, err)
		*l.value = v
	}
	return errors.Join(errs...)
}

// keyPath is the file that shows a setting.
func keyPath(proc, key string) string {
	return filepath.Join(orDefault(proc), "sys", strings.ReplaceAll(key, ".", "/"))
}

func orDefault(proc string) string {
	if proc == "" {
		return DefaultProc
	}
	return proc
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
