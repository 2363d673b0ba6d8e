package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// On each kind of target a path that cannot be brought over is named once at the end, with a reason, and the
// exit code is rsync's.
func TestOnceTellsWhatFailed(t *testing.T) {
	module, ssh := t.TempDir(), t.TempDir()
	d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{{Name: "m", Path: module}}})
	sshd := syncertest.StartSSHD(t)
	local := t.TempDir()
	for _, tt := range []struct{ name, target, dir string }{
		{"local", local + "/", local}, {"daemon", d.URL("m"), module}, {"ssh", sshd.Host() + ":" + ssh, ssh},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := t.TempDir()
			put(t, filepath.Join(src, "f"), "x")
			put(t, filepath.Join(src, "fine"), "x")
			if err := os.MkdirAll(filepath.Join(tt.dir, "f", "in the way"), 0o755); err != nil {
				t.Fatal(err)
			}
			s := Defaults()
			s.Source, s.Target, s.Rsh = src+"/", tt.target, sshd.Rsh()
			if tt.name == "daemon" {
				s.Rsh = ""
			}
			var out, errw bytes.Buffer
			code := Once(t.Context(), s, &out, &errw)
			if code != syncer.CodePartial || strings.Count(errw.String(), `not brought over: "f": `) != 1 || strings.Contains(errw.String(), `"fine"`) {
				t.Errorf("exit code %d, stderr %q", code, errw.String())
			}
			if _, err := os.Stat(filepath.Join(tt.dir, "fine")); err != nil {
				t.Error(err)
			}
		})
	}
}
