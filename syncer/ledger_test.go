package syncer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var epoch = time.Unix(1_700_000_000, 0)

func still() float64 { return 0 }

func failure(path string, errno syscall.Errno) Failed {
	return Failed{Path: path, Paths: 1, Reason: errno.Error(), Errno: errno, Class: classOfErrno(errno), First: epoch}
}

// A path comes back after longer and longer waits; how long at most depends on who can mend it.
func TestLedgerBackoff(t *testing.T) {
	for _, tt := range []struct {
		errno syscall.Errno
		want  []time.Duration
	}{
		{syscall.EBUSY, []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60}},
		{syscall.EACCES, []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600}},
		{syscall.ENAMETOOLONG, []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600}},
		{syscall.ENOSPC, []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60}},
	} {
		l, now := newLedger(still), epoch
		var got []time.Duration
		for range tt.want {
			again, _ := l.note(now, []Path{{Name: "f"}}, []Failed{failure("f", tt.errno)}, nil)
			got = append(got, again[0].Next.Sub(now)/time.Second)
			now = again[0].Next
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%v: waits %d, want %d", tt.errno, got, tt.want)
		}
		if e := l.all()[0]; e.Count != len(tt.want) || !e.First.Equal(epoch) || e.Class != classOfErrno(tt.errno) {
			t.Errorf("%+v", e)
		}
	}
}

// A push settles what it covered: the path itself, and everything below a subtree; but nothing below a
// directory that failed, and nothing of which it is not known.
func TestLedgerArrived(t *testing.T) {
	dir := failure("d", syscall.EACCES)
	dir.Tree = true
	for _, tt := range []struct {
		pushed   []Path
		failures []Failed
		kept     map[string]bool
		arrived  string
		left     string
	}{
		{pushed: []Path{{Name: "f"}}, arrived: "f", left: "d d/x e/y/z"},
		{pushed: []Path{{Name: "d"}, {Name: "e"}}, left: "d d/x e/y/z f"},
		{pushed: []Path{{Name: "d", Tree: true}}, arrived: "d d/x", left: "e/y/z f"},
		{pushed: []Path{{Name: "e", Tree: true}}, arrived: "e/y/z", left: "d d/x f"},
		{pushed: []Path{{Name: ".", Tree: true}}, arrived: "d d/x e/y/z f"},
		{pushed: []Path{{Name: ".", Tree: true}}, kept: map[string]bool{"f": true}, arrived: "d d/x e/y/z", left: "f"},
		{pushed: []Path{{Name: ".", Tree: true}}, failures: []Failed{dir}, arrived: "e/y/z f", left: "d"},
		{pushed: []Path{{Name: "d", Tree: true}}, failures: []Failed{failure("d/x", syscall.EACCES)}, left: "d/x e/y/z f"},
		{pushed: nil, left: "d d/x e/y/z f"},
	} {
		l := newLedger(still)
		l.note(epoch, nil, []Failed{dir, failure("f", syscall.EIO), failure("d/x", syscall.EIO), failure("e/y/z", syscall.EIO)}, nil)
		_, arrived := l.note(epoch, tt.pushed, tt.failures, tt.kept)
		if got := spellFailed(arrived); got != tt.arrived {
			t.Errorf("%v: %q arrived, want %q", tt.pushed, got, tt.arrived)
		}
		if got := spellFailed(l.all()); got != tt.left {
			t.Errorf("%v: %q left, want %q", tt.pushed, got, tt.left)
		}
	}
}

func spellFailed(list []Failed) string {
	var names []string
	for _, f := range list {
		names = append(names, f.Path)
	}
	return strings.Join(names, " ")
}

// Of the files that found no room one is the probe; when it arrives the others are due.
func TestLedgerProbe(t *testing.T) {
	l := newLedger(still)
	again, _ := l.note(epoch, nil, []Failed{failure("a", syscall.ENOSPC), failure("b", syscall.EDQUOT), failure("c", syscall.ENOSPC), failure("x", syscall.EIO)}, nil)
	var soon []string
	for _, f := range again {
		if f.Next.Sub(epoch) < 10*time.Second {
			soon = append(soon, f.Path)
		}
	}
	if !slices.Equal(soon, []string{"a", "x"}) {
		t.Errorf("soon tried again are %q, want the probe and what has another reason", soon)
	}
	if got := spellFailed(l.due(epoch, (*Failed).noRoom)); got != "a b c" {
		t.Errorf("due are %q", got)
	}
}

// A change above a failing path may be what it waits for.
func TestLedgerUnder(t *testing.T) {
	l := newLedger(still)
	l.note(epoch, nil, []Failed{failure("d/e/f", syscall.EACCES), failure("d/g", syscall.EACCES), failure("dd/f", syscall.EACCES)}, nil)
	for in, want := range map[string]string{"d": "d/e/f d/g", "d/e": "d/e/f", ".": "d/e/f d/g dd/f", "d/e/f": "", "x": "", "d d/g": "d/e/f"} {
		var paths []Path
		for _, name := range strings.Fields(in) {
			paths = append(paths, Path{Name: name})
		}
		if got := spellFailed(l.under(paths)); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	if got := l.under([]Path{{Name: "d", Tree: true}}); len(got) > 0 {
		t.Errorf("%q are named beside the subtree that they are in", spellFailed(got))
	}
}

// Whatever fails and arrives, no failing path is forgotten, the ledger keeps its bound, and the waits
// theirs. The model is the set of failing paths.
func TestLedgerModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLedger(rand.Float64)
		l.max = 8
		failing := map[string]int{}
		now := epoch
		name := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "a.b", "c"}), 1, 4)
		draw := func(what string) string {
			if rapid.IntRange(0, 9).Draw(t, "root") == 0 {
				return "."
			}
			return filepath.Join(name.Draw(t, what)...)
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "seconds")) * time.Second)
			var pushed []Path
			for range rapid.IntRange(0, 3).Draw(t, "pushed") {
				pushed = append(pushed, Path{Name: draw("path"), Tree: rapid.Bool().Draw(t, "tree")})
			}
			var failures []Failed
			bad := map[string]bool{}
			for range rapid.IntRange(0, 8).Draw(t, "failures") {
				f := failure(draw("failing"), rapid.SampledFrom([]syscall.Errno{0, syscall.ENOSPC, syscall.EACCES}).Draw(t, "errno"))
				if !bad[f.Path] {
					bad[f.Path] = true
					failures = append(failures, f)
				}
			}
			again, arrived := l.note(now, pushed, failures, nil)
			for path := range failing {
				if newCover(pushed).holds(&Failed{Path: path}) {
					delete(failing, path)
				}
			}
			for path := range bad {
				failing[path]++
			}
			for path := range failing {
				if l.holder(path) == nil {
					t.Fatalf("%q is forgotten; there are %q", path, spellFailed(l.all()))
				}
			}
			for _, f := range arrived {
				if bad[f.Path] {
					t.Fatalf("%q failed and arrived", f.Path)
				}
			}
			for _, f := range again {
				if wait := f.Next.Sub(now); f.Paths == 1 && (wait <= 0 || wait > operatorMax) {
					t.Fatalf("%q waits %v", f.Path, wait)
				}
			}
			if len(l.entries) > l.max {
				t.Fatalf("%d entries: %q", len(l.entries), spellFailed(l.all()))
			}
			if len(failing) == 0 && len(pushed) > 0 && pushed[0].Tree && pushed[0].Name == "." && len(l.entries) > 0 {
				t.Fatalf("all is pushed and %q are left", spellFailed(l.all()))
			}
		}
	})
}

// Too many paths become the directories that they are in; how many they are, how often they failed and
// since when is kept.
func TestLedgerCollapse(t *testing.T) {
	l := newLedger(still)
	var failures []Failed
	for i := range 2 * ledgerMax {
		failures = append(failures, failure(fmt.Sprintf("d%d/f%d", i%2, i), syscall.EACCES))
	}
	start := time.Now()
	again, _ := l.note(epoch, nil, failures, nil)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if got := spellFailed(again); got != "d0 d1" {
		t.Fatalf("%.200s", got)
	}
	again, arrived := l.note(epoch.Add(time.Hour), []Path{{Name: "d0", Tree: true}}, []Failed{failure("d0/f0", syscall.EACCES)}, nil)
	if spellFailed(again) != "d0/f0" || again[0].Count != 2 || !again[0].First.Equal(epoch) || len(arrived) > 0 {
		t.Errorf("%+v, arrived %+v", again, arrived)
	}
	if d1 := l.all()[1]; d1.Path != "d1" || d1.Paths != ledgerMax || !d1.Tree {
		t.Errorf("%+v", d1)
	}
}

// What is saved and read again is the same, whatever bytes the name has.
func TestFailedJSON(t *testing.T) {
	for _, name := range []string{"plain", "\xff\xfe/x", "ü\u2028", "", "nl\n\x00"} {
		f := failure(name, syscall.ENOSPC)
		f.Tree, f.Count, f.Last, f.Next = true, 3, epoch.Add(1), epoch.Add(2)
		b, err := json.Marshal([]Failed{f})
		if err != nil {
			t.Fatal(err)
		}
		var got []Failed
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]Failed{f}, got); diff != "" {
			t.Errorf("%q: %s", name, diff)
		}
	}
	if err := json.Unmarshal([]byte(`{"path":"x","class":"what"}`), new(Failed)); err == nil {
		t.Error("an unknown class is taken")
	}
}

// What fails has a class, an errno and a reason of one line.
func TestFailedOf(t *testing.T) {
	f := failedOf(Problem{Path: "p", Err: fmt.Errorf("open \"a\nb\x1b\": %w", syscall.EACCES)})
	if f.Errno != syscall.EACCES || f.Class != ClassOperator || strings.ContainsAny(f.Reason, "\n\x1b") || f.Remedy() == "" {
		t.Errorf("%+v", f)
	}
	f = failedOf(Problem{Path: "p", Err: newPeerError(`rsync: [receiver] chgrp "/p" (in m) failed: Operation not permitted (1)`)})
	if f.Errno != syscall.EPERM || f.Reason != `the target says: chgrp "/p" (in m) failed: Operation not permitted (1)` {
		t.Errorf("%+v", f)
	}
	if f = failedOf(Problem{Path: "p", Err: errors.New("odd")}); f.Class != ClassTransient || f.Errno != 0 {
		t.Errorf("%+v", f)
	}
	if f = failedOf(Problem{Path: "p", Err: newPeerError(`ERROR: daemon refused to receive file "p"`)}); f.Class != ClassConfiguration || f.Remedy() == "" {
		t.Errorf("%+v", f)
	}
}

// A problem with what cannot be looked at speaks for all that is below.
func TestFailedIsTree(t *testing.T) {
	src, _, s := pair(t)
	write(t, src+"/f", "f")
	for name, want := range map[string]bool{"a": true, "a/b": false, "f": false, "gone": false, "f/x": true} { // ENOTDIR stands in for EACCES, which root does not get
		if f := s.failedOf(Problem{Path: name, Err: syscall.EACCES}); f.Tree != want {
			t.Errorf("%s: tree %v", name, f.Tree)
		}
	}
}
