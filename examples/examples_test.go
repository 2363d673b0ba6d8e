package examples

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
	"github.com/lockstep-sync/lockstep/sysctl"
)

// bound is how long a machine that is busy with other tests may take for what takes milliseconds.
const bound = 30 * time.Second

// setting is the examples installed below a directory instead of below "/".
type setting struct {
	dir     string
	source  string // for /abc
	replica string // for /wwwroot
	server  *syncertest.Daemon
}

// install copies the examples below a temporary directory and starts the daemon from them. They are
// changed in this way only:
//
//   - absolute paths are put below the directory;
//   - without root, the daemon keeps the user it has and does not chroot, nor munge symlinks;
//   - in the line, the host is the daemon's address and port.
//
// The port in rsyncd.conf is overridden on the daemon's command line.
func install(t *testing.T) *setting {
	t.Helper()
	s := &setting{dir: t.TempDir()}
	s.source, s.replica = filepath.Join(s.dir, "abc"), filepath.Join(s.dir, "wwwroot")
	for _, dir := range []string{"abc", "wwwroot", "etc", "run", "var/log", "bin"} {
		must(t, os.MkdirAll(filepath.Join(s.dir, dir), 0o755))
	}
	s.write(t, "etc/rsyncd.secrets", read(t, "rsyncd.secrets"), 0o600)
	s.write(t, "etc/server.pass", read(t, "server.pass"), 0o600)
	conf := s.below(read(t, "rsyncd.conf"))
	if os.Geteuid() != 0 {
		conf = strings.NewReplacer("uid = root\n", "", "gid = root\n", "", "use chroot = yes", "use chroot = no\nmunge symlinks = no").Replace(conf)
	}
	s.write(t, "etc/rsyncd.conf", conf, 0o644)
	s.server = syncertest.StartDaemon(t, syncertest.DaemonConfig{ConfigFile: filepath.Join(s.dir, "etc/rsyncd.conf")})
	return s
}

// below puts the absolute paths of an example below the directory.
func (s *setting) below(text string) string {
	var pairs []string
	for _, path := range []string{
		"/etc/rsyncd.secrets", "/etc/server.pass", "/var/log/rsyncd.log", "/var/log/lockstep.log",
		"/run/rsyncd.lock", "/run/lockstep.pid", "/wwwroot", "/abc/",
	} {
		pairs = append(pairs, " "+path, " "+s.dir+path, "="+path, "="+s.dir+path, ">"+path, ">"+s.dir+path)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// line makes the line of a script go to this setting's daemon. Without --no-tune it would raise the
// limits of the machine that runs the test.
func (s *setting) line(text string) string {
	return strings.NewReplacer(
		"lockstep --watch", fmt.Sprintf("lockstep --watch --no-tune --port=%d", s.server.Port()),
		"\t--watch", fmt.Sprintf("\t--watch --no-tune --port=%d", s.server.Port()),
		"backuper@host::", "backuper@127.0.0.1::",
	).Replace(s.below(text))
}

func (s *setting) write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	must(t, os.WriteFile(path, []byte(text), mode))
	return path
}

// command runs a script of the setting with the setting's bin first on PATH.
func (s *setting) command(ctx context.Context, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, script)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(s.dir, "bin")+":"+os.Getenv("PATH"),
		"STATE_DIRECTORY="+filepath.Join(s.dir, "state"))
	return cmd
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	must(t, err)
	return string(text)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func compareOptions() syncertest.CompareOptions {
	return syncertest.CompareOptions{IgnoreOwners: os.Geteuid() != 0}
}

// The setting is right by rsync's own judgement: the line with "rsync -a" in place of "lockstep
// --watch" makes the replica equal.
func TestLineWithRsync(t *testing.T) {
	s := install(t)
	fill(t, s.source)
	must(t, os.WriteFile(filepath.Join(s.replica, "only on the server"), nil, 0o644))
	text := s.line(read(t, "watch.sh"))
	// Without a modify window of -1 what was made in this very second keeps the time it was made.
	text = strings.Replace(text, "lockstep --watch --no-tune", "rsync -a --modify-window=-1", 1)
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	out, err := s.command(ctx, s.write(t, "bin/watch.sh", text, 0o755)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	syncertest.RequireEqual(t, s.source, s.replica, compareOptions())
}

// The same password in another file is refused, so the daemon does ask for it.
func TestWrongPasswordIsRefused(t *testing.T) {
	s := install(t)
	s.write(t, "etc/server.pass", "wrong\n", 0o600)
	text := strings.Replace(s.line(read(t, "watch.sh")), "lockstep --watch --no-tune", "rsync -a", 1)
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	out, err := s.command(ctx, s.write(t, "bin/watch.sh", text, 0o755)).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 5 {
		t.Errorf("%v, want exit status 5: %s", err, out)
	}
}

// The line itself: lockstep brings the source over, keeps the replica equal while the source
// changes, and exits with 0 at SIGTERM.
func TestLineWithLockstep(t *testing.T) {
	s := install(t)
	buildLockstep(t, filepath.Join(s.dir, "bin", "lockstep"))
	fill(t, s.source)
	must(t, os.WriteFile(filepath.Join(s.replica, "only on the server"), nil, 0o644))

	p := s.start(t, s.write(t, "bin/watch.sh", s.line(read(t, "watch.sh")), 0o755))
	p.waitEqual(t, "first push")
	for _, edit := range edits() {
		must(t, edit.do(s.source))
		p.waitEqual(t, edit.name)
	}
	p.terminate(t)
	syncertest.RequireEqual(t, s.source, s.replica, compareOptions())
}

// buildLockstep puts a lockstep there. It is built once.
func buildLockstep(t *testing.T, binary string) {
	t.Helper()
	built, err := build()
	must(t, err)
	must(t, os.WriteFile(binary, built, 0o755))
	must(t, os.Chmod(binary, 0o755))
}

var build = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "lockstep-examples-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("go", "build", "-o", dir+"/lockstep", "../cmd/lockstep")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build lockstep: %w: %s", err, out)
	}
	return os.ReadFile(dir + "/lockstep")
})

// fill makes a small tree with an entry of most types and some names that are not plain.
func fill(t *testing.T, root string) {
	t.Helper()
	_, err := syncertest.MakeTree(root, syncertest.TreeSpec{Files: 40, Dirs: 6, MaxSize: 20_000, Text: true})
	must(t, err)
	must(t, os.Mkdir(filepath.Join(root, "two words"), 0o750))
	for _, name := range []string{"new\nline", "\xff\xfe", "*[a]?", "back\\slash", strings.Repeat("n", 255)} {
		must(t, os.WriteFile(filepath.Join(root, "two words", name), []byte(name), 0o640))
	}
	must(t, os.Symlink("two words", filepath.Join(root, "link")))
	must(t, os.Symlink("no such", filepath.Join(root, "dangling")))
	must(t, unix.Mkfifo(filepath.Join(root, "fifo"), 0o600))
	if os.Geteuid() == 0 {
		must(t, os.Symlink("/etc/hostname", filepath.Join(root, "absolute")))
		must(t, os.Lchown(filepath.Join(root, "two words"), 33, 33))
	}
}

// edits are what happens in a source, one after the other.
func edits() []edit {
	return []edit{
		{"create", func(r string) error { return os.WriteFile(filepath.Join(r, "index.html"), []byte("hello"), 0o644) }},
		{"append", func(r string) error { return appendTo(filepath.Join(r, "index.html"), " world") }},
		{"same size, mtime set back", rewriteUnseen},
		{"mkdir with content", func(r string) error {
			dir := filepath.Join(r, "a/b/c")
			return errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "x"), []byte("x"), 0o600))
		}},
		{"rename directory", func(r string) error { return os.Rename(filepath.Join(r, "a/b"), filepath.Join(r, "two words/b")) }},
		{"chmod", func(r string) error { return os.Chmod(filepath.Join(r, "two words"), 0o711) }},
		{"swap symlink", func(r string) error {
			temp := filepath.Join(r, "temp")
			return errors.Join(os.Symlink("a", temp), os.Rename(temp, filepath.Join(r, "link")))
		}},
		{"file becomes directory", func(r string) error {
			return errors.Join(os.Remove(filepath.Join(r, "index.html")), os.MkdirAll(filepath.Join(r, "index.html/x"), 0o755))
		}},
		{"delete", func(r string) error { return os.Remove(filepath.Join(r, "two words/new\nline")) }},
		{"delete directory", func(r string) error { return os.RemoveAll(filepath.Join(r, "two words/b")) }},
	}
}

type edit struct {
	name string
	do   func(root string) error
}

func appendTo(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// rewriteUnseen leaves a file with other bytes, and size and mtime as they were.
func rewriteUnseen(root string) error {
	path := filepath.Join(root, "index.html")
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), int(info.Size())), 0o644); err != nil {
		return err
	}
	return os.Chtimes(path, time.Time{}, info.ModTime())
}

// program is a line that runs.
type program struct {
	*setting
	cmd    *exec.Cmd
	output bytes.Buffer // not to be read before exited is closed
	exited chan struct{}
	err    error // of its end; set before exited is closed
}

func (s *setting) start(t *testing.T, script string) *program {
	t.Helper()
	p := &program{setting: s, exited: make(chan struct{})}
	p.cmd = s.command(context.Background(), script)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	must(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has exited, unless the test failed
		<-p.exited
		if t.Failed() {
			t.Logf("output of the line:\n%s", &p.output)
		}
	})
	return p
}

func (p *program) waitEqual(t *testing.T, after string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watch := make(chan struct{})
	defer close(watch)
	go func() {
		select {
		case <-p.exited:
			stop(fmt.Errorf("the line has ended: %v", p.err))
		case <-watch:
		}
	}()
	start := time.Now()
	defer func() { t.Logf("equal after %s: %v", after, time.Since(start).Round(time.Millisecond)) }()
	if err := syncertest.WaitEqual(ctx, p.source, p.replica, compareOptions()); err != nil {
		t.Fatalf("after %s: %v", after, err)
	}
}

func (p *program) terminate(t *testing.T) {
	t.Helper()
	must(t, p.cmd.Process.Signal(unix.SIGTERM))
	select {
	case <-p.exited:
	case <-time.After(bound):
		t.Fatalf("still runs %v after SIGTERM", bound)
	}
	if p.err != nil {
		t.Errorf("after SIGTERM: %v, want exit status 0", p.err)
	}
}

// rc.local starts the line and returns when the source is watched; the PID file names who keeps the replica in step, and a
// second time it says who runs.
func TestRcLocal(t *testing.T) {
	s := install(t)
	buildLockstep(t, filepath.Join(s.dir, "bin", "lockstep"))
	fill(t, s.source)
	script := s.write(t, "etc/rc.local", s.line(read(t, "rc.local")), 0o755)
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	if out, err := s.command(ctx, script).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("rc.local: %v, output %q", err, out)
	}
	pidFile := filepath.Join(s.dir, "run/lockstep.pid")
	pid := pidOf(t, pidFile)
	t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGKILL) })
	out, err := s.command(ctx, script).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 11 || !strings.Contains(string(out), fmt.Sprintf("process %d holds it", pid)) {
		t.Errorf("a second time: %v, output %q", err, out)
	}
	if err := syncertest.WaitEqual(ctx, s.source, s.replica, compareOptions()); err != nil {
		t.Errorf("%v\n%s", err, read(t, filepath.Join(s.dir, "var/log/lockstep.log")))
	}
	endDaemon(ctx, t, pid, pidFile)
}

// pidOf reads a PID file.
func pidOf(t *testing.T, name string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(read(t, name)))
	must(t, err)
	return pid
}

// endDaemon ends a process that is no child, and waits until it has taken its PID file away.
func endDaemon(ctx context.Context, t *testing.T, pid int, pidFile string) {
	t.Helper()
	must(t, unix.Kill(pid, unix.SIGTERM))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(pidFile); errors.Is(err, os.ErrNotExist) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s is still there", pidFile)
		case <-tick.C:
		}
	}
}

// README.md, watch.sh and rc.local have one and the same line.
func TestOneLine(t *testing.T) {
	const line = "lockstep --watch --delete --password-file=/etc/server.pass /abc/ backuper@host::wwwroot/"
	for name, want := range map[string]string{
		"watch.sh":  "\nexec " + line + "\n",
		"rc.local":  "\n\t" + strings.TrimPrefix(line, "lockstep ") + "\n",
		"README.md": "\n    " + line + "\n",
	} {
		if !strings.Contains(read(t, name), want) {
			t.Errorf("%s does not contain %q", name, want)
		}
	}
}

func TestShellSyntax(t *testing.T) {
	scripts := 0
	for _, name := range files(t) {
		if !strings.HasPrefix(read(t, name), "#!/bin/sh") {
			continue
		}
		scripts++
		if out, err := exec.CommandContext(t.Context(), "sh", "-n", name).CombinedOutput(); err != nil {
			t.Errorf("sh -n %s: %v: %s", name, err, out)
		}
	}
	if scripts < 2 {
		t.Errorf("only %d scripts are here", scripts)
	}
	for _, name := range []string{"watch.sh", "rc.local", "lockstep-generator", "sysv/lockstep"} {
		info, err := os.Stat(name)
		must(t, err)
		if info.Mode()&0o111 != 0o111 {
			t.Errorf("%s has mode %v: not executable", name, info.Mode())
		}
	}
}

// files lists what there is to copy.
func files(t *testing.T) []string {
	t.Helper()
	var names []string
	must(t, filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasSuffix(path, ".go") && path != "README.md" {
			names = append(names, path)
		}
		return err
	}))
	return names
}

// The password of both sides is the same; that is all the client's file holds.
func TestPasswords(t *testing.T) {
	password, ok := strings.CutSuffix(read(t, "server.pass"), "\n")
	if !ok || password == "" || strings.Contains(password, "\n") {
		t.Errorf("server.pass holds %q, not one line", password)
	}
	var users []string
	for line := range strings.Lines(read(t, "rsyncd.secrets")) {
		if !strings.HasPrefix(line, "#") {
			users = append(users, line)
		}
	}
	if diff := cmp.Diff([]string{"backuper:" + password + "\n"}, users); diff != "" {
		t.Errorf("rsyncd.secrets (-want +got):\n%s", diff)
	}
}

func TestSysctl(t *testing.T) {
	got := map[string]int{}
	for line := range strings.Lines(read(t, "sysctl.d/"+filepath.Base(sysctl.ConfFile))) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		n, err := strconv.Atoi(strings.TrimSpace(value))
		if !ok || err != nil {
			t.Errorf("line %q: %v", line, err)
		}
		if _, twice := got[key]; twice {
			t.Errorf("%s is set twice", key)
		}
		got[key] = n
	}
	want := map[string]int{} // what is advised where memory is no matter
	for _, s := range (sysctl.Limits{}).Advise(sysctl.Need{}, 0).Settings() {
		want[s.Key] = s.New
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for key := range got {
		if _, err := os.Stat("/proc/sys/" + strings.ReplaceAll(key, ".", "/")); err != nil {
			t.Errorf("the kernel does not know %s: %v", key, err)
		}
	}
}

// Every file says when to use it, and README.md where it goes.
func TestEveryFileIsExplained(t *testing.T) {
	readme := read(t, "README.md")
	names := files(t)
	if len(names) < 6 {
		t.Errorf("only %q are here", names)
	}
	for _, name := range names {
		if !strings.Contains(readme, "["+name+"]("+name+")") {
			t.Errorf("README.md does not name %s", name)
		}
		if name == "server.pass" || strings.HasSuffix(name, ".json") {
			continue // rsync takes its first line for the password; JSON has no comments
		}
		text := read(t, name)
		if filepath.Ext(name) == ".json" { // it has no comments
			if !strings.Contains(text, `"description": "Use this `) {
				t.Errorf("%s does not describe when to use it", name)
			}
			continue
		}
		if strings.HasPrefix(text, "#!") {
			_, text, _ = strings.Cut(text, "\n")
		}
		if !strings.HasPrefix(text, "# Use this ") && !strings.HasPrefix(text, "# When to use it: ") {
			t.Errorf("%s does not open with when to use it", name)
		}
	}
}

// TestOnChange builds the example of package watcher, and has it run a command for a change.
func TestOnChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "onchange")
	if out, err := exec.Command("go", "build", "-o", program, "./onchange").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	src, ran := filepath.Join(dir, "src"), filepath.Join(dir, "ran")
	must(t, os.Mkdir(src, 0o755))
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	c := exec.CommandContext(ctx, program, src, "sh", "-c", "cp -r "+src+"/. "+ran)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	must(t, c.Start())
	defer func() {
		must(t, c.Process.Signal(os.Interrupt))
		if err := c.Wait(); err != nil {
			t.Errorf("%v\n%s", err, out.String())
		}
	}()
	waitFor := func(name string) {
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(ran, name)); err == nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Errorf("the command did not run for %q", name)
	}
	waitFor(".")
	must(t, os.MkdirAll(filepath.Join(src, "a/b"), 0o755))
	must(t, os.WriteFile(filepath.Join(src, "a/b/c"), nil, 0o644))
	waitFor("a/b/c")
}
