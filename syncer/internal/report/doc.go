// Package report holds what a push tells about itself, in the words of rsync(1).
//
// Both kinds of target, the wire and the local directory, fill the same Stats,
// emit the same Items (rsync's itemized changes) and name the same Problems, so
// that the command and the log say one thing about both. It holds values only:
// nothing here opens a file, prints or starts a goroutine.
package report
