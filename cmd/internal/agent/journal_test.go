package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/lockstep-sync/lockstep/syncer"
)

// What a push is told as, and how loudly.
func TestJournalPushed(t *testing.T) {
	idle, sent := syncer.Report{}, syncer.Report{Stats: syncer.Stats{Transferred: 1, Changed: 1}}
	partial := func(r syncer.Report, err error) syncer.Report {
		r.Problems = []syncer.Problem{{Path: "p", Err: err}}
		return r
	}
	failed := func(r syncer.Report) syncer.Report { r.Partial = true; return r }
	for _, tt := range []struct {
		name    string
		reports []syncer.Report
		want    []string
	}{
		{"nothing to do", []syncer.Report{idle, idle}, []string{"info in step", "debug pushed"}},
		{"something to do", []syncer.Report{sent, idle, sent}, []string{"info pushed", "debug pushed", "info pushed"}},
		{"partial", []syncer.Report{failed(sent), failed(idle)}, []string{"warn pushed", "debug pushed"}},
		{"partial at first", []syncer.Report{failed(idle), idle}, []string{"warn pushed", "debug pushed"}},
		{"problems", []syncer.Report{sent, partial(sent, fs.ErrPermission)}, []string{"info pushed", "warn pushed"}},
		{"vanished", []syncer.Report{partial(sent, fs.ErrNotExist)}, []string{"info pushed", "debug vanished while it was sent"}},
	} {
		core, logs := observer.New(zap.DebugLevel)
		j := newJournal(zap.New(core))
		j.push = &syncer.Syncer{}
		for _, rep := range tt.reports {
			j.observe(syncer.Outcome{Report: rep})
		}
		var got []string
		for _, e := range logs.All() {
			got = append(got, e.Level.String()+" "+e.Message)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestJournalRsyncWords: what people search logs for is in the line of a push that rsync would have complained of.
func TestJournalRsyncWords(t *testing.T) {
	for words, rep := range map[any]syncer.Report{
		nil: {},
		"some files/attrs were not transferred (see previous errors) (code 23)": {Partial: true},
		"some files vanished before they could be transferred (code 24)":        {Problems: []syncer.Problem{{Path: "p", Err: fs.ErrNotExist}}},
		"the --max-delete limit stopped deletions (code 25)":                    {DeletesHeld: true},
	} {
		core, logs := observer.New(zap.InfoLevel)
		j := newJournal(zap.New(core))
		j.push = &syncer.Syncer{}
		rep.Stats.Transferred = 1
		j.observe(syncer.Outcome{Report: rep})
		if got := logs.All()[0].ContextMap()["rsync"]; got != words {
			t.Errorf("%+v: %v, want %v", rep, got, words)
		}
	}
}

func TestJournalMoved(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	j := newJournal(zap.New(core))
	j.push = &syncer.Syncer{}
	for _, moved := range []int64{0, 3} {
		j.observe(syncer.Outcome{Report: syncer.Report{Stats: syncer.Stats{Deleted: 4, Moved: moved}}})
	}
	all := logs.All()
	if _, ok := all[0].ContextMap()["moved"]; ok {
		t.Error("moves are told where there were none")
	}
	if got := all[1].ContextMap()["moved"]; got != int64(3) {
		t.Errorf("moved: %v, want 3", got)
	}
}

// Words of ssh's are told as such, once a minute, and durations without digits that nobody reads.
func TestJournalWords(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	j := newJournal(zap.New(core))
	j.push = &syncer.Syncer{}
	j.sshSays("Permission denied")
	j.sshSays("Permission denied")
	j.says("no space left", true)
	j.observe(syncer.Outcome{Err: errors.New("x"), Failures: 1})
	j.since = j.since.Add(-90*time.Second - 123456789)
	j.observe(syncer.Outcome{})
	var got []string
	for _, e := range logs.All() {
		got = append(got, e.Message)
	}
	want := []string{"ssh says", "the target says", "push failed; nothing is lost, it is tried again", "pushing goes on", "in step"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if after := logs.FilterMessage("pushing goes on").All()[0].ContextMap()["after"].(time.Duration); after%time.Second != 0 {
		t.Errorf("after %v", after)
	}
}

// A path that does not arrive is told once, and once more when it does; all of them once a minute.
func TestJournalPaths(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	j := newJournal(zap.New(core))
	ledger := []syncer.Failed{
		{Path: "a", Paths: 1, Reason: "no", Errno: syscall.ENOSPC, Class: syncer.ClassOperator, Count: 1, First: time.Now()},
		{Path: "d", Tree: true, Paths: 11, Reason: "no", Count: 7, First: time.Now()},
	}
	src := t.TempDir()
	var err error
	j.push, err = syncer.New(syncer.Config{Source: src + "/", Target: syncer.Target{Path: t.TempDir()}, Options: syncer.Archive(), Failed: ledger})
	if err != nil {
		t.Fatal(err)
	}
	j.begun = true
	j.observe(syncer.Outcome{Failed: ledger})
	again := ledger[0]
	j.observe(syncer.Outcome{Failed: []syncer.Failed{again}}) // before its time, along with others
	again.Count = 2
	j.observe(syncer.Outcome{Failed: []syncer.Failed{again}})
	j.summed = j.summed.Add(-repeatEvery)
	j.observe(syncer.Outcome{})
	j.observe(syncer.Outcome{Arrived: []syncer.Failed{again}})
	var got []string
	for _, e := range logs.All() {
		got = append(got, fmt.Sprintf("%s %v", e.Message, e.ContextMap()["path"]))
	}
	want := []string{"not brought over; it is tried again a", "paths are not on the target <nil>", "brought over at last a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	if remedy, _ := logs.All()[0].ContextMap()["remedy"].(string); remedy == "" {
		t.Error("it is not told what can be done")
	}
	if all := logs.All()[1].ContextMap(); all["paths"] != int64(12) || all["first"] != "a" {
		t.Errorf("the summary is %v", all)
	}
	if n := logs.All()[2].ContextMap()["failures"]; n != int64(2) {
		t.Errorf("%v failures, want 2", n)
	}
}

// A crowd of paths is not told one by one.
func TestJournalManyPaths(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	j := newJournal(zap.New(core))
	j.push, j.begun = &syncer.Syncer{}, true
	many := make([]syncer.Failed, 1000)
	for i := range many {
		many[i] = syncer.Failed{Path: fmt.Sprint(i), Count: 1}
	}
	j.observe(syncer.Outcome{Failed: many, Arrived: many})
	if n := logs.Len(); n > 2*(pathsMax+1) {
		t.Errorf("%d lines", n)
	}
	if n := logs.FilterMessage("more paths were not brought over").All()[0].ContextMap()["paths"]; n != int64(1000-pathsMax) {
		t.Errorf("%v more", n)
	}
}

func TestRounded(t *testing.T) {
	for in, want := range map[time.Duration]time.Duration{
		4_612_345: 4_610_000, 0: 0, 12*time.Second + 3_456_789: 12*time.Second + 3*time.Millisecond,
		time.Minute + 1_499_000_000: time.Minute + time.Second,
	} {
		if got := rounded(in); got != want {
			t.Errorf("rounded(%v) = %v, want %v", in, got, want)
		}
	}
}

// An outage is told when it begins, when it turns into one of another class, and else once a minute,
// though its errors alternate; then what it was.
func TestJournalOutage(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	j := newJournal(zap.New(core))
	j.push = &syncer.Syncer{}
	now := time.Unix(1_700_000_000, 0)
	j.now = func() time.Time { return now }
	j.pending = func() int { return 17 }
	attempt := 0
	for range 600 { // ten minutes
		attempt++
		class := syncer.ClassTransient
		if attempt > 330 {
			class = syncer.Class(attempt % 2) // transient, operator
		}
		j.observe(syncer.Outcome{Failures: attempt, Class: class, Remedy: "mend it",
			Err: &syncer.Failure{Code: syncer.CodeSocket, Err: fmt.Errorf("error %d", attempt%3), Hint: "a hint"}})
		now = now.Add(time.Second)
	}
	j.observe(syncer.Outcome{})
	failed := logs.FilterMessage("push failed; nothing is lost, it is tried again").All()
	if len(failed) != 11 { // one a minute, and one for the other class
		t.Errorf("%d lines in ten minutes", len(failed))
	}
	want := map[string]any{"error": "error 1", "class": "transient", "remedy": "mend it", "code": int64(10), "rsync": "error in socket IO (code 10)",
		"paths": int64(17), "attempt": int64(1), "down": time.Duration(0), "retry_in": time.Duration(0)}
	if diff := cmp.Diff(want, failed[0].ContextMap()); diff != "" {
		t.Errorf("the first line (-want +got):\n%s", diff)
	}
	if failed[0].Level != zap.WarnLevel || failed[6].Level != zap.ErrorLevel {
		t.Errorf("levels: %v for the transient one, %v for the operator's", failed[0].Level, failed[6].Level)
	}
	over := logs.FilterMessage("pushing goes on").All()
	if len(over) != 1 {
		t.Fatalf("%d lines about its end", len(over))
	}
	want = map[string]any{"after": 10 * time.Minute, "attempts": int64(600), "paths": int64(17)}
	if diff := cmp.Diff(want, over[0].ContextMap()); diff != "" {
		t.Errorf("its end (-want +got):\n%s", diff)
	}
	j.observe(syncer.Outcome{Err: errors.New("x"), Failures: 1})
	if n := logs.FilterMessage("push failed; nothing is lost, it is tried again").Len(); n != 12 {
		t.Error("the next outage is not told at once")
	}
}
