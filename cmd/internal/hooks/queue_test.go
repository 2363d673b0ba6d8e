package hooks

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestQueueMerges(t *testing.T) {
	var q queue
	q.add(Event{Kind: Success, Target: "a", Paths: []string{"x", "y"}, Facts: map[string]string{"FILES": "2", "OLD": "1"}})
	q.add(Event{Kind: Success, Target: "b", Paths: []string{"x"}})
	q.add(Event{Kind: Failure, Target: "a", Paths: []string{"z"}})
	q.add(Event{Kind: Success, Target: "a", Paths: []string{"y", "z"}, Facts: map[string]string{"FILES": "3"}})
	var got []string
	for w := q.take(); w != nil; w = q.take() {
		got = append(got, fmt.Sprintf("%v %s %s %v %d", w.Kind, w.Target, w.Paths, w.Facts, w.events))
	}
	want := []string{"success a [x y z] map[FILES:3] 2", "success b [x] map[] 1", "failure a [z] map[] 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The last thing that is told of an outage is how it stands.
func TestQueueOrderOfOutage(t *testing.T) {
	for _, tt := range []struct {
		in, want []Kind
	}{
		{[]Kind{Failure, Recovered}, []Kind{Failure, Recovered}},
		{[]Kind{Failure, Recovered, Failure}, []Kind{Recovered, Failure}},
		{[]Kind{Failure, Recovered, Failure, Recovered}, []Kind{Failure, Recovered}},
		{[]Kind{Success, Failure, Success}, []Kind{Success, Failure}},
	} {
		var q queue
		for _, k := range tt.in {
			q.add(Event{Kind: k, Target: "t"})
			q.add(Event{Kind: Recovered, Target: "another"})
		}
		var got []Kind
		for w := q.take(); w != nil; w = q.take() {
			if w.Target == "t" {
				got = append(got, w.Kind)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v, want %v", tt.in, got, tt.want)
		}
	}
}

// What waits is bounded, by paths and by their bytes, and says that it is not all.
func TestQueueIsBounded(t *testing.T) {
	var q queue
	for round := range 3 {
		var paths []string
		for i := range maxPaths {
			paths = append(paths, fmt.Sprintf("%d/%d", round, i))
		}
		q.add(Event{Kind: Success, Target: "t", Paths: paths})
	}
	if w := q.take(); len(w.Paths) != maxPaths || !w.More {
		t.Errorf("%d paths, more: %v", len(w.Paths), w.More)
	}
	long := strings.Repeat("x", 1<<20)
	q.add(Event{Kind: Success, Target: "t", Paths: []string{"1" + long, "2" + long}})
	q.add(Event{Kind: Success, Target: "t", Paths: []string{"3" + long, "4" + long}})
	if w := q.take(); len(w.Paths) != 3 || !w.More || w.bytes > maxPathBytes {
		t.Errorf("%d paths, %d bytes, more: %v", len(w.Paths), w.bytes, w.More)
	}
	q.add(Event{Kind: Success, Target: "t", Paths: []string{"x"}, More: true})
	q.add(Event{Kind: Success, Target: "t", Paths: []string{"y"}})
	if w := q.take(); !w.More {
		t.Error("what was not all is all when more comes")
	}
}

func TestEnviron(t *testing.T) {
	parent := []string{"PATH=/bin", "RSYNC_PASSWORD=secret", "NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=1", "LOCKSTEP_ERROR=of another", "LOCKSTEP_RUN_DIR=/r"}
	w := newWaiting(Event{Kind: DeleteHeld, Sync: "www", Source: "/abc/", Target: "h::m", Paths: []string{"a", "b"}, More: true,
		Facts: map[string]string{"FILES": "1\x00\n2", "EVENT": "forged", "no=name": "x", "LONG": strings.Repeat("é", maxFact)}})
	got := w.environ(parent)
	want := []string{
		"PATH=/bin", "LOCKSTEP_RUN_DIR=/r", "LOCKSTEP_EVENT=delete-held", "LOCKSTEP_EVENTS=1", "LOCKSTEP_FILES=1  2",
		"LOCKSTEP_LONG=" + strings.Repeat("é", maxFact/2), "LOCKSTEP_PATHS=2", "LOCKSTEP_PATHS_COMPLETE=0", "LOCKSTEP_SOURCE=/abc/", "LOCKSTEP_SYNC=www", "LOCKSTEP_TARGET=h::m",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOutputIsShortened(t *testing.T) {
	var o output
	for i := range 10_000 {
		fmt.Fprintf(&o, "line %d\n", i)
	}
	got := o.String()
	if !strings.HasPrefix(got, "line 0\n") || !strings.HasSuffix(got, "\nline 9999") || !strings.Contains(got, " bytes …") {
		t.Errorf("%.60q … %q", got, got[len(got)-60:])
	}
	if len(got) > keepFirst+keepLast+40 {
		t.Errorf("%d bytes", len(got))
	}
	o = output{}
	big := strings.Repeat("a", keepFirst) + strings.Repeat("b", keepLast) + strings.Repeat("c", keepLast)
	fmt.Fprint(&o, big)
	if got := o.String(); !strings.HasPrefix(got, "aaa") || !strings.HasSuffix(got, "ccc") || strings.Contains(got, "b…") {
		t.Errorf("%d bytes", len(got))
	}
	o = output{}
	o.Write([]byte("a\xff\x00é\nlast\n"))
	if got, want := o.String(), "a\\#377\\#000é\nlast"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := o.lastLine(); got != "last" {
		t.Errorf("%q", got)
	}
}
