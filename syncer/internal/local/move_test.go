package local

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lockstep-sync/lockstep/syncer/filter"
)

// moveAll has a target rename "from", "to" pairs, of which the source has the second.
func moveAll(t *testing.T, src, dst string, o Options, pairs ...string) (done []string) {
	t.Helper()
	s := openSource(t, src, sourceOptions(o))
	var moves []Move
	for i := 0; i < len(pairs); i += 2 {
		e, err := s.Lstat(pairs[i+1])
		must(t, err)
		moves = append(moves, Move{From: pairs[i], Entry: e})
	}
	list, err := openTarget(t, dst, o).Moves(t.Context(), s, moves)
	must(t, err)
	for _, m := range list {
		done = append(done, m.From+" "+m.Entry.Name)
	}
	return done
}

func TestMoves(t *testing.T) {
	rules := func(words ...string) *filter.List {
		var b filter.Builder
		for _, w := range words {
			must(t, b.Filter(w))
		}
		return b.Build()
	}
	for _, c := range []struct {
		name     string
		src, dst []string // files
		links    []string // symlinks on the target
		moves    []string
		set      func(o *Options)
		want     []string
		made     []string // on the target, afterwards
	}{
		{name: "file", src: []string{"b"}, dst: []string{"a"}, moves: []string{"a", "b"}, want: []string{"a b"}, made: []string{"b"}},
		{name: "directory", src: []string{"b/s/f"}, dst: []string{"a/s/f"}, moves: []string{"a", "b"}, want: []string{"a b"}, made: []string{"b/s/f"}},
		{name: "into new directories", src: []string{"n/o/b/f"}, dst: []string{"a/f"}, moves: []string{"a", "n/o/b"}, want: []string{"a n/o/b"}, made: []string{"n/o/b/f"}},
		{name: "into what is moved", src: []string{"b/e/f"}, dst: []string{"a/g", "e/f"}, moves: []string{"e", "b/e", "a", "b"},
			want: []string{"a b", "e b/e"}, made: []string{"b/e/f", "b/g"}},
		{name: "out of what is moved", src: []string{"b/g", "s/f"}, dst: []string{"a/g", "a/s/f"}, moves: []string{"a", "b", "a/s", "s"},
			want: []string{"a b", "a/s s"}, made: []string{"b/g", "s/f"}},
		{name: "nothing there", src: []string{"b"}, moves: []string{"a", "b"}},
		{name: "something at the new name", src: []string{"b"}, dst: []string{"a", "b"}, moves: []string{"a", "b"}, made: []string{"a", "b"}},
		{name: "another type", src: []string{"b"}, dst: []string{"a/f"}, moves: []string{"a", "b"}, made: []string{"a/f"}},
		{name: "a file where a directory is to be", src: []string{"n/b"}, dst: []string{"a", "n"}, moves: []string{"a", "n/b"}, made: []string{"a", "n"}},
		{name: "a symlink on the way to the new name", src: []string{"n/b"}, dst: []string{"a", "x/y"}, links: []string{"n"}, moves: []string{"a", "n/b"}, made: []string{"a", "x/y"}},
		{name: "a symlink on the way to the old name", src: []string{"b"}, dst: []string{"x/y"}, links: []string{"n"}, moves: []string{"n/y", "b"}, made: []string{"x/y"}},
		{name: "protected", src: []string{"b/f"}, dst: []string{"a/f", "a/s/keep.me"}, moves: []string{"a", "b"}, made: []string{"a/f", "a/s/keep.me"},
			set: func(o *Options) { o.Filter = rules("P *.me") }},
		{name: "excluded", src: []string{"b/f"}, dst: []string{"a/f", "a/s/x.o"}, moves: []string{"a", "b"}, made: []string{"a/s/x.o"},
			set: func(o *Options) { o.Filter = rules("- *.o") }},
		{name: "a rule for something else", src: []string{"b/f"}, dst: []string{"a/f"}, moves: []string{"a", "b"}, want: []string{"a b"}, made: []string{"b/f"},
			set: func(o *Options) { o.Filter = rules("- *.o", "P *.me") }},
		{name: "with backups", src: []string{"b"}, dst: []string{"a"}, moves: []string{"a", "b"}, made: []string{"a"}, set: func(o *Options) { o.Backup = true }},
		{name: "dry run", src: []string{"b"}, dst: []string{"a"}, moves: []string{"a", "b"}, made: []string{"a"}, set: func(o *Options) { o.DryRun = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, dst := dirs(t)
			for dir, names := range map[string][]string{src: c.src, dst: c.dst} {
				for _, name := range names {
					mkdir(t, dir, filepath.Dir(name))
					must(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644))
				}
			}
			for _, name := range c.links {
				must(t, os.Symlink("x", filepath.Join(dst, name)))
			}
			o := archive
			if c.set != nil {
				c.set(&o)
			}
			if done := moveAll(t, src, dst, o, c.moves...); !slices.Equal(done, c.want) {
				t.Errorf("done %q, want %q", done, c.want)
			}
			for _, name := range c.made {
				if _, err := os.Lstat(filepath.Join(dst, name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
