// Package tree writes a tree safely below a root.
//
// In go an open directory (Dir), a name in it, and what the name is to become; out
// comes the name, whole, or an error and the old state. The guarantees:
//
//   - Nothing outside the root is touched. Every directory is opened through package
//     beneath, below a descriptor, and no symlink on the way is followed. os.Root is
//     not enough: it follows a symlink that stays inside the root, so a link planted
//     on the target would have another file written or deleted than the one named. Two
//     methods say otherwise: FollowLinks allows relative symlinks that do not lead out, and
//     Reach opens what the user named.
//   - No reader sees half a file. Whatever is no directory is made under a temporary
//     name beside its place and renamed over it, metadata included. OpenInPlace is for who
//     wants it otherwise.
//   - A FIFO, a socket or a device is never opened for reading or writing.
//   - Deleting never follows a symlink and never enters a mounted file system.
//
// How a file comes into being:
//
//  1. A temporary file ".name.lockstep-XXXXXX" with mode 0600, locked (flock(2)) until it has its name.
//  2. Its bytes: a reflink; else copy_file_range(2); else read and write. The
//     context is asked between two chunks. With Sparse, blocks of zeros are left out, and holes
//     of the source are not even read.
//  3. Owner and group, then extended attributes and ACLs, then the mode (chown(2) clears the
//     set-user-ID bit and capabilities), then the modification time with its nanoseconds.
//  4. renameat(2) over the final name.
//
// Nothing is synced to the disk that is not asked for (Finish, Sync): what a power cut loses,
// the next comparison finds.
// A temporary file that a killed run left behind has no lock: Leftovers finds it. O_TMPFILE would leave
// none, but a file without a name cannot take that of another one: it needs a temporary name after all.
//
// Dir holds one descriptor, is safe for concurrent use except for Close, and leaves
// the decision what to write to the caller. Facts: open(2), openat2(2), rename(2),
// chown(2), utimensat(2); rsync 3.5.0 receiver.c (get_tmpname), delete.c.
package tree
