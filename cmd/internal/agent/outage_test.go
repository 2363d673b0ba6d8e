package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// A daemon is gone while files are written, rewritten and deleted all the time: the log says so in few lines, and when
// it is back everything is as the source.
func TestOutageUnderChange(t *testing.T) {
	const files, changes = 500, 4_000
	dir := t.TempDir()
	src, module := filepath.Join(dir, "src"), filepath.Join(dir, "module")
	name := func(i int) string { return filepath.Join(src, fmt.Sprint("d", i%100), fmt.Sprint("f", i)) }
	if err := os.Mkdir(module, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := os.MkdirAll(filepath.Join(src, fmt.Sprint("d", i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range files {
		put(t, name(i), "before")
	}
	d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{{Name: "m", Path: module}}})
	w := startWatch(t, src+"/", d.URL("m"), module, variant{})
	defer w.stop(t)
	same := syncertest.CompareOptions{IgnoreOwners: os.Geteuid() != 0}
	syncertest.RequireSoonEqual(t, time.Minute, src, module, same)
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range changes {
		n := i * 7919 % files
		if i%50 == 49 {
			if err := os.Remove(name(n)); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			continue
		}
		put(t, name(n), fmt.Sprint("change ", i))
	}
	t.Logf("changed for %v", time.Since(began))
	// The outage is told, and lasts until it was tried more than once.
	for late := time.Now().Add(time.Minute); !strings.Contains(w.tail(1_000_000), "push failed") || time.Since(began) < 3*time.Second; {
		if time.Now().After(late) {
			t.Fatalf("no outage is told; the log:\n%s", w.tail(60))
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	syncertest.RequireSoonEqual(t, time.Minute, src, module, same)
	t.Logf("over after %v", time.Since(began))
	text := w.tail(1_000_000)
	most := 2 + int(time.Since(began)/repeatEvery)
	if n := strings.Count(text, "push failed"); n > most {
		t.Errorf("%d lines about one outage", n)
	}
	if n := strings.Count(text, "pushing goes on"); n != 1 {
		t.Errorf("it is said %d times that pushing goes on", n)
	}
}
