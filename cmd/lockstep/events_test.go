package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/watcher"
)

// output is what a program has printed so far.
type output struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// listener is an inotifywait, an inotifywatch or a lockstep events that runs.
type listener struct {
	cmd         *exec.Cmd
	out, err    output
	established string
}

// listen starts a program in dir and waits until it watches.
func listen(t *testing.T, dir, program string, args ...string) *listener {
	t.Helper()
	l := &listener{established: "Watches established."}
	if program == "lockstep" {
		l.cmd = lockstepCmd(dir, os.Environ(), &l.out, &l.err, append([]string{"events"}, args...)...)
	} else {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Fatalf("the tests need %s: run .ci/deps (%v)", program, err)
		}
		l.cmd = &exec.Cmd{Path: path, Args: append([]string{program}, args...), Dir: dir, Stdout: &l.out, Stderr: &l.err}
	}
	must(t, l.cmd.Start())
	t.Cleanup(func() {
		l.cmd.Process.Kill() // an error says that it has ended
		l.cmd.Wait()
	})
	l.await(t, "that it watches", func() bool {
		text := l.err.String()
		return strings.Contains(text, l.established) || strings.Contains(text, "Finished establishing watches")
	})
	return l
}

func (l *listener) await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q: no sign of %s; it said:\n%s\n%s", l.cmd.Args, what, l.err.String(), l.out.String())
		}
	}
}

// settled is the output once nothing has come for a while.
func (l *listener) settled() string {
	text := l.out.String()
	for since := time.Now(); time.Since(since) < 400*time.Millisecond; time.Sleep(10 * time.Millisecond) {
		if now := l.out.String(); now != text {
			text, since = now, time.Now()
		}
	}
	return text
}

func shell(t *testing.T, dir, script string) {
	t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// eventsTree is what the comparisons begin with.
func eventsTree(t *testing.T) string {
	dir := t.TempDir()
	shell(t, dir, "mkdir -p d/sub/deep d/with; echo f >d/f; echo x >d/sub/x; ln -s d l; ln -s d/f lf; mkdir empty")
	return dir
}

// TestEventsCompare runs lockstep events beside the real inotifywait: what they print is the same.
func TestEventsCompare(t *testing.T) {
	for _, tt := range []struct{ name, args, script string }{
		{"everything", "-m d", "echo x >d/new; cat d/new; mkdir d/n; rmdir d/n; mv d/new d/other; chmod 600 d/other; ls d; rm d/other; ln d/f d/hard; ln -s f d/soft"},
		{"a script's line", "-mr -e create,delete,modify,move,attrib --format %w|%e|%f d", "echo x >d/sub/new; mv d/sub/new d/u; chmod 600 d/u d/sub; rm d/u; rm -r d/sub"},
		{"a new directory", "-mr -e create,delete,close_write d", "mkdir d/n; sleep .2; echo x >d/n/f; mkdir d/n/m; sleep .2; echo y >d/n/m/g; rm d/n/f"},
		{"a renamed directory", "-mr -e create,move,move d", "mv d/sub d/renamed; sleep .2; echo x >d/renamed/y; mkdir d/renamed/deep/er; sleep .1; mv d/renamed d/sub"},
		{"out and in", "-mr -e move d", "mv d/sub sub; sleep .1; mv sub d/back; mv d/f .; mv f d/f"},
		{"not recursive", "-m -e create,attrib,delete d", "touch d/sub/x d/f d/y; chmod 700 d/sub; mkdir d/sub/z; rm d/y; chmod 700 d"},
		{"self", "-mr -e attrib d", "chmod 700 d/sub d"},
		{"a file", "-m d/f", "echo x >>d/f; cat d/f; chmod 600 d/f; touch d/g"},
		{"a file removed", "-m -e attrib,delete_self d/f", "rm d/f"},
		{"a file moved", "-m -e move_self d/f", "mv d/f d/g"},
		{"a file replaced", "-m -e attrib,delete_self,move_self d/f", "echo n >d/n; mv d/n d/f"},
		{"files and their directory", "-m -e attrib d d/f d/sub/x", "touch d/f; touch d/sub/x; touch -m d/f"},
		{"slashes", "-mr -e attrib d//", "touch d/f d/sub/x"},
		{"dots", "-m -e attrib d/../d", "touch d/f"},
		{"here", "-mr -e attrib .", "touch d/f"},
		{"a symlink", "-m -e attrib l", "touch d/f"},
		{"into a symlink", "-mr -e attrib l", "touch d/f d/sub/x"},
		{"a symlink's slash", "-m -e attrib l/", "touch d/f"},
		{"a symlink to a file", "-m -e modify lf", "echo x >>d/f"},
		{"twice", "-m -e attrib d d/", "touch d/f"},
		{"nested", "-mr -e attrib d d/sub", "touch d/f d/sub/x d/sub/deep; chmod 700 d/sub"},
		{"nested, the other way round", "-mr -e attrib d/sub d", "touch d/f d/sub/x d/sub/deep"},
		{"left out", "-mr -e attrib,create d @d/sub", "touch d/f d/sub d/sub/x d/sub/deep; mkdir d/sub/m"},
		{"left out, but for", "-mr -e attrib,create d @d/sub d/sub/deep", "touch d/f d/sub/x; touch d/sub/deep/y"},
		{"exclude", "-mr -e attrib,create --exclude=sub|f$ d", "touch d/f d/g d/sub/x d/sub; touch d/sub/deep/y; touch d/fg"},
		{"exclude, anchored", "-mr -e attrib,create --exclude=^d/sub$ d", "touch d/f d/sub/x; chmod 700 d/sub"},
		{"exclude a name in a directory", "-mr -e attrib --exclude=deep/[[:alpha:]]\\.o$ d", "touch d/sub/deep/a.o d/sub/deep/ab.o d/sub/deep/1.o"},
		{"excludei", "-mr -e attrib --excludei=SUB/ d", "touch d/f d/sub/x; chmod 700 d/sub"},
		{"include", "-mr -e attrib,create --include=x$ d", "touch d/f d/sub/x d/x"},
		{"includei", "-mr -e attrib --includei=X$ d", "touch d/f d/sub/x"},
		{"case of events", "-m -e MODIFY,Attrib -e close d", "echo x >>d/f"},
		{"csv", "-mc -e create,open d", `touch 'd/a b' 'd/a,b' 'd/"' 'd/ a' 'd/a ' "d/new
line"; ls d >/dev/null`},
		{"formats", "-m -e attrib --format %w%f|%e|%:e|%%|%0|%n|%q|%,-e|% e|%%e|% d", "chmod 700 d/sub"},
		{"no newline", "-m -e attrib,create --no-newline --format %w%f%0 d", `touch d/f "d/new
line"`},
		{"bytes that are no text", "-m -e create d", `touch d/$(printf '\377\001')`},
		{"a year", "-m -e attrib --timefmt=%Y-%j --format=%T,%f d", "touch d/f"},
		{"cut short", "--mon --recurs -e attrib d", "touch d/f"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := eventsTree(t)
			args := strings.Split(tt.args, " ")
			if tt.name == "formats" {
				args = append(args[:4], strings.Join(args[4:len(args)-1], " "), "d")
			}
			want, got := listen(t, dir, "inotifywait", args...), listen(t, dir, "lockstep", args...)
			shell(t, dir, tt.script)
			var text, ours string
			// A program that waits for a processor is quiet too: its last lines may come later.
			for end := time.Now().Add(patience); (text == "" || text != ours) && time.Now().Before(end); {
				text, ours = unrepeated(want.settled()), unrepeated(got.settled())
				if strings.HasPrefix(tt.name, "nested") || strings.HasPrefix(tt.name, "files and") || tt.name == "left out, but for" {
					text, ours = sorted(text), sorted(ours) // each PATH has a queue of its own
				}
			}
			if diff := cmp.Diff(text, ours); diff != "" {
				t.Errorf("inotifywait %q (-want +got):\n%s%s", args, diff, got.err.String())
			}
			if want.out.String() == "" {
				t.Error("nothing was printed at all")
			}
		})
	}
}

// unrepeated is text without repeats of a line. The kernel merges an event into the last one of a queue if they
// are equal, so their number says how fast the queue was read, and by whom.
func unrepeated(text string) string {
	return strings.Join(slices.Compact(slices.Collect(strings.Lines(text))), "")
}

func sorted(text string) string {
	lines := slices.Collect(strings.Lines(text))
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// TestEventsOnce compares how the two end.
func TestEventsOnce(t *testing.T) {
	for _, tt := range []struct{ name, args, script string }{
		{"an event", "d", "touch d/f"},
		{"one of a kind", "-e attrib d", "echo x >d/f; chmod 600 d/f"},
		{"no time", "-t 1 d", "true"},
		{"no time for this", "-t 1 -e create d", "touch d/f"},
		{"no time in the end", "-m -t 1 -e attrib d", "touch d/f"},
		{"time enough", "-t -1 -e create d", "sleep 1.2; touch d/new"},
		{"gone", "-e create d", "rm -r d"},
		{"a directory below gone", "-r -e create d", "rm -r d/sub/deep"},
		{"a file gone", "-e modify d/f", "rm d/f"},
		{"gone, as asked for", "-e delete_self empty", "rmdir empty"},
		{"silent", "-qq -e attrib d", "touch d/f"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := eventsTree(t)
			args := strings.Split(tt.args, " ")
			type result struct {
				Code int
				Out  string
			}
			end := func(l *listener) (r result) {
				var err error
				r.Code, err = exitCode(l.cmd.Wait())
				must(t, err)
				r.Out = l.out.String()
				return r
			}
			if tt.name == "silent" { // it does not say when it watches
				l := &listener{}
				l.cmd = lockstepCmd(dir, os.Environ(), &l.out, &l.err, append([]string{"events"}, args...)...)
				must(t, l.cmd.Start())
				stop := make(chan struct{})
				var touching sync.WaitGroup
				touching.Go(func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(10 * time.Millisecond):
							os.Chmod(dir+"/d/f", 0o600)
						}
					}
				})
				r := end(l)
				close(stop)
				touching.Wait()
				if r != (result{}) || l.err.String() != "" {
					t.Errorf("%+v, %q", r, l.err.String())
				}
				return
			}
			want, got := listen(t, dir, "inotifywait", args...), listen(t, dir, "lockstep", args...)
			shell(t, dir, tt.script)
			if diff := cmp.Diff(end(want), end(got)); diff != "" {
				t.Errorf("inotifywait %q (-want +got):\n%s%s", args, diff, got.err.String())
			}
		})
	}
}

// TestEventsSummary compares the table with inotifywatch's. Rows of equal counts have no order there.
func TestEventsSummary(t *testing.T) {
	for _, args := range []string{
		"-r d", "-r -z d", "-r -e modify,create -e move -z d", "-r -a moved_to -e move,modify d", "-r -d create d",
		"-a total d d/f", "-r --exclude=f$ d", "-r -e unmount d", "-r -z -e unmount,delete d",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			var tables [2]string // one after the other: they would count one another's reading
			for i, program := range []string{"inotifywatch", "lockstep"} {
				list := strings.Split(args, " ")
				if program == "lockstep" {
					list = append(list, "--summary")
				}
				dir := eventsTree(t)
				l := listen(t, dir, program, list...)
				shell(t, dir, "for i in 1 2 3 4 5 6 7 8 9; do touch d/f; done; echo x >>d/f; touch d/sub/y; touch d/sub/y; touch d/sub/y; mv d/sub/y d/y; mv d/y d/u; cat d/u d/f; touch d/sub/deep/m")
				time.Sleep(200 * time.Millisecond)
				must(t, l.cmd.Process.Signal(syscall.SIGINT))
				if code, err := exitCode(l.cmd.Wait()); code != 0 || err != nil {
					t.Errorf("%q: %d, %v: %s", l.cmd.Args, code, err, l.err.String())
				}
				tables[i] = l.out.String()
			}
			want, got := tables[0], tables[1]
			if strings.Contains(args, "-z") || strings.Contains(args, "-d ") {
				want, got = sorted(want), sorted(got) // there are rows of equal counts, whose order is left to chance
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEventTableOrder(t *testing.T) {
	table := newEventTable()
	for _, o := range []occurrence{
		{watched: "c", op: watcher.OpCreate}, {watched: "a", op: watcher.OpCreate}, {watched: "b", op: watcher.OpModify}, {watched: "b", op: watcher.OpModify},
	} {
		for range 1000 {
			table.count(&o, opsAll)
		}
	}
	for _, tt := range []struct{ sortBy, order string }{{"", "b a c"}, {"total", "b a c"}, {"create", "a c b"}, {"modify", "b a c"}} {
		for _, ascending := range []bool{false, true} {
			var out bytes.Buffer
			w := bufio.NewWriter(&out)
			table.write(w, &eventsOptions{sortBy: tt.sortBy, ascending: ascending})
			w.Flush()
			f := strings.Fields(out.String())
			got := strings.Join([]string{f[7], f[11], f[15]}, " ")
			want := tt.order
			if ascending {
				want = map[string]string{"b a c": "a c b", "a c b": "b a c"}[tt.order]
			}
			if got != want || f[0] != "total" || f[4] != "2000" && f[4] != "1000" {
				t.Errorf("by %q, ascending %v: %q, want %q\n%s", tt.sortBy, ascending, got, want, out.String())
			}
		}
	}
}

// A directory that was renamed is listed anew, and only what was made in it after that is news.
func TestEventsMovedDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"/old", "/came", "/old/in"} {
		must(t, os.Mkdir(dir+name, 0o755))
		must(t, os.WriteFile(dir+name+"/was", nil, 0o644))
	}
	time.Sleep(50 * time.Millisecond) // a tick of the kernel's clock
	must(t, os.Rename(dir+"/old", dir+"/new"))
	time.Sleep(50 * time.Millisecond)
	must(t, os.WriteFile(dir+"/new/made", nil, 0o644))
	found := func(path string) watcher.Event { return watcher.Event{Path: path, Op: watcher.OpCreate, Found: true} }
	f := &fakeRunner{events: []watcher.Event{
		{Path: "old", Op: watcher.OpMovedFrom, Dir: true, Cookie: 1}, {Path: "new", Op: watcher.OpMovedTo, Dir: true, Cookie: 1},
		found("new/was"), found("new/made"), found("new/gone"),
		{Path: "came", Op: watcher.OpMovedTo, Dir: true, Cookie: 2}, found("came/was"),
		{Path: "new/in", Op: watcher.OpMovedTo, Dir: true, Cookie: 3}, found("new/in/was"),
	}}
	_, stdout, _ := eventsOf(f, "-mr", "-t", "1", "--format", "%w%f", dir)
	if want := dir + "/old\n" + dir + "/new\n" + dir + "/new/made\n" + dir + "/new/gone\n" + dir + "/came\n" + dir + "/came/was\n" + dir + "/new/in\n" + dir + "/new/in/was\n"; stdout != want {
		t.Errorf("%s, want %s", stdout, want)
	}
}

// TestEventsMissNothing is what inotifywait -r is known for: what is made in a new directory before that
// is watched goes unsaid.
func TestEventsMissNothing(t *testing.T) {
	const files = 500
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/r", 0o755))
	args := []string{"-mr", "-e", "close_write", "--format", "%w%f", "r"}
	theirs, ours := listen(t, dir, "inotifywait", args...), listen(t, dir, "lockstep", args...)
	for i := range files {
		below := fmt.Sprintf("%s/r/%d/a/b", dir, i)
		must(t, os.MkdirAll(below, 0o755))
		must(t, os.WriteFile(below+"/f", []byte("x"), 0o644))
	}
	count := func(text string) int {
		seen := map[string]bool{}
		for line := range strings.Lines(text) {
			seen[line] = true
		}
		return len(seen)
	}
	ours.await(t, "all files", func() bool { return count(ours.out.String()) == files })
	if got := count(ours.settled()); got != files {
		t.Errorf("%d names, want %d", got, files)
	}
	t.Logf("inotifywait tells of %d of %d files, lockstep events of all", count(theirs.out.String()), files)
}

// fakeRunner is a watcher that tells what a test says.
type fakeRunner struct {
	cfg    watcher.Config
	events []watcher.Event
	stats  watcher.Stats
	err    error
}

func (f *fakeRunner) Stats() watcher.Stats { return f.stats }

func (f *fakeRunner) Run(ctx context.Context, emit func([]watcher.Change)) error {
	if f.err != nil {
		return f.err
	}
	emit([]watcher.Change{{Path: ".", Tree: true}})
	f.cfg.OnEvent(f.events)
	<-ctx.Done()
	return nil
}

// eventsOf runs the verb on such a watcher.
func eventsOf(f *fakeRunner, args ...string) (code int, stdout, stderr string) {
	var out, log output
	c := eventsCommand{stdout: &out, stderr: &log, newWatcher: func(cfg watcher.Config) (runner, error) { f.cfg = cfg; return f, nil }}
	code = c.run(args)
	return code, out.String(), log.String()
}

func TestEventsJSON(t *testing.T) {
	dir := t.TempDir()
	f := &fakeRunner{events: []watcher.Event{
		{Path: "a/b\n", Op: watcher.OpCreate, Found: true},
		{Path: ".", Op: watcher.OpOverflow, Dir: true},
		{Path: "\xff", Op: watcher.OpMovedFrom, Dir: true, Cookie: 7},
		{Path: "x", Op: watcher.OpModify | watcher.OpCloseWrite},
	}}
	code, stdout, stderr := eventsOf(f, "-mr", "-t", "1", "--json", dir)
	var got []eventRow
	for line := range strings.Lines(stdout) {
		var row eventRow
		must(t, json.Unmarshal([]byte(line), &row))
		if _, err := time.Parse(time.RFC3339Nano, row.Time); err != nil {
			t.Error(err)
		}
		row.Time = ""
		got = append(got, row)
	}
	want := []eventRow{
		{Watched: dir + "/a/", Name: "b\n", Path: dir + "/a/b\n", Events: []string{"CREATE"}, Found: true},
		{Watched: dir + "/", Name: "\ufffd", Path: dir + "/\ufffd", Bytes: got[1].Bytes, Events: []string{"MOVED_FROM", "ISDIR"}, Dir: true, Cookie: 7},
		{Watched: dir + "/", Name: "x", Path: dir + "/x", Events: []string{"MODIFY", "CLOSE_WRITE", "CLOSE"}},
	}
	if diff := cmp.Diff(want, got); diff != "" || got[1].Bytes == "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if code != 2 || !strings.Contains(stderr, "lockstep: the kernel's queue overflowed: events were lost") {
		t.Errorf("code %d: %s", code, stderr)
	}
}

func TestEventsFailures(t *testing.T) {
	dir := t.TempDir()
	if code, _, stderr := eventsOf(&fakeRunner{err: watcher.ErrRunning}, dir); code != 1 || !strings.Contains(stderr, "already running") {
		t.Errorf("a watcher that ends: %d, %s", code, stderr)
	}
	if code, _, stderr := eventsOf(&fakeRunner{stats: watcher.Stats{Polled: 1}}, dir); code != 1 || !strings.Contains(stderr, "no inotify instance or watch is left") {
		t.Errorf("a watcher that cannot watch: %d, %s", code, stderr)
	}
	var log bytes.Buffer
	f := &fakeRunner{events: []watcher.Event{{Path: "x", Op: watcher.OpCreate}}}
	c := eventsCommand{stdout: fullDisk{}, stderr: &log, newWatcher: func(cfg watcher.Config) (runner, error) { f.cfg = cfg; return f, nil }}
	if code := c.run([]string{"-m", dir}); code != 1 || !strings.Contains(log.String(), "no space left") {
		t.Errorf("output that cannot be written: %d, %s", code, log.String())
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestEventsConfig: watches are made for what is told, and for no more.
func TestEventsConfig(t *testing.T) {
	dir := eventsTree(t)
	t.Chdir(dir)
	var o eventsOptions
	must(t, o.parse([]string{"-r", "-e", "open,create", "d", "@d/with", "--exclude", "node_modules|\\.git/"}))
	sources, err := o.sources()
	must(t, err)
	cfg := sources[0].config(&o)
	if cfg.Ops != watcher.OpOpen || cfg.Shallow {
		t.Errorf("%+v", cfg)
	}
	for path, want := range map[string]bool{
		"sub": false, "node_modules": true, "sub/node_modules": true, ".git": false, "with": false, "with/x": true, "with/a/b": true,
	} {
		if got := cfg.Excluded(path, true); got != want {
			t.Errorf("Excluded(%q) = %v", path, got)
		}
	}
	must(t, o.filter.set("exclude", "sub$"))
	if cfg.Excluded("sub", true) {
		t.Error("what matches no more with something behind it is left out with all below")
	}
}

func TestEventsOutfile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "out")
	must(t, os.WriteFile(file, []byte("old\n"), 0o644))
	f := &fakeRunner{events: []watcher.Event{{Path: "x", Op: watcher.OpCreate}}}
	if code, stdout, stderr := eventsOf(f, "-q", "-o", file, dir); code != 0 || stdout != "" || stderr != "" {
		t.Errorf("%d, %q, %q", code, stdout, stderr)
	}
	if text, err := os.ReadFile(file); string(text) != "old\n"+dir+"/ CREATE x\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// TestStrftime compares with date(1).
func TestStrftime(t *testing.T) {
	t.Setenv("LC_ALL", "C")
	var all []string
	for c := range simpleTimes {
		all = append(all, "%"+string(c))
	}
	for c := range otherTimes {
		all = append(all, "%"+string(c))
	}
	for _, format := range append(all, "a%%b%", "%Y-%m-%dT%H:%M:%S%z", "%") {
		if strings.Contains(format, "+") {
			continue // date(1) has none
		}
		for _, unix := range []int64{0, 951782400, 1104537600, 1735603199, 1798761599, 2000000000} {
			out, err := exec.Command("date", "-d", fmt.Sprintf("@%d", unix), "+"+format).Output()
			must(t, err)
			if got := string(appendTime(nil, time.Unix(unix, 0), format)) + "\n"; got != string(out) {
				t.Errorf("%q at %d: %q, want %q", format, unix, got, out)
			}
		}
	}
}

func FuzzEventsFormat(f *testing.F) {
	f.Add("%w|%e|%:e|%f%0%%%", "%Y%", "exclude", "(a|b)$")
	f.Add("%%%e%", "%", "includei", "[[:digit:]]{2,}")
	f.Fuzz(func(t *testing.T, format, timefmt, kind, re string) {
		o := occurrence{watched: "d/", name: "f", op: opsAll, dir: true}
		var b []byte
		for _, part := range parseFormat(format, timefmt) {
			b = part(b, &o)
		}
		if !strings.Contains(format, "%") && string(b) != format {
			t.Errorf("%q gives %q", format, b)
		}
		formatHasTime(format)
		var filter eventFilter
		if filter.set(kind, re) == nil && filter.wantsNoneBelow("d/x") && filter.wants("d/x/y") {
			t.Errorf("%q matches a directory, and not what is below it", re)
		}
	})
}
