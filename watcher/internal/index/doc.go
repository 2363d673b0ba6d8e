// Package index knows what a tree looked like, and finds what differs since.
//
// In goes a root; out come differences: paths that are not what the index held. The promise: after
// Compare the index holds what was found on the disk, and whatever it held otherwise before has been
// reported, by its own path or by a Tree difference above it. A difference is reported after the disk
// was looked at, so who acts on it sees that state or a later one.
//
//  1. A record is a name, its kind and a fingerprint: 64 bits of device, inode, mode, owner, size,
//     mtime and ctime. Fingerprint 0 is unknown and differs from everything.
//  2. The records of a directory are bytes, sorted by name, in chunks of a few KiB, so that an update
//     in a directory of a million names rewrites one chunk. Directories form a tree; no path is
//     stored, and there is little that the garbage collector has to follow.
//  3. A few workers walk the tree, each with one directory at a time: list it, look at each name,
//     sort, and merge with the records. Directories are opened relative to their parent's
//     descriptor, symbolic links not followed, and checked to be the one the parent named.
//  4. What waits to be walked is a position in a directory already merged, so a directory of a
//     million directories makes no queue of a million paths.
//  5. A directory that came, or was replaced by another, is reported as one Tree difference, once
//     all below it has been looked at; so is one that was forgotten with all below it.
//  6. A file that changed a moment ago can change again without its stamps telling, as kernels stamp
//     with a coarse clock. Such an entry is unsettled: recorded as unknown, and named to the caller,
//     who may look again later.
//
// A directory differs like any other entry, so it is reported (not as Tree) when its times changed
// with its entries. What cannot be listed keeps its records, and nothing below it is reported gone.
// What vanishes while it is looked at is left to the next look.
//
// Left to the caller: one goroutine at a time uses an Index; throttling (pace); deciding what a
// missing root or another filesystem on a directory (a Tree difference) means for deletion.
//
// Facts are from openat2(2), inode(7) and Documentation/filesystems/multigrain-ts.rst of Linux.
package index
