package agent

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/cmd/internal/confine"
	"github.com/lockstep-sync/lockstep/cmd/internal/places"
	"github.com/lockstep-sync/lockstep/watcher"
)

// TestNeeds: what settings ask of the process, of all their targets together.
func TestNeeds(t *testing.T) {
	claims := t.TempDir()
	t.Setenv(places.RunDirEnv, claims)
	for _, test := range []struct {
		name string
		set  func(*Settings)
		want confine.Needs
	}{
		{"daemon", func(s *Settings) { s.Target = "h::m/"; s.PasswordFile = "/etc/secrets/p" },
			confine.Needs{Level: "off", Owners: true, Devices: true, Secret: true, Read: []string{"/src/", "/etc/secrets"}}},
		{"local", func(s *Settings) {
			s.Target, s.TempDir, s.BackupDir, s.Owner, s.Group, s.Devices = "/dst", "/tmp/t", "old", false, false, false
		},
			confine.Needs{Level: "off", Local: true, Read: []string{"/src/"}, Write: []string{"/dst", "/tmp/t"}}},
		{"ssh", func(s *Settings) { s.Target, s.Confine = "h:/x", "strict" },
			confine.Needs{Level: "strict", Owners: true, Devices: true, Exec: true, Read: []string{"/src/"}}},
		{"daemon behind a shell", func(s *Settings) { s.Target, s.Rsh = "h::m", "ssh" },
			confine.Needs{Level: "off", Owners: true, Devices: true, Exec: true, Secret: true, Read: []string{"/src/"}}},
		{"three kinds, watched", func(s *Settings) {
			s.Target, s.Also, s.Watch, s.WatchBackend, s.CopyLinks, s.User = "/dst", []string{"h:/x", "h::m"}, true, watcher.BackendFanotify, true, "0:0"
			s.StateDir = "/state"
		}, confine.Needs{Level: "off", Watch: true, Fanotify: true, Tune: true, Owners: true, Devices: true, Local: true, Exec: true, Secret: true,
			ReadsAnywhere: true, Read: []string{"/src/"}, Write: []string{"/state", claims, "/dst"}}},
	} {
		s := Defaults()
		s.Source = "/src/"
		test.set(&s)
		got, err := s.needs()
		if err != nil {
			t.Fatal(err)
		}
		if (got.User != nil) != (s.User != "") {
			t.Errorf("%s: user %v", test.name, got.User)
		}
		got.User = nil
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	service, err := new(Process).needs(nil) // syncs may come by a reload
	if err != nil || !slices.Contains(service.Write, claims) {
		t.Errorf("a service without syncs: %q, %v", service.Write, err)
	}
}
