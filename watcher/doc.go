// Package watcher tells which paths below a directory may have changed.
//
// In goes a root; out come slices of Change, each naming a path below it. A change is a hint
// and never more: the disk is the truth, and whoever acts on a change looks there again. The
// promise is about completeness: whatever differs on the disk after the first emission is
// covered by a change emitted after it differed, either by its own path or by a Tree change of
// a directory above it. What inotify cannot see (stores through mmap, writes through a hard
// link outside the tree, changes made by other hosts on a network filesystem) is not covered.
//
//  1. Watch first, list afterwards. A directory is opened, watched and only then read, so what
//     is made inside it is either listed or announced. What the listing finds is covered by
//     one Tree change of the topmost new directory.
//  2. An event on a name means "look at that name again", whatever its kind: acting on the
//     kind loses changes when names are exchanged, replaced or made twice.
//  3. fsnotify knows watches by path, the kernel by inode. Two tables, path and inode, name the
//     directory each watch is on; a directory found under a new name is forgotten under the
//     old one, with everything below it, before it is watched again.
//  4. Two goroutines drain fsnotify's channels into a merged set and wait for nothing else.
//     One goroutine, the caller of Run, owns the tables and does all system calls.
//  5. After a queue overflow a fresh inotify instance is filled from the root. The tree is compared
//     with an index of what was emitted (keeper), or is one Tree change where there is no index yet.
//  6. What cannot be watched (watch limit, unreadable, path too long, mounted twice) is polled:
//     retried, and compared or emitted as a Tree change, every PollInterval. It is logged, never
//     dropped.
//  7. While the root is absent nothing is emitted, so its loss cannot look like deletion. When
//     a directory is there again, whatever its identity, all of it is watched and emitted.
//  8. A rename within the tree is told as a pair, too, where both of its events came one after the
//     other. It is a second hint about names that are told anyway.
//
// Left to the caller: settling (changes come as they happen), filtering what it sends (Excluded
// saves watches, it is no guard), a full rescan now and then, and deciding by the root's identity
// what may be deleted. A change may name what is now below a symbolic link: look without following
// any. A directory's times change silently with its entries: inotify reports the entry alone.
//
// Facts are from inotify(7), proc_pid_mountinfo(5) and fsnotify v1.10.1, backend_inotify.go;
// each is told where the code relies on it.
package watcher
