package syncer

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// laterThan is a time that no change so far has, and all from now on have.
func laterThan(t *testing.T, dir string) time.Time {
	t.Helper()
	ctime := func() time.Time {
		write(t, filepath.Join(dir, ".probe"), "")
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, ".probe"), &st); err != nil {
			t.Fatal(err)
		}
		return time.Unix(st.Ctim.Unix())
	}
	before := ctime()
	for now := ctime(); ; now = ctime() { // the clock of a file system has a step
		if now.After(before) {
			return now
		}
	}
}

// A file that moved with a directory is not compared by content only if it has been there, and has
// been as it is, since before the batch's changes; and if the directory is surely the one that moved.
func TestMovesProven(t *testing.T) {
	at := func(dir, name string) string { return filepath.Join(dir, name) }
	rename := func(t *testing.T, from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, dir string)
		edit   func(b *Batch)
		want   map[string]bool
	}{
		{"nothing else", nil, nil, map[string]bool{"n/1": true, "n/s/2": true, "n/s/t/3": true}},
		{"file changed", func(t *testing.T, dir string) { write(t, at(dir, "n/s/2"), "3") }, nil,
			map[string]bool{"n/1": true, "n/s/2": false, "n/s/t/3": true}},
		{"directory replaced by an old one", func(t *testing.T, dir string) {
			rename(t, at(dir, "n/s"), at(dir, "away"))
			rename(t, at(dir, "other"), at(dir, "n/s"))
		}, nil, map[string]bool{"n/1": true, "n/s/2": false, "n/s/t/3": false}},
		{"file replaced by an old one", func(t *testing.T, dir string) { rename(t, at(dir, "other/2"), at(dir, "n/1")) }, nil,
			map[string]bool{"n/1": false, "n/s/2": true, "n/s/t/3": true}},
		{"another directory", nil, func(b *Batch) { b.Moves[0].Ino++ }, map[string]bool{"n/1": false, "n/s/2": false, "n/s/t/3": false}},
		{"not known to be one", nil, func(b *Batch) { b.Moves[0].Ino, b.Moves[0].Dev = 0, 0 }, map[string]bool{"n/1": false, "n/s/2": false, "n/s/t/3": false}},
		{"the old place is no part of the batch", nil, func(b *Batch) { b.Paths = b.Paths[1:] }, map[string]bool{"n/1": false, "n/s/2": false, "n/s/t/3": false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range []string{"d/1", "d/s/2", "d/s/t/3", "other/2", "other/t/3"} {
				write(t, at(dir, name), "x")
			}
			since := laterThan(t, dir)
			var st unix.Stat_t
			if err := unix.Lstat(at(dir, "d"), &st); err != nil {
				t.Fatal(err)
			}
			rename(t, at(dir, "d"), at(dir, "n"))
			if c.change != nil {
				c.change(t, dir)
			}
			b := Batch{
				Paths: []Path{{Name: "d", Tree: true}, {Name: "n", Tree: true, Content: true}},
				Moves: []Move{{From: "d", To: "n", Dev: uint64(st.Dev), Ino: st.Ino}},
			}
			if c.edit != nil {
				c.edit(&b)
			}
			if diff := cmp.Diff(c.want, provenOf(t, dir, b, since)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func provenOf(t *testing.T, dir string, b Batch, since time.Time) map[string]bool {
	t.Helper()
	cfg := Config{Source: dir + "/", Target: Target{Path: t.TempDir()}, Options: option.Archive()}
	cfg.Delete = true
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.pushed = true
	src, err := source.Open(dir, s.src)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	hints, paths := s.hints(&b)
	plan, err := src.Plan(t.Context(), paths)
	if err != nil {
		t.Fatal(err)
	}
	m := s.moves(src, &b, hints, &plan)
	all, err := m.twins(t.Context(), src, since)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range all.files {
		got[f.entry.Name] = f.proven
	}
	return got
}
