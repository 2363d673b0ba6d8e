package watcher

import (
	"testing"

	"go.uber.org/zap"
)

// startFan begins to watch root by fanotify, without a session.
func startFan(t *testing.T, root string, excluded func(string, bool) bool) *fan {
	t.Helper()
	needFanotify(t)
	f, err := newFan(t.Context(), &ground{root: root, excluded: excluded, log: zap.NewNop()}, 0)
	must(t, err)
	t.Cleanup(func() {
		f.close()
		f.wait()
	})
	return f
}

// TestFanBarrier raises a barrier while events are still to be read: it must not pass before them.
func TestFanBarrier(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	mkdir(t, root+"/d")
	reached, goOn := make(chan struct{}), make(chan struct{})
	f := startFan(t, root, func(rel string, _ bool) bool {
		if rel == "d" {
			close(reached)
			<-goOn
		}
		return false
	})
	h := &harness{TB: t, w: &Watcher{}}
	for range 3 { // the queue was empty before
		write(t, root+"/f", "")
		n := f.group.Emptied()
		h.await("an empty queue", func() bool { return f.group.Emptied() > n })
	}
	f.pending.take()
	write(t, root+"/d/f", "")
	<-reached
	f.barrier()
	before := f.past
	if f.passed() != before {
		t.Error("the barrier has passed, and what was before it is still to be read")
	}
	close(goOn)
	h.await("the event", func() bool { return !f.pending.empty() })
	if list, _, _ := f.pending.take(); list[0].name != "d/f" {
		t.Errorf("read %v", list)
	}
	h.await("the barrier", func() bool { return f.passed() != before })
}
