package watcher

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// barrier is a file in memory that is watched beside the directories: a change of its mode is an event
// like theirs, and the kernel queues events in order. When that one has been handled, so has
// everything that was queued before it, and nothing was lost before it.
//
// It is opened with its instance, before the directories take all watches that there are.
type barrier struct {
	file *os.File
	path string
	odd  bool
}

const barrierPrefix = "/proc/self/fd/"

// raise queues the event in src.
func (b *barrier) raise(src source) error {
	if err := b.open(src); err != nil {
		return err
	}
	b.odd = !b.odd
	mode := uint32(0o400)
	if b.odd {
		mode = 0o600
	}
	return unix.Fchmod(int(b.file.Fd()), mode)
}

// open may be called again: where it failed it is tried anew.
func (b *barrier) open(src source) error {
	if b.file != nil {
		return nil
	}
	fd, err := unix.MemfdCreate("lockstep-barrier", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make a file in memory: %w", err)
	}
	b.file, b.path = os.NewFile(uintptr(fd), "barrier"), fmt.Sprint(barrierPrefix, fd)
	if err := src.add(b.path); err != nil {
		b.close()
		return fmt.Errorf("watch a file in memory: %w", err)
	}
	return nil
}

// isBarrier reports whether an event's name is that of a barrier.
func isBarrier(name string) bool { return strings.HasPrefix(name, barrierPrefix) }

func (b *barrier) close() {
	if b.file != nil {
		b.file.Close()
		b.file = nil
	}
}
