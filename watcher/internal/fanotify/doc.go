// Package fanotify tells which names below a directory had events, from one mark per filesystem.
//
// In goes a root; out come batches of Event, each naming a path relative to it. An event is a hint
// to look at a name again. All that the kernel tells below the root is handed on, or is covered by
// an event on a directory above it (a rename, a deletion), or is said to be lost (Event.Lost).
//
//  1. Open proves that events come through, on a group of its own and without a trace in the tree,
//     and marks the root's filesystem: ready at once, however many directories there are.
//  2. The kernel names a directory by its handle. A handle becomes a path by open_by_handle_at and
//     readlink of /proc/self/fd, and the answer is kept: see dirCache for why it may be.
//  3. A filesystem's events are all delivered, those elsewhere too. That a directory is outside is
//     kept like a path: dropping such an event costs a map lookup and no memory.
//  4. A rename of a directory below the root, or above it, empties the cache.
//  5. No descriptor on the filesystem stays open: umount(8) works as if nobody watched. Nothing
//     tells of an unmount.
//  6. What cannot be resolved for a passing reason (no free descriptor) counts as lost. Privileges
//     that are gone end Run.
//
// Order: events come in the order of the kernel's queue, but fanotify merges an event into an equal
// or like one of the same process and name anywhere in it. So CREATE|DELETE says nothing about
// which was last, and of the renames a→b, b→a, a→b the third may be missing.
//
// What the mark does not tell: changes by other hosts, stores through mmap before the file is
// closed, and other filesystems mounted below the root (AddFilesystem). A file written through a
// hard link outside the root is told under the other name: not at all. A nameless file (O_TMPFILE)
// has the name "#<inode>", which never existed.
//
// Left to the caller: mount points (which there are, and when they change: AddFilesystem,
// RemoveFilesystem, Forget), the root's identity, the first scan, which begins after Open, and the
// fall back to inotify on an error.
//
// Facts are from fanotify(7), fanotify_init(2), fanotify_mark(2), open_by_handle_at(2) and Linux
// 6.18 fs/notify/fanotify/fanotify.c; each is told where the code relies on it and was tested there.
package fanotify
