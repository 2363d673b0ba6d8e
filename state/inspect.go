package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Info is a pair that a state directory has something of.
type Info struct {
	Source, Target string
	Path           string // its own directory
	Open           bool   // a process has it open
}

// Inspect lists the pairs in a state directory, in the order of their paths. It waits for nobody, and changes nothing; none if
// there is no such directory. What cannot be read is told beside the others.
func Inspect(dir string) ([]Info, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	var list []Info
	var errs []error
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := inspect(path)
		switch {
		case errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR): // not one of ours, or not yet
		case err != nil:
			errs = append(errs, err)
		default:
			list = append(list, info)
		}
	}
	return list, errors.Join(errs...)
}

func inspect(path string) (Info, error) {
	text, err := os.ReadFile(filepath.Join(path, pairName))
	if err != nil {
		return Info{}, err
	}
	var p pair
	if err := json.Unmarshal(text, &p); err != nil {
		return Info{}, fmt.Errorf("%q: %w", filepath.Join(path, pairName), err)
	}
	info := Info{Source: p.Source, Target: p.Target, Path: path}
	held, err := lock(path, unix.LOCK_SH)
	switch {
	case errors.Is(err, ErrBusy):
		info.Open = true
	case err != nil:
		return Info{}, err
	default:
		held.Close()
	}
	return info, nil
}
