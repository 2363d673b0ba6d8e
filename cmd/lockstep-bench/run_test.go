package main

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// TestMain plays a role like main: what is measured in processes of its own is started from this program.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

func tinySizes() sizes {
	return sizes{
		LatencyTrees: []int{20, 40}, Samples: 2, Pause: 10 * time.Millisecond,
		BurstFiles: 40, BurstDirs: 4, BurstRuns: 1,
		DeltaSize: 1 << 20, DeltaPairs: 1, DataPairs: 1, TextSize: 1 << 20,
		MoveFiles: 40, MoveSize: 4 << 20,
		FirstFiles: 40, FirstPairs: 1, NothingPairs: 1,
		SmallFiles: 40, SmallPairs: 1, ManyFiles: 200, ManyPairs: 1,
		MemoryFiles: 40, ChurnTime: 200 * time.Millisecond,
		SoakFiles: 40, SoakRate: 500, SoakEvery: 50 * time.Millisecond,
		TargetFiles: 40, StopTime: 300 * time.Millisecond, StopRuns: 1,
		StartDirs: 100, StartRuns: 1,
		EventWork: works()[:1], EventTime: 200 * time.Millisecond, // the limits stay: other tests rely on them. TestWrite does all works.
		IdleFiles: 40, IdleTime: 200 * time.Millisecond,
		OutageFiles: 40, OutageChanges: 200, OutageQuiet: 200 * time.Millisecond,
	}
}

// script makes a program that does nothing but what the shell script says.
func script(t *testing.T, text string) string {
	t.Helper()
	return syncertest.Script(t, filepath.Join(t.TempDir(), "program"), text)
}

// TestEndToEnd measures everything on trees that are as small as can be.
func TestEndToEnd(t *testing.T) {
	syncertest.SkipUnderRace(t, "lockstep is measured as it is built for use, without it")
	syncertest.NeedRsync(t)
	got, _ := measured(t, "", tinySizes())
	rows := map[string]int{}
	for _, r := range got.Rows {
		rows[r.Measurement]++
		if r.Lockstep == nil && r.Ratio == nil || r.Lockstep != nil && *r.Lockstep < 0 || r.Samples == 0 {
			t.Errorf("there is no value in %+v", r)
		}
		// 40 small files tell nothing about the speed, but these have no clock in them.
		if r.Measurement == "delta" && r.Unit == "bytes" && (*r.Lockstep > 64<<10 || *r.Rsync > 64<<10) {
			t.Errorf("a change of 4 KiB in 1 MiB took %v and %v bytes", *r.Lockstep, *r.Rsync)
		}
	}
	for _, name := range []string{"latency", "burst", "delta", "first push", "nothing to do", "memory", "new data", "new text", "small files", "many files", "move", "start", "events", "idle", "targets"} {
		if rows[name] == 0 {
			t.Errorf("no row of %q in %v", name, rows)
		}
	}
	if rows["soak"] > 0 {
		t.Error("soak was measured, and not named")
	}
}

// TestSoak: the curve has what is used at rest before, while the tree changes, and at rest after.
func TestSoak(t *testing.T) {
	syncertest.SkipUnderRace(t, "lockstep is measured as it is built for use, without it")
	syncertest.NeedRsync(t)
	sizes := tinySizes()
	sizes.ChurnTime = time.Second // twenty samples are due: a few come about on any machine
	got, told := measured(t, "soak", sizes)
	if len(got.Rows) == 0 || len(got.Soak) < 6 {
		t.Fatalf("%d rows, %d samples", len(got.Rows), len(got.Soak))
	}
	for _, s := range got.Soak {
		if s.Descriptors < 5 || s.Goroutines < 5 || s.Threads < 2 || s.Resident < 1 || s.Peak < s.Resident || s.State <= 0 {
			t.Errorf("%+v", s)
		}
		if !strings.Contains(told, s.line()) {
			t.Errorf("it was not told of %q but:\n%s", s.line(), told)
		}
	}
	if last := got.Soak[len(got.Soak)-1]; last.Changes < 10 || last.Seconds <= 0 {
		t.Errorf("at the end: %+v", last)
	}
}

// measured is a run with a lockstep that is built for it, which goes well and leaves nothing behind, and what it
// told meanwhile.
func measured(t *testing.T, only string, s sizes) (got results, told string) {
	t.Helper()
	lockstep := filepath.Join(t.TempDir(), "lockstep")
	if out, err := exec.Command("go", "build", "-o", lockstep, "../lockstep").CombinedOutput(); err != nil {
		t.Fatalf("build lockstep: %v\n%s", err, out)
	}
	dir := t.TempDir()
	var stdout, stderr strings.Builder
	o := options{lockstep: lockstep, rsync: "rsync", dir: dir, json: true, only: only, sizes: s}
	if code := execute(t.Context(), o, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr.String())
	}
	if err := json.Unmarshal([]byte(stdout.String()), &got); err != nil {
		t.Fatalf("%v:\n%s", err, stdout.String())
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d names are left in the directory, %v", len(left), err)
	}
	return got, stderr.String()
}

// TestWrongResults: a program that fails, one that claims success, and one that dies.
func TestWrongResults(t *testing.T) {
	syncertest.NeedRsync(t)
	for _, tt := range []struct{ name, script, only, want string }{
		{"fails", "echo no such host; exit 10", "first", "exit status 10: no such host"},
		{"brings nothing over", "exit 0", "first", "does not equal"},
		{"no delta", "exit 0", "delta", "does not equal"},
		{"dies while it watches", "echo last words; exit 12", "latency", "last words"},
		{"ends while it watches", "exit 0", "burst", "ended"},
		{"is gone before it is measured", "exit 0", "memory", "ended"},
		{"never watches", "echo nothing >&2; exit 0", "start", "ended before it watched"},
		{"is gone before it is soaked", "exit 0", "soak", "ended"},
		{"is gone with its targets", "exit 0", "targets", "ended"},
		{"is gone while idle", "exit 0", "idle", "ended"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			var stderr strings.Builder
			o := options{lockstep: script(t, tt.script), rsync: "rsync", dir: dir, only: tt.only, sizes: tinySizes()}
			if code := execute(t.Context(), o, io.Discard, &stderr); code != codeWrong {
				t.Errorf("exit code %d, want %d", code, codeWrong)
			}
			if !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("stderr has no %q:\n%s", tt.want, stderr.String())
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("%d names are left in the directory, %v", len(left), err)
			}
		})
	}
}

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-help"}, 0, "-short"},
		{[]string{"-only", "latency,speed"}, codeSetup, `no measurement "speed"`},
		{[]string{"-only", "speed"}, codeSetup, `no measurement "speed"`},
		{[]string{"-rate", "-1"}, codeSetup, "less than 0"},
		{[]string{"src"}, codeSetup, `["src"]`},
		{[]string{"-lockstep", "./there-is-none"}, codeSetup, "there-is-none"},
		{[]string{"-lockstep", "/bin/true", "-dir", "./there-is-none"}, codeSetup, "there-is-none"},
	} {
		var stderr strings.Builder
		if code := run(tt.args, io.Discard, &stderr); code != tt.code || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("run(%q) = %d, want %d, and %q in:\n%s", tt.args, code, tt.code, tt.want, stderr.String())
		}
	}
}
