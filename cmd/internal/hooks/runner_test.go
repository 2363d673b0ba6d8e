package hooks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"
)

// patience is how long a busy machine may take for what takes milliseconds.
const patience = 20 * time.Second

func shell(text string) Hook { return Hook{Argv: []string{"/bin/sh", "-c", text}} }

// rig is a runner that runs.
type rig struct {
	*Runner
	t    *testing.T
	logs *observer.ObservedLogs
	stop func() // ends Run, and waits for it
}

func start(t *testing.T, set Set) *rig {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	g := &rig{Runner: NewRunner(set, zap.New(core)), t: t, logs: logs}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	g.stop = func() { cancel(); <-ended }
	t.Cleanup(g.stop)
	return g
}

// wait returns when all that was told has been run.
func (g *rig) wait() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	if err := g.Wait(ctx); err != nil {
		g.t.Fatalf("still waits: %v", err)
	}
}

// field is a field of the only line with a message.
func (g *rig) field(message, key string) any {
	g.t.Helper()
	lines := g.logs.FilterMessage(message).All()
	if len(lines) != 1 {
		g.t.Fatalf("%d lines %q in %v", len(lines), message, g.logs.All())
	}
	return lines[0].ContextMap()[key]
}

func waitFile(t *testing.T, name string) string {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if text, err := os.ReadFile(name); err == nil && strings.HasSuffix(string(text), "\n") {
			return string(text)
		}
	}
	t.Fatalf("no %s", name)
	return ""
}

// A hook gets its words as they are, paths on standard input, facts in the environment, "/" to stand in and a process group.
func TestHookGets(t *testing.T) {
	t.Setenv("RSYNC_PASSWORD", "secret")
	leaked, err := unix.Open("/dev/null", unix.O_RDONLY, 0) // as one that somebody left open for us
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leaked)
	out := filepath.Join(t.TempDir(), "out")
	script := `{ printf '<%s>' "$@"; echo; tr '\0' '|'; echo; env | grep -c secret; env | grep ^LOCKSTEP_TARGET; pwd; ls /proc/self/fd | wc -l; ps -o pgid= -p $$ | tr -d ' '; echo $$; } >` + out
	g := start(t, Set{OnSuccess: Hook{Argv: []string{"sh", "-c", script, "0", "two words", "$HOME", "*"}}})
	g.Tell(Event{Kind: Success, Sync: "s", Source: "/abc/", Target: "h::m", Paths: []string{"a", "new\nline", "\xff"}})
	g.wait()
	lines := strings.Split(waitFile(t, out), "\n")
	want := []string{"<two words><$HOME><*>", "a|new", "line|\xff|", "0", "LOCKSTEP_TARGET=h::m", "/", "4"} // 0, 1, 2 and that of ls
	for i, w := range want {
		if lines[i] != w {
			t.Errorf("line %d is %q, want %q", i, lines[i], w)
		}
	}
	if pgid, pid := lines[len(want)], lines[len(want)+1]; pgid != pid {
		t.Errorf("process group %s, want %s", pgid, pid)
	}
	if code := g.field("hook done", "code"); code != int64(0) {
		t.Errorf("code %v", code)
	}
}

// A hook that does not read its paths, many as they are, ends as it would.
func TestHookNeedNotRead(t *testing.T) {
	paths := make([]string, 30_000)
	for i := range paths {
		paths[i] = fmt.Sprintf("some/directory/with/a/long/name/%d", i)
	}
	out := filepath.Join(t.TempDir(), "out")
	g := start(t, Set{OnSuccess: shell("exit 0"), OnFailure: shell("tr -cd '\\0' | wc -c >" + out)})
	g.Tell(Event{Kind: Success, Paths: paths})
	g.Tell(Event{Kind: Failure, Paths: paths})
	g.wait()
	if got := strings.TrimSpace(waitFile(t, out)); got != "30000" {
		t.Errorf("%s paths", got)
	}
}

func TestHookCodes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		hook    Hook
		message string
		key     string
		want    any
	}{
		{"exit code", shell("echo out; echo err >&2; exit 7"), "hook failed", "code", int64(7)},
		{"what it says", shell("printf 'a\\377b\\n'; echo err >&2; exit 7"), "hook failed", "output", "a\\#377b\nerr"},
		{"signal", shell("kill -9 $$"), "hook was ended by a signal", "signal", "killed"},
		{"no such program", Hook{Argv: []string{"/no/such"}}, "hook cannot be run", "error", "fork/exec /no/such: no such file or directory"},
		{"not in PATH", Hook{Argv: []string{"no-such-program"}}, "hook cannot be run", "error", `exec: "no-such-program": executable file not found in $PATH`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, Set{OnSuccess: tt.hook})
			g.Tell(Event{Kind: Success, Target: "t"})
			g.wait()
			if got := g.field(tt.message, tt.key); got != tt.want {
				t.Errorf("%s is %q, want %q", tt.key, got, tt.want)
			}
		})
	}
}

// alive says whether a process is there that is not a zombie.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// At its timeout all of a hook's process group goes, also who does not obey SIGTERM.
func TestHookTimeout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hook := shell(`trap '' TERM; sh -c 'trap "" TERM; echo $$ >` + dir + `/child; while :; do sleep 1; done' & echo $$ >` + dir + `/leader; while :; do sleep 1; done`)
	hook.Timeout = 300 * time.Millisecond
	g := start(t, Set{OnSuccess: hook})
	g.Tell(Event{Kind: Success})
	child, leader := waitFile(t, dir+"/child"), waitFile(t, dir+"/leader")
	g.wait()
	g.field("hook took too long and was ended", "took")
	if alive(leader) || alive(child) {
		t.Errorf("leader alive: %v, child alive: %v", alive(leader), alive(child))
	}
}

// SIGTERM comes first, and what the hook does then counts.
func TestHookIsAskedToEnd(t *testing.T) {
	t.Parallel()
	hook := shell(`trap 'echo cleaned up; exit 3' TERM; sleep 60 & wait`)
	hook.Timeout = 500 * time.Millisecond
	g := start(t, Set{OnSuccess: hook})
	g.Tell(Event{Kind: Success})
	g.wait()
	if got := g.field("hook took too long and was ended", "output"); got != "cleaned up" {
		t.Errorf("output %q", got)
	}
	if got := g.field("hook took too long and was ended", "code"); got != int64(3) {
		t.Errorf("code %v", got)
	}
}

// Run ends with the hook that runs, does not run what waits, and says so.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := start(t, Set{OnSuccess: shell("echo $$ >" + dir + "/pid; sleep 60"), OnFailure: shell("echo >" + dir + "/failure")})
	g.Tell(Event{Kind: Success})
	pid := waitFile(t, dir+"/pid")
	g.Tell(Event{Kind: Failure})
	g.stop()
	if alive(pid) {
		t.Error("the hook runs on")
	}
	if _, err := os.Stat(dir + "/failure"); err == nil {
		t.Error("what waited was run")
	}
	if n := g.field("hooks were not run: lockstep ends", "hooks"); n != int64(1) {
		t.Errorf("%v hooks", n)
	}
	if err := g.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// While a hook runs Tell returns at once, and what it tells is run once, with all paths.
func TestTellMerges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, unix.Mkfifo(dir+"/go", 0o600))
	g := start(t, Set{OnSuccess: shell(`echo "$LOCKSTEP_EVENTS $LOCKSTEP_PATHS $LOCKSTEP_PATHS_COMPLETE" >>` + dir + `/runs; read x <` + dir + `/go; exit 0`)})
	g.Tell(Event{Kind: Success, Target: "t", Paths: []string{"first"}})
	waitFile(t, dir+"/runs")
	for i := range 1000 {
		g.Tell(Event{Kind: Success, Target: "t", Paths: []string{fmt.Sprint(i)}})
	}
	release(t, dir+"/go")
	const want = "1 1 1\n1000 1000 1\n"
	for end := time.Now().Add(patience); waitFile(t, dir+"/runs") != want; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%q, want %q", waitFile(t, dir+"/runs"), want)
		}
	}
	release(t, dir+"/go") // the second one reads now: the first has ended
	g.wait()
	if got := waitFile(t, dir+"/runs"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// release lets go who reads a line from a FIFO.
func release(t *testing.T, fifo string) {
	t.Helper()
	f, err := os.OpenFile(fifo, os.O_WRONLY, 0) // blocks until it is read
	must(t, err)
	_, err = f.WriteString("go\n")
	must(t, errors.Join(err, f.Close()))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Of a sync one hook runs at a time, before-push too.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	alone := shell(`mkdir ` + dir + `/lock || { echo >` + dir + `/two; exit 1; }; sleep 0.02; rmdir ` + dir + `/lock`)
	g := start(t, Set{OnSuccess: alone, OnFailure: alone, BeforePush: alone})
	done := make(chan error)
	for i := range 4 {
		g.Tell(Event{Kind: Success, Target: fmt.Sprint(i)})
		g.Tell(Event{Kind: Failure, Target: fmt.Sprint(i)})
		go func() { done <- g.Before(t.Context(), Event{Target: fmt.Sprint(i)}) }()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	g.wait()
	if _, err := os.Stat(dir + "/two"); err == nil {
		t.Error("two ran at once")
	}
	if n := g.logs.FilterMessage("hook done").Len(); n != 12 {
		t.Errorf("%d ran", n)
	}
}

func TestBefore(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		timeout      time.Duration
		want         string
		log          string
	}{
		{"lets go", "exit 0", 0, "", "hook done"},
		{"veto", "echo one; echo not now; exit 1", 0, "before-push says no: not now", "hook puts the push off"},
		{"silent veto", "exit 1", 0, "before-push says no", "hook puts the push off"},
		{"fails", "exit 2", 0, "", "hook failed"},
		{"hangs", "sleep 60", 200 * time.Millisecond, "", "hook took too long and was ended"},
		{"hangs, and vetoes when it is ended", "trap 'exit 1' TERM; sleep 60 & wait", 200 * time.Millisecond, "", "hook took too long and was ended"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			hook := shell(tt.script)
			hook.Timeout = tt.timeout
			g := start(t, Set{BeforePush: hook})
			err := g.Before(t.Context(), Event{Target: "t", Paths: []string{"p"}})
			if got := fmt.Sprint(err); err != nil && got != tt.want || err == nil && tt.want != "" {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if errors.Is(err, ErrVeto) != (tt.want != "") {
				t.Errorf("%v", err)
			}
			g.field(tt.log, "took")
		})
	}
}

func TestBeforeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := start(t, Set{BeforePush: shell("echo $$ >" + dir + "/pid; sleep 60")})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Before(ctx, Event{}) }()
	pid := waitFile(t, dir+"/pid")
	second := make(chan error, 1)
	go func() { second <- g.Before(ctx, Event{}) }() // waits for its turn
	cancel()
	for _, c := range []chan error{done, second} {
		if err := <-c; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
	if alive(pid) {
		t.Error("the hook runs on")
	}
}

// What a hook leaves in the background is not waited for.
func TestBackground(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := start(t, Set{OnSuccess: shell("sleep 60 & echo $! >" + dir + "/pid; echo said")})
	begin := time.Now()
	g.Tell(Event{Kind: Success})
	g.wait()
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	if got := g.field("hook done", "output"); got != "said" {
		t.Errorf("output %q", got)
	}
	pid := waitFile(t, dir+"/pid")
	if !alive(pid) {
		t.Error("what was left in the background was ended")
	}
	var n int
	fmt.Sscan(pid, &n)
	must(t, unix.Kill(n, unix.SIGKILL))
}

func TestAny(t *testing.T) {
	if (Set{}).Any() {
		t.Error("an empty set has hooks")
	}
	for _, s := range []Set{{OnSuccess: shell("")}, {OnFailure: shell("")}, {OnRecovered: shell("")}, {OnDeleteHeld: shell("")}, {BeforePush: shell("")}} {
		if !s.Any() {
			t.Errorf("%+v has none", s)
		}
	}
	g := start(t, Set{})
	for k := range kinds {
		g.Tell(Event{Kind: k})
	}
	if err := g.Before(t.Context(), Event{}); err != nil || g.logs.Len() > 0 {
		t.Errorf("%v, %v", err, g.logs.All())
	}
}
