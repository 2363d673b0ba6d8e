package state

import (
	"maps"
	"time"
)

// item is a path that is being pushed, or was and is to be settled.
type item struct {
	Path
	parent bool // is only the directory above one that was pushed: it has no doubt of its own

	looked   bool // the fields below say what there was before the push read it
	gone     bool
	coarse   bool // keeps stamps of whole seconds
	unfit    bool // could not be looked at: its doubt stays
	look     record
	excepted map[string]bool // paths at and below that were touched, begun or failed since: to be in doubt afterwards
	dropped  bool            // is not to be settled any more
}

// maxExcepted bounds the paths that an item remembers one by one; beyond it they are merged to directories.
const maxExcepted = 4096

// book says what is in doubt, being pushed, and to be settled. It knows neither clock nor disk.
type book struct {
	gen     int             // of the file
	doubts  map[string]bool // what is in doubt in the file: the name, and whether as a tree
	missing map[string]bool // what is to be in doubt there and is not yet
	items   map[Path]*item
	parents map[string]*item
	pending []pending // in the order in which they are ready
}

// pending are the items of a push that ended.
type pending struct {
	ready time.Time
	items []*item
}

func newBook(gen int) *book {
	return &book{
		gen:     gen,
		doubts:  make(map[string]bool),
		missing: make(map[string]bool),
		items:   make(map[Path]*item),
		parents: make(map[string]*item),
	}
}

// touch notes that p may have changed: what was looked at before proves nothing about it.
func (b *book) touch(p Path) {
	above(p.Name, func(name string) bool {
		if it := b.items[Path{name, false}]; it != nil {
			b.hit(it, p)
		}
		if it := b.items[Path{name, true}]; it != nil {
			b.hit(it, p)
		}
		return true
	})
	b.drop(b.parents[p.Name])
	if !p.Tree {
		return
	}
	for _, it := range b.items {
		if isBelow(it.Name, p.Name) {
			b.drop(it)
		}
	}
	for name, it := range b.parents {
		if isBelow(name, p.Name) {
			b.drop(it)
		}
	}
}

// hit notes that p, which is at or below it or covers it, may have changed.
func (b *book) hit(it *item, p Path) {
	if p.covers(it.Path) {
		b.drop(it)
		return
	}
	if it.looked && !it.replaces() && !it.Tree {
		return // what is in a directory says nothing of the directory
	}
	if it.looked && it.replaces() {
		b.drop(it) // there was nothing below it
		return
	}
	if it.excepted == nil {
		it.excepted = make(map[string]bool)
	}
	it.excepted[p.Name] = it.excepted[p.Name] || p.Tree
	for len(it.excepted) > maxExcepted {
		it.excepted = coarsen(it.excepted, it.Path)
		if it.excepted == nil {
			b.drop(it)
		}
	}
}

// coarsen puts the directory above in the place of each path, as a tree; nil if that is top.
func coarsen(set map[string]bool, top Path) map[string]bool {
	next := make(map[string]bool)
	for name := range set {
		dir, _ := splitName(name)
		if name == top.Name || dir == top.Name {
			return nil
		}
		next[dir] = true
	}
	return next
}

// sight notes what it looks like.
func (b *book) sight(it *item) {
	it.looked = true
	if it.unfit || it.replaces() && (it.parent || len(it.excepted) > 0) {
		b.drop(it)
	}
	if !it.Tree {
		it.excepted = nil
	}
}

func (b *book) drop(it *item) {
	if it == nil || it.dropped {
		return
	}
	it.dropped = true
	if it.parent {
		delete(b.parents, it.Name)
		return
	}
	delete(b.items, it.Path)
}

// begin adds items, in the place of those that cover the same.
func (b *book) begin(items, parents []*item) {
	for _, it := range items {
		b.touch(it.Path)
	}
	for _, it := range items {
		b.items[it.Path] = it
	}
	for _, it := range parents {
		b.drop(b.parents[it.Name])
		b.parents[it.Name] = it
	}
}

// fail notes that a path of a push did not arrive.
func (b *book) fail(p Path) {
	b.touch(p)
	if !b.doubted(p) {
		b.missing[p.Name] = b.missing[p.Name] || p.Tree
	}
}

// doubted reports whether the file has p in doubt.
func (b *book) doubted(p Path) bool {
	tree, ok := b.doubts[p.Name]
	return ok && (tree || !p.Tree) || coveredAbove(b.doubts, p.Name)
}

// done has items wait until ready.
func (b *book) done(ready time.Time, items []*item) {
	i := len(b.pending)
	for i > 0 && b.pending[i-1].ready.After(ready) {
		i--
	}
	b.pending = append(b.pending, pending{})
	copy(b.pending[i+1:], b.pending[i:])
	b.pending[i] = pending{ready, items}
}

// next returns when something is to be settled; false if nothing is.
func (b *book) next() (time.Time, bool) {
	for len(b.pending) > 0 {
		for _, it := range b.pending[0].items {
			if !it.dropped {
				return b.pending[0].ready, true
			}
		}
		b.pending = b.pending[1:]
	}
	return time.Time{}, len(b.missing) > 0
}

// settlement is what one transaction is to make of items that are ready.
type settlement struct {
	items   []*item
	doubt   map[string]bool // to be put
	certain []string        // doubts to be removed
	known   bool            // a full push has ended
}

// settle returns up to limit items that are ready and that skip, if not nil, does not hold back.
func (b *book) settle(now time.Time, limit int, skip func(*item) bool) settlement {
	s := settlement{doubt: make(map[string]bool)}
	for name, tree := range b.missing {
		s.doubt[name] = tree
	}
	for _, p := range b.pending {
		if p.ready.After(now) || len(s.items) >= limit {
			break
		}
		for _, it := range p.items {
			if !it.dropped && (skip == nil || !skip(it)) && len(s.items) < limit {
				s.add(b, it)
			}
		}
	}
	return s
}

// add settles one more item.
func (s *settlement) add(b *book, it *item) {
	before := s.items
	s.items = append(s.items, it)
	if it.parent {
		return
	}
	s.known = s.known || it.Path == Path{".", true}
	s.clear(b, it)
	excepted := it.excepted
	if len(excepted) > 0 {
		excepted = maps.Clone(excepted)
		for _, inner := range before {
			if !inner.parent && it.covers(inner.Path) {
				except(excepted, inner)
			}
		}
	}
	for name, tree := range excepted {
		s.doubt[name] = s.doubt[name] || tree
	}
}

// clear removes the doubts that it covers, those of items settled before included.
func (s *settlement) clear(b *book, it *item) {
	if !it.Tree {
		if tree, ok := b.doubts[it.Name]; ok && !tree {
			s.certain = append(s.certain, it.Name)
		}
		if tree, ok := s.doubt[it.Name]; ok && !tree {
			delete(s.doubt, it.Name)
		}
		return
	}
	for name, tree := range b.doubts {
		if it.covers(Path{name, tree}) {
			s.certain = append(s.certain, name)
		}
	}
	for name, tree := range s.doubt {
		if _, missing := b.missing[name]; !missing && it.covers(Path{name, tree}) {
			delete(s.doubt, name)
		}
	}
}

// settled notes that s is in the file.
func (b *book) settled(s settlement) {
	for _, name := range s.certain {
		delete(b.doubts, name)
	}
	for name, tree := range s.doubt {
		b.doubts[name] = tree
		if missing, ok := b.missing[name]; ok && (tree || !missing) {
			delete(b.missing, name)
		}
	}
	for _, it := range s.items {
		b.drop(it)
		if it.parent {
			continue
		}
		above(it.Name, func(name string) bool {
			if outer := b.items[Path{name, true}]; outer != nil && outer.excepted != nil {
				except(outer.excepted, it)
			}
			return true
		})
	}
}

// except takes what inner settled out of the paths that are to be in doubt after an item around it.
func except(excepted map[string]bool, inner *item) {
	if inner.Tree {
		for name, tree := range excepted {
			if inner.covers(Path{name, tree}) {
				delete(excepted, name)
			}
		}
	} else if tree, ok := excepted[inner.Name]; ok && !tree {
		delete(excepted, inner.Name)
	}
	for name, tree := range inner.excepted {
		excepted[name] = excepted[name] || tree
	}
}
