package syncertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// push runs the stock client and gives its output and exit code.
func push(t *testing.T, env string, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "rsync", args...)
	cmd.Env = append(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestDaemonTakesAPush(t *testing.T) {
	src, dst := sampleTree(t), t.TempDir()
	d := StartDaemon(t, DaemonConfig{Modules: []Module{{Name: "m", Path: dst}}})
	if os.Geteuid() == 0 {
		must(t, os.Lchown(filepath.Join(src, "sub/file"), 1234, 4321))
	}
	if out, code := push(t, "", "-a", src+"/", d.URL("m")); code != 0 {
		t.Fatalf("rsync exits with %d: %s", code, out)
	}
	RequireEqual(t, src, dst, CompareOptions{IgnoreOwners: os.Geteuid() != 0})
	if !strings.Contains(d.Log(), "rsync to m/ from") {
		t.Errorf("log does not tell of the push:\n%s", d.Log())
	}
}

// What a daemon without chroot does to symlinks is why Chroot and Churn.PlainLinks exist.
func TestDaemonSymlinks(t *testing.T) {
	tests := []struct {
		chroot bool
		want   string
	}{
		{false, "etc/passwd"},
		{true, "/etc/passwd"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("chroot=%t", tt.chroot), func(t *testing.T) {
			if tt.chroot && os.Geteuid() != 0 {
				t.Skip("chroot needs root")
			}
			src, dst := t.TempDir(), t.TempDir()
			must(t, os.Symlink("/etc/passwd", filepath.Join(src, "link")))
			d := StartDaemon(t, DaemonConfig{Chroot: tt.chroot, Modules: []Module{{Name: "m", Path: dst}}})
			if out, code := push(t, "", "-a", src+"/", d.URL("m")); code != 0 {
				t.Fatalf("rsync exits with %d: %s", code, out)
			}
			got, err := os.Readlink(filepath.Join(dst, "link"))
			must(t, err)
			if got != tt.want {
				t.Errorf("link holds %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDaemonModules(t *testing.T) {
	dst := t.TempDir()
	secrets := map[string]string{"backuper": "s3cret:with#signs", "other": "x"}
	d := StartDaemon(t, DaemonConfig{
		Extra: []string{"motd file = " + writeTemp(t, "hello from the daemon\n")},
		Modules: []Module{
			{Name: "open", Path: dst},
			{Name: "ro", Path: dst, ReadOnly: true},
			{Name: "auth", Path: dst, AuthUsers: "backuper", Secrets: secrets},
			{Name: "strong", Path: dst, AuthUsers: "backuper", Secrets: secrets, Extra: []string{"auth digest = sha512"}},
			{Name: "closed", Path: dst, Extra: []string{"max connections = -1"}},
			{Name: "nodelete", Path: dst, Extra: []string{"refuse options = delete"}},
			{Name: "with space", Path: dst, Extra: []string{"read only = yes"}},
		},
	})
	src := sampleTree(t)
	tests := []struct {
		name, to, password string
		args               []string
		code               int
		output             string
	}{
		{name: "open", to: d.URL("open"), output: "hello from the daemon"},
		{name: "read only", to: d.URL("ro"), code: 1, output: "module is read only"},
		{name: "right password", to: d.URL("backuper@auth"), password: "s3cret:with#signs"},
		{name: "wrong password", to: d.URL("backuper@auth"), password: "wrong", code: 5, output: "@ERROR: auth failed on module auth"},
		{name: "user not in auth users", to: d.URL("other@auth"), password: "x", code: 5, output: "@ERROR: auth failed on module auth"},
		{name: "strong digest", to: d.URL("backuper@strong"), password: "s3cret:with#signs"},
		{name: "max connections", to: d.URL("closed"), code: 5, output: "@ERROR"},
		{name: "refused option", to: d.URL("nodelete"), args: []string{"--delete"}, code: 4, output: "refuse"},
		{name: "extra wins", to: d.URL("with space"), code: 1, output: "module is read only"},
		{name: "unknown module", to: d.URL("none"), code: 5, output: "@ERROR: Unknown module 'none'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := strings.ReplaceAll(tt.to, "%20", " ") // rsync takes its URLs literally
			out, code := push(t, "RSYNC_PASSWORD="+tt.password, append(tt.args, "-r", src+"/sub", to)...)
			if code != tt.code || !strings.Contains(out, tt.output) {
				t.Errorf("rsync exits with %d, want %d with %q: %s", code, tt.code, tt.output, out)
			}
		})
	}
}

// The stock client always offers strong digests, so here speaks one that knows only md5.
func TestDaemonAuthDigest(t *testing.T) {
	d := StartDaemon(t, DaemonConfig{Modules: []Module{{
		Name: "strong", Path: t.TempDir(), AuthUsers: "backuper",
		Secrets: map[string]string{"backuper": "x"}, Extra: []string{"auth digest = sha256"},
	}}})
	tests := []struct{ digests, want string }{
		{"md5", "@ERROR: auth failed on module strong\n"},
		{"sha256 md5", "@RSYNCD: AUTHREQD "},
	}
	for _, tt := range tests {
		conn := dial(t, d.Addr())
		_, err := io.WriteString(conn, "@RSYNCD: 31.0 "+tt.digests+"\nstrong\n")
		must(t, err)
		r := bufio.NewReader(conn)
		_, err = r.ReadString('\n')
		must(t, err)
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, tt.want) {
			t.Errorf("offering %q: answer %q, %v; want %q", tt.digests, line, err, tt.want)
		}
	}
}

func writeTemp(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(name, []byte(text), 0o644))
	return name
}

// A config file is used as it stands, but on the daemon's own port and log.
func TestDaemonConfigFile(t *testing.T) {
	src, dst := sampleTree(t), t.TempDir()
	log := filepath.Join(t.TempDir(), "log")
	conf := "port = 1\naddress = 192.0.2.1\nlog file = " + log + "\n[m]\npath = " + dst + "\nread only = no\nuse chroot = no\n"
	if os.Geteuid() == 0 {
		conf += "uid = root\ngid = root\n"
	}
	d := StartDaemon(t, DaemonConfig{ConfigFile: writeTemp(t, conf)})
	if out, code := push(t, "", "-r", src+"/sub", d.URL("m")); code != 0 {
		t.Fatalf("rsync exits with %d: %s", code, out)
	}
	if _, err := os.Stat(filepath.Join(dst, "sub/file")); err != nil {
		t.Error(err)
	}
	if !strings.Contains(d.Log(), "rsync to m/") {
		t.Errorf("log:\n%s", d.Log())
	}
}

// greeted connects and reads the greeting, so that a process of the daemon serves the connection.
func greeted(t *testing.T, d *Daemon) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", d.Addr())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	line, err := bufio.NewReader(conn).ReadString('\n')
	must(t, err)
	if !strings.HasPrefix(line, "@RSYNCD: ") {
		t.Fatalf("greeting %q", line)
	}
	return conn
}

func TestDaemonLife(t *testing.T) {
	tests := []struct {
		name string
		end  func(*Daemon) error
	}{
		{"stop", (*Daemon).Stop},
		{"kill", (*Daemon).Kill},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := StartDaemon(t, DaemonConfig{})
			addr, group := d.Addr(), d.proc.pid
			if err := d.Start(); !errors.Is(err, ErrRunning) {
				t.Errorf("second Start: %v", err)
			}
			conn := greeted(t, d)
			must(t, tt.end(d))
			if running, err := groupRuns(group); running || err != nil {
				t.Errorf("after the end: a process runs: %t, %v", running, err)
			}
			if n, err := conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
				t.Errorf("the connection goes on: %d bytes, %v", n, err)
			}
			if _, err := net.Dial("tcp", addr); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("connect to a stopped daemon: %v", err)
			}
			must(t, tt.end(d)) // again: nothing to do
			must(t, d.Restart())
			greeted(t, d)
			must(t, d.Restart())
			greeted(t, d)
			if d.Addr() != addr {
				t.Errorf("address changed from %s to %s", addr, d.Addr())
			}
		})
	}
}

// A daemon that dies by itself can be started again, and what served its connections is gone.
func TestDaemonDies(t *testing.T) {
	d := StartDaemon(t, DaemonConfig{})
	conn := greeted(t, d)
	old := d.proc
	must(t, unix.Kill(old.pid, unix.SIGKILL)) // the leader alone
	<-old.exited
	must(t, d.Start())
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the old connection goes on: %v", err)
	}
	greeted(t, d)
}

func TestDaemonClose(t *testing.T) {
	d, err := NewDaemon(DaemonConfig{})
	must(t, err)
	must(t, d.Start())
	must(t, d.Close())
	if _, err := os.Stat(d.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory is still there: %v", err)
	}
	must(t, d.Close())
	if err := d.Start(); err == nil {
		t.Error("a closed daemon starts")
	}
}

func TestDaemonStartErrors(t *testing.T) {
	tests := []struct {
		name string
		cfg  DaemonConfig
		is   error
		says string
	}{
		{"no rsync", DaemonConfig{Program: "rsync-that-is-not-there"}, ErrNoRsync, "apt-get install rsync"},
		{"no rsync at a path", DaemonConfig{Program: "/none/rsync"}, ErrNoRsync, "apt-get install rsync"},
		{"bad setting", DaemonConfig{Extra: []string{"pid file = /none/pid"}}, nil, "it exited"},
		{"not a daemon", DaemonConfig{Program: "true"}, nil, "it exited"},
		{"never greets", DaemonConfig{Program: writeScript(t, "exec sleep 60"), StartTimeout: 50 * time.Millisecond}, context.DeadlineExceeded, "no greeting"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := NewDaemon(tt.cfg)
			must(t, err)
			defer d.Close()
			err = d.Start()
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Start: %v; want %q", err, tt.says)
			}
			must(t, d.Stop())
		})
	}
}

func writeScript(t *testing.T, line string) string {
	t.Helper()
	return Script(t, filepath.Join(t.TempDir(), "rsync"), line)
}

// A process that ignores SIGTERM is killed after StopTimeout.
func TestDaemonStopIsBounded(t *testing.T) {
	real, err := exec.LookPath("rsync")
	must(t, err)
	script := writeScript(t, `sh -c 'trap "" TERM; while :; do sleep 60; done' & exec `+real+` "$@"`)
	d := StartDaemon(t, DaemonConfig{Program: script, StopTimeout: 30 * time.Millisecond})
	group := d.proc.pid
	must(t, d.Stop())
	if running, err := groupRuns(group); running || err != nil {
		t.Errorf("a process runs: %t, %v", running, err)
	}
}

func TestDaemonRefusesConfig(t *testing.T) {
	tests := []struct {
		name string
		cfg  DaemonConfig
	}{
		{"no name", DaemonConfig{Modules: []Module{{Path: "/x"}}}},
		{"bracket", DaemonConfig{Modules: []Module{{Name: "a]b", Path: "/x"}}}},
		{"global", DaemonConfig{Modules: []Module{{Name: "global", Path: "/x"}}}},
		{"twice", DaemonConfig{Modules: []Module{{Name: "a", Path: "/x"}, {Name: "a", Path: "/y"}}}},
		{"relative path", DaemonConfig{Modules: []Module{{Name: "a", Path: "x"}}}},
		{"line end in path", DaemonConfig{Modules: []Module{{Name: "a", Path: "/x\nuid = 0"}}}},
		{"variable in path", DaemonConfig{Modules: []Module{{Name: "a", Path: "/%HOME%"}}}},
		{"space at the end of a path", DaemonConfig{Modules: []Module{{Name: "a", Path: "/x "}}}},
		{"line end in auth users", DaemonConfig{Modules: []Module{{Name: "a", Path: "/x", AuthUsers: "a\nb"}}}},
		{"colon in user", DaemonConfig{Modules: []Module{{Name: "a", Path: "/x", Secrets: map[string]string{"a:b": "c"}}}}},
		{"comment as user", DaemonConfig{Modules: []Module{{Name: "a", Path: "/x", Secrets: map[string]string{"#a": "c"}}}}},
		{"line end in password", DaemonConfig{Modules: []Module{{Name: "a", Path: "/x", Secrets: map[string]string{"a": "c\n"}}}}},
		{"section in extra", DaemonConfig{Extra: []string{" [b]"}}},
		{"relative config file", DaemonConfig{ConfigFile: "rsyncd.conf"}},
		{"config file and modules", DaemonConfig{ConfigFile: "/x", Modules: []Module{{Name: "a", Path: "/x"}}}},
		{"two lines in extra", DaemonConfig{Modules: []Module{{Name: "a", Path: "/x", Extra: []string{"a = b\nc = d"}}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d, err := NewDaemon(tt.cfg); err == nil {
				d.Close()
				t.Error("no error")
			}
		})
	}
}

// The port belongs to the daemon while it does not run: nobody is given it, and nobody can take it.
func TestDaemonHoldsItsPort(t *testing.T) {
	d, err := NewDaemon(DaemonConfig{})
	must(t, err)
	defer d.Close()
	for range 200 {
		other, port, err := holdPort()
		must(t, err)
		defer unix.Close(other)
		if port == d.Port() {
			t.Fatalf("port %d was given away", port)
		}
	}
	must(t, d.Start())
	greeted(t, d)
}

func TestGreetingIsChecked(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "SSH-2.0-nothing\r\n")
			conn.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := awaitGreeting(ctx, listener.Addr().String(), nil); err == nil || !strings.Contains(err.Error(), "SSH-2.0") {
		t.Errorf("greeting of something else: %v", err)
	}
}
