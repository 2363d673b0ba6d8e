package syncertest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// StartDaemon starts a daemon for a test and stops it when the test ends; a failed test gets the
// daemon's log. Without an rsync program the test fails, or is skipped under -short: a check
// against the real thing should not vanish without anybody noticing.
func StartDaemon(tb testing.TB, cfg DaemonConfig) *Daemon {
	tb.Helper()
	d, err := NewDaemon(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("log of the rsync daemon at %s:\n%s", d.Addr(), d.Log())
		}
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	err = d.Start()
	if errors.Is(err, ErrNoRsync) && testing.Short() {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// StartRelay starts a relay for a test and closes it when the test ends.
func StartRelay(tb testing.TB, target string) *Relay {
	tb.Helper()
	r, err := NewRelay(target)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	})
	return r
}

// RequireEqual fails the test if the trees differ, and says in what.
func RequireEqual(tb testing.TB, a, b string, opts CompareOptions) {
	tb.Helper()
	diffs, err := Compare(a, b, opts)
	if err != nil {
		tb.Fatal(err)
	}
	if len(diffs) > 0 {
		tb.Fatalf("%q and %q differ:\n%s", a, b, Format(diffs))
	}
}

// RequireSoonEqual fails the test if the trees are not equal within the time.
func RequireSoonEqual(tb testing.TB, within time.Duration, a, b string, opts CompareOptions) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), within)
	defer cancel()
	if err := WaitEqual(ctx, a, b, opts); err != nil {
		tb.Fatal(err)
	}
}

// StartSSHD starts an sshd for a test and ends it when the test ends; a failed test gets its log.
// Without one the test fails, or is skipped under -short.
func StartSSHD(tb testing.TB, extra ...string) *SSHD {
	tb.Helper()
	s, err := NewSSHD(extra...)
	if errors.Is(err, ErrNoSSHD) && testing.Short() {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("log of sshd at %s:\n%s", s.Addr(), s.Log())
		}
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// NeedRsync fails the test where the real rsync is missing: what is compared with it proves nothing
// without. Under -short it skips.
func NeedRsync(tb testing.TB) {
	tb.Helper()
	if _, err := exec.LookPath("rsync"); err == nil {
		return
	}
	if testing.Short() {
		tb.Skip(ErrNoRsync)
	}
	tb.Fatal(ErrNoRsync)
}

// SkipUnderRace is for tests that are heavy and have nothing for the race detector: one goroutine, or
// the same goroutines as in a test that stays. They run in every run without it.
func SkipUnderRace(tb testing.TB, why string) {
	tb.Helper()
	if UnderRace {
		tb.Skip("not under the race detector: " + why)
	}
}

// Script writes a program for a test, with /bin/sh to run the text. Whoever forks meanwhile would
// have the file open for writing until its own exec, and the program could not be run: text file busy.
func Script(tb testing.TB, name, text string) string {
	tb.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		tb.Fatal(err)
	}
	return name
}
