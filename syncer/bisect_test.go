package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// mute is a target that cannot take some paths, and does not say which.
type mute struct {
	root   string // of the source
	bad    map[string]bool
	pushes int
	listed int    // entries of partial pushes
	whole  bool   // only the full push fails
	named  string // of this directory it says that its times cannot be set
}

func (m *mute) full(context.Context, *source.Tree, job) (Report, error) {
	m.pushes++
	return Report{Partial: true, Said: "something failed"}, nil
}

func (m *mute) partial(_ context.Context, _ *source.Tree, plan source.Plan, _ job) (Report, error) {
	m.pushes++
	names := plan.Missing
	for _, e := range plan.Entries {
		names = append(names, e.Name)
	}
	for _, e := range plan.Trees {
		err := filepath.WalkDir(filepath.Join(m.root, e.Name), func(p string, _ os.DirEntry, err error) error {
			rel, _ := filepath.Rel(m.root, p)
			names = append(names, rel)
			return err
		})
		if err != nil {
			return Report{}, err
		}
	}
	for _, e := range plan.Levels {
		entries, err := os.ReadDir(filepath.Join(m.root, e.Name))
		if err != nil {
			return Report{}, err
		}
		names = append(names, e.Name)
		for _, in := range entries {
			names = append(names, filepath.Join(e.Name, in.Name()))
		}
	}
	m.listed += len(names)
	rep := Report{}
	for _, name := range names {
		if name == m.named {
			rep.Problems = append(rep.Problems, Problem{Path: name, Err: newPeerError("rsync: [generator] failed to set times on \"/x\": Read-only file system (30)")})
		}
		if m.bad[name] && !m.whole {
			rep.Partial, rep.Said = true, "something failed"
		}
	}
	return rep, nil
}

// timeless is a feed whose time passes at once: it gives out what is due first, with all that is due then.
type timeless struct {
	now   time.Duration
	due   map[string]time.Duration
	paths map[string]Path
	until time.Duration // it ends then
	fresh func() []Path // changes that come all the time
}

func (f *timeless) Next(context.Context) (Batch, error) {
	if len(f.paths) == 0 {
		return Batch{}, io.EOF
	}
	first := f.until
	for _, d := range f.due {
		first = min(first, d)
	}
	if f.now = max(f.now, first); f.now >= f.until {
		return Batch{}, io.EOF
	}
	var b Batch
	for name, d := range f.due {
		if d <= f.now {
			b.Paths = append(b.Paths, f.paths[name])
			delete(f.paths, name)
			delete(f.due, name)
		}
	}
	if f.fresh != nil {
		b.Paths = append(b.Paths, f.fresh()...)
	}
	return b, nil
}

func (f *timeless) Defer(b Batch, after time.Duration) {
	for _, p := range b.Paths {
		if d, ok := f.due[p.Name]; ok {
			after = min(after, d-f.now)
			p.Tree = p.Tree || f.paths[p.Name].Tree
		}
		f.due[p.Name], f.paths[p.Name] = f.now+after, p
	}
}

func (f *timeless) Hold(time.Duration, <-chan struct{}) {}

// A path that a target cannot take and does not name is found by halving what it is in; the others are not
// pushed more than a few times.
func TestRunFindsWhatIsNotNamed(t *testing.T) {
	for _, tt := range []struct {
		name  string
		make  func(i int) string
		bad   []string
		start []Path // nil: each file
		fresh bool
		most  int // pushes
	}{
		{name: "files", make: func(i int) string { return fmt.Sprintf("f%03d", i) }, bad: []string{"f417"}, most: 24},
		{name: "files and changes", make: func(i int) string { return fmt.Sprintf("f%03d", i) }, bad: []string{"f417"}, fresh: true, most: 60},
		{name: "two", make: func(i int) string { return fmt.Sprintf("f%03d", i) }, bad: []string{"f000", "f999"}, most: 48},
		{name: "tree", make: func(i int) string { return fmt.Sprintf("d%d/e%d/f%d", i/100, i/10%10, i%10) }, bad: []string{"d3/e1/f4"}, start: Full().Paths, most: 40},
		{name: "directory", make: func(i int) string { return fmt.Sprintf("d%d/f%d", i/100, i%100) }, bad: []string{"d3"}, start: []Path{{Name: "d3", Tree: true}}, most: 24},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &mute{bad: map[string]bool{}}
			s, src := newMute(t, m)
			f := &timeless{due: map[string]time.Duration{}, paths: map[string]Path{}, until: 30 * time.Second}
			s.now = func() time.Time { return epoch.Add(f.now) }
			for i := range 1000 {
				name := tt.make(i)
				if err := os.MkdirAll(filepath.Join(src, filepath.Dir(name)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(src, name), nil, 0o644); err != nil {
					t.Fatal(err)
				}
				if tt.start == nil {
					f.Defer(Batch{Paths: []Path{{Name: name, Content: true}}}, 0)
				}
			}
			f.Defer(Batch{Paths: tt.start}, 0)
			for _, name := range tt.bad {
				m.bad[name] = true
			}
			if tt.fresh {
				f.fresh = func() []Path { return []Path{{Name: "file"}} }
			}
			pushes, listed := 0, 0
			err := s.Run(t.Context(), f, func(o Outcome) {
				if len(s.Failed()) < len(tt.bad) {
					pushes, listed = m.pushes, m.listed
				}
			})
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if got, want := spellFailed(s.Failed()), strings.Join(tt.bad, " "); got != want {
				t.Errorf("failing are %q, want %q", got, want)
			}
			if pushes == 0 || pushes > tt.most || listed > 5_000 {
				t.Errorf("%d pushes, want at most %d; %d entries", pushes, tt.most, listed)
			}
			t.Logf("%d pushes, %d entries", pushes, listed)
			if n := len(f.paths); n > len(tt.bad) {
				t.Errorf("%d paths are still queued", n)
			}
			if f := s.Failed(); len(f) > 0 && (f[0].Count < 3 || f[0].Reason != "the target says: something failed") {
				t.Errorf("%+v", f[0])
			}
			m.bad = nil
			f.until *= 2
			if err := s.Run(t.Context(), f, func(Outcome) {}); !errors.Is(err, io.EOF) || len(s.Failed()) > 0 {
				t.Errorf("%v, after healing %q are left", err, spellFailed(s.Failed()))
			}
		})
	}
}

// A directory that is named, but for its times alone, does not speak for what failed in it without being named.
func TestRunNamedForItself(t *testing.T) {
	for name, start := range map[string]Path{"tree": {Name: "d", Tree: true}, "level": {Name: "d", Level: true}} {
		t.Run(name, func(t *testing.T) {
			m := &mute{bad: map[string]bool{"d/f5": true}, named: "d"}
			s, src := newMute(t, m)
			f := &timeless{due: map[string]time.Duration{}, paths: map[string]Path{}, until: 30 * time.Second}
			s.now = func() time.Time { return epoch.Add(f.now) }
			for i := range 20 {
				write(t, filepath.Join(src, "d", fmt.Sprintf("f%d", i)), "")
			}
			f.Defer(Batch{Paths: []Path{start}}, 0)
			if err := s.Run(t.Context(), f, func(Outcome) {}); !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if got := spellFailed(s.Failed()); got != "d d/f5" {
				t.Errorf("failing are %q", got)
			}
			m.bad, m.named = nil, ""
			f.until *= 2
			if err := s.Run(t.Context(), f, func(Outcome) {}); !errors.Is(err, io.EOF) || len(s.Failed()) > 0 {
				t.Errorf("%v, after healing %q are left", err, spellFailed(s.Failed()))
			}
		})
	}
}

// Where nothing is found in a directory that was taken apart, it is the directory: what it lacks on the target.
func TestRunKeepsWhatIsNotFound(t *testing.T) {
	m := &mute{whole: true}
	s, _ := newMute(t, m)
	f := &timeless{due: map[string]time.Duration{}, paths: map[string]Path{}, until: 3 * time.Second}
	s.now = func() time.Time { return epoch.Add(f.now) }
	f.Defer(Full(), 0)
	if err := s.Run(t.Context(), f, func(Outcome) {}); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	all := s.Failed()
	if len(all) != 1 || all[0].Path != "." || !all[0].Tree || f.paths["."].Name != "." {
		t.Errorf("%+v, queued %v", all, f.paths)
	}
}

func newMute(t *testing.T, m *mute) (*Syncer, string) {
	t.Helper()
	s, src := newScripted(t, nil, Archive())
	s.target, m.root = m, src
	return s, src
}
