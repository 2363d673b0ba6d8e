package debounce

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// model is the dumbest queue that obeys the rules of the package: a list, searched from end to end.
// It knows no bound and forgets no heat.
type model struct {
	cfg     Config
	entries []*entry
	taken   map[string]modelTaking
	moves   []Move
	seq     uint64
}

type entry struct {
	Change
	first, since, due time.Time
	streak            int
	deferred, open    bool
	urgent            bool // flushed
}

type modelTaking struct {
	at     time.Time
	streak int
}

// under reports whether p is strictly below dir.
func under(p, dir string) bool {
	return p != "." && (dir == "." || strings.HasPrefix(p, dir+"/")) && p != dir
}

func (m *model) find(p string) *entry {
	for _, e := range m.entries {
		if e.Path == p {
			return e
		}
	}
	return nil
}

func (m *model) wait(streak int) time.Duration {
	d := m.cfg.Settle
	for i := 4; i < streak; i++ {
		d = min(2*d, m.cfg.HotMax)
	}
	return d
}

// window is how long after its taking a path counts as back at once.
func (m *model) window(streak int) time.Duration { return max(m.wait(streak), m.cfg.HotMax/8) }

func (m *model) patience(streak int) time.Duration {
	if streak <= 4 {
		return m.cfg.MaxDelay
	}
	return max(m.cfg.MaxDelay, m.wait(streak))
}

func (m *model) returned(p string, now time.Time) int {
	last, ok := m.taken[p]
	w := m.window(last.streak)
	switch away := now.Sub(last.at); {
	case !ok || away > 2*w:
		return 0
	case away > w:
		return max(0, last.streak-1)
	case w == m.cfg.HotMax:
		return last.streak
	}
	return last.streak + 1
}

func (m *model) add(now time.Time, c Change) {
	if c.From != "" {
		m.move(Move{c.From, c.Path, c.FromDev, c.FromIno})
	}
	c.From, c.FromDev, c.FromIno = "", 0, 0
	e := m.find(c.Path)
	for _, t := range m.entries {
		if t.Tree && !t.deferred && under(c.Path, t.Path) {
			t.Content = t.Content || c.Content
			m.settle(t, now)
			return
		}
	}
	if e == nil {
		e = &entry{Change: Change{Path: c.Path}, first: now, deferred: true}
		m.entries = append(m.entries, e)
	}
	if e.deferred {
		e.since, e.streak, e.deferred = now, m.returned(c.Path, now), false
	}
	e.Tree, e.Content = e.Tree || c.Tree, e.Content || c.Content
	e.Level = (e.Level || c.Level) && !e.Tree
	e.open = (e.open || c.Open) && !c.Closed && !e.Tree
	m.swallow(e)
	m.settle(e, now)
}

func (m *model) settle(e *entry, now time.Time) {
	if e.urgent {
		if e.due.IsZero() || now.Before(e.due) {
			e.due = now
		}
		return
	}
	if m.cfg.Quiet != nil && !e.Tree {
		if w, ok := m.cfg.Quiet(e.Path); ok {
			e.due = earliest(now.Add(w.Quiet), e.since.Add(w.Most))
			return
		}
	}
	if e.open && !e.Tree {
		e.due = e.since.Add(m.patience(e.streak))
		return
	}
	e.due = earliest(now.Add(m.wait(e.streak)), e.since.Add(m.patience(e.streak)))
}

func (m *model) swallow(e *entry) {
	if !e.Tree {
		return
	}
	m.entries = slices.DeleteFunc(m.entries, func(x *entry) bool {
		if !under(x.Path, e.Path) {
			return false
		}
		e.Content = e.Content || x.Content
		e.first = earliest(e.first, x.first)
		e.urgent = e.urgent || x.urgent
		if !x.deferred {
			e.since = earliest(e.since, x.since)
		}
		return true
	})
}

func (m *model) giveBack(until time.Time, b Batch) {
	for _, c := range b.Changes {
		m.giveBackOne(until, b.Oldest, c)
	}
	if len(b.Moves) > 0 {
		m.moves = followed(b.Moves, m.moves)
	}
}

// followed is what earlier and later moves come to: both say what became of everything.
func followed(earlier, later []Move) (out []Move) {
	for _, e := range earlier {
		to, best := e.To, ""
		for _, l := range later {
			if (e.To == l.From || under(e.To, l.From)) && len(l.From) > len(best) {
				to, best = l.To+e.To[len(l.From):], l.From
			}
		}
		if was, known := cameFrom(later, to); known && was == e.To && best != e.To {
			e.To = to
			out = append(out, e)
		}
	}
	for _, l := range later {
		if from, known := cameFrom(earlier, l.From); known {
			l.From = from
			out = append(out, l)
		}
	}
	all := slices.Clone(out)
	return slices.DeleteFunc(out, func(v Move) bool { return isBack(all, v.From, v.To) })
}

// isBack says that from and to are the same, in the same place.
func isBack(list []Move, from, to string) bool {
	return from == to && !slices.ContainsFunc(list, func(o Move) bool { return under(to, o.To) })
}

// cameFrom is the name of what is at p before all of list; not known where it is new.
func cameFrom(list []Move, p string) (from string, known bool) {
	from, best, gone := p, "", false
	for _, o := range list {
		if (p == o.To || under(p, o.To)) && len(o.To) > len(best) {
			from, best = o.From+p[len(o.To):], o.To
		}
		gone = gone || p == o.From || under(p, o.From)
	}
	return from, best != "" || !gone
}

// move renames on paper: what is below To by now comes from below From.
func (m *model) move(v Move) {
	if v.To == v.From || under(v.To, v.From) || under(v.From, v.To) || v.From == "." || v.To == "." {
		return
	}
	from, known := cameFrom(m.moves, v.From)
	var kept []Move
	for _, o := range m.moves {
		switch {
		case o.To == v.To || under(o.To, v.To) || o.To == v.From:
			continue
		case under(o.To, v.From):
			o.To = v.To + o.To[len(v.From):]
		}
		kept = append(kept, o)
	}
	m.moves = kept
	if known && !isBack(m.moves, from, v.To) {
		v.From = from
		m.moves = append(m.moves, v)
	}
}

// takeMoves gives those that a change of the batch speaks for, and forgets those that nothing does.
func (m *model) takeMoves(changes []Change) (out []Move) {
	said := func(c Change, p string) bool { return c.Path == p || c.Tree && under(p, c.Path) }
	var kept []Move
	for _, v := range m.moves {
		switch {
		case slices.ContainsFunc(changes, func(c Change) bool { return said(c, v.To) }):
			out = append(out, v)
		case slices.ContainsFunc(m.entries, func(e *entry) bool { return said(e.Change, v.To) }):
			kept = append(kept, v)
		}
	}
	m.moves = kept
	return out
}

func (m *model) giveBackOne(until, first time.Time, c Change) {
	var above *entry // the nearest, as several deferred ones may stand above one another
	for _, t := range m.entries {
		if t.Tree && under(c.Path, t.Path) && (!t.deferred || !t.due.After(until)) {
			if above == nil || under(t.Path, above.Path) {
				above = t
			}
		}
	}
	if above != nil {
		above.Content = above.Content || c.Content
		above.first = earliest(above.first, first)
		return
	}
	e := m.find(c.Path)
	if e == nil {
		c.Level = c.Level && !c.Tree
		m.entries = append(m.entries, &entry{Change: c, first: first, due: until, deferred: true})
		return
	}
	e.Tree, e.Content, e.first = e.Tree || c.Tree, e.Content || c.Content, earliest(e.first, first)
	e.Level = (e.Level || c.Level) && !e.Tree
	if e.deferred {
		e.due = earliest(e.due, until)
		return
	}
	m.swallow(e)
	e.due = earliest(e.due, e.since.Add(m.patience(e.streak)))
	if e.urgent {
		e.due = earliest(e.due, e.first)
	}
}

func (m *model) flush(now time.Time) {
	for _, e := range m.entries {
		e.due, e.urgent = earliest(e.due, now), true
	}
}

func (m *model) next() (due time.Time, ok bool) {
	for i, e := range m.entries {
		if i == 0 || e.due.Before(due) {
			due = e.due
		}
	}
	return due, len(m.entries) > 0
}

func (m *model) oldest() (first time.Time, ok bool) {
	for i, e := range m.entries {
		if i == 0 || e.first.Before(first) {
			first = e.first
		}
	}
	return first, len(m.entries) > 0
}

// speaker is the entry of p, or the nearest Tree entry above it.
func (m *model) speaker(p string) (best *entry) {
	for _, e := range m.entries {
		if e.Path == p || e.Tree && under(p, e.Path) && (best == nil || len(e.Path) > len(best.Path) || best.Path == ".") {
			best = e
		}
		if e.Path == p {
			return e
		}
	}
	return best
}

// pull has what moved leave with the name that it moved from.
func (m *model) pull(now time.Time) {
	for range m.moves {
		for _, v := range m.moves {
			from, to := m.speaker(v.From), m.speaker(v.To)
			if from != nil && to != nil && !to.deferred && !from.due.After(now) && to.due.After(now) {
				to.due = now
			}
		}
	}
}

func (m *model) take(now time.Time) (Batch, bool) {
	m.pull(now)
	var leaving []*entry
	m.entries = slices.DeleteFunc(m.entries, func(e *entry) bool {
		if e.due.After(now) {
			return false
		}
		leaving = append(leaving, e)
		return true
	})
	if len(leaving) == 0 {
		return Batch{}, false
	}
	m.seq++
	b := Batch{Seq: m.seq, Oldest: leaving[0].first}
	for _, e := range leaving {
		b.Oldest = earliest(b.Oldest, e.first)
		m.remember(e, now)
		top := e
		for _, t := range leaving {
			if t.Tree && under(top.Path, t.Path) {
				top = t
			}
		}
		if top != e {
			top.Content = top.Content || e.Content
		}
	}
	for _, e := range leaving {
		if !slices.ContainsFunc(leaving, func(t *entry) bool { return t.Tree && under(e.Path, t.Path) }) {
			b.Changes = append(b.Changes, e.Change)
		}
	}
	slices.SortFunc(b.Changes, func(x, y Change) int { return strings.Compare(x.Path, y.Path) })
	b.Moves = m.takeMoves(b.Changes)
	return b, true
}

func (m *model) remember(e *entry, now time.Time) {
	streak := e.streak
	if e.deferred {
		last := m.taken[e.Path]
		if streak = last.streak; now.Sub(last.at) > 2*m.window(streak) {
			streak = 0
		}
	}
	m.taken[e.Path] = modelTaking{now, streak}
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// modelPaths collide in every way that matters: parents, children, siblings with a shared prefix, and
// names that sort between a directory and its content.
var modelPaths = []string{
	".", "a", "a.b", "a-", "a/b", "a/b/c", "a/b/c/d", "a/b.c", "ab", "ab/c", "b", "b/a", "b/a/b", "\xff\n", "\xff\n/a", "-x",
}

func genChange() *rapid.Generator[Change] {
	return rapid.Custom(func(t *rapid.T) Change {
		c := Change{
			Path:    rapid.SampledFrom(modelPaths).Draw(t, "path"),
			Tree:    rapid.IntRange(0, 5).Draw(t, "tree") == 0,
			Level:   rapid.IntRange(0, 5).Draw(t, "level") == 0,
			Content: rapid.Bool().Draw(t, "content"),
			Open:    rapid.IntRange(0, 3).Draw(t, "open") == 0,
			Closed:  rapid.IntRange(0, 3).Draw(t, "closed") == 0,
		}
		if rapid.IntRange(0, 2).Draw(t, "moved") == 0 {
			c.From = rapid.SampledFrom(modelPaths).Draw(t, "from")
			c.FromIno = rapid.Uint64Max(9).Draw(t, "ino")
		}
		return c
	})
}

func TestQueueAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Settle: 4 * time.Millisecond, MaxDelay: 30 * time.Millisecond, HotMax: 50 * time.Millisecond, MaxPaths: -1}
		if rapid.Bool().Draw(t, "quiet") {
			cfg.Quiet = func(p string) (Wait, bool) {
				return Wait{20 * time.Millisecond, 70 * time.Millisecond}, strings.HasSuffix(p, "c")
			}
		}
		q, m := NewQueue(cfg), &model{cfg: cfg, taken: map[string]modelTaking{}}
		now := epoch
		var outside []Batch // taken, and maybe given back
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				c := genChange().Draw(t, "change")
				q.Add(now, c)
				m.add(now, c)
			},
			"pass": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 12).Draw(t, "ms")) * time.Millisecond)
			},
			"takeWhenDue": func(t *rapid.T) {
				due, ok := m.next()
				if !ok {
					t.Skip("nothing queued")
				}
				now = now.Add(max(0, due.Sub(now)))
				outside = append(outside, takeBoth(t, q, m, now))
			},
			"take": func(t *rapid.T) { outside = append(outside, takeBoth(t, q, m, now)) },
			"defer": func(t *rapid.T) {
				if len(outside) == 0 {
					t.Skip("nothing taken")
				}
				b := outside[len(outside)-1]
				outside = outside[:len(outside)-1]
				b.Changes = slices.Clone(b.Changes[rapid.IntRange(0, len(b.Changes)).Draw(t, "sent"):])
				until := now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "backoff")) * time.Millisecond)
				q.Defer(now, until, b)
				m.giveBack(until, b)
			},
			"flush": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
					q.Flush(now)
					m.flush(now)
				}
			},
			"": func(t *rapid.T) {
				checkSame(t, q, m)
				checkShape(t, q)
			},
		})
	})
}

func takeBoth(t *rapid.T, q *Queue, m *model, now time.Time) Batch {
	got, ok := q.Take(now)
	want, wantOK := m.take(now)
	if diff := cmp.Diff(want, got); diff != "" || ok != wantOK {
		t.Fatalf("Take = _, %v, want %v; batch (-want +got):\n%s", ok, wantOK, diff)
	}
	return got
}

func checkSame(t *rapid.T, q *Queue, m *model) {
	if got, want := q.Len(), len(m.entries); got != want {
		t.Fatalf("Len = %d, want %d", got, want)
	}
	got, ok := q.Next()
	if want, wantOK := m.next(); ok != wantOK || !got.Equal(want) {
		t.Fatalf("Next = %v, %v, want %v, %v", got, ok, want, wantOK)
	}
	got, ok = q.Oldest()
	if want, wantOK := m.oldest(); ok != wantOK || !got.Equal(want) {
		t.Fatalf("Oldest = %v, %v, want %v, %v", got, ok, want, wantOK)
	}
}

// checkShape holds the tree, the map and the heap against one another.
func checkShape(t rapid.TB, q *Queue) {
	t.Helper()
	nodes := 0
	var walk func(n *node) int32
	walk = func(n *node) int32 {
		nodes++
		if q.tree.nodes[n.path] != n {
			t.Fatalf("node %q is not the one in the map", n.path)
		}
		if n != q.tree.root && n.child == nil && !n.queued() {
			t.Fatalf("node %q has no purpose", n.path)
		}
		below, prev := int32(0), (*node)(nil)
		for c := n.child; c != nil; prev, c = c, c.next {
			if c.parent != n || c.prev != prev || !under(c.path, n.path) {
				t.Fatalf("node %q is badly linked below %q", c.path, n.path)
			}
			below += walk(c)
		}
		if n.below != below {
			t.Fatalf("node %q counts %d entries below, has %d", n.path, n.below, below)
		}
		return int32(n.total())
	}
	if got := walk(q.tree.root); int(got) != len(q.due) || nodes != len(q.tree.nodes) {
		t.Fatalf("tree has %d entries in %d nodes; heap %d, map %d", got, nodes, len(q.due), len(q.tree.nodes))
	}
	for i, it := range q.due {
		if int(it.n.at) != i || it.due < q.due[(i-1)/2].due && i > 0 {
			t.Fatalf("heap is out of order at %d (%q)", i, it.n.path)
		}
	}
}
