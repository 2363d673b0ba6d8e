package daemon

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
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const patience = 30 * time.Second

// launch runs the program as a script at boot does, and returns when its parent has ended.
func launch(t *testing.T, role, pidFile, out string) (code int, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `umask 0; exec "$0" "$@"`, os.Args[0], pidFile, out)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.Dir = filepath.Dir(out)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stderr.String()
}

// waitFor waits for a file and gives its text.
func waitFor(t *testing.T, name string) string {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if text, err := os.ReadFile(name); err == nil && len(text) > 0 {
			return string(text)
		}
	}
	t.Fatalf("no %s", name)
	return ""
}

// pidIn is the process that a PID file names, which is ended with the test.
func pidIn(t *testing.T, name string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(waitFor(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// end ends a daemon, and waits until it is gone.
func end(t *testing.T, pid int, sig unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)) // each holds its files until it is gone
	return err == nil && (!strings.Contains(string(stat), ") Z ") || len(threads) > 1)
}

// The parent returns when the child is ready; the child has a session and "/", and nothing of the terminal. A second start says who
// runs, a clean end takes the PID file away, and a crash leaves nothing that is in the way.
func TestDetach(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pidFile, out := filepath.Join(dir, "pid"), filepath.Join(dir, "out")
	code, said := launch(t, "works", pidFile, out)
	if code != 0 || said != "a word before\n" {
		t.Fatalf("code %d, it says %q", code, said)
	}
	pid := pidIn(t, pidFile)
	want := "leader true\ndir /\numask 022\n0 /dev/null\n1 /dev/null\n2 /dev/null\npipe left false\nenv \"\"\n"
	if diff := cmp.Diff(want, waitFor(t, out)); diff != "" {
		t.Errorf("the child (-want +got):\n%s", diff)
	}
	if code, said := launch(t, "works", pidFile, out); code != 11 || !strings.Contains(said, fmt.Sprintf("already running: process %d holds it", pid)) {
		t.Errorf("a second one: code %d, it says %q", code, said)
	}
	end(t, pid, unix.SIGKILL)
	os.Remove(out)
	if code, said := launch(t, "works", pidFile, out); code != 0 {
		t.Fatalf("after a crash: code %d, it says %q", code, said)
	}
	waitFor(t, out)
	end(t, pidIn(t, pidFile), unix.SIGTERM)
	if left, _ := filepath.Glob(pidFile + "*"); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

// With a path that is relative the child stays where it was started, and finds it there.
func TestDetachStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	if code, said := launch(t, "works", "pid", out); code != 0 {
		t.Fatalf("code %d, it says %q", code, said)
	}
	if found := waitFor(t, out); !strings.Contains(found, "\ndir "+dir+"\n") {
		t.Errorf("the child: %s", found)
	}
	end(t, pidIn(t, filepath.Join(dir, "pid")), unix.SIGTERM)
	if left, _ := filepath.Glob(filepath.Join(dir, "pid*")); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func TestDetachFails(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	if code, said := launch(t, "fails", pidFile, pidFile); code != 23 || said != "there is no such source\n" {
		t.Errorf("code %d, it says %q", code, said)
	}
	if code, said := launch(t, "is killed", pidFile, pidFile); code != codeIPC || !strings.Contains(said, "signal: killed") {
		t.Errorf("code %d, it says %q", code, said)
	}
	if code, said := launch(t, "works", "/no/such/dir/pid", pidFile); code != 11 || !strings.Contains(said, "no such file") {
		t.Errorf("code %d, it says %q", code, said)
	}
}

// A child that takes long goes on, also when it has something to say and nobody listens any more.
func TestDetachWaitsNotForEver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pidFile, out := filepath.Join(dir, "pid"), filepath.Join(dir, "out")
	code, said := launch(t, "is slow", pidFile, out)
	if code != 0 || !strings.Contains(said, "is not ready after 2s, and goes on") {
		t.Errorf("code %d, it says %q", code, said)
	}
	waitFor(t, out)
	pid := pidIn(t, pidFile)
	time.Sleep(300 * time.Millisecond) // it says three words more
	if !alive(pid) {
		t.Fatal("it has ended")
	}
	end(t, pid, unix.SIGTERM)
}
