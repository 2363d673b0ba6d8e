package local

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// BenchmarkFull brings 10,000 small files in 500 directories to an empty target, beside
// rsync and cp for scale. BENCH_DIR chooses the file system.
func BenchmarkFull(b *testing.B) {
	base, err := os.MkdirTemp(os.Getenv("BENCH_DIR"), "full")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(base)
	src, dst := filepath.Join(base, "src"), filepath.Join(base, "dst")
	if err := makeBenchTree(src); err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name string
		copy func() error
	}{
		{"lockstep", func() error { return pushOnce(src, dst) }},
		{"rsync", func() error { return exec.Command("rsync", "-a", src+"/", dst+"/").Run() }},
		{"cp", func() error { return exec.Command("cp", "-a", src, dst).Run() }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				if err := os.RemoveAll(dst); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := bench.copy(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("lockstep/unchanged", func(b *testing.B) {
		for b.Loop() {
			if err := pushOnce(src, dst); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func makeBenchTree(root string) error {
	data := make([]byte, 8<<10)
	for d := range 500 {
		dir := filepath.Join(root, fmt.Sprint("d", d%20), fmt.Sprint("sub", d))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for f := range 20 {
			size := 1024 + (d*20+f)*7%7168
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("file", f)), data[:size], 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func pushOnce(src, dst string) error {
	s, err := source.Open(src, source.Options{Set: option.Archive()})
	if err != nil {
		return err
	}
	defer s.Close()
	t, err := Open(dst, Options{Set: option.Archive()})
	if err != nil {
		return err
	}
	defer t.Close()
	res, err := t.Full(context.Background(), s, time.Time{})
	if err == nil && len(res.Problems) > 0 {
		err = res.Problems[0]
	}
	return err
}
