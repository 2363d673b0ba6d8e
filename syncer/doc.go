// Package syncer brings changed paths of one source to one target.
//
// In go batches of paths that may differ; out come pushes, each with a report. The
// guarantee: a path that was handed in is on the target as it is on the disk, or it is
// reported and tried again; nothing is deleted that was not seen to be gone from a
// source that is who it was; a target never shows half a file.
//
//  1. ParseTarget tells a local directory from a daemon's module and from a directory behind a
//     remote shell; New checks the rest, Close ends what was kept open.
//  2. Push looks at each path of a batch on the disk and sends exactly what is there,
//     the directories above it, and, where deleting is allowed, the names that are gone.
//     Its cost follows the batch, not the tree. The batch that holds "." as a tree is
//     the full push.
//  3. A path whose content is said to have changed is believed: when the receiver's look
//     at size and time found nothing to do, its bytes are compared in a second run.
//  4. Run takes batches from a Feed, one at a time, and gives back what failed: with
//     exponential backoff, for ever. What fails is found path by path, also where a peer says so
//     in words or not at all; Failed tells it, and Config.Failed takes it over from an earlier run.
//
// A target is an interface: the local directory (internal/local) and the rsync of another machine
// (internal/sender), a daemon or behind a shell (internal/rsh), stand behind it, both reading the source through internal/source.
// What is due when is the feed's business. Errors carry rsync's exit codes: see Failure,
// ErrRoot, ErrEmptySource. Classify says what each takes to get over.
package syncer
