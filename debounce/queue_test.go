package debounce

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// epoch is when the tests begin. It has no monotonic reading, as times that were stored do not.
var epoch = time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

// A script is a list of steps, each "<ms> <verb> <arguments>":
//
//	0 add a/ b!       changes seen at 0 ms; "/" at the end says Tree, "!" Content
//	9 defer 100 2     give back batch 2, due at 100 ms
//	9 flush
//
// Batches are taken the moment they are due, but not between "busy" and "idle". The outcome has a line
// for each: "<ms> <changes> since <ms of Oldest>".
func play(t *testing.T, q *Queue, script string) []string {
	t.Helper()
	var batches []Batch
	var out []string
	busy := false
	takeUntil := func(end time.Time) {
		for due, ok := q.Next(); ok && !busy && !due.After(end); due, ok = q.Next() {
			b, ok := q.Take(due)
			if !ok {
				t.Fatalf("Next said %v, but nothing was there to take", due.Sub(epoch))
			}
			batches = append(batches, b)
			out = append(out, fmt.Sprintf("%d %s since %d", ms(due), spell(b.Changes), ms(b.Oldest)))
			checkShape(t, q)
		}
	}
	for line := range strings.Lines(script) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		now := at(number(t, f[0]))
		takeUntil(now)
		switch verb, args := f[1], f[2:]; verb {
		case "add":
			for _, a := range args {
				q.Add(now, parseChange(a))
			}
		case "defer":
			q.Defer(now, at(number(t, args[0])), batches[number(t, args[1])-1])
		case "flush":
			q.Flush(now)
		case "busy", "idle":
			if busy = verb == "busy"; !busy {
				if b, ok := q.Take(now); ok {
					batches = append(batches, b)
					out = append(out, fmt.Sprintf("%d %s since %d", ms(now), spell(b.Changes), ms(b.Oldest)))
				}
			}
		default:
			t.Fatalf("unknown verb in %q", line)
		}
		checkShape(t, q)
	}
	takeUntil(at(1 << 30))
	if q.Len() != 0 {
		t.Errorf("%d entries left", q.Len())
	}
	return out
}

func ms(t time.Time) int64 { return t.Sub(epoch).Milliseconds() }

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func parseChange(s string) Change {
	s, content := strings.CutSuffix(s, "!")
	s, tree := strings.CutSuffix(s, "/")
	return Change{Path: s, Tree: tree, Content: content}
}

func spell(changes []Change) string {
	var words []string
	for _, c := range changes {
		w := c.Path
		if c.Tree {
			w += "/"
		}
		if c.Content {
			w += "!"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

func TestQueueRules(t *testing.T) {
	plain := Config{Settle: 5 * time.Millisecond, MaxDelay: 20 * time.Millisecond, HotMax: -1}
	tests := []struct {
		name, script string
		cfg          Config
		want         []string
	}{
		{name: "one change is due after settle exactly", script: `0 add a`, want: []string{"5 a since 0"}},
		{name: "defaults", cfg: Config{MaxPaths: 7}, script: `0 add a`, want: []string{"5 a since 0"}},
		{
			name: "each change restarts the settle time",
			script: `0 add a
			         4 add a
			         8 add a`,
			want: []string{"13 a since 0"},
		},
		{
			name: "never quiet: max delay after the first",
			script: `0 add a
			         4 add a
			         8 add a
			         12 add a
			         16 add a
			         19 add a`,
			want: []string{"20 a since 0"},
		},
		{
			name: "what is still settling stays",
			script: `0 add a b
			         3 add b c`,
			want: []string{"5 a since 0", "8 b c since 0"},
		},
		{
			name: "due at the same moment leaves together, sorted by bytes",
			script: `0 add b a/b a.b a !x
			         0 add .`,
			want: []string{"5 !x . a a.b a/b b since 0"},
		},
		{
			name: "flags merge by or",
			script: `0 add a! b
			         1 add a b!
			         2 add a/ b`,
			want: []string{"7 a/! b! since 0"},
		},
		{
			name: "a tree swallows what is below, not beside, and keeps the earliest time",
			script: `0 add a/b a.b ab a/b/c/d a-
			         3 add a/`,
			want: []string{"5 a- a.b ab since 0", "8 a/ since 0"},
		},
		{
			name: "a tree takes over the wait of what it swallows",
			script: `0 add a/b
			         4 add a/b
			         8 add a/b
			         12 add a/b
			         16 add a/`,
			want: []string{"20 a/ since 0"},
		},
		{
			name: "a tree takes over content hints",
			script: `0 add a/b! c
			         1 add a/`,
			want: []string{"5 c since 0", "6 a/! since 0"},
		},
		{
			name: "a change below a tree is absorbed and restarts its settle time",
			script: `0 add a/
			         4 add a/b
			         8 add a/b/c!`,
			want: []string{"13 a/! since 0"},
		},
		{
			name: "a busy tree is due after max delay",
			script: `0 add a/
			         4 add a/b
			         8 add a/b
			         12 add a/b
			         16 add a/b`,
			want: []string{"20 a/ since 0"},
		},
		{
			name: "a tree below a tree is absorbed, one above takes over",
			script: `0 add a/b/
			         1 add a/b/c/
			         2 add a/
			         3 add .`,
			want: []string{"7 a/ since 0", "8 . since 3"},
		},
		{
			name: "a tree at the root swallows all and absorbs all",
			script: `0 add a b/c . d/e!
			         1 add ./
			         2 add x`,
			want: []string{"7 ./! since 0"},
		},
		{
			name: "a plain change of a directory covers nothing below",
			script: `0 add a
			         1 add a/b`,
			want: []string{"5 a since 0", "6 a/b since 1"},
		},
		{
			name: "what changes while a push runs merges",
			script: `0 busy
			         0 add a
			         1 add b
			         100 add a
			         101 idle`,
			want: []string{"101 a b since 0"},
		},
		{
			name: "overdue and changed again before max delay: settles anew",
			script: `0 busy
			         0 add a b
			         9 add a
			         10 idle`,
			want: []string{"10 b since 0", "14 a since 0"},
		},
		{
			name: "deferred: later, with its first-seen time",
			script: `0 add a b
			         6 defer 100 1
			         7 add c`,
			want: []string{"5 a b since 0", "12 c since 7", "100 a b since 0"},
		},
		{
			name: "a fresh change of a deferred path settles anew",
			script: `0 add a b!
			         6 defer 100 1
			         50 add a! b
			         53 add b`,
			want: []string{"5 a b! since 0", "55 a! since 0", "58 b! since 0"},
		},
		{
			name: "a busy deferred path waits max delay from its return on",
			script: `0 add a
			         6 defer 100 1
			         50 add a
			         54 add a
			         58 add a
			         62 add a
			         66 add a
			         69 add a`,
			want: []string{"5 a since 0", "70 a since 0"},
		},
		{
			name: "deferred what has come again meanwhile leaves with that",
			script: `0 add a b
			         6 add a
			         7 defer 100 1`,
			want: []string{"5 a b since 0", "11 a since 0", "100 b since 0"},
		},
		{
			name: "a change below a deferred tree goes out alone and promptly",
			script: `0 add a/
			         6 defer 100 1
			         50 add a/b!`,
			want: []string{"5 a/ since 0", "55 a/b! since 50", "100 a/ since 0"},
		},
		{
			name: "below a deferred tree, and given back as well: the earlier time holds",
			script: `0 add a/
			         6 defer 100 1
			         20 add a/b
			         26 defer 60 2`,
			want: []string{"5 a/ since 0", "25 a/b since 20", "60 a/b since 20", "100 a/ since 0"},
		},
		{
			name: "below a deferred tree, and given back for later: the tree covers it",
			script: `0 add a/
			         6 defer 100 1
			         20 add a/b!
			         26 defer 200 2`,
			want: []string{"5 a/ since 0", "25 a/b! since 20", "100 a/! since 0"},
		},
		{
			name: "a deferred tree and what is below are due together: the tree covers it, hint and all",
			script: `0 add a/
			         6 defer 55 1
			         50 add a/b! a/c/d a.b`,
			want: []string{"5 a/ since 0", "55 a/! a.b since 0"},
		},
		{
			name: "a deferred tree leaves before what settles below",
			script: `0 add a/
			         6 defer 52 1
			         50 add a/b`,
			want: []string{"5 a/ since 0", "52 a/ since 0", "55 a/b since 50"},
		},
		{
			name: "a fresh change of the deferred tree itself swallows again",
			script: `0 add a/
			         6 defer 100 1
			         50 add a/b
			         52 add a
			         53 add a/c`,
			want: []string{"5 a/ since 0", "58 a/ since 0"},
		},
		{
			name: "a tree given back to a path that has changed since swallows",
			script: `0 add a/
			         6 add a/b!
			         8 add a
			         9 defer 100 1`,
			want: []string{"5 a/ since 0", "13 a/! since 0"},
		},
		{
			name: "and takes over the wait of what it swallows",
			script: `0 add a/
			         6 add a/b
			         10 add a/b
			         14 add a/b
			         18 add a/b
			         22 add a a/b
			         24 defer 100 1`,
			want: []string{"5 a/ since 0", "26 a/ since 0"},
		},
		{
			name: "given back below a fresh tree: absorbed, which is no change",
			script: `0 add a/b!
			         6 add a/
			         8 defer 100 1`,
			want: []string{"5 a/b! since 0", "11 a/! since 0"},
		},
		{
			name: "given back twice: the earlier time holds",
			script: `0 add a
			         6 defer 100 1
			         6 defer 50 1
			         6 defer 70 1`,
			want: []string{"5 a since 0", "50 a since 0"},
		},
		{
			name: "flush: all at once, what comes later settles",
			script: `0 add a/ b
			         6 defer 500 1
			         10 add c a/x!
			         11 flush
			         11 add d`,
			want: []string{"5 a/ b since 0", "11 a/! b c since 0", "16 d since 11"},
		},
		{
			name: "flushed: what changes again does not wait for that, nor what it is swallowed by",
			script: `0 busy
			         0 add a b/c
			         1 flush
			         2 add a
			         3 add b/
			         3 add d
			         4 idle`,
			want: []string{"4 a b/ since 0", "8 d since 3"},
		},
		{
			name: "no settling",
			cfg:  Config{Settle: -1, HotMax: -1},
			script: `0 add a
			         3 add a`,
			want: []string{"0 a since 0", "3 a since 3"},
		},
		{
			name:   "no delay at all beats settle",
			cfg:    Config{MaxDelay: -1, HotMax: -1},
			script: `0 add a`,
			want:   []string{"0 a since 0"},
		},
		{
			name: "a settle time beyond max delay is cut",
			cfg:  Config{Settle: time.Second, MaxDelay: 20 * time.Millisecond, HotMax: -1},
			script: `0 add a
			         19 add a`,
			want: []string{"20 a since 0"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if reflect.ValueOf(tt.cfg).IsZero() {
				tt.cfg = plain
			}
			if diff := cmp.Diff(tt.want, play(t, NewQueue(tt.cfg), tt.script)); diff != "" {
				t.Errorf("script:\n%s\nbatches (-want +got):\n%s", tt.script, diff)
			}
		})
	}
}

func TestPathSpellings(t *testing.T) {
	long := strings.Repeat("n", 255)
	deep := strings.Repeat("d/", 2000) + "end"
	tests := []struct{ name, in, want string }{
		{"empty is the root", "", "."},
		{"root", ".", "."},
		{"slash is the root", "/", "."},
		{"trailing slash", "a/b/", "a/b"},
		{"leading slash", "/a", "a"},
		{"dot", "./a/./b", "a/b"},
		{"double slash", "a//b", "a/b"},
		{"dot dot", "a/../b", "b"},
		{"dots in names", "..a/...", "..a/..."},
		{"newline", "a\nb/\n", "a\nb/\n"},
		{"invalid UTF-8", "\xff/\xc3\x28", "\xff/\xc3\x28"},
		{"blank", " / ", " / "},
		{"255 bytes", long + "/" + long, long + "/" + long},
		{"as deep as a path gets", deep, deep},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := NewQueue(Config{})
			q.Add(epoch, Change{Path: tt.in})
			q.Add(epoch, Change{Path: tt.want})
			checkShape(t, q)
			b, _ := q.Take(at(5))
			if diff := cmp.Diff([]Change{{Path: tt.want}}, b.Changes); diff != "" {
				t.Errorf("changes for %q (-want +got):\n%s", tt.in, diff)
			}
			if len(q.tree.nodes) != 1 {
				t.Errorf("%d nodes left behind", len(q.tree.nodes))
			}
		})
	}
}

func TestSeqCountsBatchesOnly(t *testing.T) {
	q := NewQueue(Config{})
	var got []uint64
	for i := range 6 {
		q.Add(at(10*i), Change{Path: strconv.Itoa(i % 4)})
		q.Take(at(10*i + 4)) // nothing due: no number is spent
		b, _ := q.Take(at(10*i + 5))
		q.Defer(at(10*i+6), at(1000), b)
		got = append(got, b.Seq)
	}
	if diff := cmp.Diff([]uint64{1, 2, 3, 4, 5, 6}, got); diff != "" {
		t.Errorf("Seq (-want +got):\n%s", diff)
	}
}

func TestEmptyQueue(t *testing.T) {
	q := NewQueue(Config{})
	q.Flush(epoch)
	q.Defer(epoch, epoch, Batch{})
	if b, ok := q.Take(epoch); ok {
		t.Errorf("Take = %v", b)
	}
	if due, ok := q.Next(); ok {
		t.Errorf("Next = %v", due)
	}
	if oldest, ok := q.Oldest(); ok || q.Len() != 0 {
		t.Errorf("Oldest = %v, Len = %d", oldest, q.Len())
	}
}

func TestOldest(t *testing.T) {
	q := NewQueue(Config{})
	check := func(want int) {
		t.Helper()
		if got, ok := q.Oldest(); !ok || !got.Equal(at(want)) {
			t.Errorf("Oldest = %v, %v, want %v", got, ok, at(want))
		}
	}
	q.Add(at(0), Change{Path: "a"})
	q.Add(at(3), Change{Path: "b"})
	q.Add(at(4), Change{Path: "a"})
	check(0)
	b, _ := q.Take(at(8))
	check(0)
	q.Defer(at(8), at(100), b)
	a, _ := q.Take(at(9))
	check(3)
	q.Add(at(20), Change{Path: "c"})
	q.Defer(at(20), at(200), Batch{Changes: a.Changes, Oldest: at(-5000)}) // seen before this queue was made
	check(-5000)
}

// The times a caller may hand in are its own: none of them may make a path wait for ever or panic.
func TestStrangeTimes(t *testing.T) {
	q := NewQueue(Config{Settle: 1<<63 - 1, MaxDelay: 1<<63 - 1, HotMax: 1<<63 - 1})
	q.Add(at(1), Change{Path: "a"})
	q.Add(at(2), Change{Path: "e"})
	q.Add(time.Time{}, Change{Path: "b"}) // more than 292 years ago, so it has settled
	q.Defer(at(2), time.Time{}, Batch{Changes: []Change{{Path: "c"}}})
	q.Defer(at(2), epoch.Add(1<<63-1), Batch{Changes: []Change{{Path: "d"}}, Oldest: at(1 << 40)})
	checkShape(t, q)
	if b, ok := q.Take(at(3)); !ok || spell(b.Changes) != "b c" {
		t.Errorf("Take = %v, %v, want b c", b, ok)
	}
	q.Flush(at(4))
	if b, ok := q.Take(at(4)); !ok || spell(b.Changes) != "a d e" {
		t.Errorf("Take after Flush = %v, %v, want a d e", b, ok)
	}
}

// A burst must not hold its memory once it is gone.
func TestMemoryIsGivenBack(t *testing.T) {
	q := NewQueue(Config{MaxPaths: -1})
	for i := range 1 << 16 {
		q.Add(at(0), Change{Path: fmt.Sprintf("d%d/f%d", i%100, i)})
	}
	q.Add(at(3), Change{Path: "stays"})
	b, _ := q.Take(at(5))
	if len(b.Changes) != 1<<16 {
		t.Fatalf("%d changes taken", len(b.Changes))
	}
	if len(q.tree.nodes) != 2 || q.tree.peak > 1<<12 || cap(q.due) > 1<<12 {
		t.Errorf("%d nodes, map sized for %d, heap for %d", len(q.tree.nodes), q.tree.peak, cap(q.due))
	}
	if !slices.IsSortedFunc(b.Changes, func(x, y Change) int { return strings.Compare(x.Path, y.Path) }) {
		t.Error("batch is not sorted")
	}
	checkShape(t, q)
}
