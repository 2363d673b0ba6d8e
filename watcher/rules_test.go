package watcher

import (
	"os"
	"path"
	"strings"
	"testing"
)

// TestRules has a file of rules in a directory: it leaves out what it names, by its base name.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{BackendInotify, BackendFanotify} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			if backend == BackendFanotify {
				needFanotify(t)
			}
			testRules(t, backend)
		})
	}
}

func testRules(t *testing.T, backend string) {
	root := t.TempDir()
	mkdir(t, root+"/d/skip/deep")
	mkdir(t, root+"/d/other")
	write(t, root+"/d/.rules", "skip\n")
	h := start(t, Config{
		Root: root, Backend: backend,
		Excluded: func(p string, _ bool) bool {
			if path.Base(p) == ".rules" {
				return true // as -FF has it
			}
			rules, _ := os.ReadFile(root + "/d/.rules")
			return strings.HasPrefix(p, "d/") && strings.Contains(string(rules), path.Base(p)+"\n")
		},
		RuleDir: func(p string) (string, bool) { return path.Dir(p), path.Base(p) == ".rules" },
	})
	write(t, root+"/d/skip/deep/f", "one")
	h.sync()
	if got := h.take(); len(got) != 0 {
		t.Errorf("what is excluded is told: %v", got)
	}
	write(t, root+"/d/.rules", "other\n")
	h.await("the directory of the rules", func() bool { return h.has(Change{Path: "d", Tree: true}) })
	h.sync()
	h.take()
	write(t, root+"/d/skip/deep/f", "two")
	h.await("what is included now", func() bool { return h.has(Change{Path: "d/skip/deep/f", Content: true}) })
	h.sync()
	h.take()
	write(t, root+"/d/other/f", "one")
	h.sync()
	if got := h.take(); len(got) != 0 {
		t.Errorf("what is excluded now is told: %v", got)
	}
}
