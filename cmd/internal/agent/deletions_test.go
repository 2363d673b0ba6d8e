package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestParseLimit(t *testing.T) {
	for in, want := range map[string]Limit{
		"0": {Set: true}, "7": {Set: true, Names: 7}, "-1": {Set: true}, "5%": {Set: true, Percent: 5}, "0.5%": {Set: true, Percent: .5},
		"100%": {Set: true, Percent: 100},
	} {
		if got, err := ParseLimit(in); err != nil || got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "%", "x", "1.5", "-3%", "0%", "101%", "NaN%", "5 %", "99999999999"} {
		if got, err := ParseLimit(in); err == nil {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

// A limit is for an hour, so also for a push; what is beyond it is held until it is released or is back.
func TestDeletionsLimit(t *testing.T) {
	d := newDeletions(Limit{Set: true, Names: 10}, 0)
	now := noon
	expect := func(path string, names int64, want verdict) {
		t.Helper()
		if got, _ := d.judge(now, path, names, 1000); got != want {
			t.Errorf("%s (%d names): verdict %d, want %d", path, names, got, want)
		}
	}
	expect("a", 1, deleteNow)
	expect("tree", 500, deleteHeld)
	expect("tree/x", 1, deleteHeld)
	expect("b", 9, deleteNow)
	expect("c", 1, deleteHeld)
	now = now.Add(time.Hour)
	expect("d", 1, deleteNow) // the hour is over
	expect("c", 1, deleteHeld)
	if !d.back("c") || d.back("c") {
		t.Error("c was held")
	}
	expect("c", 1, deleteNow)
	want := []api.Held{{Path: "tree", Names: 500, Since: noon}}
	if diff := cmp.Diff(want, d.list()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, d.release()); diff != "" {
		t.Error(diff)
	}
	expect("tree", 500, deleteNow)
	expect("tree/x", 1, deleteNow)
	d.done("tree")
	expect("tree", 500, deleteHeld)

	d.limit = Limit{Set: true, Percent: 1}
	if n := d.left(now.Add(2*time.Hour), 5000); n != 50 {
		t.Errorf("1%% of 5000 is %d", n)
	}
}

// What is held outlives a restart, whatever its name is.
func TestHeldWritten(t *testing.T) {
	want := gateState{Held: []api.Held{{Path: "a\xff\n", Names: 3, Since: noon}, {Path: "b", Since: noon}}, Spent: []spent{{At: noon, Names: 7}}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got gateState
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(spent{})); diff != "" {
		t.Error(diff)
	}
	var g gate
	g.d = newDeletions(Limit{}, 0)
	g.load(got)
	if diff := cmp.Diff(want, g.save(), cmp.AllowUnexported(spent{})); diff != "" {
		t.Error(diff)
	}
}

// A push that fails comes again: what it may delete is counted once.
func TestDeletionsCountedOnce(t *testing.T) {
	d := newDeletions(Limit{Set: true, Names: 10}, 0)
	for i := range 100 {
		if v, _ := d.judge(noon.Add(time.Duration(i)*time.Minute), "a", 4, 0); v != deleteNow {
			t.Fatalf("held at try %d", i)
		}
	}
	now := noon.Add(100 * time.Minute)
	if n := d.left(now, 0); n != 6 {
		t.Errorf("left: %d", n)
	}
	d.done("a")
	if v, _ := d.judge(now, "a", 4, 0); v != deleteNow || d.left(now, 0) != 2 {
		t.Error("a name that was deleted, came back and went again counts again")
	}
}

func TestDeletionsDelay(t *testing.T) {
	d := newDeletions(Limit{}, time.Minute)
	if v, wait := d.judge(noon, "a", 1, 1); v != deleteLater || wait != time.Minute {
		t.Error(v, wait)
	}
	if v, wait := d.judge(noon.Add(50*time.Second), "a", 1, 1); v != deleteLater || wait != 10*time.Second {
		t.Error(v, wait)
	}
	d.back("a") // it came back, and went again
	if v, wait := d.judge(noon.Add(55*time.Second), "a", 1, 1); v != deleteLater || wait != time.Minute {
		t.Error(v, wait)
	}
	if v, _ := d.judge(noon.Add(115*time.Second), "a", 1, 1); v != deleteNow {
		t.Error(v)
	}
	d.judge(noon, "b", 1, 1)
	if v, wait := d.judge(noon.Add(-time.Hour), "b", 1, 1); v != deleteLater || wait != time.Minute {
		t.Error("a clock that was set back:", v, wait)
	}
}

// TestDeletionsModel: in no hour does more go than the limit says, but for what was released.
func TestDeletionsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(0, 20).Draw(t, "limit")
		d := newDeletions(Limit{Set: true, Names: limit}, 0)
		var went []spent
		released := map[string]bool{}
		now := noon
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "minutes")) * time.Minute)
			path := fmt.Sprintf("p%d", rapid.IntRange(0, 9).Draw(t, "path"))
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				for _, h := range d.release() {
					released[h.Path] = true
				}
			case 1:
				d.back(path)
				delete(released, path)
			default:
				names := rapid.Int64Range(1, 8).Draw(t, "names")
				v, _ := d.judge(now, path, names, 0)
				if released[path] != (v == deleteNow) && released[path] {
					t.Fatalf("%s was released", path)
				}
				if v == deleteNow && !released[path] {
					went = append(went, spent{At: now, Names: names})
					d.done(path)
				}
			}
			sum := int64(0)
			for _, s := range went {
				if now.Sub(s.At) < time.Hour {
					sum += s.Names
				}
			}
			if sum > limit {
				t.Fatalf("%d names within an hour, the limit is %d", sum, limit)
			}
			for p := range maps.Keys(d.held) {
				if released[p] {
					t.Fatalf("%s is held and released", p)
				}
			}
		}
	})
}
