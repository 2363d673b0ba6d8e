package syncer_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// An option of our own asking that the daemon refuses is left out, and not tried again.
func TestInteropRefusedOptionsOfOurs(t *testing.T) {
	for _, option := range []string{"force", "modify-window", "force modify-window"} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *syncertest.DaemonConfig) { c.Modules[0].Extra = []string{"refuse options = " + option} })
			relay := syncertest.StartRelay(t, r.daemon.Addr())
			for _, name := range []string{"keep", "gone", "d/gone", "d/keep"} {
				write(t, r.in(name), name)
			}
			cfg := r.config()
			cfg.Keep, cfg.Delete, cfg.NoPrewarm = true, true, true
			pointAt(t, &cfg, relay.Addr())
			s := r.syncer(cfg)
			same := func() {
				t.Helper()
				if src, dst := names(t, r.src), names(t, r.dst); !slices.Equal(src, dst) {
					t.Errorf("there is %q, want %q", dst, src)
				}
			}
			r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
			remove(t, r.in("gone"), r.in("d/gone"))
			r.mustBeWhole(s.Push(t.Context(), batch("gone", "d/gone")))
			same() // within a second times may differ: they are compared by rsync's default window
			if !slices.ContainsFunc(r.messages, func(m string) bool { return strings.Contains(m, "configured to refuse") }) {
				t.Errorf("nothing was refused: %q", r.messages)
			}
			n := relay.Connections()
			remove(t, r.in("d/keep"))
			r.mustBeWhole(s.Push(t.Context(), batch("d/keep")))
			same()
			if again := relay.Connections() - n; again != 1 {
				t.Errorf("%d connections for a push, want 1: it tries again what is refused", again)
			}
		})
	}
}

// A change of content that size and time do not show is compared in a second run, unless the user's
// options say that they are to be gone by, or that what is there stays.
func TestInteropBelief(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*syncer.Options)
		runs int
		want string
	}{
		{"plain", func(*syncer.Options) {}, 2, "new"},
		{"update", func(o *syncer.Options) { o.Update = true }, 2, "new"},
		{"existing", func(o *syncer.Options) { o.Existing = true }, 2, "new"},
		{"ignore times", func(o *syncer.Options) { o.IgnoreTimes = true }, 1, "new"},
		{"checksum", func(o *syncer.Options) { o.Checksum = true }, 1, "new"},
		{"size only", func(o *syncer.Options) { o.SizeOnly = true }, 1, "old"},
		{"ignore existing", func(o *syncer.Options) { o.IgnoreExisting = true }, 1, "old"},
		{"append", func(o *syncer.Options) { o.Append, o.Inplace = true, true }, 1, "old"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			relay := syncertest.StartRelay(t, r.daemon.Addr())
			for _, name := range []string{r.in("f"), r.at("f")} {
				write(t, name, "old")
				touch(t, name, time.Unix(1_700_000_000, 0))
			}
			write(t, r.in("f"), "new")
			touch(t, r.in("f"), time.Unix(1_700_000_000, 0))
			cfg := r.config()
			tt.set(&cfg.Options)
			pointAt(t, &cfg, relay.Addr())
			r.mustBeWhole(r.syncer(cfg).Push(t.Context(), batch("f")))
			if got := read(t, r.at("f")); got != tt.want || relay.Connections() != tt.runs {
				t.Errorf("%q after %d runs, want %q after %d", got, relay.Connections(), tt.want, tt.runs)
			}
		})
	}
}
