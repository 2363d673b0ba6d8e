// Package agent is the pipeline: the one place that knows watcher, debounce and syncer.
//
// In go the program's settings; out comes a target that is in step, once (Once) or until
// it is told to stop (Watch). The guarantee of Watch: from its first push on, every change
// that the watcher tells is pushed, or is in the queue of what is not, whatever fails.
//
//  1. Settings are the command line's, checked as a whole by Validate.
//  2. Watch raises the kernel's limits, then watches, then pushes everything, then what
//     changes: the watcher's first change is the whole tree, so there is no gap.
//  3. A debounce.Line is the dirty set of the target. It is filled by the watcher and
//     emptied by the syncer, which has one push in flight; neither waits for the other.
//  4. On the first stop signal watching ends, what is pending is pushed within the grace
//     time, and what is left is reported.
//
// Logging happens here alone: the libraries return what happened.
package agent
