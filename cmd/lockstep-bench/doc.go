// Command lockstep-bench measures lockstep beside rsync, in one run on one machine.
//
// It makes trees in a temporary directory, starts a stock rsync daemon on loopback, runs both
// programs over the same work in turn, and prints a table, or JSON with -json:
//
//   - latency: one small file is rewritten in a watched tree; the time until the replica is equal.
//     Beside it the run of "rsync -a" that the inotifywait loop makes for each change.
//   - burst: an archive is unpacked into a watched tree; the time until the replica is in step.
//     Beside it "rsync -a" of the finished tree.
//   - move: a directory is renamed, moved, and swapped with another in a watched tree; the time until
//     the replica is equal, and the bytes on the wire.
//   - delta: 4 KiB change in a large file; the bytes on the wire and the time of one push.
//   - first, nothing: the first push of a tree, and a push of a tree that is there already.
//   - start: how long "lockstep --watch" takes from its start until it watches a tree of many directories,
//     with either backend. Beside it a bare inotify_add_watch(2) for each directory.
//   - events: four writers make events at a rate of 50,000 a second; what either backend needs of a
//     processor, and whether the kernel's queue overflows.
//   - idle: what "lockstep --watch" needs where nothing happens.
//   - memory: what "lockstep --watch" takes after the first push and after a time of churn.
//   - targets: one of three daemons is stopped for a minute under load; the latency of the other two beside that
//     when none is, in turn, and the time until the third has caught up.
//   - soak: a tree changes for a long time (-churn); memory, descriptors, threads, goroutines and the size of
//     the state, once a minute. It is an error if descriptors or goroutines grow. It runs only if it is named.
//   - outage: the same, and of a processor, while the daemon is gone and the tree changes several times over;
//     then the time until the replica is exact.
//
// The clock decides nothing: what misses its target is marked in the table, and the exit code is 0.
// It is 1 if a result is wrong (trees that are not equal, a program that failed or died), and 2 if
// nothing could be measured.
//
// Runs that are compared alternate, and their ratio is the median of the ratios of the pairs: other
// work on the machine slows both of a pair. All that was started is ended, and all that was written is
// removed; children die with their parent even where it is killed.
package main
