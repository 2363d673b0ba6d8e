package debounce

import (
	"fmt"
	"maps"
	"testing"
	"time"
)

// sent writes one file every period, for so many writes, and takes what is due at once. It returns when
// each batch left.
func sent(q *Queue, start time.Time, period time.Duration, writes int) []time.Time {
	var out []time.Time
	for i := range writes {
		now := start.Add(time.Duration(i) * period)
		out = append(out, takeUntil(q, now)...)
		q.Add(now, Change{Path: "log"})
	}
	return append(out, takeUntil(q, start.Add(time.Hour))...)
}

func takeUntil(q *Queue, end time.Time) (out []time.Time) {
	for due, ok := q.Next(); ok && !due.After(end); due, ok = q.Next() {
		q.Take(due)
		out = append(out, due)
	}
	return out
}

func TestCoolPathsStayFast(t *testing.T) {
	for _, period := range []time.Duration{300 * time.Millisecond, time.Second} {
		t.Run(period.String(), func(t *testing.T) {
			got := sent(NewQueue(Config{}), epoch, period, 500)
			if len(got) != 500 {
				t.Fatalf("500 writes left in %d batches", len(got))
			}
			for i, when := range got {
				if want := epoch.Add(time.Duration(i)*period + DefaultSettle); !when.Equal(want) {
					t.Fatalf("write %d left %v late", i, when.Sub(want))
				}
			}
		})
	}
}

func TestHotPathsWait(t *testing.T) {
	const minute = 60 * time.Second
	tests := []struct {
		period        time.Duration
		most          int // batches in a minute; every two seconds once it is hot
		firstInterval time.Duration
	}{
		{time.Millisecond, 42, DefaultMaxDelay},
		{4 * time.Millisecond, 42, DefaultMaxDelay},
		{8 * time.Millisecond, 48, DefaultSettle},
		{20 * time.Millisecond, 48, DefaultSettle},
		{100 * time.Millisecond, 48, DefaultSettle},
	}
	for _, tt := range tests {
		t.Run(tt.period.String(), func(t *testing.T) {
			got := sent(NewQueue(Config{}), epoch, tt.period, int(minute/tt.period))
			if len(got) < 30 || len(got) > tt.most {
				t.Errorf("left in %d batches, want 30 to %d", len(got), tt.most)
			}
			if d := got[0].Sub(epoch); d != tt.firstInterval {
				t.Errorf("the first batch left after %v, want %v", d, tt.firstInterval)
			}
			for i := 1; i < len(got); i++ {
				if d := got[i].Sub(got[i-1]); d > DefaultHotMax+tt.period {
					t.Errorf("batch %d left %v after the one before", i, d)
				}
			}
		})
	}
}

// returns makes a path come back at once, again and again, and gives the wait each time.
func returns(q *Queue, now time.Time, n int) (waits []time.Duration, end time.Time) {
	for range n {
		q.Add(now, Change{Path: "f"})
		due, _ := q.Next()
		q.Take(due)
		waits = append(waits, due.Sub(now))
		now = due.Add(time.Millisecond)
	}
	return waits, now
}

func TestWaitDoublesAndCools(t *testing.T) {
	q := NewQueue(Config{})
	waits, now := returns(q, epoch, 15)
	want := "[5ms 5ms 5ms 5ms 5ms 10ms 20ms 40ms 80ms 160ms 320ms 640ms 1.28s 2s 2s]"
	if got := fmt.Sprint(waits); got != want {
		t.Errorf("waits %v, want %v", got, want)
	}
	// Away for more than its wait: a step cooler each time, and it needs less to cool further.
	for _, want := range []time.Duration{1280 * time.Millisecond, 640 * time.Millisecond, 320 * time.Millisecond} {
		waits, now = returns(q, now.Add(want*5/2), 1)
		if waits[0] != want {
			t.Errorf("wait %v after a pause, want %v", waits[0], want)
		}
	}
	// Away for more than twice its wait: as new.
	if waits, _ = returns(q, now.Add(640*time.Millisecond), 3); fmt.Sprint(waits) != "[5ms 5ms 5ms]" {
		t.Errorf("waits %v after a long pause", waits)
	}
}

func TestHeatWithoutSettling(t *testing.T) {
	waits, _ := returns(NewQueue(Config{Settle: -1}), epoch, 8)
	if got, want := fmt.Sprint(waits), "[0s 0s 0s 0s 0s 10ms 20ms 40ms]"; got != want {
		t.Errorf("waits %v, want %v", got, want)
	}
}

func TestHeatOff(t *testing.T) {
	q := NewQueue(Config{HotMax: -1})
	if waits, _ := returns(q, epoch, 30); waits[29] != DefaultSettle {
		t.Errorf("the thirtieth return waits %v", waits[29])
	}
	if q.heat.taken != nil {
		t.Error("takings are remembered for nothing")
	}
}

// A failing push must not make the paths it carries hot, nor cool those that are.
func TestSecondTriesLeaveHeatAlone(t *testing.T) {
	q := NewQueue(Config{})
	q.Add(epoch, Change{Path: "f"})
	now := epoch
	for range 20 {
		due, _ := q.Next()
		b, _ := q.Take(due)
		now = due.Add(time.Millisecond)
		q.Defer(now, now.Add(time.Millisecond), b)
	}
	q.Add(now, Change{Path: "f"})
	if due, _ := q.Next(); due.Sub(now) != DefaultSettle {
		t.Errorf("after 20 tries a change waits %v", due.Sub(now))
	}

	q = NewQueue(Config{})
	_, now = returns(q, epoch, 10) // waits 160 ms by now
	q.Defer(now, now.Add(time.Millisecond), Batch{Changes: []Change{{Path: "f"}}, Oldest: now})
	q.Take(now.Add(time.Millisecond))
	if waits, _ := returns(q, now.Add(2*time.Millisecond), 1); waits[0] != 320*time.Millisecond {
		t.Errorf("after a second try a hot path waits %v", waits[0])
	}
}

func TestSecondTryOfACoolPath(t *testing.T) {
	q := NewQueue(Config{})
	_, now := returns(q, epoch, 14)
	b := Batch{Changes: []Change{{Path: "f"}}, Oldest: now}
	q.Defer(now, now.Add(time.Minute), b)
	q.Take(now.Add(time.Minute))
	if waits, _ := returns(q, now.Add(time.Minute+time.Millisecond), 1); waits[0] != DefaultSettle {
		t.Errorf("a minute later it waits %v", waits[0])
	}
}

func TestHeatIsBoundedAndForgotten(t *testing.T) {
	q := NewQueue(Config{MaxPaths: -1})
	_, now := returns(q, epoch, 10) // "f" is hot
	for i := range 4 * maxHeat {
		q.Add(now, Change{Path: fmt.Sprintf("d/%d", i)})
	}
	b, _ := q.Take(now.Add(DefaultSettle))
	if got := len(q.heat.taken); len(b.Changes) != 4*maxHeat || got > maxHeat {
		t.Errorf("%d takings remembered after a crowd of %d", got, len(b.Changes))
	}
	if waits, _ := returns(q, now.Add(DefaultSettle), 1); waits[0] != 320*time.Millisecond {
		t.Errorf("the hot path waits %v after the crowd", waits[0])
	}
	q.Add(now.Add(time.Hour), Change{Path: "x"})
	if q.heat.taken != nil {
		t.Errorf("%d takings remembered an hour later", len(q.heat.taken))
	}
}

func TestAllHotIsBounded(t *testing.T) {
	q := NewQueue(Config{MaxPaths: -1, MaxDelay: -1})
	for round, format := range []string{"a%d", "a%d", "a%d", "a%d", "a%d", "a%d", "a%d", "b%d"} {
		now := at(round)
		addAll(q, now, format, maxHeat-1)
		q.Flush(now)
		q.Take(now)
		if got := len(q.heat.taken); got > maxHeat {
			t.Fatalf("%d takings remembered", got)
		}
	}
	// The newcomers found room: without that each of them would have cost a search through the whole.
	maps.DeleteFunc(q.heat.taken, func(p string, _ taking) bool { return p[0] == 'a' })
	if got := len(q.heat.taken); got < maxHeat/2 {
		t.Errorf("%d of the last round are remembered", got)
	}
}
