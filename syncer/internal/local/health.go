package local

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// failuresInARow is how many failures of one kind, with no success between, say that
// the target as a whole has the trouble, not a file.
const failuresInARow = 8

// health watches over the target as a whole. It is safe for concurrent use.
type health struct {
	full, sick atomic.Int64 // failures in a row
	quota      atomic.Bool  // it is a quota that is used up
	untried    atomic.Int64 // files that were not tried because the target is full

	stop     context.CancelCauseFunc
	readOnly func() bool
}

// success says that the target took something, or that room was made.
func (h *health) success() {
	h.full.Store(0)
	h.sick.Store(0)
}

// failure judges an error of the target: a full target is no longer written to, a read-only or
// broken one ends the push.
func (h *health) failure(err error) {
	switch {
	case isAny(err, unix.ENOSPC, unix.EDQUOT):
		h.quota.Store(errors.Is(err, unix.EDQUOT))
		h.full.Add(1)
	case errors.Is(err, unix.EROFS):
		if h.readOnly() {
			h.stop(fmt.Errorf("target: %w", unix.EROFS))
		}
	case isAny(err, unix.EIO, unix.ESTALE, unix.ENODEV, unix.ENOTCONN, unix.ENXIO):
		if h.sick.Add(1) >= failuresInARow {
			h.stop(fmt.Errorf("target: %d failures in a row: %w", failuresInARow, err))
		}
	}
}

// fullness is why files were not tried.
func (h *health) fullness() error {
	if h.quota.Load() {
		return unix.EDQUOT
	}
	return unix.ENOSPC
}

// hopeless says that the target is full, and counts a file that is therefore not tried.
func (h *health) hopeless() bool {
	if h.full.Load() < failuresInARow {
		return false
	}
	h.untried.Add(1)
	return true
}

func isAny(err error, kinds ...error) bool {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
