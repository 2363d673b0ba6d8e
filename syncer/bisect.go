package syncer

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// splitAfter is the wait before the halves of a batch are tried.
	splitAfter = 200 * time.Millisecond
	// suspectsMax bounds how many paths are told apart, and how many names of a directory.
	suspectsMax = 1 << 16
)

// suspects are paths one of which a target could not take, without saying which. They are pushed in groups
// that are halved until it stands alone. The zero value has none.
type suspects struct {
	group   map[string]int // by path; groups count from 1
	groups  int
	doubts  []doubt
	waiting bool // suspects gave way to what is new the last time
}

// doubt is a directory that was taken apart to find what failed in it. Where nothing is found it was
// itself, with what it lacks on the target.
type doubt struct{ name, said string }

// mark makes a group of paths.
func (s *suspects) mark(paths []Path) {
	if s.group == nil {
		s.group = map[string]int{}
	}
	s.groups++
	for _, p := range paths {
		s.group[p.Name] = s.groups
	}
}

// choose leaves in b what is pushed together: what is new, or one group of suspects, in turn. The others
// go back.
func (s *Syncer) choose(feed Feed, b Batch) Batch {
	b.Paths = append(b.Paths, s.besides(b.Paths)...)
	if len(s.suspects.group) == 0 {
		return b
	}
	turn, fresh := 0, false
	for _, p := range b.Paths {
		if g := s.suspects.group[p.Name]; g == 0 {
			fresh = true
		} else if turn == 0 || g < turn {
			turn = g
		}
	}
	if fresh && !s.suspects.waiting {
		turn = 0
	}
	s.suspects.waiting = turn == 0
	chosen, others := b, Batch{Oldest: b.Oldest}
	chosen.Paths = nil
	for _, p := range b.Paths {
		if s.suspects.group[p.Name] == turn {
			chosen.Paths = append(chosen.Paths, p)
		} else {
			others.Paths = append(others.Paths, p)
		}
	}
	if turn != 0 {
		chosen.Moves, others.Moves = nil, b.Moves
	}
	if len(others.Paths) > 0 {
		feed.Defer(others, againAfter)
	}
	return chosen
}

// besides are failing paths below directories that changed.
func (s *Syncer) besides(paths []Path) []Path {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Path
	for _, f := range s.ledger.under(paths) {
		out = append(out, f.path())
	}
	return out
}

// clear forgets suspects that were pushed.
func (s *suspects) clear(paths []Path) {
	if len(s.group) == 0 {
		return
	}
	pushed := newCover(paths)
	for name := range s.group {
		if pushed.holds(&Failed{Path: name}) {
			delete(s.group, name)
		}
	}
}

// bisect gives back rest, what is left in doubt of b, in halves. What cannot be divided has failed: it is
// returned.
func (s *Syncer) bisect(feed Feed, b *Batch, said string, rest []Path) []Failed {
	if len(rest) == 1 {
		rest = s.divide(rest[0], said)
	}
	if len(rest) <= 1 || len(rest)+len(s.suspects.group) > suspectsMax {
		var failed []Failed
		for _, p := range rest {
			f := s.failedOf(Problem{Path: p.Name, Err: saidError(said)})
			f.Tree = f.Tree || p.Tree || p.Level
			failed = append(failed, f)
		}
		return failed
	}
	// What moved has moved there, too: the old names are gone, or about to be.
	half := len(rest) / 2
	for i, part := range [][]Path{rest[:half], rest[half:]} {
		s.suspects.mark(part)
		feed.Defer(Batch{Paths: part, Oldest: b.Oldest}, splitAfter*time.Duration(i+1))
	}
	return nil
}

// divide takes a directory apart. One that failed as a whole before stays whole: that is known.
func (s *Syncer) divide(p Path, said string) []Path {
	s.mu.Lock()
	e := s.ledger.entries[p.Name]
	known := e != nil && e.Tree
	s.mu.Unlock()
	if known || !p.Tree && !p.Level {
		return []Path{p}
	}
	dir, err := os.Open(filepath.Join(s.WatchRoot(), p.Name))
	if err != nil {
		return []Path{p}
	}
	defer dir.Close()
	names, err := dir.Readdirnames(suspectsMax)
	if err != nil || len(names) == suspectsMax {
		return []Path{p}
	}
	slices.Sort(names)
	parts := []Path{{Name: p.Name, Content: p.Content}}
	for _, name := range names {
		parts = append(parts, Path{Name: filepath.Join(p.Name, name), Tree: p.Tree, Content: p.Content})
	}
	s.suspects.doubts = append(s.suspects.doubts, doubt{p.Name, said})
	return parts
}

// doubted are the directories that were taken apart without anything being found, once all of it was pushed.
func (s *Syncer) doubted(failures []Failed) []Failed {
	s.suspects.doubts = slices.DeleteFunc(s.suspects.doubts, func(d doubt) bool {
		return slices.ContainsFunc(failures, func(f Failed) bool { return f.Path == d.name || below(f.Path, d.name) })
	})
	if len(s.suspects.group) > 0 {
		return nil
	}
	var out []Failed
	for _, d := range s.suspects.doubts {
		f := s.failedOf(Problem{Path: d.name, Err: saidError(d.said)})
		f.Tree = true
		out = append(out, f)
	}
	s.suspects = suspects{}
	return out
}

// saidError is why a path failed of which the target did not say so by its name.
func saidError(said string) error {
	if said == "" {
		return errors.New("the target could not take all of it")
	}
	return newPeerError(said)
}
