package debounce

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// ledger holds a queue to its promises from the outside: it knows what went in and what came out, and
// nothing of the rules in between.
type ledger struct {
	cfg  Config
	owed []debt
	seen []string // every path that ever came in
	seq  uint64
}

type debt struct {
	Change
	seen time.Time // when the change was first seen
	by   time.Time // when it has to be out at the latest
}

// longest is the cap on the wait of a change that was not deferred.
func (l *ledger) longest() time.Duration { return max(l.cfg.MaxDelay, l.cfg.HotMax) }

func (l *ledger) added(now time.Time, c Change) {
	l.owed = append(l.owed, debt{c, now, now.Add(l.longest())})
	l.seen = append(l.seen, c.Path)
}

// deferred changes may merge into a fresh one as late as the moment they are due, and settle with it.
func (l *ledger) deferred(now, until time.Time, b Batch) {
	by := until
	if by.Before(now) {
		by = now
	}
	by = by.Add(l.longest())
	for _, c := range b.Changes {
		c.Path = clean(c.Path)
		l.owed = append(l.owed, debt{c, b.Oldest, by})
	}
}

// took settles what b covers and complains of what is wrong with b.
func (l *ledger) took(t rapid.TB, now time.Time, b Batch) {
	t.Helper()
	l.seq++
	if b.Seq != l.seq || len(b.Changes) == 0 {
		t.Fatalf("batch %d has %d changes and number %d", l.seq, len(b.Changes), b.Seq)
	}
	for i, c := range b.Changes {
		if i > 0 && b.Changes[i-1].Path >= c.Path {
			t.Fatalf("%q comes before %q", b.Changes[i-1].Path, c.Path)
		}
		if slices.ContainsFunc(b.Changes, func(above Change) bool { return above.Tree && under(c.Path, above.Path) }) {
			t.Fatalf("%q is below a tree entry in %q", c.Path, spell(b.Changes))
		}
		if !slices.ContainsFunc(l.seen, func(p string) bool { return p == c.Path || c.Tree && under(p, c.Path) }) {
			t.Fatalf("%q covers nothing that ever changed", spell([]Change{c}))
		}
	}
	l.owed = slices.DeleteFunc(l.owed, func(d debt) bool {
		return slices.ContainsFunc(b.Changes, func(c Change) bool { return covers(c, d.Change) })
	})
	l.overdue(t, now)
}

func covers(c, owed Change) bool {
	if owed.Content && !c.Content {
		return false
	}
	return c.Tree && under(owed.Path, c.Path) || c.Path == owed.Path && (c.Tree || !owed.Tree)
}

func (l *ledger) overdue(t rapid.TB, now time.Time) {
	t.Helper()
	for _, d := range l.owed {
		if d.by.Before(now) {
			t.Fatalf("%q, seen at %v, is not out by %v", spell([]Change{d.Change}), d.seen, d.by)
		}
	}
}

// takeAll takes each batch when it is due, until end.
func (l *ledger) takeAll(t rapid.TB, q *Queue, end time.Time) (batches []Batch) {
	t.Helper()
	for due, ok := q.Next(); ok && !due.After(end); due, ok = q.Next() {
		b, ok := q.Take(due)
		if !ok {
			t.Fatalf("Next said %v, but nothing was there to take", due)
		}
		l.took(t, due, b)
		batches = append(batches, b)
	}
	l.overdue(t, end)
	return batches
}

func genPath() *rapid.Generator[string] {
	name := rapid.SampledFrom([]string{"a", "a.b", "a-", "b", "\n", "\xff", "c"})
	return rapid.Custom(func(t *rapid.T) string {
		return clean(strings.Join(rapid.SliceOfN(name, 0, 4).Draw(t, "names"), "/"))
	})
}

func TestNothingIsLostOrLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{
			Settle:   4 * time.Millisecond,
			MaxDelay: 30 * time.Millisecond,
			HotMax:   time.Duration(rapid.SampledFrom([]int{4, 10, 90}).Draw(t, "hotMax")) * time.Millisecond,
			MaxPaths: rapid.SampledFrom([]int{-1, 1, 2, 3, 6, 12}).Draw(t, "maxPaths"),
		}
		q, l, now := NewQueue(cfg), &ledger{cfg: cfg}, epoch
		var outside []Batch
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				c := Change{Path: genPath().Draw(t, "path"), Tree: rapid.IntRange(0, 9).Draw(t, "tree") == 0, Content: rapid.Bool().Draw(t, "content"), Open: rapid.Bool().Draw(t, "open")}
				q.Add(now, c)
				l.added(now, c)
			},
			"pass": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 12000).Draw(t, "us")) * time.Microsecond)
				outside = append(outside, l.takeAll(t, q, now)...)
			},
			"defer": func(t *rapid.T) {
				if len(outside) == 0 {
					t.Skip("nothing taken")
				}
				until := now.Add(time.Duration(rapid.IntRange(-5, 200).Draw(t, "backoff")) * time.Millisecond)
				b := outside[len(outside)-1]
				outside = outside[:len(outside)-1]
				q.Defer(now, until, b)
				l.deferred(now, until, b)
			},
			"": func(t *rapid.T) {
				checkShape(t, q)
				if cfg.MaxPaths > 0 && q.Len() > cfg.MaxPaths {
					t.Fatalf("%d entries, the bound is %d", q.Len(), cfg.MaxPaths)
				}
			},
		})
		l.takeAll(t, q, now.Add(time.Hour))
		if len(l.owed) > 0 || q.Len() > 0 {
			t.Fatalf("%d changes never came out, %d entries stayed", len(l.owed), q.Len())
		}
	})
}

// FuzzQueue feeds arbitrary names through a small queue. Each line of input is a step: its first byte
// says which, the rest is the path.
func FuzzQueue(f *testing.F) {
	f.Add("+a\n/a/b\n>\n!a/b/c\n-\n+.\n>")
	f.Add("+a.b\n+a-\n+a/b\n/a\n>\n-\n+a/b\n>\n>")
	f.Add("+//\n+..\n+a/../b\n+\xff\xfe/\x00\n/.\n>\n-\n=\n>")
	f.Add("+" + strings.Repeat("d/", 500) + "\n/d/d\n>\n-\n!d/d/d/d\n>\n>\n>")
	f.Fuzz(func(t *testing.T, script string) {
		cfg := Config{Settle: 4 * time.Millisecond, MaxDelay: 9 * time.Millisecond, HotMax: 40 * time.Millisecond, MaxPaths: 5}
		q, l, now := NewQueue(cfg), &ledger{cfg: cfg}, epoch
		var last []Batch
		for step := range strings.SplitSeq(script, "\n") {
			now = now.Add(time.Millisecond)
			last = append(last, l.takeAll(t, q, now)...)
			fuzzStep(q, l, now, step, &last)
			if q.Len() > cfg.MaxPaths {
				t.Fatalf("%d entries", q.Len())
			}
		}
		checkShape(t, q)
		l.takeAll(t, q, now.Add(time.Hour))
		if len(l.owed) > 0 || len(q.tree.nodes) != 1 {
			t.Fatalf("owed: %v, nodes: %d", l.owed, len(q.tree.nodes))
		}
	})
}

func fuzzStep(q *Queue, l *ledger, now time.Time, step string, last *[]Batch) {
	if step == "" {
		return
	}
	c := Change{Path: step[1:], Tree: step[0] == '/', Content: step[0] == '!'}
	switch step[0] {
	case '+', '/', '!':
		q.Add(now, c)
		c.Path = clean(c.Path)
		l.added(now, c)
	case '-':
		until := now.Add(time.Duration(len(step)) * 3 * time.Millisecond)
		for _, b := range *last {
			q.Defer(now, until, b)
			l.deferred(now, until, b)
		}
		*last = nil
	case '=':
		q.Flush(now)
	}
}
