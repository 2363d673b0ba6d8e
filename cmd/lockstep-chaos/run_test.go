package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain makes the test binary serve as the children that the program starts of itself.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		runtime.LockOSThread()
		os.Exit(play(role))
	}
	goleak.VerifyTestMain(m)
}

// await waits for a condition.
func await(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

// TestRun runs one seed against the real lockstep. A lockstep that does nothing is found out.
func TestRun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes namespaces, mounts and network links")
	}
	dir := t.TempDir()
	real := filepath.Join(dir, "lockstep")
	if err := build(t.Context(), real, false); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	args := []string{"-lockstep", real, "-keep", dir, "-time", "1ms", "-seed", "5", "-faults", "kill,link,full,empty-root"}
	if code := chaos(append(args, "-time", "2s"), &out, &out); code != 0 {
		t.Errorf("exit code %d:\n%s", code, &out)
	}
	if text := out.String(); !strings.Contains(text, "seed 5: ok") || !strings.Contains(text, "1 runs, 0 failed") {
		t.Errorf("it said:\n%s", text)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "lockstep-chaos-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// One that ends by itself is found out at once, and its logs stay.
func TestRunFindsAnEnd(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes namespaces, mounts and network links")
	}
	dir := t.TempDir()
	fake := filepath.Join(dir, "lockstep")
	script := "#!/bin/sh\n[ \"$1\" = --help ] || { echo \"panic: no\" >&2; exit 3; }\n"
	if err := os.WriteFile(fake, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := chaos([]string{"-lockstep", fake, "-keep", dir, "-time", "1s"}, &out, &out); code != codeFailed {
		t.Errorf("exit code %d:\n%s", code, &out)
	}
	for _, want := range []string{"seed 1: FAILED", "exit status 3", "panic: no", "lockstep-chaos -seed 1 -time 1s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it did not say %q:\n%s", want, &out)
		}
	}
	if logs, _ := filepath.Glob(filepath.Join(dir, "lockstep-chaos-*", "seed-1", "lockstep*.log")); len(logs) == 0 {
		t.Error("the logs are gone")
	}
	if mounts, err := os.ReadFile("/proc/self/mounts"); err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("mounted still: %v\n%s", err, mounts)
	}
}

// What a child of the harness gives up before it becomes another program.
func TestLaunch(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it drops capabilities")
	}
	log := filepath.Join(t.TempDir(), "log")
	run := func(l launch) string {
		t.Helper()
		c, err := l.start(log)
		if err != nil {
			t.Fatal(err)
		}
		<-c.done
		return fmt.Sprint(c.err, lastLines(log, 1))
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("read"), 0); err != nil {
		t.Fatal(err)
	}
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	if got := run(launch{Argv: []string{cat, secret}}); got != "<nil>read" {
		t.Errorf("with all rights: %s", got)
	}
	if got := run(launch{NoDAC: true, Argv: []string{cat, secret}}); !strings.Contains(got, "Permission denied") {
		t.Errorf("without CAP_DAC_*: %s", got)
	}
	if canLimitWatches() != nil {
		return
	}
	if got := run(launch{Watches: 7, Argv: []string{cat, watchesFile}}); got != "<nil>7" {
		t.Errorf("with few watches: %s", got)
	}
}
