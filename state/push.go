package state

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Push is a push between its Begin and its end, which is one call of Done or Abandon.
type Push struct {
	s     *Store
	book  *book
	items []*item
}

// Begin is called before a push of paths reads them. It puts them in doubt, durably, and looks at each, at
// the directory above it, and at all that is below a tree. It returns once that is done: after a commit
// (two fdatasyncs) unless all were in doubt already, and the time it takes to look.
//
// With an error nothing is begun, and the paths are in doubt, in the file as soon as it can be written again. So on a
// full disk (ENOSPC) the caller may wait, or push all the same: what is lost then by a crash before there is space
// is that a name which came to the target has to be deleted there, if the source has lost it, too.
func (s *Store) Begin(ctx context.Context, paths []Path) (*Push, error) {
	paths, err := distinct(paths)
	if err != nil {
		return nil, err
	}
	root, err := openRoot(s.cfg.Root)
	if err != nil {
		return nil, err
	}
	defer unix.Close(root)
	s.write.Lock()
	defer s.write.Unlock()
	p := &Push{s: s, book: s.current()}
	if err := s.doubt(p.book, paths); err != nil {
		return nil, err
	}
	p.items = s.register(p.book, paths)
	if err := p.look(ctx, root); err != nil {
		p.Abandon()
		return nil, err
	}
	return p, nil
}

// doubt puts into the file that paths are in doubt, if it does not say so yet. What is to be settled goes with
// it.
func (s *Store) doubt(b *book, paths []Path) error {
	s.mu.Lock()
	var more []Path
	for _, p := range paths {
		if !b.doubted(p) {
			more = append(more, p)
		}
	}
	s.mu.Unlock()
	if len(more) == 0 {
		return nil
	}
	set := s.ready(b, time.Now(), func(it *item) bool {
		return it.Tree || it.replaces() || overlaps(paths, it.Path)
	})
	err := s.commit(b, set, more)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, p := range more {
			b.missing[p.Name] = b.missing[p.Name] || p.Tree
		}
		s.rouse()
	}
	return err
}

// overlaps reports whether p and one of paths, which are sorted, cover one another.
func overlaps(paths []Path, p Path) bool {
	found := false
	above(p.Name, func(name string) bool {
		i, ok := slices.BinarySearchFunc(paths, name, func(q Path, n string) int { return strings.Compare(q.Name, n) })
		found = ok && (name == p.Name || paths[i].Tree)
		return !found
	})
	return found
}

// register makes items of paths and of the directories above them: from here on, what touches them counts.
func (s *Store) register(b *book, paths []Path) []*item {
	items := make([]*item, 0, 2*len(paths))
	for _, p := range paths {
		items = append(items, &item{Path: p})
	}
	var parents []*item
	last := ""
	for _, p := range paths {
		if p.Name == "." {
			continue
		}
		dir, _ := splitName(p.Name)
		if dir == last || overlaps(paths, Path{Name: dir}) {
			continue
		}
		last = dir
		parents = append(parents, &item{Path: Path{Name: dir}, parent: true})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.begin(items, parents)
	return append(items, parents...)
}

// look looks at all items.
func (p *Push) look(ctx context.Context, root int) error {
	look := looker{root: root}
	defer look.close()
	for _, it := range p.items {
		if err := ctx.Err(); err != nil {
			return err
		}
		seen := item{Path: it.Path}
		p.s.sight(&look, &seen)
		if seen.Tree && !seen.unfit && !seen.replaces() {
			excepted, err := p.s.record(ctx, p.book, root, &seen)
			if err != nil {
				return err
			}
			seen.excepted = excepted
		}
		p.take(it, &seen)
	}
	return nil
}

// sight looks at one item on the disk.
func (s *Store) sight(look *looker, it *item) {
	err := look.look(it.Name)
	switch {
	case isGone(err):
		it.gone = true
		return
	case err != nil:
		it.unfit = true
		return
	}
	_, base := splitName(it.Name)
	it.look = recordOf([]byte(base), &look.st)
	it.coarse = isCoarse(&look.st)
	it.gone = it.Name != "." && s.excluded(it.Name, it.look.dir)
}

func (s *Store) excluded(name string, isDir bool) bool {
	return s.cfg.Excluded != nil && s.cfg.Excluded(name, isDir)
}

// take makes what was seen it's.
func (p *Push) take(it, seen *item) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	it.gone, it.unfit, it.coarse, it.look = seen.gone, seen.unfit, seen.coarse, seen.look
	p.book.sight(it)
	for name := range seen.excepted {
		p.book.touch(Path{name, true})
	}
}

// Done says that the push reached its end, and that all of its paths arrived but failed, each of which
// may be below one of them. What arrived is believed once it was quiet; what failed stays in doubt.
func (p *Push) Done(failed []Path) {
	p.s.mu.Lock()
	now := time.Now()
	for _, f := range failed {
		if checkName(f.Name) == nil {
			p.book.fail(f.shorten())
		}
	}
	var fine, coarse []*item
	for _, it := range p.items {
		switch {
		case it.dropped:
		case it.coarse:
			coarse = append(coarse, it)
		default:
			fine = append(fine, it)
		}
	}
	if len(fine) > 0 {
		p.book.done(now.Add(p.s.cfg.Quiet), fine)
	}
	if len(coarse) > 0 {
		p.book.done(now.Add(max(p.s.cfg.Quiet, coarseQuiet)), coarse)
	}
	p.s.mu.Unlock()
	p.s.rouse()
}

// Abandon says that the push did not reach its end. All of its paths stay in doubt.
func (p *Push) Abandon() {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	for _, it := range p.items {
		p.book.drop(it)
	}
}
