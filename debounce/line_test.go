package debounce

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pull takes the next batch and says after how long it came.
func pull(t *testing.T, l *Line) (string, time.Duration) {
	t.Helper()
	start := time.Now()
	b, err := l.Next(t.Context())
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	return spell(b.Changes), time.Since(start)
}

func wantPull(t *testing.T, l *Line, want string, after time.Duration) {
	t.Helper()
	if got, took := pull(t, l); got != want || took != after {
		t.Errorf("Next gave %q after %v, want %q after %v", got, took, want, after)
	}
}

func TestLineSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLine(Config{})
		start := time.Now()
		l.Add(Change{Path: "b", Content: true}, Change{Path: "a", Tree: true})
		if paths, oldest := l.Pending(); paths != 2 || !oldest.Equal(start) {
			t.Errorf("Pending = %d, %v, want 2, %v", paths, oldest, start)
		}
		wantPull(t, l, "a/ b!", DefaultSettle)
		if paths, oldest := l.Pending(); paths != 0 || !oldest.IsZero() {
			t.Errorf("Pending = %d, %v when all is taken", paths, oldest)
		}
	})
}

func TestLineWakesWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLine(Config{Settle: 10 * time.Millisecond})
		go func() {
			time.Sleep(time.Second) // Next waits for anything at all
			l.Add(Change{Path: "a"})
			time.Sleep(9 * time.Millisecond) // and now for a, which changes again
			l.Add(Change{Path: "a"})
		}()
		wantPull(t, l, "a", time.Second+19*time.Millisecond)
	})
}

func TestLineWakesForWhatIsDueEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLine(Config{})
		l.Defer(Batch{Changes: []Change{{Path: "a"}}, Oldest: time.Now()}, time.Minute)
		go func() {
			time.Sleep(time.Second)
			l.Add(Change{Path: "b"})
		}()
		wantPull(t, l, "b", time.Second+DefaultSettle)
		wantPull(t, l, "a", time.Minute-time.Second-DefaultSettle)
	})
}

func TestLineDefer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLine(Config{})
		start := time.Now()
		l.Add(Change{Path: "a"}, Change{Path: "b"})
		b, err := l.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the push that fails
		l.Defer(b, time.Minute)
		if paths, oldest := l.Pending(); paths != 2 || !oldest.Equal(start) {
			t.Errorf("Pending = %d, %v, want 2, %v", paths, oldest, start)
		}
		time.Sleep(time.Second)
		l.Add(Change{Path: "b"})
		wantPull(t, l, "b", DefaultSettle)
		again, err := l.Next(t.Context())
		if err != nil || again.Seq != b.Seq+2 || !again.Oldest.Equal(start) || time.Since(start) != time.Minute+time.Second+DefaultSettle {
			t.Errorf("Next = %+v, %v after %v", again, err, time.Since(start))
		}
	})
}

func TestLineFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLine(Config{Settle: time.Minute, MaxDelay: time.Hour})
		l.Add(Change{Path: "a"})
		l.Defer(Batch{Changes: []Change{{Path: "b"}}}, time.Hour)
		go func() {
			time.Sleep(time.Second)
			l.Flush()
		}()
		wantPull(t, l, "a b", time.Second)
	})
}

func TestLineNextEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLine(Config{Settle: time.Minute, MaxDelay: time.Hour})
		for name, add := range map[string]func(){
			"empty":   func() {},
			"waiting": func() { l.Add(Change{Path: "a"}) },
			"due":     l.Flush,
		} {
			add()
			before, _ := l.Pending()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if name == "due" { // what is due stays for the next caller, who may have time
				cancel()
			}
			_, err := l.Next(ctx)
			cancel()
			if after, _ := l.Pending(); err == nil || !errors.Is(err, ctx.Err()) || after != before {
				t.Errorf("%s: err = %v, %d of %d pending", name, err, after, before)
			}
			l = NewLine(Config{Settle: time.Minute, MaxDelay: time.Hour})
		}
	})
}

// Many writers, one slow reader that fails every third push: all arrives, and what is pending stays a
// set of paths.
func TestLineManyWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const writers, files, rounds = 8, 10, 200
		l := NewLine(Config{})
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range rounds {
					l.Add(Change{Path: fmt.Sprintf("w%d/%d", w, i%files)})
					time.Sleep(time.Duration(1+w) * time.Millisecond)
				}
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		lastSent := map[string]time.Time{}
		go func() {
			wg.Wait()
			finished := time.Now()
			for paths, _ := l.Pending(); paths > 0; paths, _ = l.Pending() {
				time.Sleep(time.Millisecond)
			}
			if took := time.Since(finished); took > 10*time.Second {
				t.Errorf("it took %v to drain", took)
			}
			time.Sleep(time.Second) // lets the last push end
			cancel()
		}()
		for b, err := l.Next(ctx); err == nil; b, err = l.Next(ctx) {
			if len(b.Changes) > writers*files {
				t.Errorf("%d changes in a batch", len(b.Changes))
			}
			if b.Seq%3 == 0 {
				l.Defer(b, 20*time.Millisecond)
				continue
			}
			for _, c := range b.Changes {
				lastSent[c.Path] = time.Now()
			}
			time.Sleep(7 * time.Millisecond)
		}
		if len(lastSent) != writers*files {
			t.Errorf("%d of %d files arrived", len(lastSent), writers*files)
		}
	})
}

// Outside of the bubble, for the race detector: every method at once.
func TestLineConcurrently(t *testing.T) {
	l := NewLine(Config{Settle: -1, MaxDelay: time.Millisecond, HotMax: -1, MaxPaths: 50})
	ctx, cancel := context.WithCancel(t.Context())
	var writers, reader sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 2000 {
				l.Add(Change{Path: fmt.Sprintf("%d/%d", w, i), Tree: i%100 == 0})
				l.Pending()
			}
		})
	}
	got := 0
	first := make(chan struct{})
	reader.Go(func() {
		for b, err := l.Next(ctx); err == nil; b, err = l.Next(ctx) {
			if got++; got == 1 {
				close(first)
			}
			if got%5 == 0 {
				l.Defer(b, time.Microsecond)
			}
			if paths, _ := l.Pending(); paths > 50 {
				t.Errorf("%d paths pending", paths)
			}
		}
	})
	writers.Wait()
	l.Flush()
	<-first // or the test hangs: no batch came out
	cancel()
	reader.Wait()
}

// What is taken is listed until it is done; what is glanced at is what is pending.
func TestLineLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLine(Config{})
		begin := time.Now()
		l.Add(Change{Path: "a"}, Change{Path: "b", Tree: true})
		time.Sleep(time.Second)
		b, err := l.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l.Add(Change{Path: "a"})
		l.Defer(Batch{Changes: []Change{{Path: "c"}}, Oldest: begin.Add(-time.Second)}, time.Minute)
		now := time.Now()
		want := []Entry{
			{Path: "c", First: begin.Add(-time.Second), Due: now.Add(time.Minute)},
			{Path: "a", First: begin, Taken: true},
			{Path: "b", Tree: true, First: begin, Taken: true},
			{Path: "a", First: now, Due: now.Add(DefaultSettle)},
		}
		if diff := cmp.Diff(want, l.List()); diff != "" {
			t.Errorf("list after %v (-want +got):\n%s", b, diff)
		}
		l.Done()
		if got := l.List(); len(got) != 2 || got[0].Path != "c" || got[1].Path != "a" || got[1].Taken {
			t.Errorf("list once that is done: %v", got)
		}
		paths, oldest := l.Glance()
		if n, since := l.Pending(); paths != n || !oldest.Equal(since) {
			t.Errorf("glanced at %d since %v, pending %d since %v", paths, oldest, n, since)
		}
	})
}
