package syncer_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

func password(s string) func() (string, error) { return func() (string, error) { return s, nil } }

// A daemon that does not want a push says so, and the push ends with rsync's exit code and a
// message that names the reason. Nothing is changed on the target.
func TestInteropRefusals(t *testing.T) {
	auth := func(c *syncertest.DaemonConfig) {
		c.Modules[0].AuthUsers = "alice"
		c.Modules[0].Secrets = map[string]string{"alice": "right", "bob": "right"}
	}
	extra := func(lines ...string) func(*syncertest.DaemonConfig) {
		return func(c *syncertest.DaemonConfig) { c.Modules[0].Extra = lines }
	}
	for _, tt := range []struct {
		name   string
		daemon func(*syncertest.DaemonConfig)
		set    func(*syncer.Config)
		code   syncer.Code
		texts  []string // each in the error or in a message
		is     error
	}{
		{name: "wrong password", daemon: auth, code: syncer.CodeStart, texts: []string{"auth failed", "password"},
			set: func(c *syncer.Config) { c.Target.User, c.Password = "alice", password("wrong") }},
		{name: "no password", daemon: auth, code: syncer.CodeStart, texts: []string{"password", "--password-file"},
			set: func(c *syncer.Config) { c.Target.User = "alice" }},
		{name: "password file unreadable", daemon: auth, code: syncer.CodeStart, texts: []string{"no such key"},
			set: func(c *syncer.Config) {
				c.Target.User, c.Password = "alice", func() (string, error) { return "", errors.New("no such key") }
			}},
		{name: "user without rights", daemon: auth, code: syncer.CodeStart, texts: []string{"auth failed"},
			set: func(c *syncer.Config) { c.Target.User, c.Password = "bob", password("right") }},
		{name: "unknown user", daemon: auth, code: syncer.CodeStart, texts: []string{"auth failed"},
			set: func(c *syncer.Config) { c.Target.User, c.Password = "eve", password("right") }},
		{name: "no user", daemon: auth, code: syncer.CodeStart, texts: []string{"auth failed"},
			set: func(c *syncer.Config) { c.Password = password("right") }},
		{name: "unknown module", code: syncer.CodeStart, texts: []string{"Unknown module 'nothere'"},
			set: func(c *syncer.Config) { c.Target.Module = "nothere" }},
		{name: "read only", daemon: func(c *syncertest.DaemonConfig) { c.Modules[0].ReadOnly = true },
			code: syncer.CodeUsage, texts: []string{"module is read only"}},
		{name: "hosts deny", daemon: extra("hosts deny = *"), code: syncer.CodeStart, texts: []string{"access denied"}},
		{name: "delete refused", daemon: extra("refuse options = delete"), code: 4, texts: []string{"configured to refuse --delete"},
			set: func(c *syncer.Config) { c.Delete = true }},
		{name: "max delete refused", daemon: extra("refuse options = max-delete"), code: 4, texts: []string{"--max-delete"},
			set: func(c *syncer.Config) { c.Delete, c.MaxDelete = true, 3 }},
		{name: "no path", daemon: extra("path = /nonexistent/path"), code: syncer.CodeStart, texts: []string{"chroot failed"}},
		{name: "path is missing", code: syncer.CodeFile, texts: []string{"mkdir", "no/such/dir"},
			set: func(c *syncer.Config) { c.Target.Path = "no/such/dir" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.name == "no path" {
				needRoot(t)
			}
			var edits []func(*syncertest.DaemonConfig)
			if tt.daemon != nil {
				edits = append(edits, tt.daemon)
			}
			r := newRig(t, edits...)
			write(t, r.in("f"), "x")
			cfg := r.config()
			if tt.set != nil {
				tt.set(&cfg)
			}
			rep, err := r.push(cfg)
			requireFailure(t, r, rep, err, tt.code, tt.texts...)
			if got := names(t, r.dst); len(got) > 0 {
				t.Errorf("on the target: %q", got)
			}
			sameCodeAsRsync(t, r, cfg, tt.code)
		})
	}
}

func requireFailure(t *testing.T, r *rig, rep syncer.Report, err error, code syncer.Code, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; report %+v, messages %q", rep, r.messages)
	}
	if got := syncer.ExitCode(rep, err); got != code {
		t.Errorf("exit code %d, want %d; error %v, messages %q", got, code, err, r.messages)
	}
	all := err.Error() + "\n" + strings.Join(r.messages, "\n")
	for _, text := range texts {
		if !strings.Contains(all, text) {
			t.Errorf("%q is not said: %s", text, all)
		}
	}
}

// sameCodeAsRsync runs the real client for the same push.
func sameCodeAsRsync(t *testing.T, r *rig, cfg syncer.Config, want syncer.Code) {
	t.Helper()
	secret := "none"
	if cfg.Password != nil {
		var err error
		if secret, err = cfg.Password(); err != nil {
			return // it never gets to the daemon
		}
	}
	t.Helper()
	args := []string{"-a"}
	if cfg.Delete {
		args = append(args, "--delete")
	}
	if cfg.MaxDelete >= 0 {
		args = append(args, fmt.Sprintf("--max-delete=%d", cfg.MaxDelete))
	}
	if cfg.Timeout > 0 {
		args = append(args, fmt.Sprintf("--timeout=%d", int(cfg.Timeout.Seconds())))
	}
	passwords := t.TempDir() + "/password"
	if err := os.WriteFile(passwords, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := r.rsync(append(args, "--password-file="+passwords, cfg.Source, cfg.Target.String())...)
	if code != int(want) {
		t.Errorf("rsync's exit code is %d, and %d is wanted: %s", code, want, out)
	}
}

// With the right password each user gets in who may.
func TestInteropAuth(t *testing.T) {
	for _, lines := range [][]string{nil, {"auth digest = sha512"}, {"auth digest = sha1"}, {"auth digest = md5"}} {
		for _, protocol := range []int{30, 31, 32} {
			t.Run(fmt.Sprint(lines, protocol), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, func(c *syncertest.DaemonConfig) {
					m := &c.Modules[0]
					m.AuthUsers, m.Secrets, m.Extra = "alice bob", map[string]string{"bob": "pass word: \xff#ü"}, lines
				})
				write(t, r.in("f"), "x")
				cfg := r.config()
				cfg.Target.User, cfg.Password, cfg.Protocol = "bob", password("pass word: \xff#ü"), protocol
				truncateTimes(t, r.src)
				r.mustPush(cfg)
				r.equal()
			})
		}
	}
}

func TestInteropMaxConnections(t *testing.T) {
	r := newRig(t, func(c *syncertest.DaemonConfig) { c.Modules[0].Extra = []string{"max connections = 1"} })
	write(t, r.in("f"), "x")
	hold, err := net.Dial("tcp", r.daemon.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	fmt.Fprintf(hold, "@RSYNCD: 32.0 sha512\nm\n")
	br := bufio.NewReader(hold)
	for line := ""; line != "@RSYNCD: OK\n"; {
		if line, err = br.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	rep, err := r.push(r.config())
	requireFailure(t, r, rep, err, syncer.CodeStart, "max connections (1) reached", "again")
	sameCodeAsRsync(t, r, r.config(), syncer.CodeStart)
	hold.Close()
	// The daemon's process has to see the end first.
	deadline := time.Now().Add(10 * time.Second)
	for err != nil && time.Now().Before(deadline) {
		rep, err = r.push(r.config())
	}
	r.mustBeWhole(rep, err)
}

// peer is a server that is no rsync daemon: handle gets one connection after the other.
func peer(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// pointAt changes where the push goes.
func pointAt(t *testing.T, c *syncer.Config, addr string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	c.Target.Host = host
	if _, err := fmt.Sscan(port, &c.Target.Port); err != nil {
		t.Fatal(err)
	}
}

// What answers is no rsync daemon, or none that can be spoken to.
func TestInteropNoDaemon(t *testing.T) {
	say := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			io.WriteString(c, text)
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
		}
	}
	for _, tt := range []struct {
		name    string
		handle  func(net.Conn)
		code    syncer.Code
		texts   []string
		timeout time.Duration
		unlike  bool // rsync's code is another one
	}{
		{name: "HTTP", handle: say("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"), code: syncer.CodeStart, texts: []string{"HTTP/1.1 400", "rsync daemon"}},
		{name: "ssh", handle: say("SSH-2.0-OpenSSH_9.2\r\n"), code: syncer.CodeStart, texts: []string{"SSH-2.0"}},
		{name: "control characters", handle: say("\x1b[2J\x07\n"), code: syncer.CodeStart, texts: []string{`\x1b[2J\a`}},
		{name: "a NUL", handle: say("@RSYNCD:\x0032\n"), code: syncer.CodeStream, texts: []string{"NUL"}, unlike: true},
		{name: "closes at once", handle: say(""), code: syncer.CodeStart, texts: []string{"closed"}},
		{name: "closes in the greeting", handle: say("@RSYNCD: 3"), code: syncer.CodeStart, texts: []string{"closed"}},
		{name: "closes behind the greeting", handle: say("@RSYNCD: 32.0 sha512 md5\n"), code: syncer.CodeStart, texts: []string{"closed", `"m"`}},
		{name: "too old", handle: say("@RSYNCD: 27\n"), code: 2, texts: []string{"protocol 27"}, unlike: true},
		{name: "an endless line", handle: say("@RSYNCD: " + strings.Repeat("x", 100_000)), code: syncer.CodeStream, texts: []string{"longer than"}, unlike: true},
		{name: "an endless message of the day", handle: say("@RSYNCD: 32.0 md5\n" + strings.Repeat("hello\n", 100_000)), code: syncer.CodeStream, texts: []string{"lines"}, unlike: true},
		{name: "silence", handle: func(c net.Conn) { io.Copy(io.Discard, c) }, code: syncer.CodeTimeout, timeout: time.Second, texts: []string{"greeting"}},
		{name: "silence behind the greeting", handle: func(c net.Conn) { io.WriteString(c, "@RSYNCD: 32.0 md5\n"); io.Copy(io.Discard, c) }, code: syncer.CodeTimeout, timeout: time.Second, texts: []string{`"m"`}},
		{name: "silence behind OK", handle: func(c net.Conn) { io.WriteString(c, "@RSYNCD: 32.0 md5\n@RSYNCD: OK\n"); io.Copy(io.Discard, c) }, code: syncer.CodeTimeout, timeout: time.Second},
		{name: "silence behind the setup", handle: func(c net.Conn) {
			io.WriteString(c, "@RSYNCD: 32.0 md5\n@RSYNCD: OK\n\x81\xfe\x03md5\x01\x00\x00\x00")
			io.Copy(io.Discard, c)
		}, code: syncer.CodeTimeout, timeout: time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &rig{t: t, src: t.TempDir()}
			write(t, r.in("f"), "x")
			cfg := syncer.Config{Source: r.src + "/", Target: syncer.Target{Module: "m"}, Options: syncer.Archive(), Sink: r.sink()}
			pointAt(t, &cfg, peer(t, tt.handle))
			cfg.Timeout = tt.timeout
			rep, err := r.push(cfg)
			requireFailure(t, r, rep, err, tt.code, tt.texts...)
			if !tt.unlike {
				sameCodeAsRsync(t, r, cfg, tt.code)
			}
		})
	}
}

func TestInteropNoConnection(t *testing.T) {
	r := &rig{t: t, src: t.TempDir()}
	cfg := syncer.Config{Source: r.src + "/", Target: syncer.Target{Module: "m"}, Options: syncer.Archive(), Sink: r.sink()}

	t.Run("refused", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		pointAt(t, &cfg, l.Addr().String())
		l.Close()
		rep, err := r.push(cfg)
		requireFailure(t, r, rep, err, syncer.CodeSocket, "connection refused", l.Addr().String())
		sameCodeAsRsync(t, r, cfg, syncer.CodeSocket)
	})
	t.Run("no such host", func(t *testing.T) {
		cfg := cfg
		cfg.Target.Host = "no-such-host.invalid"
		rep, err := r.push(cfg)
		requireFailure(t, r, rep, err, syncer.CodeSocket, "no-such-host.invalid", "check the host's name")
		sameCodeAsRsync(t, r, cfg, syncer.CodeSocket)
	})
	t.Run("no answer", func(t *testing.T) {
		pointAt(t, &cfg, deaf(t))
		cfg.ConTimeout = 300 * time.Millisecond
		rep, err := r.push(cfg)
		requireFailure(t, r, rep, err, syncer.CodeConTimeout, "300ms")
	})
	t.Run("cancelled", func(t *testing.T) {
		pointAt(t, &cfg, deaf(t))
		cfg.ConTimeout = 0
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		rep, err := r.syncer(cfg).Push(ctx, syncer.Full())
		requireFailure(t, r, rep, err, syncer.CodeSignal)
	})
}

// deaf is a listening socket whose queue is full: who connects gets no answer.
func deaf(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*unix.SockaddrInet4).Port)
	for range 16 {
		c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("the kernel's queue of a socket that listens with backlog 0 is never full")
	return ""
}
