package local

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// tracedRun says in which directory the other process of TestFsyncOrder works.
const tracedRun = "LOCKSTEP_TEST_FSYNC"

// With --fsync the kernel is asked in an order in which a power cut loses nothing that was said to be done:
// a file's data before it gets its name; a directory after the last name in it was made or went, and after
// the directories in it; a changed mode of a file, too. The order is seen by strace.
func TestFsyncOrder(t *testing.T) {
	if base := os.Getenv(tracedRun); base != "" {
		syncAll(t, base)
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace")
	}
	base := t.TempDir()
	trace := filepath.Join(base, "trace")
	cmd := exec.Command(strace, "-f", "-y", "-s", "300", "-o", trace, "-e", "trace=fsync,renameat,renameat2,unlinkat,mkdir,mkdirat,symlinkat,fchmodat,fchmod",
		"/proc/self/exe", "-test.run=^TestFsyncOrder$")
	cmd.Path, cmd.Args[len(cmd.Args)-2] = strace, os.Args[0]
	cmd.Env = append(os.Environ(), tracedRun+"="+base)
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "ptrace") {
			t.Skipf("strace may not trace here: %s", out)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	calls := callsOf(t, trace)
	dst := filepath.Join(base, "new", "dst")
	for _, c := range []struct{ what, first, then string }{
		{"data before the name", `fsync\(\d+<` + dst + `/d/\.f\.lockstep-\w+>`, `renameat\(\d+<` + dst + `/d>, "\.f\.lockstep-\w+", \d+<` + dst + `/d>, "f"\)`},
		{"the name before its directory", `renameat\(.*, "f"\)`, `fsync\(\d+<` + dst + `/d>\)`},
		{"a symlink before its directory", `renameat\(\d+<` + dst + `/d>, "\.l\.lockstep-.*, "l"\)`, `fsync\(\d+<` + dst + `/d>\)`},
		{"a directory before the one that holds it", `mkdirat\(\d+<` + dst + `>, "gone"`, `fsync\(\d+<` + dst + `>\)`},
		{"the target before what holds it", `mkdir(at)?\(.*"` + dst + `/?"`, `fsync\(\d+<` + filepath.Dir(dst) + `>\)`},
		{"all that was made above it", `mkdir(at)?\(.*"` + filepath.Dir(dst) + `/?"`, `fsync\(\d+<` + base + `>\)`},
		{"a deletion", `unlinkat\(\d+<` + dst + `/gone>, "x", 0\)`, `fsync\(\d+<` + dst + `/gone>\)`},
		{"a deletion ahead of the walk", `unlinkat\(\d+<` + dst + `/gone>, "y", 0\)`, `fsync\(\d+<` + dst + `/gone>\)`},
		{"a mode", `fchmod(at)?\(.*mode`, `fsync\(\d+<` + dst + `/mode>\)`},
		{"a move", `renameat2\(\d+<` + dst + `/d>, "f", \d+<` + dst + `/gone>, "moved"`, `fsync\(\d+<` + dst + `/d>\)`},
		{"a move's new place first", `renameat2\(.*"moved"`, `fsync\(\d+<` + dst + `/gone>\)`},
		{"a backup", `renameat\(.*<` + base + `/old/d>, "l"\)`, `fsync\(\d+<` + base + `/old/d>\)`},
	} {
		if !follows(calls, c.first, c.then) {
			t.Errorf("%s: no %s after the last %s in\n%s", c.what, c.then, c.first, strings.Join(calls, "\n"))
		}
	}
}

// follows says whether there is a call like first, and one like then after the last one of those.
func follows(calls []string, first, then string) bool {
	a, b := regexp.MustCompile(first), regexp.MustCompile(then)
	last, after := -1, -1
	for i, c := range calls {
		if a.MatchString(c) {
			last = i
		} else if b.MatchString(c) {
			after = i
		}
	}
	return last >= 0 && after > last
}

// callsOf are the calls of a trace that succeeded, one that was interrupted by others where it ended.
func callsOf(t *testing.T, trace string) []string {
	t.Helper()
	begun := map[string]string{}
	var calls []string
	resumed := regexp.MustCompile(`^<\.\.\. \w+ resumed>`)
	for line := range strings.Lines(read(t, trace)) {
		pid, call, _ := strings.Cut(strings.TrimSpace(line), " ")
		call = strings.TrimSpace(call)
		if start, ok := strings.CutSuffix(call, " <unfinished ...>"); ok {
			begun[pid] = start
			continue
		}
		if resumed.MatchString(call) {
			call = begun[pid] + resumed.ReplaceAllString(call, "")
		}
		if strings.HasSuffix(call, "= 0") {
			calls = append(calls, call)
		}
	}
	return calls
}

// syncAll does what is traced.
func syncAll(t *testing.T, base string) {
	src, dst := filepath.Join(base, "src"), filepath.Join(base, "new", "dst")
	o := archive
	o.Fsync, o.Mkpath, o.Delete = true, true, true
	for _, name := range []string{"d/f", "gone/x", "gone/y", "mode"} {
		write(t, filepath.Join(src, name), name)
	}
	must(t, os.Symlink("one", filepath.Join(src, "d", "l")))
	push := func(o Options) {
		t.Helper()
		res, _ := full(t, src, dst, o)
		requireClean(t, res)
	}
	push(o)

	must(t, os.Remove(filepath.Join(src, "gone", "x")))
	must(t, os.Chmod(filepath.Join(src, "mode"), 0o600))
	push(o)
	must(t, os.Remove(filepath.Join(src, "gone", "y")))
	before := o
	before.DeleteWhen = option.Before
	push(before)

	must(t, os.Rename(filepath.Join(src, "d", "f"), filepath.Join(src, "gone", "moved")))
	s := openSource(t, src, sourceOptions(o))
	e, err := s.Lstat("gone/moved")
	must(t, err)
	target := openTarget(t, dst, o)
	if done, err := target.Moves(t.Context(), s, []Move{{From: "d/f", Entry: e}}); err != nil || len(done) != 1 {
		t.Fatalf("moved %v, %v", done, err)
	}

	must(t, os.Remove(filepath.Join(src, "d", "l")))
	backup := o
	backup.Backup, backup.BackupDir = true, filepath.Join(base, "old")
	s = openSource(t, src, sourceOptions(o))
	plan, err := s.Plan(t.Context(), []source.Path{{Name: "d/l"}})
	must(t, err)
	if _, err := openTarget(t, dst, backup).Partial(t.Context(), s, plan, time.Time{}); err != nil {
		t.Fatal(err)
	}
}
