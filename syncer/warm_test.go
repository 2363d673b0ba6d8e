package syncer_test

import (
	"os"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// eventually waits until done says so.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatal("never: " + what)
		}
	}
}

// newWarmRig is a rig with a syncer that has pushed once over a relay, and whose next
// connection is ready.
func newWarmRig(t *testing.T) (*rig, *syncertest.Relay, *syncer.Syncer) {
	t.Helper()
	return newWarmRigWith(t, func(*syncer.Config) {})
}

func newWarmRigWith(t *testing.T, set func(*syncer.Config)) (*rig, *syncertest.Relay, *syncer.Syncer) {
	t.Helper()
	r := newRig(t)
	relay := syncertest.StartRelay(t, r.daemon.Addr())
	write(t, r.in("d/f"), "first")
	cfg := r.config()
	cfg.Keep, cfg.Delete = true, true
	set(&cfg)
	pointAt(t, &cfg, relay.Addr())
	s := r.syncer(cfg)
	r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
	isWarm(t, relay, 2)
	return r, relay, s
}

// isWarm waits until the n-th connection got its answer, @RSYNCD: OK.
func isWarm(t *testing.T, relay *syncertest.Relay, n int) {
	t.Helper()
	eventually(t, "a warm connection", func() bool { return relay.Connections() == n && relay.RoundTrips() == 1 })
}

// Over a long cable a change is on the target within three round trips, and not sooner than
// the protocol can: arguments, list, data.
func TestInteropWarmRoundTrips(t *testing.T) {
	r, relay, s := newWarmRig(t)
	relay.Delay(25*time.Millisecond, 25*time.Millisecond)
	write(t, r.in("d/f"), "second")
	relay.HoldBeyond(relay.RoundTrips() + 2)
	type result struct {
		rep syncer.Report
		err error
	}
	done := make(chan result)
	go func() {
		rep, err := s.Push(t.Context(), batch("d/f"))
		done <- result{rep, err}
	}()
	eventually(t, "a third round trip", relay.Holds)
	if got := read(t, r.at("d/f")); got != "first" {
		t.Errorf("it is there after two round trips: %q", got)
	}
	relay.HoldBeyond(4)
	eventually(t, "the change on the target", func() bool {
		text, _ := os.ReadFile(r.at("d/f"))
		return string(text) == "second"
	})
	if n := relay.Connections(); n != 2 {
		t.Errorf("%d connections, want 2: the warm one was not used", n)
	}
	relay.HoldBeyond(0)
	got := <-done
	r.mustBeWhole(got.rep, got.err)
	r.equal()
}

// Whatever became of the warm connection, the push that wanted it arrives.
func TestInteropWarmStale(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(*testing.T, *rig, *syncertest.Relay)
	}{
		{"cut", func(_ *testing.T, _ *rig, relay *syncertest.Relay) { relay.Cut() }},
		{"cut when it is used", func(_ *testing.T, _ *rig, relay *syncertest.Relay) { relay.CutAfter(0) }},
		{"cut after some of the arguments", func(_ *testing.T, _ *rig, relay *syncertest.Relay) { relay.CutAfter(20) }},
		{"daemon restarted", func(t *testing.T, r *rig, _ *syncertest.Relay) { must(t, r.daemon.Restart()) }},
		{"daemon killed and started", func(t *testing.T, r *rig, _ *syncertest.Relay) {
			must(t, r.daemon.Kill())
			must(t, r.daemon.Start())
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, relay, s := newWarmRig(t)
			tt.spoil(t, r, relay)
			write(t, r.in("d/f"), "second")
			remove(t, r.in("d"))
			write(t, r.in("d/g"), "third")
			r.mustBeWhole(s.Push(t.Context(), batch("d/f", "d/g")))
			r.equal()
			if len(r.messages) > 0 {
				t.Errorf("messages %q", r.messages)
			}
		})
	}
}

// NoPrewarm opens nothing ahead, Close ends what was opened.
func TestInteropWarmEnds(t *testing.T) {
	r, _, s := newWarmRig(t)
	must(t, s.Close())
	r.mustBeWhole(s.Push(t.Context(), batch("d/f"))) // it can go on
	must(t, s.Close())
	relay := syncertest.StartRelay(t, r.daemon.Addr()) // the other one may still be about to accept what was closed
	cfg := r.config()
	cfg.Keep, cfg.NoPrewarm = true, true
	pointAt(t, &cfg, relay.Addr())
	cold := r.syncer(cfg)
	for range 2 {
		r.mustBeWhole(cold.Push(t.Context(), syncer.Full()))
	}
	must(t, cold.Close())
	if got := relay.Connections(); got != 2 {
		t.Errorf("%d connections for two pushes", got)
	}
}

// A connection is made ahead while a batch ends that asked for more than the options: the race detector
// tells if they share something.
func TestInteropWarmOptions(t *testing.T) {
	r, _, s := newWarmRig(t)
	most := int64(3)
	for range 5 {
		write(t, r.in("d/f"), "other")
		r.mustBeWhole(s.Push(t.Context(), syncer.Batch{Verify: true, Checksum: true, MaxDelete: &most, Paths: []syncer.Path{{Name: "d", Level: true}}}))
	}
	r.equal()
}
