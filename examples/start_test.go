package examples

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// units are the examples for systemd.
func units(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("*.service")
	must(t, err)
	if len(list) != 2 {
		t.Fatalf("units: %q", list)
	}
	return list
}

// A unit is right by systemd's own judgement, and its exposure below 3.0.
func TestUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatalf("%v: apt-get install systemd", err)
	}
	dir := t.TempDir()
	for _, unit := range units(t) {
		// What it starts need not be installed here, and names an instance.
		text := strings.ReplaceAll(read(t, unit), "/usr/bin/lockstep ", "/bin/true ")
		name := filepath.Join(dir, strings.Replace(unit, "@", "@www", 1))
		must(t, os.WriteFile(name, []byte(text), 0o644))
		if out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", name).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("systemd-analyze verify %s: %v\n%s", unit, err, out)
		}
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=yes", "--threshold=29", "--no-pager", name).CombinedOutput()
		if err != nil { // above the threshold, which is in tenths
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}

// What a drop-in takes away makes a unit safer, and it is right by systemd's own judgement.
func TestRemoteOnly(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "lockstep.service.d"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "lockstep.service.d/remote-only.conf"), []byte(read(t, "lockstep.service.d/remote-only.conf")), 0o644))
	name := filepath.Join(dir, "lockstep.service")
	must(t, os.WriteFile(name, []byte(strings.ReplaceAll(read(t, "lockstep.service"), "/usr/bin/lockstep ", "/bin/true ")), 0o644))
	for _, args := range [][]string{{"verify", "--man=no"}, {"security", "--offline=yes", "--threshold=23", "--no-pager"}} {
		cmd := exec.CommandContext(t.Context(), "systemd-analyze", append(args, name)...)
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":") // where drop-ins are looked for
		out, err := cmd.CombinedOutput()
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %q: %v\n%s", args, err, out)
		}
	}
}

// The template is the unit, but for what is its own; and each right that stays says why.
func TestTemplate(t *testing.T) {
	strip := func(name string) (keys []string) {
		for line := range strings.Lines(read(t, name)) {
			if !strings.HasPrefix(line, "#") && !regexp.MustCompile(`^(Description|ExecStart|RuntimeDirectory)=`).MatchString(line) {
				keys = append(keys, line)
			}
		}
		return keys
	}
	if one, many := strings.Join(strip("lockstep.service"), ""), strings.Join(strip("lockstep@.service"), ""); one != many {
		t.Errorf("they differ:\n%s\n%s", one, many)
	}
	text := read(t, "lockstep.service")
	_, rights, ok := strings.Cut(text, "\nCapabilityBoundingSet=")
	if !ok {
		t.Fatal("the capabilities are not bounded")
	}
	rights, _, _ = strings.Cut(rights, "\n")
	for _, right := range strings.Fields(rights) {
		if !regexp.MustCompile(`(?m)^#.*\b` + right + `\b`).MatchString(text) {
			t.Errorf("%s is kept, and nobody says why", right)
		}
	}
}

// service is a root in which the SysV script and a config are installed, to run what was built.
func service(t *testing.T) (script string, s *setting) {
	t.Helper()
	s = &setting{dir: t.TempDir()}
	s.source, s.replica = filepath.Join(s.dir, "abc"), filepath.Join(s.dir, "copy")
	for _, dir := range []string{"abc", "copy", "etc/default", "run", "bin"} {
		must(t, os.MkdirAll(filepath.Join(s.dir, dir), 0o755))
	}
	buildLockstep(t, filepath.Join(s.dir, "bin/lockstep"))
	s.write(t, "etc/lockstep.yaml", fmt.Sprintf(`log-file: %[1]s/log
control: %[1]s/control.sock
no-tune: true
state-dir: %[1]s/state
syncs:
  - name: www
    source: %[1]s/abc/
    targets: [%[1]s/copy/]
`, s.dir), 0o600)
	s.write(t, "etc/default/lockstep", fmt.Sprintf("LOCKSTEP=%[1]s/bin/lockstep\nCONFIG=%[1]s/etc/lockstep.yaml\nPIDFILE=%[1]s/run/sub/lockstep.pid\n", s.dir), 0o644)
	text := strings.ReplaceAll(read(t, "sysv/lockstep"), "/etc/default/lockstep", s.dir+"/etc/default/lockstep")
	return s.write(t, "etc/init.d", text, 0o755), s
}

// The SysV script starts, tells, reloads and stops, with the codes of the Linux Standard Base.
func TestSysV(t *testing.T) {
	script, s := service(t)
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	do := func(verb string, code int, want string) {
		t.Helper()
		cmd := exec.CommandContext(ctx, script, verb)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() != code || !strings.Contains(string(out), want) {
			t.Fatalf("%s: %v, want %d and %q; it says:\n%s", verb, err, code, want, out)
		}
	}
	pidFile := filepath.Join(s.dir, "run/sub/lockstep.pid")
	do("status", 3, "does not run")
	do("reload", 7, "does not run")
	do("stop", 0, "")
	do("start", 0, "")
	pid := pidOf(t, pidFile)
	t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGKILL) })
	do("status", 0, fmt.Sprint("as process ", pid))
	do("start", 0, "runs already")
	must(t, os.WriteFile(filepath.Join(s.source, "new"), nil, 0o644))
	if err := syncertest.WaitEqual(ctx, s.source, s.replica, compareOptions()); err != nil {
		t.Fatal(err)
	}
	do("reload", 0, "")
	waitFor(ctx, t, filepath.Join(s.dir, "log"), "the config was loaded again")
	do("restart", 0, "")
	first := pid
	if pid = pidOf(t, pidFile); pid == first {
		t.Error("it was not started again")
	}
	do("stop", 0, "")
	do("status", 3, "does not run")

	do("start", 0, "")
	pid = pidOf(t, pidFile)
	must(t, unix.Kill(pid, unix.SIGKILL))
	waitGone(ctx, t, pid)
	do("status", 1, "ended without a word")
	do("start", 0, "")
	pid = pidOf(t, pidFile)
	do("stop", 0, "")
	s.write(t, "etc/lockstep.yaml", "syncs: 7\n", 0o600)
	do("start", 1, "lockstep.yaml:1")
	do("bad", 2, "usage")
}

func waitFor(ctx context.Context, t *testing.T, path, want string) {
	t.Helper()
	for ctx.Err() == nil {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), want) {
			return
		}
	}
	t.Fatalf("%s has no %q: %s", path, want, read(t, path))
}

func waitGone(ctx context.Context, t *testing.T, pid int) {
	t.Helper()
	for ctx.Err() == nil {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)) // each holds its files until it is gone
		if err != nil || strings.Contains(string(stat), ") Z ") && len(threads) <= 1 {
			return
		}
	}
	t.Fatalf("process %d is still there", pid)
}

// The generator writes a drop-in for each config that there is, which systemd reads, and fails for none.
func TestGenerator(t *testing.T) {
	s := &setting{dir: t.TempDir()}
	buildLockstep(t, s.write(t, "lockstep", "", 0o755))
	etc, out := filepath.Join(s.dir, "etc"), filepath.Join(s.dir, "out")
	must(t, errors.Join(os.Mkdir(etc, 0o755), os.Mkdir(out, 0o755)))
	config := func(source string) string {
		return fmt.Sprintf("syncs:\n  - {name: a, source: '%s', targets: ['host::m', '/srv/copy']}\n", source)
	}
	s.write(t, "etc/lockstep.yaml", config("/srv/www/"), 0o600)
	s.write(t, "etc/odd.yaml", config(`/srv/50% "odd" \name`), 0o600)
	s.write(t, "etc/broken.yaml", "syncs: [", 0o600)
	kmsg := s.write(t, "kmsg", "", 0o644)
	text := strings.NewReplacer("/usr/bin/lockstep", s.dir+"/lockstep", "/etc/lockstep", etc, ">/dev/kmsg", ">>"+kmsg).Replace(read(t, "lockstep-generator"))
	if told, err := exec.CommandContext(t.Context(), s.write(t, "generator", text, 0o755), out, out+".early", out+".late").CombinedOutput(); err != nil || len(told) > 0 {
		t.Fatalf("%v: %s", err, told)
	}
	got := read(t, filepath.Join(out, "lockstep.service.d/50-mounts.conf"))
	if want := "[Unit]\nRequiresMountsFor=\"/srv/copy\"\nRequiresMountsFor=\"/srv/www\"\n"; !strings.HasSuffix(got, want) {
		t.Errorf("%q, want %q at its end", got, want)
	}
	odd := read(t, filepath.Join(out, "lockstep@odd.service.d/50-mounts.conf"))
	if want := `RequiresMountsFor="/srv/50%% \"odd\" \\name"`; !strings.Contains(odd, want) {
		t.Errorf("%q has no %s", odd, want)
	}
	if _, err := os.Stat(filepath.Join(out, "lockstep@broken.service.d")); err == nil {
		t.Error("a broken config has a drop-in")
	}
	for line := range strings.Lines(read(t, kmsg)) {
		if !strings.HasPrefix(line, "<4>lockstep-generator: ") {
			t.Errorf("the kernel's log gets %q", line)
		}
	}
	if told := read(t, kmsg); !strings.Contains(told, "broken.yaml:1") || strings.Contains(told, "odd.yaml") {
		t.Errorf("the kernel's log gets %q", told)
	}
	unit := strings.ReplaceAll(read(t, "lockstep@.service"), "/usr/bin/lockstep ", "/bin/true ") + odd[strings.Index(odd, "[Unit]"):]
	name := s.write(t, "lockstep@odd.service", unit, 0o644)
	if told, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", name).CombinedOutput(); err != nil || len(told) > 0 {
		t.Errorf("systemd-analyze verify: %v: %s", err, told)
	}
}
