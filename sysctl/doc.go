// Package sysctl reads, judges and raises the kernel's limits on inotify and fanotify.
//
// In goes what the trees to be watched hold; out comes which of fs.inotify.max_user_watches,
// max_queued_events and max_user_instances should grow, and to what. A value that is high enough is
// left alone, and none is ever lowered.
//
//  1. Read takes the limits in force, MemTotal the memory, CountDirectories the need: a watch is for
//     one directory. ReadFanotify and ReadNamespace take fanotify's limits and a user namespace's own.
//  2. ReadUsage finds what all processes hold, from their descriptors in /proc.
//  3. Limits.Advise weighs them. It is pure. A limit is an allowance, not a reservation, but each watch
//     in use pins about 1.3 KiB of kernel memory, so the allowance is kept to a share of the memory.
//  4. Apply writes what must grow, and reads it back. Where it may not (not root, a container, a
//     user namespace) the error is an *ApplyError: it says why, and which lines to put where instead.
//  5. Persist puts the settings into a file of /etc/sysctl.d, where nothing else is lost.
//
// Apply comes before the inotify instance is made: a larger max_queued_events counts only for instances
// made afterwards. A larger max_user_watches counts at once. All three are shared by all processes of a
// user, in all containers.
//
// Nothing here logs or decides what a failure means: without the raise, watching works until a limit is
// reached.
//
// Sources: inotify(7), "/proc interfaces"; proc_sys_fs(5), proc_meminfo(5), proc_pid_fdinfo(5),
// sysctl.d(5), namespaces(7), user_namespaces(7), getdents64(2); Linux fs/notify/inotify/inotify_user.c
// for the ranges, and for the effective uid that counts.
package sysctl
