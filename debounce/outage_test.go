package debounce

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// A target is gone for hours while paths change again and again: what is remembered follows the distinct paths, though
// each try takes them all and gives them back, and nothing of it stays once they are sent.
func TestOutageMemory(t *testing.T) {
	const files, changes, perPath = 20_000, 100_000, 450 // bytes, of which the path takes about 60
	names := make([]string, files)
	for i := range names {
		names[i] = fmt.Sprintf("site-%02d/upload/%04d/image-of-thing-%07d.jpeg", i%50, i/50%1000, i)
	}
	before := heap()
	q := NewQueue(Config{})
	now := epoch
	for i := range changes {
		now = now.Add(time.Millisecond)
		q.Add(now, Change{Path: string([]byte(names[i*7919%files])), Content: true}) // a string of its own, as the watcher's
		if i%20_000 == 19_999 {
			b, ok := q.Take(now.Add(time.Second))
			if !ok {
				t.Fatal("nothing is due")
			}
			q.Defer(now, now, b)
		}
	}
	if q.Len() != files {
		t.Errorf("%d entries, want %d", q.Len(), files)
	}
	got := (heap() - before) / files
	t.Logf("%d bytes a path", got)
	if got > perPath {
		t.Errorf("%d bytes a path, at most %d are allowed", got, perPath)
	}
	b, _ := q.Take(now.Add(time.Minute))
	if len(b.Changes) != files {
		t.Errorf("%d changes leave, want %d", len(b.Changes), files)
	}
	b = Batch{}
	if left := heap() - before; left > files*perPath/4 {
		t.Errorf("%d bytes are held when all was sent", left)
	}
	runtime.KeepAlive(q)
	runtime.KeepAlive(names)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
