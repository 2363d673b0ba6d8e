package sysctl

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// confHead begins a file that Persist makes.
const confHead = "# Written by lockstep sysctl: what real-time replication needs of the kernel; see sysctl.d(5).\n"

// Config returns what a new file in /etc/sysctl.d has to hold. Settings of a user namespace are left
// out: they end with it.
func Config(settings []Setting) string {
	text, _ := merge(nil, settings)
	return string(text)
}

// Persist writes the settings into file, "" for ConfFile, so that they outlive a reboot, and returns what
// it changed there: Old is what the file held, 0 for nothing. Other lines of the file, and values that are
// higher, stay. The file is replaced as a whole or not at all, and not touched when it is good as it is.
// A symlink is followed; what is no regular file (/dev/null, for one, masks a file) is an error.
func Persist(file string, settings []Setting) ([]Setting, error) {
	if file == "" {
		file = ConfFile
	}
	changes, err := persist(file, settings)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", file, because(err, fileReason(err, os.Geteuid())))
	}
	return changes, nil
}

func fileReason(err error, euid int) string {
	switch {
	case errors.Is(err, syscall.EROFS):
		return "its file system is read-only here, as in a container"
	case errors.Is(err, fs.ErrPermission) && euid != 0:
		return fmt.Sprintf("not root: running as uid %d", euid)
	}
	return ""
}

func persist(file string, settings []Setting) ([]Setting, error) {
	mode := fs.FileMode(0o644)
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	old, err := readRegular(file, &mode)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	text, changes := merge(old, settings)
	if len(changes) == 0 {
		return nil, nil
	}
	// The directory alone: where there is no /etc it is not ours to make.
	if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return changes, replace(file, text, mode)
}

func readRegular(file string, mode *fs.FileMode) ([]byte, error) {
	st, err := os.Lstat(file)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("it is no regular file but %v", st.Mode())
	}
	*mode = st.Mode().Perm()
	return os.ReadFile(file)
}

// replace puts a new file in the old one's place at once: sysctl(8) at boot finds one or the other whole.
func replace(file string, text []byte, mode fs.FileMode) (err error) {
	dir := filepath.Dir(file)
	f, err := os.CreateTemp(dir, ".lockstep-sysctl-*") // no .conf at its end: nobody reads it
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	// Without the first sync a crash may leave the new name with nothing in it; the last one makes the
	// rename last.
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// merge raises the lines of text that set too little, and adds those that are missing.
func merge(text []byte, settings []Setting) ([]byte, []Setting) {
	lines := bytes.SplitAfter(text, []byte("\n"))
	if last := len(lines) - 1; len(lines[last]) > 0 {
		lines[last] = append(bytes.Clone(lines[last]), '\n')
	}
	if len(bytes.TrimSpace(text)) == 0 {
		lines = [][]byte{[]byte(confHead)}
	}
	var changes []Setting
	for _, s := range settings {
		if s.ofNamespace() {
			continue
		}
		at, was := lastOf(lines, s.Key)
		switch {
		case at < 0:
			lines = append(lines, []byte(s.line()))
		case was < s.New:
			lines[at] = []byte(s.line())
		default:
			continue
		}
		changes = append(changes, Setting{s.Key, was, s.New})
	}
	return bytes.Join(lines, nil), changes
}

// lastOf finds the line that counts: of several for one key it is the last.
func lastOf(lines [][]byte, want string) (at, value int) {
	at = -1
	for i, line := range lines {
		if key, v, ok := parseLine(line); ok && key == want {
			at, value = i, v
		}
	}
	return at, value
}

// parseLine reads a line as sysctl.d(5) has it: KEY = VALUE, slashes instead of dots if the first
// separator is one, and a dash before it all where failure does not matter. What is no number is 0.
func parseLine(line []byte) (key string, value int, ok bool) {
	left, right, ok := strings.Cut(string(line), "=")
	key = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(left), "-"))
	if !ok || key == "" || key[0] == '#' || key[0] == ';' {
		return "", 0, false
	}
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '/' {
		key = strings.ReplaceAll(key, "/", ".")
	}
	v, err := parseValue([]byte(right))
	if err != nil {
		return key, 0, true
	}
	return key, v, true
}
