package syncer_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// While one path makes every full push partial, content hints covered by the whole tree still count.
func TestInteropContentBesideARefusedPath(t *testing.T) {
	r := newRig(t, func(c *syncertest.DaemonConfig) { c.Modules[0].Extra = []string{"exclude = /bad"} })
	when := time.Unix(1700000000, 0)
	f := filepath.Join(r.src, "f")
	put := func(s string) {
		os.WriteFile(f, []byte(s), 0o644)
		os.Chtimes(f, when, when)
	}
	put("old")
	os.WriteFile(filepath.Join(r.src, "bad"), nil, 0o644)
	cfg := r.config()
	cfg.Keep = true
	s := r.syncer(cfg)
	rep, err := s.Push(t.Context(), syncer.Full())
	if syncer.ExitCode(rep, err) != syncer.CodePartial {
		t.Fatal(rep, err)
	}
	put("new")
	// what the queue gives when the deferred "." and the fresh "f" are due together
	s.Push(t.Context(), syncer.Batch{Paths: []syncer.Path{{Name: ".", Tree: true, Content: true}}, Oldest: time.Now().Add(-time.Second)})
	if b, _ := os.ReadFile(filepath.Join(r.dst, "f")); string(b) != "new" {
		t.Errorf("have %q", b)
	}
}
