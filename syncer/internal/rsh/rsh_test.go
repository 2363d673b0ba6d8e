package rsh

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What rsync 3.5.0 hands to the program in -e, seen with one that prints its arguments.
func TestSplit(t *testing.T) {
	for in, want := range map[string][]string{
		"ssh":                          {"ssh"},
		"ssh -p 22":                    {"ssh", "-p", "22"},
		"  ssh   -p  22 ":              {"ssh", "-p", "22"},
		`x -l joe 'a b' "c'd"`:         {"x", "-l", "joe", "a b", "c'd"},
		`x a\ b`:                       {"x", `a\`, "b"},
		`x 'a''b' "" x'y'z  'it''s'`:   {"x", "a'b", "", "xyz", "it's"},
		`x "ProxyCommand=nc %h %p" ""`: {"x", "ProxyCommand=nc %h %p", ""},
	} {
		got, err := Split(in)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Split(%q): %v\n%s", in, err, diff)
		}
	}
	for _, in := range []string{"", "  ", "ssh 'x", `ssh "`, `x '''`} {
		if got, err := Split(in); err == nil {
			t.Errorf("Split(%q) gives %q, want an error", in, got)
		}
	}
}

// script is an executable remote shell.
func script(t *testing.T, name, text string) string {
	t.Helper()
	return syncertest.Script(t, filepath.Join(t.TempDir(), name), text)
}

func mustNew(t *testing.T, cfg Config) *Shell {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustStart(t *testing.T, s *Shell, command ...string) *Conn {
	t.Helper()
	c, err := s.Start(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// output runs a command to its end.
func output(t *testing.T, s *Shell, command ...string) (string, int) {
	t.Helper()
	c := mustStart(t, s, command...)
	out, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return string(out), c.End()
}

func TestWords(t *testing.T) {
	echo := script(t, "ssh", `printf '<%s>' "$@"`)
	other := script(t, "other", `printf '<%s>' "$@"`)
	for _, tt := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"plain", Config{Rsh: echo}, "<h><cmd><a b>"},
		{"user", Config{Rsh: echo, User: "u"}, "<-l><u><h><cmd><a b>"},
		{"user in --rsh", Config{Rsh: echo + " -l x", User: "u"}, "<-l><x><h><cmd><a b>"},
		{"family", Config{Rsh: echo, Family: 6, Address: "::1"}, "<-6><-b><::1><h><cmd><a b>"},
		{"timeout", Config{Rsh: echo, ConTimeout: 1500 * time.Millisecond}, "<-o><ConnectTimeout=2><h><cmd><a b>"},
		{"kept, with a control socket of the user's", Config{Rsh: echo + " -S x", Keep: true},
			"<-S><x><-o><BatchMode=yes><-o><ServerAliveInterval=5><-o><ServerAliveCountMax=3><h><cmd><a b>"},
		{"kept, no ssh", Config{Rsh: other + " x", Keep: true, ConTimeout: time.Second}, "<x><h><cmd><a b>"},
	} {
		tt.cfg.Host = "h"
		if got, code := output(t, mustNew(t, tt.cfg), "cmd", "a b"); got != tt.want || code != 0 {
			t.Errorf("%s: %s, want %s; exit code %d", tt.name, got, tt.want, code)
		}
	}
	for _, cfg := range []Config{{Rsh: other, Family: 4}, {Rsh: other, Address: "::1"}, {Rsh: "'"}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
}

func TestEnd(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		code       int
		said       []string
	}{
		{"by itself", "cat >/dev/null; echo bye >&2; exit 3", 3, []string{"bye"}},
		{"at once", "exec 2>&-; exit 0", 0, nil},
		{"by a signal", "kill -9 $$", -1, nil},
		{"never", "trap '' HUP PIPE; echo a >&2; while :; do sleep 1000; done", -1, nil},
		{"never, not even when asked", "trap '' HUP PIPE TERM; exec >/dev/null; while :; do sleep 1000; done", -1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := mustNew(t, Config{Rsh: script(t, "sh", tt.text), Keep: true})
			c := mustStart(t, s)
			pid := c.p.cmd.Process.Pid
			for tt.name == "never" && len(c.Said()) == 0 {
				runtime.Gosched() // it is deaf to signals once it spoke
			}
			if code := c.End(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if said := c.Said(); !slices.Equal(said, tt.said) {
				t.Errorf("said %q, want %q", said, tt.said)
			}
			// What it left without a parent was killed too, and is reaped by init in its own time.
			left := group(t, pid)
			for end := time.Now().Add(10 * time.Second); len(left) > 0 && time.Now().Before(end); left = group(t, pid) {
				time.Sleep(time.Millisecond)
			}
			if len(left) > 0 {
				t.Errorf("left of it: %q", left)
			}
		})
	}
}

// group is what runs, or is a zombie, in a process group.
func group(t *testing.T, pgid int) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) > 2 && fields[2] == fmt.Sprint(pgid) && fields[0] != "Z" {
			left = append(left, string(text))
		}
	}
	return left
}

func TestDeadlines(t *testing.T) {
	c := mustStart(t, mustNew(t, Config{Rsh: script(t, "sh", "exec cat >/dev/null")}))
	c.SetReadDeadline(time.Now())
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	stuck := mustStart(t, mustNew(t, Config{Rsh: script(t, "sh", "exec sleep 1000"), Keep: true}))
	stuck.SetWriteDeadline(time.Now())
	if _, err := stuck.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
}

func TestNotThere(t *testing.T) {
	if _, err := mustNew(t, Config{Rsh: "/nonexistent/shell"}).Start(t.Context(), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// Talkative shells are heard, but not remembered without bound.
func TestSaidIsBounded(t *testing.T) {
	s := mustNew(t, Config{Rsh: script(t, "sh", `i=0; while [ $i -lt 5000 ]; do echo "line $i" >&2; i=$((i+1)); done`)})
	c := mustStart(t, s)
	io.Copy(io.Discard, c)
	c.End()
	if said := c.Said(); len(said) != saidMax || said[0] != "line 0" || said[saidMax-1] != TooMuch {
		t.Errorf("%d lines: %q", len(said), said)
	}
}

// Commands are channels of one connection; it is made again when it died.
func TestMaster(t *testing.T) {
	d := syncertest.StartSSHD(t)
	s := mustNew(t, Config{Rsh: d.Rsh(), Host: d.Host(), Keep: true})
	logins := func() int { return strings.Count(d.Log(), "Accepted publickey") }
	for range 3 {
		if out, code := output(t, s, "echo", "there"); out != "there\n" || code != 0 {
			t.Fatalf("%q, exit code %d", out, code)
		}
	}
	if n := logins(); n != 1 {
		t.Errorf("%d logins for three commands, want 1", n)
	}
	if fi, err := os.Stat(s.master.dir.path); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory: %v, %v", fi, err)
	}
	dead := s.master
	dead.p.cmd.Process.Kill()
	<-dead.p.exited
	if out, _ := output(t, s, "echo", "again"); out != "again\n" {
		t.Errorf("after the connection died: %q", out)
	}
	if n := logins(); n != 2 {
		t.Errorf("%d logins after the connection died, want 2", n)
	}
	last := s.master
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, m := range []*master{dead, last} {
		if _, err := os.Stat(m.dir.path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", m.dir.path, err)
		}
	}
}

// A user's own control socket is not taken, nor is ours left to it.
func TestMasterBesideTheUsers(t *testing.T) {
	d := syncertest.StartSSHD(t)
	theirs := filepath.Join(t.TempDir(), "ctl")
	config := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf("ControlMaster auto\nControlPath %s\nControlPersist yes\nInclude %s\n", theirs, strings.Fields(d.Rsh())[2])
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := mustNew(t, Config{Rsh: "ssh -F " + config, Host: d.Host(), Keep: true})
	if out, _ := output(t, s, "echo", "there"); out != "there\n" {
		t.Errorf("%q", out)
	}
	if _, err := os.Stat(theirs); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the user's socket was made: %v", err)
	}
}

func TestMasterRefused(t *testing.T) {
	d := syncertest.StartSSHD(t)
	if err := d.LetIn(false); err != nil {
		t.Fatal(err)
	}
	s := mustNew(t, Config{Rsh: d.Rsh(), Host: d.Host(), Keep: true})
	_, err := s.Start(t.Context(), []string{"true"})
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 255 || !strings.Contains(err.Error(), "Permission denied (publickey)") {
		t.Errorf("error %v", err)
	}
	if err := d.LetIn(true); err != nil {
		t.Fatal(err)
	}
	if out, _ := output(t, s, "echo", "there"); out != "there\n" {
		t.Errorf("let in again: %q", out)
	}
}
