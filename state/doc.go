// Package state keeps what one target was last brought to, through crashes.
//
// In go the paths of each push, before and after it, what it comes upon, and what changes meanwhile. Out comes, after a restart,
// which paths of the source differ from what the target was brought to: found by one scan of the source, without
// asking the target. The promise: a path for which the target is not known to be as the source is, is named by Differs
// or by Known being false, whatever the process was killed in the middle of.
//
//  1. The index has a record of each name that was pushed: a fingerprint, 64 bits of hash over what lstat said before
//     the push read it. So the target is as old as the record or younger, and what changed since the lstat differs.
//     The device is left out, since its number may change with a reboot.
//  2. Before a push begins, its paths are put in doubt, durably. What is in doubt differs, whatever its record
//     says, and also when the source has no such name any more. Records below a tree in doubt mean nothing.
//  3. A name that the index has and the source lacks differs. Each record's directory has a record, too. No name is
//     sent that has no record and is in no doubt: what a push comes upon that Begin did not see, Found puts in doubt. For that
//     a directory changed is no help: its record is renewed with each push of a name in it.
//  4. When a push is done, its records wait until Quiet has passed without a Touch, and are then settled: the
//     record is written and the doubt removed in one transaction. For a file can change twice within one tick of the clock
//     that stamps it, and look the same. What was touched stays in doubt, and is the next push's. Of a tree, what was
//     touched below it is put in doubt in its place.
//  5. A path that failed stays in doubt. So does a directory that could not be read.
//  6. The file is bbolt's. The records of a directory are packed in chunks of about a KiB, with a checksum, so
//     that 1,000,000 names take some 35 MB, and an update rewrites one chunk. A file that is corrupt, of another version or of
//     another pair is moved aside, and a new one made: nothing is known then. bbolt's panics do not get out.
//
// Left to the caller: to watch before it scans, to call Touch within Quiet of each change, to have one push at a time of
// a path, to call Found before names are sent, and to judge what a missing or replaced root means. What nobody is told of and no stamp shows is not known here either: a
// store through mmap(2) into a page that was written before, and where changes are found by polling, a second one in the same
// tick.
//
// Errors to test for: ErrBusy, ErrRebuilt, ErrClosed, and what the disk says (ENOSPC).
package state
