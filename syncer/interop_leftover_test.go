package syncer_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
)

// A daemon that is killed in the middle of a file leaves a temporary name, which the next push removes.
func TestInteropLeftover(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cfg := r.config()
	cfg.Delete, cfg.Keep = true, true
	relay := r.relayed(&cfg)
	s := r.syncer(cfg)
	write(t, r.in("d/f"), "f")
	write(t, r.in("other/f"), "f")
	r.mustBeWhole(s.Push(t.Context(), syncer.Full()))

	write(t, r.in("d/big"), noise(1, 3_000_000))
	relay.Limit(1_000_000)
	ended := make(chan error, 1)
	batch := syncer.Batch{Paths: []syncer.Path{{Name: "d/big"}}, Oldest: time.Now()}
	go func() {
		_, err := s.Push(t.Context(), batch)
		ended <- err
	}()
	left := func() bool {
		names, err := filepath.Glob(r.at("d/.big.*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(names) > 0
	}
	for deadline := time.Now().Add(20 * time.Second); !left(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no temporary name was made")
		}
	}
	if err := r.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a push to a daemon that was killed went well")
	}
	if !left() {
		t.Fatal("the daemon has cleaned up although it was killed: this tests nothing")
	}
	relay.Limit(0)
	if _, err := s.Push(t.Context(), batch); err == nil {
		t.Error("a push to no daemon went well")
	}
	if err := r.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	write(t, r.in("other/f"), "another change comes first")
	r.mustBeWhole(s.Push(t.Context(), syncer.Batch{Paths: []syncer.Path{{Name: "other/f"}}, Oldest: time.Now()}))
	if left() {
		t.Error("the temporary name is still there")
	}
	r.mustBeWhole(s.Push(t.Context(), batch))
	r.equal()
}
