package main

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// As Linux 6.18 writes it, shortened.
const status = "Name:\tlockstep\nVmPeak:\t 1332768 kB\nVmHWM:\t   62292 kB\nVmRSS:\t   13312 kB\nRssAnon:\t   8000 kB\nThreads:\t9\n"

func TestParseStatus(t *testing.T) {
	got, err := parseStatus([]byte(status))
	if want := (usage{resident: 13, peak: 62292. / 1024}); err != nil || got != want {
		t.Errorf("parseStatus = %+v, %v, want %+v", got, err, want)
	}
	for _, text := range []string{"", "VmRSS:\t13312 kB\n", "VmHWM:\t1 kB\nVmRSS:\tx kB\n", "VmHWM:\t1 kB\nVmRSS:\t-1 kB\n"} {
		if got, err := parseStatus([]byte(text)); err == nil {
			t.Errorf("parseStatus(%q) = %+v, want an error", text, got)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte(status))
	f.Add([]byte("VmHWM: 99999999999999999999 kB\nVmRSS: 1 kB"))
	f.Fuzz(func(t *testing.T, text []byte) {
		u, err := parseStatus(text)
		if err == nil && (u.resident < 0 || u.peak < 0) {
			t.Errorf("parseStatus(%q) = %+v", text, u)
		}
	})
}

func TestUsageOfItself(t *testing.T) {
	u, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if u.resident < 1 || u.peak < u.resident {
		t.Errorf("resident %v MiB, peak %v MiB", u.resident, u.peak)
	}
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		calls := 0
		n, err := pace(ctx, 1000, func(i int) error {
			if i != calls {
				t.Errorf("call %d is told %d", calls, i)
			}
			calls++
			return nil
		})
		if err != nil || n != calls || n < 980 || n > 1000 {
			t.Errorf("in a second at a rate of 1000: %d calls, told %d, %v", calls, n, err)
		}
		broken := errors.New("broken")
		if _, err := pace(t.Context(), 1000, func(int) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("an error gives %v", err)
		}
	})
}
