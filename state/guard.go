package state

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// errCorrupt is what was found in the file and cannot be.
var errCorrupt = errors.New("the file is corrupt")

// guard calls f, and makes an error of a panic. bbolt panics at much of what it does not expect in its
// file, and reads it by way of mmap(2): what is missing at the end, and what the disk cannot read, is a fault
// (SIGBUS).
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errCorrupt, p)
		}
	}()
	err = f()
	if errors.Is(err, errChunk) {
		err = fmt.Errorf("%w: %w", errCorrupt, err)
	}
	return err
}
