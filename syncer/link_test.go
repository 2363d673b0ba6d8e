package syncer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// relayed puts a relay between cfg and the daemon.
func (r *rig) relayed(cfg *syncer.Config) *syncertest.Relay {
	r.t.Helper()
	relay := syncertest.StartRelay(r.t, r.daemon.Addr())
	pointAt(r.t, cfg, relay.Addr())
	return relay
}

// Over a link of 50 ms and 10 Mbit/s, which stalls now and then, everything arrives.
func TestLinkSlow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 40 {
		write(t, r.in(fmt.Sprintf("d%d/f%d", i%4, i)), noise(uint64(i), 300*i))
	}
	write(t, r.in("large"), noise(99, 1<<20))
	truncateTimes(t, r.src)
	cfg := r.config()
	cfg.Delete, cfg.Keep, cfg.Timeout = true, true, 20*time.Second
	relay := r.relayed(&cfg)
	relay.Delay(25*time.Millisecond, 25*time.Millisecond)
	relay.Limit(10_000_000 / 8)

	s := r.syncer(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var stalling sync.WaitGroup
	stalling.Go(func() { stall(relay, 200<<10, ctx.Done()) })
	rep, err := s.Push(t.Context(), syncer.Full())
	cancel()
	stalling.Wait()
	r.mustBeWhole(rep, err)
	r.equal()

	before := relay.Sent()
	changeByte(t, r.in("large"), 1<<19)
	remove(t, r.in("d1"))
	rep, err = s.Push(t.Context(), syncer.Batch{Paths: []syncer.Path{{Name: "large", Content: true}, {Name: "d1", Tree: true}}, Oldest: time.Now()})
	r.mustBeWhole(rep, err)
	r.equal()
	if sent := relay.Sent() - before; sent > 64<<10 {
		t.Errorf("%d bytes went up for a change of one byte", sent)
	}
}

// stall stops the link for a moment once so many bytes went up.
func stall(relay *syncertest.Relay, after int64, over <-chan struct{}) {
	for relay.Sent() < after {
		select {
		case <-over:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
	relay.Stall()
	defer relay.Resume()
	select {
	case <-over:
	case <-time.After(700 * time.Millisecond):
	}
}

// changeByte changes one byte and gives the file a time of its own.
func changeByte(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := []byte{0}
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0]++
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	touch(t, name, old().Add(time.Hour))
}

// With --partial a link that is cut in the middle of a file costs what had not arrived.
func TestLinkResumes(t *testing.T) {
	const size, cut = 8 << 20, 5 << 20
	for _, dir := range []string{"", ".partial"} {
		t.Run("dir"+dir, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			write(t, r.in("large"), noise(1, size))
			touch(t, r.in("large"), old())
			cfg := r.config()
			cfg.Partial, cfg.PartialDir = true, dir
			relay := r.relayed(&cfg)
			relay.CutAfter(cut)
			if _, err := r.push(cfg); err == nil {
				t.Fatal("the link was cut, and the push reached its end")
			}
			kept := waitForPartial(t, filepath.Join(r.dst, dir, "large"))
			before := relay.Sent()
			rep := r.mustPush(cfg)
			r.equal()
			if rep.Stats.Literal > size-kept+128<<10 {
				t.Errorf("%d bytes were kept of %d, and %d sent again", kept, size, rep.Stats.Literal)
			}
			if sent := relay.Sent() - before; sent > size-kept+256<<10 {
				t.Errorf("%d bytes were kept of %d, and %d went up", kept, size, sent)
			}
		})
	}
}

// waitForPartial waits until the daemon has given what it got of a file its name, and returns
// how much that is.
func waitForPartial(t *testing.T, name string) int64 {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if fi, err := os.Stat(name); err == nil && fi.Size() > 0 {
			if fi.Size() < 1<<20 {
				t.Fatalf("only %d bytes were kept", fi.Size())
			}
			return fi.Size()
		}
	}
	t.Fatalf("the daemon kept nothing at %q", name)
	return 0
}
