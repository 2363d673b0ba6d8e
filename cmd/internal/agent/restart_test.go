package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// TestRestartChaos changes a tree at random while Watch is stopped and started again with what it knows, and asks for
// verifications. A directory whose deletion is held, or waits for its time, stays all the while. In the end everything but
// that is equal.
func TestRestartChaos(t *testing.T) {
	for name, set := range map[string]func(*Settings){
		"plain": func(*Settings) {},
		"held":  func(s *Settings) { s.DeleteLimit = Limit{Set: true, Names: 30} },
		"delay": func(s *Settings) { s.DeleteDelay = time.Hour },
		"soon":  func(s *Settings) { s.DeleteDelay, s.DeleteLimit = 300*time.Millisecond, Limit{Set: true, Names: 1e6} },
	} {
		t.Run(name, func(t *testing.T) { restartChaos(t, name, set) })
	}
}

func restartChaos(t *testing.T, name string, set func(*Settings)) {
	k := newKept(t, "churn/x", "first")
	keeps := name == "held" || name == "delay"
	if keeps {
		for i := range 40 {
			k.write(fmt.Sprint("kept/", i))
		}
	}
	k.start(set)
	k.until("the target is equal", func() bool { return k.has("first") && (!keeps || k.has("kept/39")) })
	if keeps {
		k.settled()
		if err := os.Rename(filepath.Join(k.src, "kept"), filepath.Join(k.src, "../kept")); err != nil {
			t.Fatal(err)
		}
		k.arrives("second")
	}
	outside := filepath.Join(k.src, "../outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		churn := syncertest.Churn{Root: filepath.Join(k.src, "churn"), Outside: outside, Seed: 7, PlainLinks: os.Geteuid() != 0}
		_, err := churn.Run(ctx)
		ended <- err
	}()
	for ctx.Err() == nil {
		k.stop()
		k.start(set)
		_ = k.control().Resync(false) // it may not listen yet
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if keeps {
		k.verified()
		for i := range 40 {
			if name := fmt.Sprint("kept/", i); !k.has(name) {
				t.Errorf("%s is deleted", name)
			}
		}
		k.stop()
		k.start(func(s *Settings) { s.DeleteLimit = Limit{} })
		k.until("it is released, and deleted", func() bool {
			_, err := k.control().Release()
			return err == nil && !k.has("kept")
		})
	}
	syncertest.RequireSoonEqual(t, 30*time.Second, k.src, k.target, syncertest.CompareOptions{IgnoreOwners: os.Geteuid() != 0})
}
