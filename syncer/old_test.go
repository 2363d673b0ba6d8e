package syncer

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// A peer that speaks protocol 30 cannot delete single names; the directories that they
// were in are pruned, and nothing else is.
func TestInteropDeleteOnOldPeer(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	for _, f := range []string{"keep", "gone", "d/keep", "d/gone", "d/sub/deep", "gonedir/x/y", "e/keep", "e/cache/object"} {
		write(t, filepath.Join(src, f), f)
	}
	if err := os.Mkdir(dst, 0o755); err != nil {
		t.Fatal(err)
	}
	d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{{Name: "m", Path: dst}}})
	target, err := ParseTarget(d.URL("m"))
	if err != nil {
		t.Fatal(err)
	}
	s := newPair(t, src, dst, func(c *Config) { c.Target, c.Protocol = target, 30 })
	mustPush(t, s, Full())
	// What the target alone has beside the changed paths stays, below the pruned directories too.
	write(t, filepath.Join(dst, "d", "sub", "extra"), "extra")
	write(t, filepath.Join(dst, "e", "extra"), "extra")
	for _, f := range []string{"gone", "d/gone", "gonedir"} {
		if err := os.RemoveAll(filepath.Join(src, f)); err != nil {
			t.Fatal(err)
		}
	}
	mustPush(t, s, paths("gone", "d/gone", "gonedir/x/y", "gonedir"))
	for _, f := range []string{"keep", "d/keep", "d/sub/deep", "d/sub/extra", "e/keep", "e/extra"} {
		if !exists(t, filepath.Join(dst, f)) {
			t.Errorf("%s was deleted", f)
		}
	}
	for _, f := range []string{"gone", "d/gone", "gonedir"} {
		if exists(t, filepath.Join(dst, f)) {
			t.Errorf("%s is still there", f)
		}
	}
}
