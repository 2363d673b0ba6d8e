package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// hostileNames are names that a terminal, or who reads a log, would fall for.
var hostileNames = []string{"esc\x1b[31mred", "nl\nlockstep: all is well", "del\x7f", "c1\u009b2J", "rtl\u202egnp.exe", "bad\xff\xfe", "bel\a", "cr\rx", "sep\u2028x"}

// requirePlain fails on a character that is not to be seen as it is.
func requirePlain(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if !utf8.ValidString(line) {
			t.Errorf("no UTF-8: %q", line)
		}
		for _, r := range line {
			if r != '\t' && unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
				t.Errorf("%U in %q", r, line)
				break
			}
		}
		if strings.HasPrefix(line, "lockstep: all is well") {
			t.Error("a name has become a line of its own")
		}
	}
}

// TestHostileNames: such names go through everything that prints names, of files that can be read and of
// those that cannot.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: to run as a user who may not read a file")
	}
	dir := t.TempDir()
	open(t, dir)
	for _, name := range hostileNames {
		for _, path := range []string{"src/" + name, "src/shut-" + name, "src/dir-" + name + "/" + name} {
			path = filepath.Join(dir, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(filepath.Join(dir, "src/shut-"+name), 0); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(name, filepath.Join(dir, "src/link-"+name)); err != nil {
			t.Fatal(err)
		}
	}
	// Without --watch a file that cannot be read is told on the standard error.
	for i, args := range [][]string{{"-v"}, {"-i"}, {"-vvi", "--progress"}, {"-n", "-v"}, {"--no-such\x1b[31m\u202e"}} {
		dst := filepath.Join(dir, "dst", string(rune('a'+i)))
		mkdirFor(t, dst)
		requirePlain(t, unprivileged(t, dir, append(args, "src/", dst)...))
	}
	requirePlain(t, unprivileged(t, dir, append([]string{"check-path", "src/"}, hostileNames...)...))
	requirePlain(t, unprivileged(t, dir, "src/no\x1b[31m\u202e", "dst/a"))
	for _, format := range []string{"console", "json"} {
		dst := filepath.Join(dir, "dst", format)
		mkdirFor(t, dst)
		var out, errs output
		cmd := lockstepCmd(dir, os.Environ(), &out, &errs, "--watch", "--no-tune", "--delete", "-v", "--log-level=debug", "--log-format="+format, "src/", dst)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for limit := time.Now().Add(patience); strings.Count(errs.String(), "not brought over") < len(hostileNames); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(limit) {
				t.Errorf("not all failures are told:\n%s", errs.String())
				break
			}
		}
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		requirePlain(t, out.String()+errs.String())
	}
}

func mkdirFor(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
}

// unprivileged runs lockstep as nobody and gives all that it prints.
func unprivileged(t *testing.T, dir string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := lockstepCmd(dir, os.Environ(), &out, &out, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if code, err := exitCode(cmd.Run()); err != nil || out.Len() == 0 {
		t.Errorf("%q: exit code %d, %v, and it says nothing", args, code, err)
	}
	return out.String()
}
