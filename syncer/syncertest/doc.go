// Package syncertest has the real parts that a test or a benchmark of a replicator needs, as
// net/http/httptest has them for net/http: trees, something that changes them, a stock rsync
// daemon, a network that misbehaves, and a judge.
//
//   - [MakeTree] writes a tree of a given size, the same bytes for the same spec.
//   - [Churn] changes a tree at random, by several writers at once, in the ways that replicators
//     get wrong: renames of every kind, same-size rewrites within a second, mtimes set back, types
//     that replace one another, names that are not text.
//   - [Daemon] is a real "rsync --daemon" on loopback that can be stopped, killed in the middle of
//     a transfer and started again on its port.
//   - [SSHD] is a real sshd on loopback with keys of its own, and says how to get there.
//   - [Relay] stands in front of a TCP server: it counts, delays, throttles, stalls and cuts, and
//     tells how many round trips a client waited for.
//   - [Compare] tells every difference between two trees, [WaitEqual] waits until there is none.
//
// The core types return errors and know no test; the functions that take a [testing.TB] start the
// same things and clean up after themselves.
//
// What is guaranteed:
//
//  1. Compare misses nothing that lstat(2), readlink(2) and the bytes tell: names as raw bytes, type,
//     content, size, all twelve mode bits, owner, group, mtime in nanoseconds, link target, device
//     number; hard-link groups and xattrs when asked for. The size of a directory is the file
//     system's own affair and not compared, nor are atime and ctime.
//  2. Churn never follows a symlink, so it cannot leave its tree, and once Run has returned nothing
//     changes any more. What a writer tries to do depends on the seed and its number alone; what
//     comes of it also depends on the others.
//  3. Daemon.Stop and Daemon.Kill return when no process of the daemon runs any more, those that
//     serve connections included.
//
// Root sees more: only root can chown, make device nodes, and run a daemon that stores owners.
package syncertest
