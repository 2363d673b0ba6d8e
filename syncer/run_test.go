package syncer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// scripted is a target that answers pushes as it is told.
type scripted struct {
	answers []func() (Report, error)
	fulls   int
	prunes  []bool
}

func (s *scripted) answer() (Report, error) {
	if len(s.answers) == 0 {
		return Report{}, nil
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	return a()
}

func (s *scripted) full(_ context.Context, _ *source.Tree, j job) (Report, error) {
	s.fulls++
	s.prunes = append(s.prunes, j.prune)
	return s.answer()
}

func (s *scripted) partial(_ context.Context, _ *source.Tree, _ source.Plan, j job) (Report, error) {
	s.prunes = append(s.prunes, j.prune)
	return s.answer()
}

// feeding hands out batches in order and notes what comes back.
type feeding struct {
	batches  []Batch
	deferred []Batch
	after    []time.Duration
	held     []time.Duration
}

func (f *feeding) Next(context.Context) (Batch, error) {
	if len(f.batches) == 0 {
		return Batch{}, io.EOF
	}
	b := f.batches[0]
	f.batches = f.batches[1:]
	return b, nil
}

func (f *feeding) Defer(b Batch, after time.Duration) {
	f.deferred = append(f.deferred, b)
	f.after = append(f.after, after)
}

func (f *feeding) Hold(d time.Duration, _ <-chan struct{}) { f.held = append(f.held, d) }

func newScripted(t *testing.T, target *scripted, o Options) (*Syncer, string) {
	t.Helper()
	src := t.TempDir()
	if err := os.WriteFile(filepath.Join(src, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Source: src + "/", Target: Target{Path: t.TempDir()}, Options: o, Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	s.target = target
	return s, src
}

func paths(names ...string) Batch {
	b := Batch{Oldest: time.Unix(1700000000, 0)}
	for _, n := range names {
		b.Paths = append(b.Paths, Path{Name: n})
	}
	return b
}

// A push that does not reach its end gives everything back, and the target is left alone
// for longer each time, until one succeeds.
func TestRunGivesBackWhatFailed(t *testing.T) {
	fail := func() (Report, error) { return Report{}, errors.New("no route to host") }
	ok := func() (Report, error) { return Report{}, nil }
	target := &scripted{answers: []func() (Report, error){fail, fail, ok, fail}}
	s, _ := newScripted(t, target, Archive())
	b := paths("file")
	f := &feeding{batches: []Batch{b, b, b, b}}
	var failures []int
	err := s.Run(t.Context(), f, func(o Outcome) { failures = append(failures, o.Failures) })
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1, 2, 0, 1}, failures); diff != "" {
		t.Errorf("failures in a row (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Batch{b, b, b}, f.deferred); diff != "" {
		t.Errorf("given back (-want +got):\n%s", diff)
	}
	if len(f.held) != 3 || f.held[1] < 3*f.held[0]/2-time.Second || f.held[2] > DefaultRetryMin {
		t.Errorf("the target was left alone for %v", f.held)
	}
}

// What single paths could not be brought over comes back, alone and later; a file that
// changed or vanished meanwhile comes back soon.
func TestRunGivesBackPaths(t *testing.T) {
	target := &scripted{answers: []func() (Report, error){func() (Report, error) {
		return Report{
			Problems: []Problem{{Path: "secret", Err: fs.ErrPermission}, {Path: "gone", Err: fs.ErrNotExist}},
			Changed:  []string{"log"},
		}, nil
	}}}
	s, _ := newScripted(t, target, Archive())
	b := paths("secret", "gone", "log", "fine")
	f := &feeding{batches: []Batch{b}}
	if err := s.Run(t.Context(), f, func(Outcome) {}); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	want := []Batch{
		{Oldest: b.Oldest, Paths: []Path{{Name: "secret", Content: true}}},
		{Oldest: b.Oldest, Paths: []Path{{Name: "gone", Tree: true}, {Name: "log", Content: true}}},
	}
	if diff := cmp.Diff(want, f.deferred); diff != "" {
		t.Errorf("given back (-want +got):\n%s", diff)
	}
	if len(f.held) != 0 {
		t.Errorf("the whole target was held for %v because of one path", f.held)
	}
	if f.after[0] < DefaultRetryMin/2 || f.after[1] != againAfter {
		t.Errorf("given back for %v", f.after)
	}
}

// The run before a push that makes links is not needed for it, but when it broke it may have left a temporary name, which
// somebody has to look for.
func TestRunLooksForLeftovers(t *testing.T) {
	target := &scripted{answers: []func() (Report, error){func() (Report, error) { return Report{broke: true}, nil }}}
	o := Archive()
	o.Delete = true
	s, _ := newScripted(t, target, o)
	b := paths("d/new")
	f := &feeding{batches: []Batch{b}}
	if err := s.Run(t.Context(), f, func(Outcome) {}); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Batch{{Oldest: b.Oldest, Paths: []Path{{Name: "d", Level: true}}}}, f.deferred); diff != "" {
		t.Errorf("given back (-want +got):\n%s", diff)
	}
}

func TestBackoff(t *testing.T) {
	for _, tt := range []struct {
		class    Class
		failures int
		random   float64
		want     time.Duration
	}{
		{0, 0, 0, time.Second}, {0, 1, 0, time.Second}, {0, 2, 0, 2 * time.Second}, {0, 6, 0, 32 * time.Second},
		{0, 7, 0, time.Minute}, {0, 1000000, 0, time.Minute}, {0, 1, 0.5, 875 * time.Millisecond}, {0, 7, 0.9999999, 45 * time.Second},
		{ClassOperator, 1, 0, time.Second}, {ClassOperator, 9, 0, 256 * time.Second}, {ClassOperator, 10, 0, 5 * time.Minute},
		{ClassConfiguration, 1 << 40, 0, 5 * time.Minute}, {ClassConfiguration, 10, 0.5, 5 * time.Minute * 7 / 8},
	} {
		if got := backoff(tt.class, tt.failures, tt.random).Round(time.Millisecond); got != tt.want {
			t.Errorf("backoff(%v, %d, %v) = %v, want %v", tt.class, tt.failures, tt.random, got, tt.want)
		}
	}
}

func TestExitCode(t *testing.T) {
	vanished := Problem{Path: "a", Err: fs.ErrNotExist}
	for _, tt := range []struct {
		rep  Report
		err  error
		want Code
	}{
		{Report{}, nil, CodeOK},
		{Report{Changed: []string{"a"}}, nil, CodeOK}, // as rsync, which does not notice
		{Report{Partial: true}, nil, CodePartial},
		{Report{Problems: []Problem{vanished}}, nil, CodeVanished},
		{Report{Problems: []Problem{vanished, {Path: "b", Err: fs.ErrPermission}}}, nil, CodePartial},
		{Report{DeletesHeld: true, Partial: true}, nil, CodeMaxDelete},
		{Report{}, &Failure{Code: CodeTimeout, Err: io.EOF}, CodeTimeout},
		{Report{}, io.EOF, CodeStream},
	} {
		if got := ExitCode(tt.rep, tt.err); got != tt.want {
			t.Errorf("ExitCode(%+v, %v) = %d, want %d", tt.rep, tt.err, got, tt.want)
		}
	}
}

// What is remembered of sent files is believed only when the file's ctime could not have
// stood still over another write.
func TestRecent(t *testing.T) {
	at := time.Unix(1700000000, 123456789)
	e := flist.Entry{Name: "f", Mode: unix.S_IFREG | 0o644, Ino: 7, Size: 3, Sec: 5, Ctime: at.Add(-time.Second).UnixNano()}
	with := func(change func(*flist.Entry)) flist.Entry {
		c := e
		change(&c)
		return c
	}
	var r recent
	if _, ok := r.stamped(&e); ok {
		t.Error("the empty memory knows a file")
	}
	fresh := with(func(e *flist.Entry) { e.Name, e.Ctime = "fresh", at.UnixNano() })
	old := with(func(e *flist.Entry) { e.Name, e.Ctime = "old", at.Add(-time.Hour).UnixNano() })
	var s sending
	s.add(&e, at, sender.Digest{})
	s.add(&fresh, at.Add(ctimeGrain/2), sender.Digest{})
	s.add(&old, at, sender.Digest{})
	whole := with(func(e *flist.Entry) { e.Name, e.Ctime = "whole", at.Truncate(time.Second).UnixNano() })
	s.add(&whole, at, sender.Digest{})
	r.add(&s)
	for _, tt := range []struct {
		name string
		e    flist.Entry
		want bool
	}{
		{"as it was sent", e, true},
		{"written right before it was read", fresh, false},
		{"a time in whole seconds, perhaps of a file system that keeps no others", whole, false},
		{"long unchanged, which no hint can be about", old, false},
		{"another ctime", with(func(e *flist.Entry) { e.Ctime++ }), false},
		{"another inode", with(func(e *flist.Entry) { e.Ino++ }), false},
		{"another size", with(func(e *flist.Entry) { e.Size++ }), false},
		{"another mtime", with(func(e *flist.Entry) { e.Nsec++ }), false},
		{"another owner", with(func(e *flist.Entry) { e.UID++ }), false},
		{"another name", with(func(e *flist.Entry) { e.Name = "g" }), false},
	} {
		if _, got := r.stamped(&tt.e); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	for i := range 3 * recentMax {
		var s sending
		e.Name = strconv.Itoa(i)
		s.add(&e, at, sender.Digest{})
		r.add(&s)
	}
	if len(r.versions) > recentMax {
		t.Errorf("%d versions are remembered, at most %d are allowed", len(r.versions), recentMax)
	}
}
