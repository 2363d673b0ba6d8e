package syncer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// offersPieces tells whether the pushes of cfg offer incremental recursion.
func offersPieces(t *testing.T, r *rig, cfg *syncer.Config) *atomic.Bool {
	t.Helper()
	var offered atomic.Bool
	pointAt(t, cfg, meddle(t, r.daemon.Addr(), func(b []byte) {
		if bytes.Contains(b, []byte("e.iLsfxCIvu\x00")) {
			offered.Store(true)
		}
	}))
	return &offered
}

// Trees of all shapes go in pieces: more names in a directory than are sent ahead, more directories,
// deeper ones, empty ones, one in another alone.
func TestInteropPieces(t *testing.T) {
	names := 12_000
	if syncertest.UnderRace {
		names = 3000 // still in pieces
	}
	many := func(t *testing.T, dir string) {
		for i := range names {
			write(t, filepath.Join(dir, "many", fmt.Sprintf("f%05d", i)), "")
		}
		write(t, filepath.Join(dir, "many/d/f"), "x")
		write(t, filepath.Join(dir, "z"), "x")
	}
	for _, tt := range []struct {
		name   string
		build  func(t *testing.T, dir string)
		prefix bool
		set    func(*syncer.Config)
		whole  bool // it does not go in pieces
	}{
		{name: "nothing", build: func(*testing.T, string) {}},
		{name: "nothing, by name", build: func(*testing.T, string) {}, prefix: true},
		{name: "a file", build: func(t *testing.T, dir string) { write(t, filepath.Join(dir, "f"), "x") }},
		{name: "a file, by name", build: func(t *testing.T, dir string) { write(t, filepath.Join(dir, "f"), "x") }, prefix: true},
		{name: "many names", build: many},
		{name: "many names, hard links kept", build: many, set: func(c *syncer.Config) { c.HardLinks = true }},
		{name: "many directories", build: func(t *testing.T, dir string) {
			for i := range names {
				mkdir(t, filepath.Join(dir, fmt.Sprintf("d%03d/%03d", i/100, i%100)))
			}
		}},
		{name: "deep", build: func(t *testing.T, dir string) {
			for i := range 1000 {
				mkdir(t, filepath.Join(dir, strings.Repeat("d/", i)))
				write(t, filepath.Join(dir, strings.Repeat("d/", i), "f"), "x")
			}
		}},
		{name: "deep, by name", build: func(t *testing.T, dir string) {
			mkdir(t, filepath.Join(dir, strings.Repeat("d/", 1000)))
		}, prefix: true},
		{name: "odd", build: oddTree, prefix: true},
		{name: "odd, hard links kept", build: oddTree, set: func(c *syncer.Config) { c.HardLinks, c.NumericIDs = true, true }},
		{name: "deletions delayed", build: many, set: func(c *syncer.Config) { c.Delete, c.DeleteWhen = true, syncer.DeleteDelay }},
		{name: "deletions after", build: oddTree, set: func(c *syncer.Config) { c.Delete, c.DeleteWhen = true, syncer.DeleteAfter }, whole: true},
		{name: "progress", build: oddTree, set: func(c *syncer.Config) { c.Sink.Progress = func(syncer.Progress) {} }, whole: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			tt.build(t, r.src)
			cfg := r.config()
			dst := r.dst
			if tt.prefix {
				cfg.Source, dst = r.src, filepath.Join(r.dst, "src")
			}
			if tt.set != nil {
				tt.set(&cfg)
			}
			if cfg.Delete {
				write(t, r.at("gone/in"), "x")
			}
			offered := offersPieces(t, r, &cfg)
			r.mustPush(cfg)
			r.dst = dst
			r.equal()
			if offered.Load() == tt.whole {
				t.Errorf("a list in pieces was offered: %v", !tt.whole)
			}
			if rep := r.mustPush(cfg); rep.Stats.Changed != 0 || rep.Stats.Deleted != 0 {
				t.Errorf("a second push: %+v, %q", rep.Stats, r.items)
			}
		})
	}
}

// A directory that cannot be read spares what it stands for, and nothing else; and nothing is said,
// counted or deleted twice because it is listed apart.
func TestInteropPiecesUnreadable(t *testing.T) {
	if !withoutOverride(t) {
		return
	}
	for _, tt := range []struct {
		name string
		set  func(*syncer.Config)
		code syncer.Code
		left []string // of gone, gone2 and open/gone
	}{
		{"delete", func(*syncer.Config) {}, syncer.CodePartial, nil},
		{"hard links", func(c *syncer.Config) { c.HardLinks = true }, syncer.CodePartial, nil},
		{"ignore errors", func(c *syncer.Config) { c.IgnoreErrors = true }, syncer.CodePartial, nil},
		{"max delete", func(c *syncer.Config) { c.MaxDelete = 2 }, syncer.CodeMaxDelete, []string{"open/gone"}},
		{"dry run", func(c *syncer.Config) { c.DryRun = true }, syncer.CodePartial, []string{"gone", "gone2", "open/gone"}},
		{"dry run, hard links", func(c *syncer.Config) { c.DryRun, c.HardLinks = true, true }, syncer.CodePartial, []string{"gone", "gone2", "open/gone"}},
		{"nothing deleted", func(c *syncer.Config) { c.Delete = false }, syncer.CodePartial, []string{"gone", "gone2", "open/gone"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			for _, n := range []string{"a/f", "closed/f", "open/f", "open/closed/d/f", "z"} {
				write(t, r.in(n), "new "+n)
			}
			for _, n := range []string{"gone", "gone2", "open/gone", "closed/old", "open/closed/d/old"} {
				write(t, r.at(n), "old")
			}
			closed := []string{r.in("closed"), r.in("open/closed")}
			for _, n := range closed {
				chmod(t, n, 0)
				t.Cleanup(func() { os.Chmod(n, 0o755) })
			}
			cfg := r.config()
			cfg.Delete = true
			tt.set(&cfg)
			rep, err := r.push(cfg)
			for _, n := range []string{r.at("closed"), r.at("open/closed")} {
				chmod(t, n, 0o755)
			}
			if code := syncer.ExitCode(rep, err); code != tt.code || rep.Partial {
				t.Errorf("exit code %d, want %d; partial %v, error %v, messages %q", code, tt.code, rep.Partial, err, r.messages)
			}
			var bad []string
			for _, p := range rep.Problems {
				if !errors.Is(p.Err, fs.ErrPermission) {
					t.Error(p)
				}
				bad = append(bad, p.Path)
			}
			slices.Sort(bad)
			if got := strings.Join(bad, " "); got != "closed open/closed" {
				t.Errorf("problems %s", got)
			}
			if s := rep.Stats; s.Files != 3 || s.Dirs != 5 {
				t.Errorf("%d files and %d directories listed, want 3 and 5", s.Files, s.Dirs)
			}
			for i, item := range r.items {
				if slices.Contains(r.items[:i], item) {
					t.Errorf("%q is told twice", item)
				}
			}
			for _, n := range []string{"closed/old", "open/closed/d/old"} {
				if !exists(t, r.at(n)) {
					t.Errorf("%s was deleted", n)
				}
			}
			left := 0
			for _, n := range []string{"gone", "gone2", "open/gone"} {
				if exists(t, r.at(n)) {
					left++
				}
			}
			if left != len(tt.left) {
				t.Errorf("%d names were left, want %v", left, tt.left)
			}
		})
	}
}

// A push that is cancelled while a large tree is read leaves no goroutine behind (TestMain).
func TestInteropPiecesCancelled(t *testing.T) {
	r := newRig(t)
	for i := range 3_000 {
		write(t, r.in(fmt.Sprintf("d%d/f", i)), "x")
	}
	for _, at := range []int{1, 100, 1500} {
		ctx, cancel := context.WithCancel(t.Context())
		cfg := r.config()
		cfg.Target.Path = fmt.Sprint("until", at) // the daemon may be at work there for a while
		n := 0
		cfg.Sink.Item = func(syncer.Item) {
			if n++; n == at {
				cancel()
			}
		}
		rep, err := r.syncer(cfg).Push(ctx, syncer.Full())
		if code := syncer.ExitCode(rep, err); code != syncer.CodeSignal {
			t.Errorf("exit code %d: %v", code, err)
		}
		cancel()
	}
	cfg := r.config()
	cfg.Target.Path = "whole"
	r.mustPush(cfg)
	r.dst = r.at("whole")
	r.equal()
}
