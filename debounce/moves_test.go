package debounce

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// moved queues moves written "from to", each with the changes the watcher tells of it.
func moved(q *Queue, now time.Time, list ...string) {
	for _, m := range list {
		from, to, _ := strings.Cut(m, " ")
		q.Add(now, Change{Path: from, Tree: true})
		q.Add(now, Change{Path: to, Tree: true, Content: true})
		q.Add(now, Change{Path: to, From: from})
	}
}

func pairs(list []Move) (out []string) {
	for _, m := range list {
		out = append(out, m.From+" "+m.To)
	}
	return out
}

func TestMovesFold(t *testing.T) {
	for _, c := range []struct {
		name       string
		moves, out []string
	}{
		{"one", []string{"a b"}, []string{"a b"}},
		{"chain", []string{"a b", "b c", "c d/e"}, []string{"a d/e"}},
		{"back", []string{"a b", "b a"}, nil},
		{"back in two steps", []string{"a b", "b c", "c a"}, nil},
		{"swap", []string{"a t", "b a", "t b"}, []string{"b a", "a b"}},
		{"rotation", []string{"log.2 log.3", "log.1 log.2", "log log.1"}, []string{"log.2 log.3", "log.1 log.2", "log log.1"}},
		{"moved over", []string{"a b", "c b"}, []string{"c b"}},
		{"out of a moved directory", []string{"a b", "b/x c"}, []string{"a b", "a/x c"}},
		{"into a directory that moves", []string{"x a/n", "a b"}, []string{"x b/n", "a b"}},
		{"and on from there", []string{"x a/n", "a b", "b/n c"}, []string{"a b", "x c"}},
		{"new at the old place", []string{"a b", "a c"}, []string{"a b"}},
		{"new below the old place", []string{"a b", "a/x c"}, []string{"a b"}},
		{"a name's prefix", []string{"a b", "ab c", "bb d"}, []string{"a b", "ab c", "bb d"}},
		{"into itself", []string{"a a/b", "a/b a", "a a", ". b", "b ."}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := NewQueue(Config{})
			moved(q, epoch, c.moves...)
			b, _ := q.Take(epoch.Add(time.Hour))
			if diff := cmp.Diff(c.out, pairs(b.Moves)); diff != "" {
				t.Errorf("%q (-want +got):\n%s", c.moves, diff)
			}
		})
	}
}

// A move leaves with what it moved to, not before and not after.
func TestMovesLeaveWithTheirTarget(t *testing.T) {
	q := NewQueue(Config{})
	moved(q, epoch, "a b")
	late := epoch.Add(4 * time.Millisecond)
	moved(q, late, "x y/z")
	b, _ := q.Take(epoch.Add(5 * time.Millisecond))
	if got := pairs(b.Moves); !slices.Equal(got, []string{"a b"}) {
		t.Errorf("first %q", got)
	}
	q.Add(late, Change{Path: "y", Tree: true}) // swallows y/z
	b, _ = q.Take(epoch.Add(time.Hour))
	if got := pairs(b.Moves); !slices.Equal(got, []string{"x y/z"}) {
		t.Errorf("then %q", got)
	}
}

// What is still busy at its new name leaves with its old name.
func TestMovesAreNotTornApart(t *testing.T) {
	q := NewQueue(Config{})
	moved(q, epoch, "a b", "b c/d")
	for i := range 5 {
		q.Add(epoch.Add(time.Duration(i)*time.Millisecond), Change{Path: "c/d/busy", Content: true})
	}
	b, _ := q.Take(epoch.Add(5 * time.Millisecond))
	if got := pairs(b.Moves); !slices.Equal(got, []string{"a c/d"}) {
		t.Errorf("left with the old name: %q of %q", got, spell(b.Changes))
	}
}

// What a push could not bring over moved before what has moved since.
func TestMovesDeferred(t *testing.T) {
	q := NewQueue(Config{})
	moved(q, epoch, "a b")
	failed, _ := q.Take(epoch.Add(time.Second))
	moved(q, epoch.Add(2*time.Second), "b c", "x a")
	q.Defer(epoch.Add(3*time.Second), epoch.Add(4*time.Second), failed)
	b, _ := q.Take(epoch.Add(time.Hour))
	if got := pairs(b.Moves); !slices.Equal(got, []string{"a c", "x a"}) {
		t.Errorf("got %q", got)
	}
}

func TestMovesAreBounded(t *testing.T) {
	q := NewQueue(Config{})
	for i := range maxMoves + 10 {
		moved(q, epoch, fmt.Sprintf("a/%d b/%d", i, i))
	}
	b, _ := q.Take(epoch.Add(time.Hour))
	if len(b.Moves) != 0 {
		t.Errorf("%d moves of too many", len(b.Moves))
	}
	moved(q, epoch.Add(time.Hour), "c d")
	if b, _ = q.Take(epoch.Add(2 * time.Hour)); len(b.Moves) != 1 {
		t.Errorf("then %v", b.Moves)
	}
}

// A tree of names is renamed at random. From the moves that are left, the first name of everything
// that was there at the beginning can be told.
func TestMovesTellTheOrigin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		disk := map[string]string{} // name to name in the beginning, "" for what came later
		for _, p := range []string{"a", "a/x", "a/x/1", "a/y", "b", "b/x", "b/x/1", "c", "d"} {
			disk[p] = p
		}
		var m moves
		var failed []Move // taken, and given back later
		name := rapid.SampledFrom([]string{"a", "a/x", "a/x/1", "a/y", "a/z", "b", "b/x", "b/x/1", "b/x/2", "c", "d", "e", "e/x"})
		t.Repeat(map[string]func(*rapid.T){
			"move": func(t *rapid.T) {
				from, to := name.Draw(t, "from"), name.Draw(t, "to")
				_, there := disk[from]
				_, parent := disk[parentPath(to)]
				if !there || !parent && parentPath(to) != "." || from == to || under(to, from) || under(from, to) {
					t.Skip("impossible")
				}
				rename(disk, from, to)
				m.add(Move{From: from, To: to})
			},
			"take": func(t *rapid.T) {
				if failed == nil {
					failed, m.list = m.list, nil
				}
			},
			"giveBack": func(t *rapid.T) {
				m.putBack(failed)
				failed = nil
			},
			"": func(t *rapid.T) {
				if failed != nil {
					return // the moves tell of what happened since
				}
				for p, was := range disk {
					if got, known := m.origin(p); !known || got != was {
						t.Fatalf("%q was %q; told %q, %v by %v", p, was, got, known, m.list)
					}
				}
			},
		})
	})
}

// rename moves a name with all below it, over whatever is there.
func rename(disk map[string]string, from, to string) {
	maps.DeleteFunc(disk, func(p, _ string) bool { return p == to || under(p, to) })
	for p, was := range maps.Clone(disk) {
		if rest, ok := below(p, from); ok {
			delete(disk, p)
			disk[to+rest] = was
		}
	}
}
