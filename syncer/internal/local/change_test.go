package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// TestVanished: a directory or file that goes between listing and reading is a problem
// that says so, and nothing is made of it.
func TestVanished(t *testing.T) {
	src, dst := dirs(t)
	write(t, filepath.Join(src, "d", "f"), "x")
	write(t, filepath.Join(src, "f"), "x")
	s := openSource(t, src, sourceOptions(archive))
	plan, err := s.Plan(t.Context(), []source.Path{{Name: "d", Tree: true}, {Name: "f"}})
	must(t, err)
	must(t, os.RemoveAll(filepath.Join(src, "d")))
	must(t, os.Remove(filepath.Join(src, "f")))
	res, err := openTarget(t, dst, archive).Partial(t.Context(), s, plan, time.Time{})
	must(t, err)
	if len(res.Problems) != 2 || !res.Problems[0].Vanished() || !res.Problems[1].Vanished() {
		t.Errorf("problems: %v", res.Problems)
	}
	names, err := os.ReadDir(dst)
	must(t, err)
	if len(names) > 0 {
		t.Errorf("made of nothing: %v", names)
	}
}

// TestCameBack: a name that is planned as missing and is there again is not deleted.
func TestCameBack(t *testing.T) {
	src, dst := dirs(t)
	write(t, filepath.Join(dst, "f"), "x")
	s := openSource(t, src, sourceOptions(archive))
	plan, err := s.Plan(t.Context(), []source.Path{{Name: "f"}})
	must(t, err)
	if len(plan.Missing) != 1 {
		t.Fatalf("plan: %+v", plan)
	}
	write(t, filepath.Join(src, "f"), "x")
	_, err = openTarget(t, dst, archive).Partial(t.Context(), s, plan, time.Time{})
	must(t, err)
	if !exists(filepath.Join(dst, "f")) {
		t.Error("deleted")
	}
}

// TestChangedWhileRead: the file is named, is in place, and does not carry the time of
// a version that it may never have been.
func TestChangedWhileRead(t *testing.T) {
	for name, test := range map[string]struct {
		have string // on the target
		act  func(f *file, src *beneath.File)
	}{
		"copy":    {"", func(f *file, src *beneath.File) { f.copy(t.Context(), src) }},
		"compare": {"old", func(f *file, src *beneath.File) { f.keep(t.Context(), src) }},
	} {
		t.Run(name, func(t *testing.T) {
			src, dst := dirs(t)
			path := filepath.Join(src, "f")
			write(t, path, "old")
			age(t, src)
			s := openSource(t, src, sourceOptions(archive))
			e, err := s.Lstat("f")
			must(t, err)
			opened, _, err := s.Open("f")
			must(t, err)
			defer opened.Close()

			target := openTarget(t, dst, archive)
			r := target.newRun(s, time.Time{})
			w, err := r.visit(".")
			must(t, err)
			defer w.dir.Close()
			f := &file{run: r, w: w, entry: e, base: "f"}
			if test.have != "" {
				write(t, filepath.Join(dst, "f"), test.have)
				st, err := w.dir.Lstat("f")
				must(t, err)
				f.have = &st
			}
			write(t, path, "new")
			setTime(t, path, e.Mtime()) // the worst case: size and time do not tell
			test.act(f, opened)
			f.account()
			if diff := cmp.Diff([]string{"f"}, r.res.Changed); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
			st, err := os.Stat(filepath.Join(dst, "f"))
			must(t, err)
			if st.ModTime().Equal(e.Mtime()) {
				t.Error("the target passes for the source")
			}
			res, _ := full(t, src, dst, archive)
			requireClean(t, res)
			requireEqual(t, src, dst)
		})
	}
}

// TestInterrupted cancels at every stage: a reader finds the old or the new file, never
// a torn one, no temporary name is left, and the next push converges.
func TestInterrupted(t *testing.T) {
	const size = 24 << 20
	versions := []string{strings.Repeat("a", size), strings.Repeat("b", size)}
	for after := range 4 {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			src, dst := dirs(t)
			write(t, filepath.Join(dst, "f"), versions[0])
			write(t, filepath.Join(src, "f"), versions[1])
			ctx, cancel := context.WithCancelCause(t.Context())
			stop := errors.New("stop")
			o := archive
			told := 0
			o.Sink.Progress = func(report.Progress) {
				if told++; told > after {
					cancel(stop)
				}
			}
			_, err := openTarget(t, dst, o).Full(ctx, openSource(t, src, sourceOptions(o)), time.Time{})
			if err != nil && !errors.Is(err, stop) {
				t.Fatal(err)
			}
			if got := read(t, filepath.Join(dst, "f")); got != versions[0] && got != versions[1] {
				t.Errorf("torn: %d bytes", len(got))
			}
			names, err := os.ReadDir(dst)
			must(t, err)
			if len(names) != 1 {
				t.Errorf("left over: %v", names)
			}
			res, _ := full(t, src, dst, archive)
			requireClean(t, res)
			requireEqual(t, src, dst)
		})
	}
}

// TestStaleTemporary: what a killed run left is an extraneous name like any other.
func TestStaleTemporary(t *testing.T) {
	src, dst := dirs(t)
	write(t, filepath.Join(src, "f"), "x")
	write(t, filepath.Join(dst, ".f.aB3xYz"), "half")
	o := archive
	o.Delete = false
	full(t, src, dst, o)
	if !exists(filepath.Join(dst, ".f.aB3xYz")) {
		t.Error("deleted without --delete")
	}
	full(t, src, dst, archive)
	requireEqual(t, src, dst)
}

func TestStats(t *testing.T) {
	src, dst := dirs(t)
	write(t, filepath.Join(src, "d", "new"), "12345")
	write(t, filepath.Join(src, "big"), strings.Repeat("x", 300_000))
	write(t, filepath.Join(src, "old"), "123")
	must(t, os.Symlink("x", filepath.Join(src, "l")))
	must(t, unix.Mkfifo(filepath.Join(src, "p"), 0o600))
	write(t, filepath.Join(dst, "old"), "1")
	write(t, filepath.Join(dst, "gone", "f"), "1")
	res, lines := full(t, src, dst, archive)
	requireClean(t, res)
	want := report.Stats{
		Files: 3, Dirs: 2, Links: 1, Specials: 1,
		Created: 2, CreatedDirs: 1, CreatedLinks: 1, CreatedSpecials: 1,
		Transferred: 3, TotalSize: 300_009, TransferredSize: 300_008, Literal: 300_008,
		Deleted: 2, Changed: int64(len(lines)) - 2,
	}
	if diff := cmp.Diff(want, res.Stats); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

// TestRandom compares after random changes, by full and by partial pushes.
func TestRandom(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			src, dst := dirs(t)
			c := syncertest.Churn{Root: src, Seed: seed, MaxOps: 100}
			for range 4 {
				_, err := c.Run(t.Context())
				must(t, err)
				c.Seed += 100
				o := archive
				o.Checksum = true // the churn sets mtimes back
				var res Result
				if seed%2 == 0 {
					res, _ = full(t, src, dst, o)
				} else {
					res, _ = partial(t, src, dst, o, source.Path{Name: ".", Tree: true})
				}
				requireClean(t, res)
				requireEqual(t, src, dst)
			}
		})
	}
}
