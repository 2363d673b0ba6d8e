package confine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// What is done to a process cannot be undone, so it is done to a child: this binary, with the needs in
// its environment. It tries what it is asked to, and tells how each went.
const needsKey, triesKey, secretKey = "CONFINE_TEST_NEEDS", "CONFINE_TEST_TRIES", "CONFINE_TEST_SECRET"

func TestMain(m *testing.M) {
	if needs, ok := os.LookupEnv(needsKey); ok {
		child(needs, os.Getenv(triesKey))
		return
	}
	os.Exit(m.Run())
}

func child(needs, tries string) {
	var n Needs
	if err := json.Unmarshal([]byte(needs), &n); err != nil {
		panic(err)
	}
	WipeEnv(secretKey)
	busy := threads() // there are several when it is done
	plan := Decide(n)
	_, err := plan.Apply()
	busy()
	out := map[string]string{"apply": word(err)}
	for _, try := range strings.Fields(tries) {
		out[try] = word(attempt(try))
	}
	json.NewEncoder(os.Stdout).Encode(out)
}

// threads makes some that do nothing until the end.
func threads() (end func()) {
	var running sync.WaitGroup
	var up sync.WaitGroup
	var pipes []*os.File
	for range 4 {
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		pipes = append(pipes, w)
		up.Add(1)
		running.Go(func() {
			up.Done()
			unix.Read(int(r.Fd()), make([]byte, 1)) // Fd makes it block: a thread of its own
		})
	}
	up.Wait()
	return func() {
		for _, w := range pipes {
			w.Close()
		}
		running.Wait()
	}
}

func word(err error) string {
	var errno unix.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

func attempt(try string) error {
	what, arg, _ := strings.Cut(try, "=")
	switch what {
	case "read":
		f, err := os.Open(arg)
		if err == nil {
			_, err = f.Read(make([]byte, 1))
			f.Close()
		}
		return err
	case "write":
		if arg == os.DevNull {
			return os.WriteFile(arg, []byte("x"), 0)
		}
		f, err := os.OpenFile(arg, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		f.Close()
		return os.Remove(arg)
	case "chown":
		return os.Lchown(arg, 4321, 4321)
	case "move":
		from, to, _ := strings.Cut(arg, ",")
		return os.Rename(from, to)
	case "exec":
		return exec.Command(arg).Run()
	case "unshare":
		return unix.Unshare(unix.CLONE_NEWUTS)
	case "ptrace":
		return unix.PtraceAttach(1)
	case "uid":
		if got := fmt.Sprint(os.Getuid(), os.Geteuid(), os.Getgid()); got != strings.ReplaceAll(arg, ",", " ") {
			return fmt.Errorf("%s", got)
		}
		return nil
	case "root":
		return unix.Setuid(0)
	case "fd": // a descriptor reached by its path in /proc, as for attributes
		f, err := os.Open(arg)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = os.ReadDir(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
		return err
	case "same": // all threads are alike
		return alike()
	case "core":
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil || limit.Max != 0 {
			return fmt.Errorf("%d %v", limit.Max, err)
		}
		return nil
	case "secret":
		env, err := os.ReadFile("/proc/self/environ")
		if bytes.Contains(env, []byte("canary")) || os.Getenv(secretKey) != "" {
			return errors.New("is there")
		}
		return err
	}
	panic(try)
}

func alike() error {
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(files) < 4 {
		return fmt.Errorf("%d threads: %v", len(files), err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var lines []string
		for line := range strings.Lines(string(text)) {
			key, _, _ := strings.Cut(line, ":")
			if slices.Contains([]string{"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters"}, key) {
				lines = append(lines, line)
			}
		}
		seen[strings.Join(lines, "")] = true
	}
	if len(seen) != 1 {
		return fmt.Errorf("%d kinds of threads: %v", len(seen), seen)
	}
	return nil
}

// confined runs a child with needs n, and gives how each of the tries went.
func confined(t *testing.T, n Needs, tries ...string) map[string]string {
	t.Helper()
	needs, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), needsKey+"="+string(needs), triesKey+"="+strings.Join(tries, " "), secretKey+"=canary", "GORACE=atexit_sleep_ms=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	got := map[string]string{}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	if got["apply"] != "ok" {
		t.Fatalf("apply: %s", got["apply"])
	}
	delete(got, "apply")
	return got
}

func TestApply(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to change the user, and to have capabilities")
	}
	dir := t.TempDir()
	open := func(name string) string { return filepath.Join(dir, name) }
	for _, d := range []string{"in", "out", "src"} {
		if err := os.Mkdir(open(d), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(open(d+"/f"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown(open(d), 1234, 1234); err != nil {
			t.Fatal(err)
		}
	}
	nobody := &User{UID: 65534, GID: 65534}
	read, readIn, write, writeOut := "read="+open("src/f"), "read="+open("in/f"), "write="+open("in/w"), "write="+open("out/w")
	for _, test := range []struct {
		name  string
		needs Needs
		want  map[string]string
	}{
		{"off", Needs{Level: Off}, map[string]string{read: "ok", writeOut: "ok", "exec=/bin/true": "ok", "unshare": "ok", "uid=0,0,0": "ok", "secret": "ok"}},
		{"daemon", Needs{Level: Auto, Secret: true, Write: []string{open("in")}}, map[string]string{
			read: "ok", write: "EACCES", // it is another's, and we are not above that any more
			writeOut: "EACCES", "exec=/bin/true": "EPERM", "unshare": "EPERM", "ptrace": "EPERM", "same": "ok", "core": "ok", "fd=" + open("src"): "ok",
		}},
		{"shell", Needs{Level: Auto, Exec: true}, map[string]string{read: "ok", "exec=/bin/true": "ok", "same": "ok", writeOut: "EACCES"}},
		{"shell strict", Needs{Level: Strict, Exec: true}, map[string]string{"exec=/bin/true": "ok", "unshare": "EPERM", "same": "ok"}},
		{"user", Needs{Level: Auto, User: nobody, Secret: true}, map[string]string{
			"uid=65534,65534,65534": "ok", read: "ok", writeOut: "EACCES", "root": "EPERM", "same": "ok",
			"chown=" + open("src/f"): "EPERM", "fd=" + open("src"): "ok", "secret": "ok",
		}},
		{"user, local", Needs{Level: Auto, User: nobody, Local: true, Owners: true}, map[string]string{
			read: "ok", writeOut: "ok", "chown=" + open("out/f"): "ok", "root": "EPERM", "same": "ok",
		}},
		{"local strict", Needs{Level: Strict, Local: true, Owners: true, Read: []string{open("src/f")}, Write: []string{open("in/new/er")}}, map[string]string{
			read: "ok", readIn: "ok", write: "ok", "move=" + open("in/f") + "," + open("in/g"): "ok",
			writeOut: "EACCES", "read=" + open("out/f"): "EACCES", "read=/etc/hostname": "ok", "write=/dev/null": "ok", "same": "ok",
		}},
		{"strict user, links followed", Needs{Level: Strict, User: nobody, ReadsAnywhere: true, Read: []string{open("src")}}, map[string]string{
			read: "ok", "read=" + open("out/f"): "ok", "write=/tmp/lockstep-confine-test": "EACCES", "same": "ok",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tries := make([]string, 0, len(test.want))
			for try := range test.want {
				tries = append(tries, try)
			}
			slices.Sort(tries) // chown and move come before read: those want what is there
			slices.Reverse(tries)
			if diff := cmp.Diff(test.want, confined(t, test.needs, tries...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestApplyUnprivileged: nobody has anything to drop, and is confined all the same.
func TestApplyUnprivileged(t *testing.T) {
	if os.Geteuid() == 0 {
		dir := t.TempDir()
		for d := dir; d != os.TempDir(); d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		binary, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/self", binary, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(dir+"/self", "-test.run=^TestApplyUnprivileged$", "-test.v")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Dir = "/"
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS")) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	got := confined(t, Needs{Level: Auto, Watch: true}, "exec=/bin/true", "unshare", "read=/etc/hostname", "write=/tmp/lockstep-confine-test", "same")
	want := map[string]string{"exec=/bin/true": "EPERM", "unshare": "EPERM", "read=/etc/hostname": "ok", "write=/tmp/lockstep-confine-test": "EACCES", "same": "ok"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFindEnv(t *testing.T) {
	for _, test := range []struct {
		env        string
		at, length int
		ok         bool
	}{
		{"A=b\x00KEY=secret\x00", 8, 6, true},
		{"KEY=secret", 4, 6, true},
		{"KEY=\x00", 4, 0, true},
		{"OTHERKEY=x\x00XKEY=KEY=y\x00", 0, 0, false},
		{"", 0, 0, false},
	} {
		if at, length, ok := findEnv([]byte(test.env), "KEY"); at != test.at || length != test.length || ok != test.ok {
			t.Errorf("%q: %d %d %v", test.env, at, length, ok)
		}
	}
}
