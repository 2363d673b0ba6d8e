package sysctl

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const gib = 1 << 30

func TestAdvise(t *testing.T) {
	debian := Limits{192536, 16384, 128}
	tests := []struct {
		name string
		old  Limits
		dirs int
		mem  int64
		want Limits
	}{
		{"plenty of memory", debian, 5000, 24 * gib, Limits{1048576, 32768, 1024}},
		{"nothing to watch yet", debian, 0, 24 * gib, Limits{1048576, 32768, 1024}},
		{"never lower", Limits{2_000_000, 100_000, 4096}, 5000, 24 * gib, Limits{2_000_000, 100_000, 4096}},
		{"each on its own", Limits{2_000_000, 5, 4096}, 5000, 24 * gib, Limits{2_000_000, 32768, 4096}},
		{"twice the directories and some", debian, 1_000_000, 24 * gib, Limits{2_008_192, 32768, 1024}},
		{"1 GiB: a quarter of it", Limits{8192, 16384, 128}, 100, gib, Limits{gib / 4 / 1331, 32768, 1024}},
		{"1 GiB and a large tree: beyond the quarter", Limits{8192, 16384, 128}, 150_000, gib, Limits{308_192, 32768, 1024}},
		{"1 GiB and a huge tree: up to three quarters", Limits{8192, 16384, 128}, 10_000_000, gib, Limits{gib / 4 * 3 / 1331, 32768, 1024}},
		{"64 MiB: the queue stays", Limits{8192, 16384, 128}, 100, 64 << 20, Limits{(64 << 20) / 4 / 1331, 16384, 1024}},
		{"memory unknown", debian, 5000, 0, Limits{1048576, 32768, 1024}},
		{"memory nonsense", debian, 5000, -1, Limits{1048576, 32768, 1024}},
		{"count nonsense", debian, -5, 24 * gib, Limits{1048576, 32768, 1024}},
		{"no more than an int32", debian, math.MaxInt, math.MaxInt64, Limits{math.MaxInt32, 32768, 1024}},
		{"no limits read", Limits{}, 10, 24 * gib, Limits{1048576, 32768, 1024}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.old.Advise(Need{Directories: tt.dirs}, tt.mem)
			if diff := cmp.Diff(Advice{Old: tt.old, New: tt.want}, got); diff != "" {
				t.Errorf("Advise (-want +got):\n%s", diff)
			}
			if again := got.New.Advise(Need{Directories: tt.dirs}, tt.mem); !again.Empty() {
				t.Errorf("the advice is not taken for good: %v", again.Changes())
			}
		})
	}
}

func TestAdviceChanges(t *testing.T) {
	tests := []struct {
		name    string
		advice  Advice
		changes []Setting
		lines   string
	}{
		{name: "none", advice: Advice{Old: Limits{1, 2, 3}, New: Limits{1, 2, 3}}},
		{name: "none is lowered", advice: Advice{Old: Limits{10, 20, 30}, New: Limits{1, 2, 3}}},
		{
			name:   "all",
			advice: Advice{Old: Limits{192536, 16384, 128}, New: Limits{1048576, 32768, 1024}},
			changes: []Setting{
				{"fs.inotify.max_user_watches", 192536, 1048576},
				{"fs.inotify.max_queued_events", 16384, 32768},
				{"fs.inotify.max_user_instances", 128, 1024},
			},
			lines: "fs.inotify.max_user_watches = 1048576\nfs.inotify.max_queued_events = 32768\nfs.inotify.max_user_instances = 1024\n",
		},
		{
			name:    "one",
			advice:  Advice{Old: Limits{1048576, 16384, 1024}, New: Limits{1048576, 32768, 1024}},
			changes: []Setting{{"fs.inotify.max_queued_events", 16384, 32768}},
			lines:   "fs.inotify.max_queued_events = 32768\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.changes, tt.advice.Changes()); diff != "" {
				t.Errorf("Changes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.lines, tt.advice.Lines()); diff != "" {
				t.Errorf("Lines (-want +got):\n%s", diff)
			}
			if got, want := tt.advice.Empty(), len(tt.changes) == 0; got != want {
				t.Errorf("Empty = %v", got)
			}
		})
	}
	if got, want := (Setting{"fs.inotify.max_queued_events", 16384, 32768}).String(), "fs.inotify.max_queued_events: 16384 -> 32768"; got != want {
		t.Errorf("String = %q, want %q", got, want)
	}
}

// What others hold counts, once: the advice stays the same when the trees themselves are watched.
func TestAdviseInUse(t *testing.T) {
	debian := Limits{192536, 16384, 128}
	before := Need{Directories: 1_000_000, Trees: 2, InUse: Holding{Watches: 500_000, Instances: 3}}
	if got, want := debian.Advise(before, 64*gib).New, (Limits{2_008_192, 32768, 1024}); got != want {
		t.Errorf("New = %v, want %v", got, want)
	}
	others := Need{Directories: 1_000_000, Trees: 2, InUse: Holding{Watches: 3_000_000, Instances: 1022}}
	taken := debian.Advise(others, 64*gib).New
	if want := (Limits{4_008_192, 32768, 1024}); taken != want {
		t.Errorf("New = %v, want %v", taken, want)
	}
	others.InUse.Instances = 1023
	if got := taken.Advise(others, 64*gib).New.MaxUserInstances; got != 2050 {
		t.Errorf("no room for two instances beside 1023: advice is %d", got)
	}
	huge := Need{math.MaxInt, math.MaxInt, Holding{math.MaxInt, math.MaxInt, math.MaxInt, math.MaxInt}}
	if got := debian.Advise(huge, 0).New; got.MaxUserWatches != math.MaxInt32 || got.MaxUserInstances != math.MaxInt32 {
		t.Errorf("New = %v for all there is", got)
	}
}

func TestAdviseFanotify(t *testing.T) {
	old := FanotifyLimits{MaxUserMarks: 200_000, MaxQueuedEvents: 16384, MaxUserGroups: 128}
	if got := Growing(old.Settings(old.Advise(Need{Trees: 100, InUse: Holding{Groups: 28}}))); got != nil {
		t.Errorf("what fits is to be changed: %v", got)
	}
	got := Growing(old.Settings(old.Advise(Need{Trees: 100, InUse: Holding{Groups: 29, Marks: 200_000}})))
	want := []Setting{{"fs.fanotify.max_user_marks", 200_000, 400_200}, {"fs.fanotify.max_user_groups", 128, 258}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNamespaceSettings(t *testing.T) {
	a := Advice{Old: Limits{8192, 16384, 128}, New: wanted}
	for name, tt := range map[string]struct {
		own  Limits
		want []Setting
	}{
		"no limit":        {Limits{MaxUserWatches: math.MaxInt32, MaxUserInstances: math.MaxInt32}, nil},
		"not known":       {Limits{}, nil},
		"fewer watches":   {Limits{MaxUserWatches: 100, MaxUserInstances: 2000}, []Setting{{"user.max_inotify_watches", 100, 1048576}}},
		"fewer instances": {Limits{MaxUserWatches: 2000000, MaxUserInstances: 128}, []Setting{{"user.max_inotify_instances", 128, 1024}}},
	} {
		if diff := cmp.Diff(tt.want, a.NamespaceSettings(tt.own)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
