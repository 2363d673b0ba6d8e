package watcher

import "context"

// backend is where changes come from: inotify (tree) or fanotify. One goroutine calls it, the session's.
type backend interface {
	name() string
	// rebuild watches everything anew, and says what was lost in vain. After it, up tells whether
	// anything is watched; if not, all is polled, and rebuild is tried again.
	rebuild(ctx context.Context)
	up() bool
	// wake is readable when handle has something to do: look at what was reported, and mark it. It
	// calls flush now and then, which says whether to go on.
	wake() <-chan struct{}
	handle(ctx context.Context, flush func() bool)
	// lost tells how it stands with events that never came, since the last rebuild.
	lost() lostEvents
	// barrier gives the number that passed comes to once all that was reported before the call has been handled.
	// Where it cannot be raised it does not pass; it is tried again by each call of passed.
	barrier() uint64
	passed() uint64
	// retry looks after what is polled, remounted after directories at which a mount came or went, none
	// below another, and unmounted finds those of points that lost their watch without a word.
	retry(ctx context.Context)
	remounted(ctx context.Context, points []string, now mountTable)
	unmounted(ctx context.Context, points mountTable) (lost []string)
	// reconsider watches what is at and below a directory as the rules have it now.
	reconsider(ctx context.Context, abs string)
	// rootUnwatched reports whether the root's own watch is gone although the root may be there: it
	// was moved away and back, which ends a watch.
	rootUnwatched() bool
	// polledPaths are the subtrees that are not watched.
	polledPaths() []string
	counts() counts
	// close ends all watching in the background, wait waits for that.
	close()
	wait()
}

// counts are for Stats.
type counts struct {
	watches, polled int
	events          uint64
}
