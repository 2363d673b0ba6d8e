package syncer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// A push keeps to --bwlimit, over one connection and over several, and does not take the wait
// for an idle connection.
func TestInteropBwlimit(t *testing.T) {
	r := newRig(t)
	relay := syncertest.StartRelay(t, r.daemon.Addr())
	const limit = 2_000_000
	write(t, r.in("a"), noise(1, 3_000_000))
	cfg := r.config()
	pointAt(t, &cfg, relay.Addr())
	cfg.Bwlimit, cfg.Timeout = limit, time.Second
	s := r.syncer(cfg)
	start := time.Now()
	for _, name := range []string{"a", "b", "c"} {
		write(t, r.in(name), noise(uint64(name[0]), 1_500_000))
		r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
	}
	took := time.Since(start)
	r.equal()
	rate := float64(relay.Sent()) / took.Seconds()
	t.Logf("%d bytes in %v: %.0f a second, the limit is %d", relay.Sent(), took, rate, limit)
	if rate > 1.1*limit {
		t.Errorf("%.0f bytes a second, the limit is %d", rate, limit)
	}
}

// Waiting for the limit ends with the context.
func TestInteropBwlimitEnds(t *testing.T) {
	r := newRig(t)
	relay := syncertest.StartRelay(t, r.daemon.Addr())
	write(t, r.in("a"), noise(1, 3_000_000))
	cfg := r.config()
	pointAt(t, &cfg, relay.Addr())
	cfg.Bwlimit = 10_000 // five minutes
	ctx, cancel := context.WithCancel(t.Context())
	cfg.Sink.Progress = func(syncer.Progress) { cancel() }
	rep, err := r.syncer(cfg).Push(ctx, syncer.Full())
	if code := syncer.ExitCode(rep, err); code != syncer.CodeSignal || !errors.Is(err, context.Canceled) {
		t.Errorf("exit code %d, error %v", code, err)
	}
	if n := relay.Sent(); n > 200_000 {
		t.Errorf("%d bytes were sent", n)
	}
}
