package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// Each error that a push can end with has a class, and a remedy with the names of what it is about.
func TestClassify(t *testing.T) {
	daemon := Target{User: "joe", Host: "box", Port: 8730, Module: "www", Path: "a"}
	shell := Target{User: "joe", Host: "box", Path: "/srv/a"}
	dir := Target{Path: "/mnt/a"}
	dial := func(err error) error {
		return report.Fail(CodeSocket, fmt.Errorf("connect: %w", unreachable(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", err)})), "hint")
	}
	dns := func(e net.DNSError) error {
		return report.Fail(CodeSocket, unreachable(&net.OpError{Op: "dial", Err: &e}), "")
	}
	said := func(code int, lines ...string) error {
		hint, cause := shellCause("box", code, lines)
		return &Failure{Code: Code(code), Err: report.Because(errors.New("the remote shell ended"), cause), Hint: hint}
	}
	path := func(err error) error {
		return fmt.Errorf("open target: %w", &os.PathError{Op: "open", Path: "/mnt/a", Err: err})
	}
	refusal := func(cause error) error {
		return report.Fail(CodeStart, report.Because(&sender.RefusedError{Line: "x"}, cause), "")
	}
	gaveUp := func(code int, cause error) error {
		return report.Fail(Code(code), report.Because(&wire.ExitError{Code: code}, cause), "")
	}
	const transient, operator, configuration = ClassTransient, ClassOperator, ClassConfiguration
	for _, tt := range []struct {
		name  string // of the row that counts
		err   error
		at    Target
		class Class
		words []string
	}{
		{"told to end", &Failure{Code: CodeSignal, Err: context.Canceled}, daemon, transient, nil},
		{"source gone", fmt.Errorf("%w: %w", ErrRoot, unix.ENOENT), daemon, operator, []string{"/src"}},
		{"source empty", report.Fail(CodeSelect, ErrEmptySource, ""), daemon, operator, []string{"/src", "--allow-empty"}},
		{"mounts unreadable", report.Because(unix.EACCES, errMounts), daemon, operator, []string{"/proc/self/mountinfo"}},
		{"out of files", report.Because(path(unix.EMFILE), errSource), daemon, operator, []string{"LimitNOFILE"}},
		{"out of files", path(unix.ENFILE), dir, operator, []string{"fs.file-max"}},
		{"out of memory", path(unix.ENOMEM), dir, transient, nil},
		{"source unreadable", report.Because(path(unix.EACCES), errSource), daemon, operator, []string{"/src"}},

		{"authentication", report.Fail(CodeStart, fmt.Errorf("%w: no password: %w", sender.ErrAuth, unix.ENOENT), ""), daemon, configuration, []string{"joe", "www", "box", "--password-file"}},
		{"max connections", refusal(sender.ErrBusy), daemon, transient, []string{"www", "box"}},
		{"unknown module", refusal(sender.ErrNoModule), daemon, configuration, []string{"www", "box"}},
		{"access denied", refusal(sender.ErrDenied), daemon, configuration, []string{"hosts allow", "www", "box"}},
		{"read only module", gaveUp(1, sender.Reason("ERROR: module is read only\n")), daemon, configuration, []string{"read only = no", "www", "box"}},
		{"module path missing", refusal(sender.ErrNoPath), daemon, operator, []string{"www", "box"}},
		{"rsync too old", report.Because(wire.ErrProtocol, sender.ErrOldProtocol), daemon, configuration, []string{"box", "3.0"}},
		{"rsync too old", said(1, "rsync: --x: unknown option"), shell, configuration, []string{"box"}},
		{"no rsync daemon", report.Because(wire.ErrProtocol, sender.ErrNoDaemon), daemon, configuration, []string{"box:8730"}},
		{"option refused", gaveUp(4, &sender.OptionError{Option: "delete"}), daemon, configuration, []string{"--delete", "www"}},
		{"refused by the daemon", refusal(nil), daemon, configuration, []string{"www", "box"}},

		{"host key changed", said(255, "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @"), shell, operator, []string{"ssh-keygen -R box"}},
		{"host key unknown", said(255, "Host key verification failed."), shell, operator, []string{"box", "known_hosts"}},
		{"key refused", said(255, "joe@box: Permission denied (publickey)."), shell, operator, []string{"joe", "box", "authorized_keys"}},
		{"no rsync there", said(127, "sh: rsync: not found"), shell, configuration, []string{"box", "--rsync-path"}},
		{"noisy shell", report.Fail(report.CodeProtocol, sender.ErrUnclean, ""), shell, configuration, []string{"joe", "box"}},
		{"no remote shell", report.Fail(report.CodeIPC, &exec.Error{Name: "ssh", Err: exec.ErrNotFound}, ""), shell, configuration, []string{"-e"}},

		{"target not mounted", report.Fail(CodeFile, errReplaced, ""), dir, operator, []string{"/mnt/a"}},
		{"no such host", dns(net.DNSError{Name: "box", IsNotFound: true}), daemon, configuration, []string{"box"}},
		{"no such host", said(255, "ssh: Could not resolve hostname box: Name or service not known"), shell, configuration, []string{"box"}},
		{"DNS fails", dns(net.DNSError{Name: "box", IsTemporary: true}), daemon, transient, []string{"box", "/etc/resolv.conf"}},
		{"DNS fails", dns(net.DNSError{Name: "box", IsTimeout: true}), daemon, transient, []string{"box"}},
		{"DNS fails", said(255, "ssh: Could not resolve hostname box: Temporary failure in name resolution"), shell, transient, []string{"box"}},
		{"connection refused", dial(unix.ECONNREFUSED), daemon, transient, []string{"rsync --daemon", "box", "8730"}},
		{"connection refused", said(255, "ssh: connect to host box port 22: Connection refused"), shell, transient, []string{"sshd", "box"}},
		{"forbidden here", dial(unix.EPERM), daemon, configuration, []string{"box:8730"}},
		{"no route", dial(unix.EHOSTUNREACH), daemon, transient, []string{"box"}},
		{"no route", dial(unix.ENETUNREACH), daemon, transient, []string{"box"}},
		{"no connection in time", report.Fail(CodeConTimeout, dial(os.ErrDeadlineExceeded).(*Failure).Err, ""), daemon, transient, []string{"box:8730", "--contimeout"}},
		{"no connection in time", said(255, "ssh: connect to host box port 22: Connection timed out"), shell, transient, []string{"box"}},
		{"silence", report.Fail(CodeTimeout, wire.ErrTimeout, ""), daemon, transient, []string{"box", "--timeout"}},
		{"silence", report.Fail(CodeTimeout, os.ErrDeadlineExceeded, ""), daemon, transient, []string{"box"}},
		{"connection lost", report.Fail(CodeStream, unix.ECONNRESET, ""), daemon, transient, []string{"box"}},
		{"connection lost", report.Fail(CodeStream, unix.EPIPE, ""), daemon, transient, []string{"box"}},
		{"connection lost", report.Fail(CodeStream, io.ErrUnexpectedEOF, ""), daemon, transient, []string{"box"}},
		{"connection lost", said(255, "something new"), shell, transient, []string{"box"}},

		{"no space", fmt.Errorf("target is full: %w", unix.ENOSPC), dir, operator, []string{"/mnt/a"}},
		{"no space", gaveUp(11, sender.Reason("rsync: [receiver] write failed on \"f\" (in www): No space left on device (28)\n")), daemon, operator, []string{"/www/a"}},
		{"no space", said(11, "rsync: [receiver] write failed on \"/srv/a/f\": No space left on device (28)", "rsync error: error in file IO (code 11) at receiver.c(382) [receiver=3.2.7]"), shell, operator, []string{"box:/srv/a"}},
		{"quota", path(unix.EDQUOT), dir, operator, []string{"/mnt/a"}},
		{"read-only file system", fmt.Errorf("target: %w", unix.EROFS), dir, operator, []string{"/mnt/a", "remount,rw"}},
		{"target missing", path(unix.ENOENT), dir, operator, []string{"/mnt/a", "--mkpath"}},
		{"target missing", path(unix.ENOTDIR), dir, operator, []string{"/mnt/a"}},
		{"permission", path(unix.EACCES), dir, operator, []string{"/mnt/a"}},
		{"I/O error", path(unix.ESTALE), dir, operator, []string{"/mnt/a"}},
		{"I/O error", path(unix.EIO), dir, operator, []string{"/mnt/a"}},

		{"protocol error", report.Fail(CodeStream, fmt.Errorf("%w: frame", wire.ErrProtocol), ""), daemon, operator, []string{"box"}},
		{"gave up", gaveUp(12, nil), daemon, operator, []string{"box"}},
		{"usage", report.Fail(CodeUsage, errors.New("x"), ""), dir, configuration, nil},
	} {
		err := error(&located{error: tt.err, source: "/src", target: tt.at})
		if tt.at.Module != "" {
			err.(*located).addr = tt.at.Addr(0)
		}
		if got := diagnose(err); got.name != tt.name {
			t.Errorf("%v: diagnosed as %q, want %q", tt.err, got.name, tt.name)
		}
		class, remedy := Classify(err)
		if class != tt.class {
			t.Errorf("%s: %v: %v, want %v", tt.name, tt.err, class, tt.class)
		}
		for _, w := range tt.words {
			if !strings.Contains(remedy, w) {
				t.Errorf("%s: %q is not in %q", tt.name, w, remedy)
			}
		}
		if strings.ContainsAny(remedy, "{}") || remedy == "" || strings.HasSuffix(remedy, ".") {
			t.Errorf("%s: remedy %q", tt.name, remedy)
		}
		if strings.Contains(tt.err.Error(), errUnreachable.Error()) {
			t.Errorf("%v says what is not for people", tt.err)
		}
	}
	if class, remedy := Classify(&Failure{Err: errors.New("new"), Hint: "do this"}); class != transient || remedy != "do this" {
		t.Errorf("an unknown error: %v: %s", class, remedy)
	}
}

// The page about what goes wrong has a section for each row, with its class.
func TestTroubleshooting(t *testing.T) {
	page, err := os.ReadFile("../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "\n### ")
	sections := map[string]string{}
	for section := range strings.SplitSeq("\n### "+rest, "\n### ") {
		title, text, _ := strings.Cut(section, "\n")
		sections[title] = text
	}
	for _, d := range diagnoses {
		if text, ok := sections[d.name]; !ok || !strings.HasPrefix(strings.TrimSpace(text), "*"+d.class.String()+"*") {
			t.Errorf("docs/troubleshooting.md has no section %q that begins with *%v*", d.name, d.class)
		}
	}
}

func TestClassText(t *testing.T) {
	for _, c := range []Class{ClassTransient, ClassOperator, ClassConfiguration} {
		text, err := c.MarshalText()
		var back Class
		if err := errors.Join(err, back.UnmarshalText(text)); err != nil || back != c || string(text) != c.String() {
			t.Errorf("%v became %q, and that %v: %v", c, text, back, err)
		}
	}
	if _, err := Class(9).MarshalText(); err == nil {
		t.Error("class 9 has a name")
	}
	if err := new(Class).UnmarshalText([]byte("bad")); err == nil {
		t.Error("a class is named bad")
	}
}

func TestReason(t *testing.T) {
	for line, want := range map[string]error{
		"rsync: [generator] mkdir \"/x\" (in m) failed: No such file or directory (2)": unix.ENOENT,
		"rsync: write failed: Disk quota exceeded (122)\n":                             unix.EDQUOT,
		"ERROR: module is read only\n":                                                 sender.ErrReadOnly,
		"rsync error: error in file IO (code 11) at receiver.c(382)":                   nil,
		"somebody says (28)": nil,
		"rsync: (0)":         nil,
	} {
		if got := sender.Reason(line); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}
