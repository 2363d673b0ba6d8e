package rate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// send plays a sender that has always more to send, for the given time; late is how much later
// than asked for its timers fire. It returns how many bytes went within each tenth of a second.
func send(l *Limiter, during time.Duration, late func() time.Duration) (perTenth []int) {
	start := time.Unix(1_700_000_000, 0)
	now := start
	perTenth = make([]int, during/(100*time.Millisecond))
	for now.Sub(start) < during {
		n := l.Piece(64 << 10)
		if d := l.Take(now, n); d > 0 {
			now = now.Add(d + late())
		}
		if i := int(now.Sub(start) / (100 * time.Millisecond)); i < len(perTenth) {
			perTenth[i] += n
		}
	}
	return perTenth
}

// The limit is kept within 5% over 10 seconds, and never exceeded by more than a burst over less.
func TestLimitIsKept(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for name, late := range map[string]func() time.Duration{
		"punctual": func() time.Duration { return 0 },
		"late":     func() time.Duration { return time.Duration(rng.IntN(int(10 * time.Millisecond))) },
	} {
		for _, limit := range []int64{512, 1000, 20_000, 1_048_576, 20 << 20, 1 << 30} {
			t.Run(fmt.Sprintf("%s/%d", name, limit), func(t *testing.T) {
				tenths := send(New(limit), 10*time.Second, late)
				sum := 0
				for _, n := range tenths {
					sum += n
				}
				if want := float64(10 * limit); float64(sum) < 0.95*want || float64(sum) > 1.05*want {
					t.Errorf("%d bytes in 10 s, want %.0f", sum, want)
				}
				for i := range len(tenths) - 9 {
					second := 0
					for _, n := range tenths[i : i+10] {
						second += n
					}
					if float64(second) > 1.1*float64(limit)+2*maxPiece/1000 {
						t.Errorf("%d bytes in the second that begins at %d tenths", second, i)
					}
				}
			})
		}
	}
}

// A pause is no credit for a burst behind it.
func TestNoCreditForIdleTime(t *testing.T) {
	const limit = 1_000_000
	l := New(limit)
	start := time.Unix(1_700_000_000, 0)
	l.Take(start, 1000)
	later, sent := start.Add(time.Hour), 0
	for l.Take(later, 1000) <= 0 {
		sent += 1000
	}
	if most := limit / 20; sent > most {
		t.Errorf("%d bytes at once after a pause, want %d at most", sent, most)
	}
}

func TestNoLimit(t *testing.T) {
	l := New(0)
	if l.Piece(1<<30) != 1<<30 || l.Take(time.Now(), 1<<30) != 0 || l.Wait(nil, 1<<30) != nil {
		t.Error("no limit limits")
	}
}

// Two connections share one limit.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(100_000)
		var wg sync.WaitGroup
		start := time.Now()
		for range 2 {
			wg.Go(func() {
				for range 100 {
					if err := l.Wait(nil, 5000); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("1 MB at 100 KB/s took %v", took)
		}
	})
}

func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1)
		done := make(chan struct{})
		start := time.Now()
		time.AfterFunc(time.Second, func() { close(done) })
		if err := l.Wait(done, 1000); !errors.Is(err, ErrStopped) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
