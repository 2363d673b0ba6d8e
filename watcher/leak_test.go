package watcher

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestNoLeaks has the root go and come back many times: neither goroutines nor descriptors may be left.
func TestNoLeaks(t *testing.T) {
	for _, backend := range []string{BackendInotify, BackendFanotify} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			if backend == BackendFanotify {
				needFanotify(t)
			}
			if !inChild(t, ownMounts()) { // nobody else opens anything there
				return
			}
			root := filepath.Join(t.TempDir(), "root")
			mkdir(t, root+"/d")
			h := newHarness(t, Config{Root: root, Backend: backend})
			s := newSession(h.w, h.emit)
			cycle := func(n int) {
				for range n {
					s.look(t.Context())
					s.flush()
					s.keeper.step(t.Context()) // its job may still run when the root goes
					select {
					case j := <-s.keeper.done:
						s.keeper.finished(j)
					default:
					}
					must(t, os.Rename(root, root+".away"))
					if s.look(t.Context()); s.stats.RootPresent {
						t.Fatal("the root is not absent")
					}
					must(t, os.Rename(root+".away", root))
				}
				s.backend.wait()
				s.keeper.wait()
			}
			cycle(2)
			fds, goroutines := countFds(t), runtime.NumGoroutine()
			cycle(50)
			if h.rootChanges() != 52 {
				t.Errorf("want 52 changes of the root, got %d; logs:\n%s", h.rootChanges(), h.logText())
			}
			h.await("as many descriptors and goroutines as before", func() bool {
				return countFds(t) <= fds && runtime.NumGoroutine() <= goroutines
			})
			s.close()
		})
	}
}

func countFds(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(list)
}
