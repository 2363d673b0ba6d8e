package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// canary is a password that must come up nowhere.
const canary = "canary-7f3a91"

// sees fails when the canary is in what somebody else could read.
func sees(t *testing.T, where string, text []byte) {
	t.Helper()
	if bytes.Contains(text, []byte(canary)) {
		t.Errorf("%s holds the password:\n%s", where, text)
	}
}

// spied looks at a process and all of its children, as the process list does.
func spied(t *testing.T, pid int) {
	t.Helper()
	for _, file := range []string{"cmdline", "environ", "comm", "status"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err == nil { // not the process that has ended
			sees(t, file, text)
		}
	}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		children, _ := os.ReadFile(task)
		for _, child := range strings.Fields(string(children)) {
			var n int
			if fmt.Sscan(child, &n); n > 0 {
				spied(t, n)
			}
		}
	}
}

// TestNoSecrets: a password is in no output at the most talkative, no process list, no environment of a
// child, whether it is right or wrong, from a file or from the environment.
func TestNoSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"src/a": "a", "pw": canary + "\n", "open": canary} {
		path := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "open"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "dst"), 0o777); err != nil {
		t.Fatal(err)
	}
	modules := []syncertest.Module{
		{Name: "right", Path: dir + "/dst", AuthUsers: "bob", Secrets: map[string]string{"bob": canary}},
		{Name: "wrong", Path: dir + "/dst", AuthUsers: "bob", Secrets: map[string]string{"bob": "another"}},
	}
	d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: modules})
	url := func(module string) string { return strings.Replace(d.URL(module), "rsync://", "rsync://bob@", 1) }
	shell := filepath.Join(dir, "shell")
	if err := os.WriteFile(shell, []byte("#!/bin/sh\nenv >"+dir+"/env\nexit 7\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	file, env := []string{"--password-file=" + dir + "/pw"}, "RSYNC_PASSWORD="+canary
	watch := []string{"--watch", "--no-tune", "--log-level=debug"}
	for _, test := range []struct {
		name string
		env  string
		args []string
		want string // of what is printed, or logged
	}{
		{"file", "", append(file, "-vvv", "--stats", "src/", url("right")), "total size"},
		{"environment", env, []string{"-vvv", "--stats", "src/", url("right")}, "total size"},
		{"wrong file", "", append(file, "-vvv", "src/", url("wrong")), "auth failed"},
		{"wrong environment", env, []string{"-vvv", "src/", url("wrong")}, "auth failed"},
		{"open file", "", []string{"--password-file=" + dir + "/open", "src/", url("right")}, "accessible by others"},
		{"nonsense", env, []string{"--nonsense", "src/", url("right")}, "nonsense"},
		{"shell", env, []string{"-e", shell, "src/", "host:dst"}, "code"},
		{"watch by file", "", append(append(watch, file...), "src/", url("right")), "in step|pushed"},
		{"watch by environment", env, append(watch, "src/", url("right")), "in step|pushed"},
		{"watch, wrong", env, append(watch, "--log-format=json", "src/", url("wrong")), "auth failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, errs output
			cmd := lockstepCmd(dir, append(os.Environ(), test.env), &out, &errs, test.args...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { defer close(ended); cmd.Wait() }()
			said := func() bool {
				for want := range strings.SplitSeq(test.want, "|") {
					if strings.Contains(out.String()+errs.String(), want) {
						return true
					}
				}
				return false
			}
			for limit := time.Now().Add(patience); !said(); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(limit) {
					t.Errorf("%q is not said: %s%s", test.want, out.String(), errs.String())
					break
				}
			}
			if test.args[0] == "--watch" {
				spied(t, cmd.Process.Pid)
				cmd.Process.Signal(unix.SIGTERM)
			}
			<-ended
			sees(t, "the standard output", []byte(out.String()))
			sees(t, "the standard error", []byte(errs.String()))
		})
	}
	text, err := os.ReadFile(dir + "/env")
	if err != nil || !bytes.Contains(text, []byte("PATH=")) {
		t.Fatalf("the shell was not run: %v", err)
	}
	sees(t, "the environment of the remote shell", text)
}
