// Package debounce decides which changed paths are due, and when.
//
// In go changes, each naming a path below the root; out come batches of paths. Every path that goes
// in comes out, by itself or covered by a Tree entry above it, in a batch taken after the change was
// added: once it has been quiet for Settle, or has waited MaxDelay. A Queue is the dirty set of one
// target: it holds paths, not events, so what piles up while a push runs follows the number of
// distinct dirty paths, and above MaxPaths even that gives way to "this subtree may differ".
//
//  1. A path is queued with the time it was first seen. Each further change of it restarts its
//     settle time, but MaxDelay after the first one it is due however busy it is. A file that is known
//     to be open for writing does not settle: it is due once it was closed, or after MaxDelay. Paths
//     that Quiet names have times of their own.
//  2. A Tree change swallows what is queued below it and keeps the earliest first-seen time. A change
//     below a queued Tree entry is absorbed: it restarts that entry's settle time, under the same cap.
//     Content, Level and Tree merge by OR on the way, so that no hint gets weaker.
//  3. Whatever is due leaves together, sorted; what is still settling stays. With one change in an idle
//     queue that is exactly Settle after it.
//  4. A path that comes back right after it was taken is hot: after the first four such returns its
//     settle time doubles with each one, up to HotMax, which may lie beyond MaxDelay. It gets cooler
//     when it stays away for longer than its wait, and is forgotten after twice that.
//  5. What a push could not bring over is given back with Defer, to be due at a later time, and keeps
//     its first-seen time. A fresh change of a deferred path makes it settle anew, as if it had just
//     come in. A fresh change below a deferred Tree entry is queued beside it and goes out on its own;
//     the Tree entry keeps its later time. If both happen to be due together, the Tree entry covers it.
//  6. Above MaxPaths the deepest crowded directories become Tree entries, largest first, until an
//     eighth of the room is free.
//  7. Flush makes all that is queued due, and it stays due: what changes again before it is taken does not wait for that.
//  8. Moves ride along: a pair (From, To) leaves with the batch whose changes cover To, and what is due
//     at From takes To along. What moved on
//     before it was taken is one move from where it was first to where it is last; what was moved
//     over, or moved back, is none. Beyond 4096 all are dropped until the queue is empty: they save
//     work for whoever pushes, and nothing depends on them.
//
// Adding and Next cost the depth of the path and the logarithm of the queue, swallowing costs what it
// swallows, Take what it takes.
//
// Queue is pure: it is told the time, touches no file, starts no goroutine and is not safe for
// concurrent use. Line wraps one for goroutines and is the only reader of the clock.
//
// The caller's part: paths are slash separated and relative to the root, "." is the root itself; they
// are bytes, maybe not UTF-8. A batch is a hint; the disk is looked at when it is pushed.
package debounce
