package agent

import (
	"cmp"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
)

// looks finds what looks at directories would find to be gone, without anybody having judged it: it is spared, and
// judged by itself. What was released is looked at alone, since no limit bounds that.
func (g *gate) looks(now time.Time, p *passed) {
	for _, path := range p.batch.Paths {
		g.freed = g.freed || g.d.isFree(path.Name)
	}
	if slices.ContainsFunc(p.batch.Paths, func(path syncer.Path) bool { return path.Tree || path.Level }) {
		for _, name := range g.d.spared() {
			g.goes(name) // what is back is spared no more: a look may be all that tells of it
		}
	}
	g.swallowed(now, p)
	paths := p.batch.Paths
	p.batch.Paths = nil
	for _, path := range paths {
		if look := path.Tree || path.Level; look && g.freed && !g.d.isFree(path.Name) {
			p.later = append(p.later, deferred{path, 0})
			continue
		} else if look && !g.freed {
			p.lost = g.lost(p.lost, path.Name, path.Tree)
		}
		p.batch.Paths = append(p.batch.Paths, path)
	}
	for _, name := range p.lost {
		p.later = append(p.later, deferred{syncer.Path{Name: name}, 0})
	}
}

// swallowed has what waits for --delete-delay come again: a subtree that was told of meanwhile has taken its place in the
// queue, and is pushed without it.
func (g *gate) swallowed(now time.Time, p *passed) {
	for _, name := range slices.Sorted(maps.Keys(g.d.waiting)) {
		if covered(p.batch.Paths, name) {
			p.later = append(p.later, deferred{syncer.Path{Name: name, Content: true}, max(g.d.delay-now.Sub(g.d.waiting[name]), 0)})
		}
	}
}

// lostMost is how many such names are told apart. Where there are more, nothing is deleted.
const lostMost = 1 << 16

// lost adds the topmost names that the target is thought to have in dir, and below it if deep is set, and the source
// lacks.
func (g *gate) lost(list []string, dir string, deep bool) []string {
	var st unix.Stat_t
	if g.inside == nil || len(list) > lostMost || unix.Lstat(filepath.Join(g.root, dir), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return list
	}
	names, isDir, err := g.inside(dir)
	if err != nil {
		return list
	}
	for i, base := range names {
		name := path.Join(dir, base)
		err := unix.Lstat(filepath.Join(g.root, name), &st)
		there := err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
		switch _, decided := g.d.about(name); {
		case decided || g.gone[name] > 0 || err != nil && !isGone(err):
		case err != nil, isDir[i] && !there && g.countOf(name) > 1:
			list = append(list, name)
		case deep && isDir[i]:
			list = g.lost(list, name, true)
		}
	}
	return list
}

func (g *gate) countOf(name string) int64 {
	n, _, _ := g.count(name)
	return n
}

// bound says what a push may not delete, and how much it may: what was not judged may turn out to be
// on the target alone.
func (g *gate) bound(now time.Time, p *passed, total int64) {
	b := &p.batch
	spared := append(g.d.spared(), p.lost...)
	var ok bool
	if b.Spare, b.SpareIn, ok = coarser(spared, spareMost); !ok || len(p.lost) > lostMost {
		g.close(p)
		return
	}
	if !g.d.limit.any() {
		return
	}
	most := g.allowed + g.d.left(now, total)
	if g.freed {
		most = -1
	}
	b.MaxDelete = &most
}

// close has the push delete nothing at all, rather than one of what is to be spared. What was to go comes again.
func (g *gate) close(p *passed) {
	b := &p.batch
	b.Spare, b.SpareIn, b.MaxDelete, g.closed = nil, nil, new(int64), true
	paths := b.Paths
	b.Paths = nil
	for _, path := range paths {
		if top, _, gone := g.goes(path.Name); gone && (g.gone[top] > 0 || b.Gone[top]) {
			p.later = append(p.later, deferred{path, closedWait})
			continue
		}
		b.Paths = append(b.Paths, path)
	}
	b.Gone = map[string]bool{}
	clear(g.gone)
}

// closedWait is when a deletion comes again that could not be told to the target beside all that is spared.
const closedWait = time.Minute

// spareMost is how many names, and directories, a target is told to spare in a push.
const spareMost = 1000

// coarser puts directories in the place of names in them, the most crowded first, until most are left. It fails where there
// are more directories than that.
func coarser(names []string, most int) (rest, dirs []string, ok bool) {
	if len(names) <= most {
		return names, nil, true
	}
	crowds := map[string]int{}
	for _, name := range names {
		crowds[parentOf(name)]++
	}
	list := slices.SortedFunc(maps.Keys(crowds), func(a, b string) int {
		return cmp.Or(cmp.Compare(crowds[b], crowds[a]), cmp.Compare(a, b))
	})
	left := len(names)
	taken := map[string]bool{}
	for _, dir := range list {
		if left <= most {
			break
		}
		left -= crowds[dir]
		taken[dir], dirs = true, append(dirs, dir)
	}
	rest = slices.DeleteFunc(names, func(name string) bool { return taken[parentOf(name)] })
	return rest, dirs, len(dirs) <= most
}
