package watcher

import "strings"

// changeSet merges changes by path until they are emitted. The zero value is empty.
type changeSet struct {
	index map[string]int // path to position in list
	list  []Change
	trees int    // members with Tree: without any, no ancestor needs a look
	moves []move // relative paths, in order
}

func (s *changeSet) len() int { return len(s.list) + len(s.moves) }

// addMove notes that what is at m.to was at m.from.
func (s *changeSet) addMove(m move) { s.moves = append(s.moves, m) }

// add merges c, unless an ancestor already says as much.
func (s *changeSet) add(c Change) {
	if i, ok := s.index[c.Path]; ok {
		old := &s.list[i]
		if c.Tree && !old.Tree {
			s.trees++
		}
		old.Tree = old.Tree || c.Tree
		old.Level = old.Level || c.Level
		old.Content = old.Content || c.Content
		if c.Open || c.Closed {
			old.Open, old.Closed = c.Open, c.Closed
		}
		return
	}
	if s.covered(c) {
		return
	}
	if s.index == nil {
		s.index = make(map[string]int)
	}
	s.index[c.Path] = len(s.list)
	s.list = append(s.list, c)
	if c.Tree {
		s.trees++
	}
}

// take empties the set and returns its changes in the order they came, without those that a
// change of a directory above them covers: otherwise mkdir -p would cost a rescan per level.
func (s *changeSet) take() []Change {
	list := s.list
	if s.trees > 0 {
		list = list[:0:0]
		for _, c := range s.list {
			if !s.covered(c) {
				list = append(list, c)
			}
		}
	}
	for _, m := range s.moves {
		list = append(list, Change{Path: m.to, From: m.from, FromDev: m.id.dev, FromIno: m.id.ino})
	}
	s.reset()
	return list
}

func (s *changeSet) reset() { *s = changeSet{} }

// covered reports whether a Tree change of a proper ancestor makes c superfluous. A Tree change
// without Content does not cover one with it: a rewrite to the same size and mtime is seen by
// nobody who only compares those.
func (s *changeSet) covered(c Change) bool {
	if s.trees == 0 || c.Path == "." {
		return false
	}
	for p := c.Path; p != "."; {
		p = parentOf(p)
		i, ok := s.index[p]
		if ok && s.list[i].Tree && (s.list[i].Content || !c.Content) {
			return true
		}
	}
	return false
}

// parentOf gives the directory of a relative path: "." for a name without a slash.
func parentOf(rel string) string {
	if i := strings.LastIndexByte(rel, '/'); i >= 0 {
		return rel[:i]
	}
	return "."
}
