package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestParseThreads(t *testing.T) {
	if got, err := parseThreads([]byte(status)); err != nil || got != 9 {
		t.Errorf("parseThreads = %d, %v, want 9", got, err)
	}
	for _, text := range []string{"", "Threads:\tx\n", "VmRSS:\t1 kB\n"} {
		if got, err := parseThreads([]byte(text)); err == nil {
			t.Errorf("parseThreads(%q) = %d, want an error", text, got)
		}
	}
}

func TestDiskUsage(t *testing.T) {
	dir := t.TempDir()
	before, err := diskUsage(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a/b/c"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	after, err := diskUsage(dir)
	if grew := after - before; err != nil || grew < 1<<20 || grew > 2<<20 {
		t.Errorf("with 1 MiB more it is %d bytes more, %v", grew, err)
	}
}
