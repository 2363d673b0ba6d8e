// Package places knows where a sync reads and where it writes, and keeps it from doing harm there: from
// writing into its own source or over the whole machine, into a place that another sync writes to, and
// round in a circle.
//
//  1. A Place is a directory by its real path, by what it and the directories above it are (device and
//     inode), and by its path within its file system, which a bind mount or a second mount of the same
//     file system does not change. Two places meet where any of the three says so.
//  2. Check looks at one sync alone. Nothing is opened for it.
//  3. Claim looks at those that run on this machine, too. Each holds a file of its own with a lock
//     (flock(2)) in a directory that all of one user's share. A lock ends with its process, so a file
//     without one is a dead sync's, and is removed by whoever finds it.
//
// What syncs of other users, in other containers or on other machines do is not seen.
package places
