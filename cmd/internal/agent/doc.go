// Package agent is the pipeline: the one place that knows watcher, debounce, state and syncer.
//
// In go the program's settings; out come targets that are in step, once (Once) or until
// it is told to stop (Watch). The guarantee of Watch: from its first push on, every change
// that the watcher tells is pushed to each target, or is in the queue of what is not, whatever fails;
// and what a target was brought to is known after a restart.
//
// A Service has many of these pipelines, one for each sync (unit); Watch has one.
//
//  1. Settings are the command line's, checked as a whole by Validate.
//  2. A unit claims its places and opens what earlier runs left; the process gives up the privileges that it does not
//     need, and each unit watches. The watcher's first change is the whole tree, so there is no gap.
//  3. Each target is a replica: a debounce.Line is its dirty set, filled by the watcher and
//     emptied by the syncer, which has one push in flight; neither waits for the other.
//  4. Between the two a batch is narrowed to what differs from the state, deletions are judged
//     (gate), and what goes is noted. While there is nothing to push, the target may be verified.
//  5. Between pushes, changes may be made to gather (pause) or be waited for (flush: a barrier, path by path).
//  6. On the first stop signal watching ends, what is pending is pushed within the grace
//     time, and what is left is reported.
//
// What others ask of it is api.Service. With --watch it is served in the state of each target (control).
// Logging happens here alone: the libraries return what happened.
package agent
