package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

func twoTrees(t *testing.T) (src, replica string, entries []entry) {
	t.Helper()
	src, replica = filepath.Join(t.TempDir(), "src"), filepath.Join(t.TempDir(), "replica")
	spec := syncertest.TreeSpec{Files: 6, Dirs: 2, MaxSize: 100, ModTime: time.Unix(1_700_000_000, 5)}
	for _, dir := range []string{src, replica} {
		if _, err := syncertest.MakeTree(dir, spec); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := snapshot(src)
	if err != nil {
		t.Fatal(err)
	}
	return src, replica, entries
}

func TestSnapshotListsAll(t *testing.T) {
	_, _, entries := twoTrees(t)
	if len(entries) != 6+2+1 || entries[5].mode.IsDir() || !entries[6].mode.IsDir() {
		t.Errorf("6 files and then 3 directories give %+v", entries)
	}
}

func TestAwaitSeesWhatDiffers(t *testing.T) {
	for name, spoil := range map[string]func(file, dir string) error{
		"missing": func(file, dir string) error { return os.Remove(file) },
		"time":    func(file, dir string) error { return os.Chtimes(file, time.Time{}, time.Unix(1_700_000_000, 6)) },
		"mode":    func(file, dir string) error { return os.Chmod(file, 0o600) },
		"dir":     func(file, dir string) error { return os.Chtimes(dir, time.Time{}, time.Now()) },
		"size": func(file, dir string) error {
			at := time.Unix(1_700_000_000, 5)
			return firstError(os.WriteFile(file, nil, 0o644), os.Chtimes(file, at, at))
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, replica, entries := twoTrees(t)
			if _, err := await(t.Context(), entries, replica); err != nil {
				t.Fatalf("equal trees: %v", err)
			}
			if err := spoil(filepath.Join(replica, entries[0].path), filepath.Join(replica, entries[6].path)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			if _, err := await(ctx, entries, replica); err == nil {
				t.Error("await returned although the trees differ")
			}
		})
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestChangeArrives(t *testing.T) {
	src, replica, entries := twoTrees(t)
	c, err := rewrite(src, entries[0].path)
	if err != nil {
		t.Fatal(err)
	}
	if c.arrived(replica) {
		t.Fatal("arrived before it was brought over")
	}
	name := filepath.Join(replica, c.path)
	mtime := time.Unix(c.mtime.Unix())
	content := append([]byte(nil), c.content...)
	content[0]++
	for _, tt := range []struct {
		content []byte
		mtime   time.Time
		want    bool
	}{
		{content, mtime, false},
		{c.content, mtime.Add(1), false},
		{c.content, mtime, true},
	} {
		if err := firstError(os.WriteFile(name, tt.content, 0o644), os.Chtimes(name, tt.mtime, tt.mtime)); err != nil {
			t.Fatal(err)
		}
		if got := c.arrived(replica); got != tt.want {
			t.Errorf("arrived = %v, want %v", got, tt.want)
		}
	}
}

func TestChurnKeepsTheSize(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	tr := tree{dir: dir, spec: syncertest.TreeSpec{Files: 40, Dirs: 4, MaxSize: 100}}
	if _, err := syncertest.MakeTree(dir, tr.spec); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	change := churn(tr, 1)
	n, err := pace(ctx, 20_000, func(i int) error {
		if i == 999 {
			cancel()
		}
		return change(i)
	})
	if err != nil || n != 1000 {
		t.Fatalf("%d changes, %v", n, err)
	}
	entries, err := snapshot(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 40+4+1 {
		t.Errorf("after %d changes there are %d entries, want 45", n, len(entries))
	}
	for i := range tr.spec.Files {
		if _, err := os.Lstat(filepath.Join(dir, tr.file(i))); err != nil {
			t.Error(err)
		}
	}
}
