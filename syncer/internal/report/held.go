package report

import "errors"

// ErrHeld says that in a directory nothing was deleted, because the source could not be read
// everywhere. It is looked at again: by size and time, what is there was brought over.
var ErrHeld = errors.New("deletions were skipped because of I/O errors in the source; --ignore-errors overrides that")
