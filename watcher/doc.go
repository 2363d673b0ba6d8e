// Package watcher tells which paths below a directory may have changed.
//
// In goes a root; out come slices of Change, each naming a path below it. A change is a hint
// and never more: the disk is the truth, and whoever acts on a change looks there again. The guarantee:
//
//	From the first emission on (the tree is watched then), every path whose state on the disk came to
//	differ is covered by a change emitted after it differed: by its own path, or by a Tree change of
//	a directory above it. That holds whatever is made, renamed, deleted, mounted and unmounted,
//	in whatever order and however fast, and when the kernel's queue overflows.
//
// What nobody is told of is not covered: changes made by other hosts on a network filesystem and
// stores through mmap, until they are compared or closed; writes through a hard link outside the tree.
//
//  1. Two backends. inotify, by fsnotify, has a watch on each directory. fanotify, for root, has one mark
//     on the filesystem and is ready at once; it is taken where a probe has shown that it works, and
//     given up when it stops working. Both lead to the same changes.
//  2. inotify: watch first, list afterwards. A directory is watched and only then read, so what
//     is made inside it is either listed or announced. What the listing finds is covered by
//     one Tree change of the topmost new directory. In a large scan one goroutine watches, others list.
//  3. An event on a name means "look at that name again", whatever its kind: acting on the
//     kind loses changes when names are exchanged, replaced or made twice.
//  4. fsnotify knows watches by path, the kernel by inode. Two tables, path and inode, name the
//     directory each watch is on; a directory found under a new name is forgotten under the
//     old one, with everything below it, before it is watched again.
//  5. Events are drained into a merged set by goroutines that wait for nothing else. One goroutine,
//     the caller of Run, looks after the rest.
//  6. An index holds what the tree looked like when it was last told: see type keeper. After a queue
//     overflow all is watched anew (inotify) and compared with it, so that only what differs is
//     a change; answers to overflows that repeat are put further apart. Without it the root is the change.
//  7. What cannot be watched (watch limit, unreadable, path too long, mounted twice), and network and
//     FUSE filesystems, are compared every PollInterval. It is logged, never dropped. Of a directory there the
//     names are told of with it (Level): what came and went between two looks shows in its time alone.
//  8. While the root is absent nothing is emitted, so its loss cannot look like deletion. When
//     a directory is there again, whatever its identity, all of it is watched and emitted. A mount that
//     comes or goes below the root makes that place a Tree change.
//  9. Barrier returns once all that happened before it has been emitted: an event of its own has come through the
//     kernel's queue, what was lost before it has been looked for, and what gives no events has been compared.
//  10. A rename within the tree is told as a pair, too: by inotify where both of its events came one after
//     the other, by fanotify always. It is a second hint about names that are told anyway.
//
// Left to the caller: settling (changes come as they happen; Open and Closed help), filtering what it
// sends (Excluded saves watches, it is no guard), and deciding by the root's identity
// what may be deleted. A change may name what is now below a symbolic link: look without following
// any. A directory's times change silently with its entries: inotify reports the entry alone.
//
// Memory: 240 bytes for a directory with inotify, its path included (the kernel keeps about 1.3 KiB beside that), nothing with
// fanotify, and 25 to 30 bytes for a file in the index.
//
// Facts are from inotify(7), fanotify(7), proc_pid_mountinfo(5) and fsnotify v1.10.1, backend_inotify.go;
// each is told where the code relies on it.
package watcher
