package syncer

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// ledgerMax bounds how many failing paths are kept one by one.
	ledgerMax = 1 << 12
	// operatorMax caps the wait of what does not go away by itself.
	operatorMax = 10 * time.Minute
)

// ledger holds the paths that are not on the target. It knows no clock; random, in [0, 1), scatters the
// tries.
type ledger struct {
	entries map[string]*Failed
	max     int
	random  func() float64
}

func newLedger(random func() float64) ledger {
	return ledger{entries: map[string]*Failed{}, max: ledgerMax, random: random}
}

// note takes in what failed in a push of paths, and what of the rest arrived by it; kept says of which it
// is not known. It returns the entries that are to be tried again and those that are over, in the order
// of their paths.
func (l *ledger) note(now time.Time, paths []Path, failures []Failed, kept map[string]bool) (again, arrived []Failed) {
	failing, whole := map[string]bool{}, map[string]bool{}
	for _, f := range failures {
		l.add(now, f)
		failing[f.Path] = true
		whole[f.Path] = f.Tree
	}
	arrived = l.settle(newCover(paths), failing, whole, kept)
	l.collapse()
	seen := map[string]bool{}
	for _, f := range failures {
		if e := l.holder(f.Path); !seen[e.Path] {
			seen[e.Path] = true
			again = append(again, *e)
		}
	}
	return byPath(again), byPath(arrived)
}

func byPath(list []Failed) []Failed {
	slices.SortFunc(list, func(a, b Failed) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// add counts a failure.
func (l *ledger) add(now time.Time, f Failed) {
	e := l.entries[f.Path]
	if e == nil {
		f.Count = 0
		if crowd := l.crowd(f.Path); crowd != nil {
			f.Count, f.First = crowd.Count, crowd.First
		}
		e = &Failed{}
		*e = f
		l.entries[f.Path] = e
	}
	e.Tree = e.Tree || f.Tree
	e.Paths = max(1, f.Paths)
	e.Reason, e.Class, e.Errno, e.Ends = f.Reason, f.Class, f.Errno, f.Ends
	e.Last = now
	if e.Count > 0 && now.Before(e.Next) {
		return // it came along with others before its time, which is no reason to wait longer
	}
	e.Count++
	e.Next = now.Add(l.wait(now, e))
}

// wait is how long e is left alone. Of those that found no room one is the probe, whose success brings
// the others back; they have a turn of their own once a minute, since the probe may be larger than they.
func (l *ledger) wait(now time.Time, e *Failed) time.Duration {
	most := DefaultRetryMax
	switch {
	case e.noRoom():
		if l.probed(now, e) {
			return DefaultRetryMax
		}
	case e.Class != ClassTransient:
		most = operatorMax
	}
	return backoffUpTo(most, e.Count, l.random())
}

func (l *ledger) probed(now time.Time, e *Failed) bool {
	for _, o := range l.entries {
		if o != e && o.noRoom() && o.Next.After(now) && o.Next.Sub(now) < DefaultRetryMax {
			return true
		}
	}
	return false
}

// settle removes the entries that a push covered without their failing. What is below a directory that
// fails as a whole has not arrived: the directory stands for it.
func (l *ledger) settle(pushed cover, failing, whole, kept map[string]bool) (arrived []Failed) {
	above := map[string]bool{} // directories above what failed
	if len(l.entries) > 0 {
		for name := range failing {
			for dir := parent(name); dir != "" && !above[dir]; dir = parent(dir) {
				above[dir] = true
			}
		}
	}
	for name, e := range l.entries {
		if failing[name] || kept[name] || !pushed.holds(e) {
			continue
		}
		delete(l.entries, name)
		if !above[name] && !isBelow(name, whole) {
			arrived = append(arrived, *e)
		}
	}
	return arrived
}

// isBelow says whether a directory above name is one of dirs.
func isBelow(name string, dirs map[string]bool) bool {
	for dir := parent(name); dir != ""; dir = parent(dir) {
		if dirs[dir] {
			return true
		}
	}
	return false
}

// cover is which paths a push looked at.
type cover struct{ exact, trees map[string]bool }

func newCover(paths []Path) cover {
	c := cover{map[string]bool{}, map[string]bool{}}
	for _, p := range paths {
		if p.Tree {
			c.trees[p.Name] = true
		} else {
			c.exact[p.Name] = true
		}
	}
	return c
}

// holds says whether all of e was pushed.
func (c cover) holds(e *Failed) bool {
	if c.exact[e.Path] && !e.Tree {
		return true
	}
	for name := e.Path; name != ""; name = parent(name) {
		if c.trees[name] {
			return true
		}
	}
	return false
}

// crowd is the entry that stands for what is below it, path too.
func (l *ledger) crowd(path string) *Failed {
	for dir := path; dir != ""; dir = parent(dir) {
		if e := l.entries[dir]; e != nil && e.Tree {
			return e
		}
	}
	return nil
}

// holder is the entry that has path: its own, or the one that it was collapsed into.
func (l *ledger) holder(path string) *Failed {
	if e := l.entries[path]; e != nil {
		return e
	}
	return l.crowd(path)
}

// collapse makes room: the most crowded directories come to stand for what is below them; where none
// holds more than one, the deepest do.
func (l *ledger) collapse() {
	if len(l.entries) <= l.max {
		return
	}
	enough := l.max * 3 / 4 // so that this is not done for each new one
	for len(l.entries) > enough {
		count := map[string]int{}
		deepest := 0
		for name := range l.entries {
			deepest = max(deepest, strings.Count(name, "/"))
			if dir := parent(name); dir != "" {
				count[dir]++
			}
		}
		dirs := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
			return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(strings.Count(b, "/"), strings.Count(a, "/")), strings.Compare(a, b))
		})
		if len(dirs) == 0 {
			return // "." alone
		}
		for _, dir := range dirs {
			last := len(l.entries) <= enough || count[dir] < count[dirs[0]] || count[dir] == 1 && strings.Count(dir, "/") < deepest-1
			if last && dir != dirs[0] {
				break
			}
			l.gather(dir)
		}
	}
}

// gather puts all entries at and below dir into one.
func (l *ledger) gather(dir string) {
	sum := Failed{Path: dir, Tree: true}
	for name, e := range l.entries {
		if name != dir && !below(name, dir) {
			continue
		}
		if e.Last.After(sum.Last) || sum.Paths == 0 {
			sum.Reason, sum.Class, sum.Errno, sum.Last = e.Reason, e.Class, e.Errno, e.Last
		}
		if e.First.Before(sum.First) || sum.Paths == 0 {
			sum.First = e.First
		}
		if e.Next.Before(sum.Next) || sum.Paths == 0 {
			sum.Next = e.Next
		}
		sum.Count = max(sum.Count, e.Count)
		sum.Paths += e.Paths
		delete(l.entries, name)
	}
	l.entries[dir] = &sum
}

// below says whether name is strictly below dir.
func below(name, dir string) bool {
	if dir == "." {
		return name != "."
	}
	return len(name) > len(dir) && name[len(dir)] == '/' && name[:len(dir)] == dir
}

// due makes entries due at now, those that want says, and returns them.
func (l *ledger) due(now time.Time, want func(*Failed) bool) []Failed {
	var out []Failed
	for _, e := range l.entries {
		if want(e) && e.Next.After(now) {
			e.Next = now
			out = append(out, *e)
		}
	}
	return byPath(out)
}

// under are the entries below the directories among paths that paths do not hold: what is changed above
// a failing path may be what kept it. A directory that is an entry itself may have come back unchanged.
func (l *ledger) under(paths []Path) []Failed {
	if len(l.entries) == 0 {
		return nil
	}
	pushed := newCover(paths)
	var out []Failed
	for _, e := range l.entries {
		if pushed.holds(e) {
			continue
		}
		for dir := parent(e.Path); dir != ""; dir = parent(dir) {
			if pushed.exact[dir] && l.entries[dir] == nil {
				out = append(out, *e)
				break
			}
		}
	}
	return byPath(out)
}

// restore takes in saved entries; they are due at once.
func (l *ledger) restore(now time.Time, saved []Failed) {
	for _, f := range saved {
		f.Paths, f.Next = max(1, f.Paths), now
		l.entries[f.Path] = &f
	}
	l.collapse()
}

// all is a copy, in the order of the paths.
func (l *ledger) all() []Failed {
	out := make([]Failed, 0, len(l.entries))
	for _, e := range l.entries {
		out = append(out, *e)
	}
	return byPath(out)
}

// has says whether an entry is of one of these errors.
func (l *ledger) has(errnos ...syscall.Errno) bool {
	for _, e := range l.entries {
		if slices.Contains(errnos, e.Errno) {
			return true
		}
	}
	return false
}
