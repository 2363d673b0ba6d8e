package agent

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockstep-sync/lockstep/debounce"
	"github.com/lockstep-sync/lockstep/syncer"
)

func names(b syncer.Batch) string {
	s := ""
	for _, p := range b.Paths {
		s += p.Name + " "
	}
	return s
}

// A target that failed is left alone, whatever changes meanwhile.
func TestFeedHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := debounce.NewLine(debounce.Config{})
		f := newFeed(line, context.Background())
		line.Add(debounce.Change{Path: "a"})
		b, err := f.Next(t.Context())
		if err != nil || names(b) != "a " {
			t.Fatalf("first batch %v, %v", b, err)
		}
		f.Defer(b, 0)
		f.Hold(10*time.Second, nil)
		start := time.Now()
		line.Add(debounce.Change{Path: "b"})
		b, err = f.Next(t.Context())
		if err != nil || names(b) != "a b " || time.Since(start) != 10*time.Second {
			t.Errorf("after %v: %q, %v; want both paths after 10 s", time.Since(start), names(b), err)
		}
	})
}

// After a stop everything pending is given out at once, deferred paths too, and then the
// feed ends; a wait for a target or for a change ends with the stop.
func TestFeedDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop, cancel := context.WithCancel(t.Context())
		line := debounce.NewLine(debounce.Config{Settle: time.Hour, MaxDelay: 2 * time.Hour})
		f := newFeed(line, stop)
		f.Defer(syncer.Batch{Paths: []syncer.Path{{Name: "deferred"}}, Oldest: time.Now()}, 3*time.Hour)
		line.Add(debounce.Change{Path: "settling"})
		f.Hold(time.Minute, nil)
		start := time.Now()
		time.AfterFunc(time.Second, cancel)
		b, err := f.Next(t.Context())
		if err != nil || names(b) != "deferred settling " || time.Since(start) != time.Second {
			t.Fatalf("after %v: %q, %v", time.Since(start), names(b), err)
		}
		if b, err := f.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("then %v, %v, want the end", b, err)
		}
	})
}

// A target that fails while it is drained is not tried again: what is left is reported.
func TestFeedGivesUpDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop, cancel := context.WithCancel(t.Context())
		line := debounce.NewLine(debounce.Config{})
		f := newFeed(line, stop)
		line.Add(debounce.Change{Path: "a"})
		cancel()
		b, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.Defer(b, 0)
		f.Hold(time.Second, nil)
		if _, err := f.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Fatalf("error %v, want the end", err)
		}
		if left, _ := line.Pending(); left != 1 {
			t.Errorf("%d paths are left, want 1", left)
		}
	})
}

func TestFeedEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		f := newFeed(debounce.NewLine(debounce.Config{}), context.Background())
		time.AfterFunc(time.Second, func() { cancel(errGrace) })
		if _, err := f.Next(ctx); !errors.Is(err, errGrace) {
			t.Errorf("error %v, want the context's cause", err)
		}
	})
}
