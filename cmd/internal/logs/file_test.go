package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
)

// TestReopenLosesNoLine: a log is renamed and opened again while many write; each line is in one of the files, whole.
func TestReopenLosesNoLine(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "log")
	l := mustNew(t, Options{File: name, Format: JSON})
	const writers, turns = 4, 50
	var wrote [writers]int
	var over atomic.Bool
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			log := l.Logger().With(zap.Int("writer", w))
			for ; !over.Load() || wrote[w] < turns; wrote[w]++ {
				log.Info("line", zap.Int("n", wrote[w]))
			}
		})
	}
	for i := range turns {
		if err := os.Rename(name, fmt.Sprintf("%s.%02d", name, i)); err != nil {
			t.Error(err)
		}
		if err := l.Reopen(); err != nil {
			t.Error(err)
		}
	}
	over.Store(true)
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Error(err)
	}

	files, err := filepath.Glob(name + "*")
	if err != nil || len(files) != turns+1 {
		t.Fatalf("files: %q, %v", files, err)
	}
	files = append(files[1:], files[0]) // the one without a number is the last
	var next [writers]int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var w, n int
			at := strings.Index(line, `"writer"`)
			if _, err := fmt.Sscanf(line[max(at, 0):], `"writer":%d,"n":%d}`+"\n", &w, &n); err != nil || at < 0 {
				t.Fatalf("%s: %q: %v", file, line, err)
			}
			if n != next[w] {
				t.Fatalf("%s: line %d of writer %d comes after %d", file, n, w, next[w]-1)
			}
			next[w]++
		}
	}
	if next != wrote {
		t.Errorf("written: %v, found: %v", wrote, next)
	}
}

// TestReopenFails: the old file is written to as before.
func TestReopenFails(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "sub", "log")
	if l, err := New(Options{File: name}); err == nil {
		l.Close()
		t.Fatal("a log file in a directory that is not there")
	}
	if err := os.Mkdir(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	l := mustNew(t, Options{File: name})
	l.Logger().Info("before")
	if err := os.Rename(filepath.Dir(name), filepath.Join(dir, "old")); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err == nil || !strings.Contains(err.Error(), "lines go to the old one") {
		t.Errorf("Reopen: %v", err)
	}
	l.Logger().Info("after")
	l.Close()
	if text, err := os.ReadFile(filepath.Join(dir, "old", "log")); err != nil || strings.Count(string(text), "\n") != 2 {
		t.Errorf("%q, %v", text, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "old", "log")); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("others may read it: %v, %v", info.Mode(), err)
	}

	if err := mustNew(t, Options{Stderr: &output{}}).Reopen(); err != ErrNoFile {
		t.Errorf("without a log file: %v", err)
	}
}
