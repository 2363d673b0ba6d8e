package syncer

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// maxLinked bounds for how many names their inode is remembered: some 100 MiB. Beyond it a group may
// lose names on the target until the next full push.
const maxLinked = 1 << 20

// links remembers the names of files that have several, with --hard-links. When one of them is
// pushed the others have to be in the list, or the receiver makes a file of its own of it. It is
// filled from everything that is looked at; what it says is verified before it is used. The zero
// value is empty.
type links struct {
	max    int        // 0: maxLinked
	mu     sync.Mutex // guards what follows: a tree is read by several goroutines
	groups map[source.Inode]*linkGroup
	names  int  // in all groups, some perhaps twice
	lost   bool // groups were dropped since the last full listing began: those there may lack names
}

// linkGroup is the names of one inode.
type linkGroup struct {
	names []string
	clean int // how many of names were sorted and unique at the last look
	// nlink and ctime are the file's when it was last looked at, outside how many of its names
	// the tree does not hold: they are not looked for again and again.
	nlink, outside uint32
	ctime          int64
}

// add takes in a name. It may be called by several goroutines.
func (l *links) add(e *flist.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := source.InodeOf(e)
	g := l.groups[id]
	if g == nil {
		if l.groups == nil {
			l.groups = map[source.Inode]*linkGroup{}
		}
		g = &linkGroup{}
		l.groups[id] = g
	}
	g.names, g.nlink, g.ctime = append(g.names, e.Name), e.Nlink, e.Ctime
	l.names++
	if len(g.names) > 2*g.clean+8 {
		l.tidy(g)
	}
	limit := l.max
	if limit == 0 {
		limit = maxLinked
	}
	for old, g := range l.groups {
		if l.names <= limit {
			break
		}
		l.names -= len(g.names)
		l.lost = true
		delete(l.groups, old)
	}
}

// tidy drops what g holds twice. The caller holds the lock.
func (l *links) tidy(g *linkGroup) {
	before := len(g.names)
	slices.Sort(g.names)
	g.names = slices.Compact(g.names)
	g.clean = len(g.names)
	l.names -= before - g.clean
}

// of are the names that id had when they were last looked at.
func (l *links) of(id source.Inode) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[id]
	if g == nil {
		return nil
	}
	l.tidy(g)
	return slices.Clone(g.names)
}

// listed says that the whole tree was listed, from begin on: what names a file has beside those
// that are known it has elsewhere. Not so if it got or lost one meanwhile, for which ctime stands.
func (l *links) listed(begin time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := l.lost
	if l.lost = false; lost {
		return
	}
	before := begin.Add(-coarseGrain).UnixNano()
	for _, g := range l.groups {
		if g.ctime < before {
			l.tidy(g)
			g.outside = g.nlink - min(g.nlink, uint32(len(g.names)))
		}
	}
}

// settle says what is known of id now: its names, and how many it has elsewhere.
func (l *links) settle(id source.Inode, names []string, outside uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.groups[id]; g != nil {
		l.names += len(names) - len(g.names)
		g.names, g.clean, g.outside = names, 0, outside
	}
}

// outside is how many names id has that the tree does not hold.
func (l *links) outside(id source.Inode) uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.groups[id]; g != nil {
		return g.outside
	}
	return 0
}

// pushedLinks is one inode of a plan.
type pushedLinks struct {
	content bool // one of them may differ in its bytes
	nlink   uint32
	names   []string // all that are known to be there, sorted
}

// complete is plan, made of paths, with the other names of each file in it that has several.
func (l *links) complete(ctx context.Context, tree *source.Tree, paths []source.Path, plan source.Plan) (source.Plan, error) {
	pushed := map[source.Inode]*pushedLinks{}
	err := tree.Linked(ctx, &plan, func(e *flist.Entry) {
		id := source.InodeOf(e)
		if pushed[id] == nil {
			pushed[id] = &pushedLinks{}
		}
		pushed[id].nlink = e.Nlink
		pushed[id].content = pushed[id].content || e.Flags&flist.Content != 0
	})
	if err != nil || len(pushed) == 0 {
		return plan, err
	}
	if err := l.gather(ctx, tree, pushed); err != nil {
		return plan, err
	}
	planned := map[string]bool{}
	for i := range plan.Entries {
		e := &plan.Entries[i]
		planned[e.Name] = e.Flags&flist.Content != 0
	}
	listed := plan.Listed()
	var more []source.Path
	for _, p := range pushed {
		for _, name := range p.names {
			content, known := planned[name]
			if content || known && !p.content || !p.content && listed(name) {
				continue
			}
			more = append(more, source.Path{Name: name, Content: p.content})
		}
	}
	if len(more) == 0 {
		return plan, nil
	}
	return tree.Plan(ctx, slices.Concat(paths, more))
}

// gather fills in the names of pushed that are there now. A file with more names than are
// known is looked for in the whole tree, unless the rest were not in the tree before: a name that a
// file gets while it has only one is not told of that one.
func (l *links) gather(ctx context.Context, tree *source.Tree, pushed map[source.Inode]*pushedLinks) error {
	unknown := map[source.Inode]bool{}
	for id, p := range pushed {
		for _, name := range l.of(id) {
			if e, err := tree.Lstat(name); err == nil && source.InodeOf(&e) == id && e.Flags&flist.Linked != 0 {
				p.names, p.nlink = append(p.names, name), e.Nlink
			}
		}
		if p.nlink > uint32(len(p.names))+l.outside(id) {
			unknown[id] = true
			p.names = nil
		}
	}
	if len(unknown) > 0 {
		err := tree.Find(ctx, unknown, func(e *flist.Entry) {
			p := pushed[source.InodeOf(e)]
			p.names = append(p.names, e.Name)
		})
		if err != nil {
			return err
		}
	}
	for id, p := range pushed {
		slices.Sort(p.names)
		p.names = slices.Compact(p.names)
		l.settle(id, slices.Clone(p.names), p.nlink-min(p.nlink, uint32(len(p.names))))
	}
	return nil
}
