package debounce

import (
	"testing"
	"time"
)

// TestOpenFile has a file written to in pieces: it is due when it was closed, or after MaxDelay.
func TestOpenFile(t *testing.T) {
	t.Parallel()
	ms := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Millisecond) }
	cfg := Config{
		Settle: 5 * time.Millisecond, MaxDelay: 100 * time.Millisecond,
		Quiet: func(p string) (Wait, bool) { return Wait{30 * time.Millisecond, 70 * time.Millisecond}, p == "log" },
	}
	type at struct {
		ms int
		c  Change
	}
	open, closed, attrib := Change{Path: "f", Content: true, Open: true}, Change{Path: "f", Content: true, Closed: true}, Change{Path: "f"}
	log := Change{Path: "log", Content: true, Open: true}
	for _, c := range []struct {
		name    string
		changes []at
		due     int
	}{
		{"closed", []at{{0, open}, {20, open}, {40, closed}}, 45},
		{"never closed", []at{{0, open}, {20, open}}, 100},
		{"busy until it is", []at{{0, open}, {95, open}, {99, closed}}, 100},
		{"opened again", []at{{0, closed}, {2, open}}, 100},
		{"attributes while open", []at{{0, open}, {10, attrib}}, 100},
		{"attributes after it", []at{{0, open}, {10, closed}, {12, attrib}}, 17},
		{"a subtree", []at{{0, open}, {10, Change{Path: "f", Tree: true}}}, 15},
		{"below a subtree", []at{{0, Change{Path: ".", Tree: true}}, {3, open}}, 8},
		{"own times", []at{{0, log}, {20, log}}, 50},
		{"own cap", []at{{0, log}, {25, log}, {50, log}}, 70},
		{"own times as a subtree", []at{{0, Change{Path: "log", Tree: true}}}, 5},
	} {
		q := NewQueue(cfg)
		for _, a := range c.changes {
			q.Add(ms(a.ms), a.c)
		}
		if due, ok := q.Next(); !ok || !due.Equal(ms(c.due)) {
			t.Errorf("%s: due after %v, want %d ms", c.name, due.Sub(epoch), c.due)
		}
		if b, ok := q.Take(ms(c.due)); !ok || len(b.Changes) != 1 || b.Changes[0].Open || b.Changes[0].Closed {
			t.Errorf("%s: taken %+v", c.name, b)
		}
	}
}
