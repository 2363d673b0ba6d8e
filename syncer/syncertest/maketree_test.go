package syncertest

import (
	"bytes"
	"compress/flate"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMakeTree(t *testing.T) {
	tests := []struct {
		name string
		spec TreeSpec
	}{
		{"empty", TreeSpec{}},
		{"flat", TreeSpec{Files: 7, MinSize: 3}},
		{"one size", TreeSpec{Files: 10, Dirs: 3, MinSize: 4096}},
		{"noise", TreeSpec{Files: 200, Dirs: 45, Fanout: 3, MaxSize: 9000, Seed: 7}},
		{"text", TreeSpec{Files: 50, Dirs: 30, MinSize: 10, MaxSize: 200_000, Text: true, Seed: 8}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec := tt.spec
			spec.ModTime = time.Unix(1_600_000_000, 987654321)
			a, b := t.TempDir(), filepath.Join(t.TempDir(), "new", "b")
			stats, err := MakeTree(a, spec)
			must(t, err)
			again, err := MakeTree(b, spec)
			must(t, err)
			if stats != again {
				t.Errorf("first %+v, then %+v", stats, again)
			}
			RequireEqual(t, a, b, CompareOptions{})
			if got := countTree(t, a, spec); got != stats {
				t.Errorf("says %+v, wrote %+v", stats, got)
			}
			if stats.Files != spec.Files || stats.Dirs != spec.Dirs {
				t.Errorf("wrote %+v for %+v", stats, spec)
			}
			if spec.Files == 0 || spec.MaxSize == 0 {
				return
			}
			spec.Seed++
			other := t.TempDir()
			_, err = MakeTree(other, spec)
			must(t, err)
			if diffs, err := Compare(a, other, CompareOptions{MaxDifferences: 1000}); err != nil || len(diffs) < spec.Files {
				t.Errorf("another seed gives a tree with %d differences, %v", len(diffs), err)
			}
		})
	}
}

// countTree counts what is there and checks each file's size.
func countTree(t *testing.T, root string, spec TreeSpec) TreeStats {
	t.Helper()
	var stats TreeStats
	must(t, filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		if d.IsDir() {
			stats.Dirs++
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if size := info.Size(); size < spec.MinSize || size > max(spec.MinSize, spec.MaxSize) {
			t.Errorf("%q has %d bytes", p, size)
		}
		stats.Files++
		stats.Bytes += info.Size()
		return nil
	}))
	for i := range spec.Files {
		if _, err := os.Lstat(filepath.Join(root, spec.File(i))); err != nil {
			t.Error(err)
		}
	}
	return stats
}

func TestTreeContent(t *testing.T) {
	compressed := func(spec TreeSpec) float64 {
		var plain, packed bytes.Buffer
		n, err := spec.WriteContent(&plain, 1)
		must(t, err)
		if n != 1<<20 || plain.Len() != 1<<20 {
			t.Fatalf("wrote %d bytes, said %d", plain.Len(), n)
		}
		w, err := flate.NewWriter(&packed, flate.DefaultCompression)
		must(t, err)
		_, err = w.Write(plain.Bytes())
		must(t, err)
		must(t, w.Close())
		return float64(packed.Len()) / (1 << 20)
	}
	if ratio := compressed(TreeSpec{MinSize: 1 << 20}); ratio < 0.999 {
		t.Errorf("noise compresses to %.3f", ratio)
	}
	if ratio := compressed(TreeSpec{MinSize: 1 << 20, Text: true}); ratio < 0.1 || ratio > 0.4 {
		t.Errorf("text compresses to %.3f", ratio)
	}
}

func TestMakeTreeErrors(t *testing.T) {
	for _, spec := range []TreeSpec{{Files: -1}, {Dirs: -1}, {Fanout: -1}, {MinSize: -1}, {MinSize: 2, MaxSize: 1}} {
		if _, err := MakeTree(t.TempDir(), spec); err == nil {
			t.Errorf("%+v: no error", spec)
		}
	}
	dir := t.TempDir()
	_, err := MakeTree(dir, TreeSpec{Dirs: 1})
	must(t, err)
	if _, err := MakeTree(dir, TreeSpec{Dirs: 1}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("into a tree that has the directory: %v", err)
	}
}
