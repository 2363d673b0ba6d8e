package syncer

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

func TestDated(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.Local)
	for in, want := range map[string]string{
		"":                       "",
		"../old":                 "../old",
		"../%Y-%m-%d/%H.%M.%S":   "../2026-02-03/04.05.06",
		"%j%%":                   "034%",
		"100%%/%Y%Y":             "100%/20262026",
		"%%Y":                    "%Y",
		"old%":                   "an error",
		"%y":                     "an error",
		"50% off":                "an error",
		"a \xff\xfe%d\xc3\x28":   "a \xff\xfe03\xc3\x28",
		"/with/%Y/\u00fc/%m/end": "/with/2026/\u00fc/02/end",
	} {
		got, err := dated(in, at)
		if err != nil {
			got = "an error"
		}
		if got != want || (CheckBackupDir(in) == nil) != (err == nil) {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
}

// Versions of a file go to the directory of the day on which they are replaced, on each kind of target,
// and when midnight passes between two pushes of one run.
func TestBackupsOverMidnight(t *testing.T) {
	dir := t.TempDir()
	module := filepath.Join(dir, "module")
	must(t, os.Mkdir(module, 0o755))
	d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Chroot: os.Geteuid() == 0, Modules: []syncertest.Module{{Name: "m", Path: module}}})
	remote, err := ParseTarget(d.URL("m") + "/dst")
	must(t, err)
	for name, test := range map[string]struct {
		target Target
		root   string // what holds dst and versions
	}{
		"local":  {Target{Path: filepath.Join(dir, "local", "dst")}, filepath.Join(dir, "local")},
		"daemon": {remote, module},
	} {
		t.Run(name, func(t *testing.T) {
			src := filepath.Join(t.TempDir(), "src")
			write(t, filepath.Join(src, "f"), "one")
			write(t, filepath.Join(test.root, "dst", "f"), "zero")
			now := time.Date(2026, 12, 31, 23, 59, 59, 0, time.Local)
			s := newPair(t, src, "", func(c *Config) {
				c.Target, c.Backup, c.BackupDir = test.target, true, filepath.Join(test.root, "versions")+"/%Y-%m-%d"
				if test.target.Remote() {
					c.BackupDir = "/versions/%Y-%m-%d"
					if os.Geteuid() != 0 {
						c.BackupDir = "../versions/%Y-%m-%d"
					}
				}
			})
			t.Cleanup(func() { s.Close() })
			s.now = func() time.Time { return now }
			must(t, os.MkdirAll(filepath.Join(test.root, "versions"), 0o755))
			mustPush(t, s, Full())
			now = now.Add(2 * time.Second)
			write(t, filepath.Join(src, "f"), "two!")
			mustPush(t, s, paths("f"))
			for day, want := range map[string]string{"2026-12-31": "zero", "2027-01-01": "one"} {
				got, err := os.ReadFile(filepath.Join(test.root, "versions", day, "f"))
				if err != nil || string(got) != want {
					t.Errorf("%s: %q, %v, want %q", day, got, err, want)
				}
			}
		})
	}
}
