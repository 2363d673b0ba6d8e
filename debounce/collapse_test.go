package debounce

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func addAll(q *Queue, now time.Time, format string, n int) {
	for i := range n {
		q.Add(now, Change{Path: fmt.Sprintf(format, i)})
	}
}

func TestCollapse(t *testing.T) {
	const most = 4096 // a crowd is 4 entries and more, and 512 are freed
	tests := []struct {
		name string
		add  func(q *Queue)
		want func(changes []Change) string // what is wrong with them
	}{
		{
			name: "one crowd among others that fit",
			add: func(q *Queue) {
				addAll(q, epoch, "small/%d", 90)
				addAll(q, epoch, "www/upload/%d", most)
			},
			want: func(changes []Change) string {
				return cmp.Diff(91, len(changes)) + cmp.Diff(Change{Path: "www/upload", Tree: true}, changes[90])
			},
		},
		{
			name: "deep crowds go before the directory that holds them all",
			add:  func(q *Queue) { addAll(q, epoch, "www/%d/x", most/2); crowds(q, "www/c%d/%d", 100, 30) },
			want: func(changes []Change) string {
				return cmp.Diff(0, trees(changes, func(p string) bool { return !strings.HasPrefix(p, "www/c") }))
			},
		},
		{
			name: "the largest go first, and no more than needed",
			add: func(q *Queue) {
				crowds(q, "s%d/%d", 300, 10)
				addAll(q, epoch, "large/%d", 600)
				addAll(q, epoch, "a/%d/x", most-3600+1)
			},
			want: func(changes []Change) string {
				return cmp.Diff(1, trees(changes, func(string) bool { return true })) +
					cmp.Diff(1, trees(changes, func(p string) bool { return p == "large" }))
			},
		},
		{
			name: "nothing is gained above a lone crowd",
			add: func(q *Queue) {
				addAll(q, epoch, "x/y/crowd/%d", 300)
				for i := range 15 {
					addAll(q, epoch, fmt.Sprintf("w%d/crowd/%%d", i), 4)
					addAll(q, epoch, fmt.Sprintf("w%d/%%d/f", i), 250)
				}
			},
			want: func(changes []Change) string {
				return cmp.Diff(1, trees(changes, func(p string) bool { return p[0] == 'x' })) +
					cmp.Diff(1, trees(changes, func(p string) bool { return p == "x/y/crowd" })) +
					cmp.Diff(true, trees(changes, func(p string) bool { return !strings.Contains(p, "/") }) > 0)
			},
		},
		{
			name: "thin everywhere: the lowest directories that hold many",
			add: func(q *Queue) {
				for i := range most + 1 {
					q.Add(epoch, Change{Path: fmt.Sprintf("t%d/m%d/l%d/f", i%16, i%64, i)})
				}
			},
			want: func(changes []Change) string {
				return cmp.Diff(0, trees(changes, func(p string) bool { return strings.Count(p, "/") != 1 })) +
					cmp.Diff(true, len(changes) <= most-most/8)
			},
		},
		{
			name: "a crowd in the root itself",
			add:  func(q *Queue) { addAll(q, epoch, "%d", most+1) },
			want: func(changes []Change) string { return cmp.Diff([]Change{{Path: ".", Tree: true}}, changes) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := NewQueue(Config{MaxPaths: most})
			tt.add(q)
			checkShape(t, q)
			if q.Len() > most {
				t.Errorf("Len = %d", q.Len())
			}
			b, _ := q.Take(at(5))
			if diff := tt.want(b.Changes); diff != "" {
				t.Errorf("%d changes, the first %q:\n%s", len(b.Changes), spell(b.Changes[:min(9, len(b.Changes))]), diff)
			}
		})
	}
}

func crowds(q *Queue, format string, dirs, each int) {
	for i := range dirs {
		for j := range each {
			q.Add(epoch, Change{Path: fmt.Sprintf(format, i, j)})
		}
	}
}

func trees(changes []Change, which func(p string) bool) (n int) {
	for _, c := range changes {
		if c.Tree && which(c.Path) {
			n++
		}
	}
	return n
}

func TestCollapseKeepsTimesAndHints(t *testing.T) {
	cfg := Config{Settle: 5 * time.Millisecond, MaxDelay: 20 * time.Millisecond, HotMax: -1, MaxPaths: 2}
	tests := []struct {
		name, script string
		want         []string
	}{
		{
			name: "due when the last has settled, with the hints of all",
			script: `0 add z
			         10 add d/a
			         11 add d/b!
			         13 add d/c`,
			want: []string{"5 z since 0", "18 d/! since 10"},
		},
		{
			name: "due when the first has waited max delay",
			script: `0 add d/a
			         4 add d/a
			         8 add d/a
			         12 add d/a
			         16 add d/a
			         18 add d/b
			         18 add d/c`,
			want: []string{"20 d/ since 0"},
		},
		{
			name: "the directory's own entry counts",
			script: `0 add d
			         1 add d/a
			         2 add d/b
			         3 add e`,
			want: []string{"7 d/ since 0", "8 e since 3"},
		},
		{
			name: "all deferred: due when the first was",
			script: `0 add d/a
			         6 add d/b
			         12 add d/c
			         20 defer 100 1
			         20 defer 90 2
			         20 defer 110 3
			         30 add d/x`,
			want: []string{"5 d/a since 0", "11 d/b since 6", "17 d/c since 12", "35 d/x since 30", "90 d/ since 0"},
		},
		{
			name: "deferred and fresh: the fresh one does not wait",
			script: `0 add d/a
			         0 add d/b
			         10 defer 100 1
			         20 add d/c`,
			want: []string{"5 d/a d/b since 0", "25 d/ since 0"},
		},
		{
			name: "a fresh directory over deferred content",
			script: `0 add d/a d/b
			         10 defer 100 1
			         20 add d`,
			want: []string{"5 d/a d/b since 0", "25 d/ since 0"},
		},
		{
			name: "a deferred directory over fresh content",
			script: `0 add d/
			         10 defer 100 1
			         20 add d/a
			         21 add d/b
			         22 add d/e`,
			want: []string{"5 d/ since 0", "27 d/ since 0"},
		},
		{
			name:   "nothing in common but the root",
			script: `0 add a b c!`,
			want:   []string{"5 ./! since 0"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, play(t, NewQueue(cfg), tt.script)); diff != "" {
				t.Errorf("script:\n%s\nbatches (-want +got):\n%s", tt.script, diff)
			}
		})
	}
}

// A directory that was hot as an entry of its own is not hot as the word for a crowd.
func TestCollapseIsNotHot(t *testing.T) {
	for _, paths := range [][]Change{{{Path: "f/x"}}, {{Path: "f"}, {Path: "f/x"}}} {
		q := NewQueue(Config{MaxPaths: 3})
		q.Defer(epoch, at(1<<20), Batch{Changes: paths[len(paths)-1:]}) // keeps the node of "f"
		_, now := returns(q, epoch, 9)
		q.Defer(now, at(1<<20), Batch{Changes: paths})
		addAll(q, now, "f/%d", 3)
		q.Add(now, Change{Path: "f/y"})
		if due, _ := q.Next(); q.Len() != 1 || due.Sub(now) != DefaultSettle {
			t.Errorf("%d entries, due after %v", q.Len(), due.Sub(now))
		}
	}
}

// Whatever the bound and the shape of the tree, one round of collapsing gets below the bound.
func TestCollapseAlwaysMakesRoom(t *testing.T) {
	for _, most := range []int{1, 2, 3, 7, 8, 9, 100, 3000} {
		rnd := rand.New(rand.NewPCG(uint64(most), 7))
		q := NewQueue(Config{MaxPaths: most})
		for i := range 5 * most {
			var p []string
			for range 1 + rnd.IntN(6) {
				p = append(p, fmt.Sprint(rnd.IntN(1+rnd.IntN(20))))
			}
			now := epoch.Add(time.Duration(i) * time.Microsecond)
			q.Add(now, Change{Path: strings.Join(p, "/")})
			if q.Len() > most {
				t.Fatalf("bound %d: %d entries", most, q.Len())
			}
			if rnd.IntN(most) == 0 {
				b, _ := q.Take(now.Add(time.Millisecond * time.Duration(rnd.IntN(9))))
				q.Defer(now, now.Add(time.Second), b)
			}
		}
		checkShape(t, q)
	}
}
