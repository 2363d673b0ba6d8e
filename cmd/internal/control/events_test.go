package control

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// TestEvents has what changed told, and nothing looked at while nobody listens.
func TestEvents(t *testing.T) {
	t.Parallel()
	f := &fake{agent: api.Agent{PID: 1}}
	c := serve(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	pids := make(chan int, 100)
	over := make(chan error, 1)
	go func() { over <- c.Follow(ctx, func(a api.Agent) { pids <- a.PID }) }()
	for want := 1; want <= 3; want++ {
		select {
		case got := <-pids:
			if got != want {
				t.Fatalf("pid %d, want %d", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("pid %d is not told", want)
		}
		f.set(func(a *api.Agent) { a.PID++ })
	}
	<-pids
	f.set(func(a *api.Agent) { a.Goroutines, a.Resident = 5, 6 }) // that is no news
	looked := f.looks()
	waitFor(t, "it is looked at again", func() bool { return f.looks() > looked+2 })
	cancel()
	if err := <-over; err != nil {
		t.Errorf("Follow that is given up: %v", err)
	}
	if n := len(pids); n > 0 {
		t.Errorf("%d events tell no news", n)
	}
	// The server notices within a look or two that nobody listens; a second listener would take a place that is free then.
	quiet := func() bool {
		before := f.looks()
		time.Sleep(3 * pollEvery)
		return f.looks() == before
	}
	waitFor(t, "nobody looks while nobody listens", quiet)
}

// TestEventsShared has many listeners cost one look, and too many refused.
func TestEventsShared(t *testing.T) {
	t.Parallel()
	f := &fake{}
	c := serve(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	var seen atomic.Int64
	over := make(chan error, mostListeners)
	for range mostListeners {
		go func() { over <- c.Follow(ctx, func(api.Agent) { seen.Add(1) }) }()
	}
	waitFor(t, "all have an event", func() bool { return seen.Load() == mostListeners })
	err := c.Follow(t.Context(), func(api.Agent) {})
	if err == nil || !strings.Contains(err.Error(), "32 listen already") {
		t.Errorf("one more: %v", err)
	}
	before, began := f.looks(), time.Now()
	time.Sleep(4 * pollEvery)
	if looks, most := f.looks()-before, int(2*time.Since(began)/pollEvery)+2; looks > most {
		t.Errorf("%d looks within %v, want %d at most", looks, time.Since(began), most)
	}
	cancel()
	for range mostListeners {
		if err := <-over; err != nil {
			t.Error(err)
		}
	}
}

// TestHeartbeat has a quiet stream say that it is there.
func TestHeartbeat(t *testing.T) {
	f := &fake{}
	h := Handler(f, nil).(*handler)
	h.events.every, h.events.beat = 5*time.Millisecond, 20*time.Millisecond
	path := t.TempDir() + "/control.sock"
	l, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	serveAt(t, l, h)
	conn := connect(t, Dial(path))
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(conn, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	beats := 0
	for lines := bufio.NewScanner(conn); beats < 3 && lines.Scan(); {
		if strings.HasPrefix(lines.Text(), ": still here") {
			beats++
		}
	}
	if beats < 3 {
		t.Errorf("%d heartbeats", beats)
	}
}
