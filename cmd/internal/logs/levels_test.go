package logs

import (
	"errors"
	"maps"
	"testing"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// TestLevels: a component's level holds at once, for loggers made before as well.
func TestLevels(t *testing.T) {
	var out output
	l := mustNew(t, Options{Stderr: &out})
	all := l.Logger()
	push := all.Named("push").With()
	deep := all.Named("agent").Named("push")
	other := all.Named("watcher")
	set := func(component, level string) map[string]string {
		t.Helper()
		now, err := l.SetLevel(component, level)
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	say := func() {
		all.Debug("all")
		push.Debug("a push")
		deep.Debug("deep")
		other.Debug("a watcher")
	}
	say()
	out.wants(t)
	now := set("push", "debug")
	want := map[string]string{"": "info", "agent": "info", "control": "info", "hooks": "info", "push": "debug", "watcher": "info"}
	if !maps.Equal(now, want) || !maps.Equal(set("", ""), want) || !maps.Equal(set("watcher", ""), want) {
		t.Errorf("levels: %v, want %v", now, want)
	}
	say()
	out.wants(t, "a push", "deep")
	set("", "debug")
	set("watcher", "error")
	say()
	out.wants(t, "all", "a push", "deep")
	set("", "error") // is that of all components
	all.Warn("all")
	push.Warn("a push")
	out.wants(t)

	for _, bad := range [][2]string{{"syncer", "debug"}, {"push", "loud"}, {"", "fatal"}, {"", "INFO"}} {
		if _, err := l.SetLevel(bad[0], bad[1]); !errors.Is(err, api.ErrUnknown) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
