package syncer_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// newSSHRig is a rig whose target is behind an sshd.
func newSSHRig(t *testing.T, extra ...string) (*rig, *syncertest.SSHD) {
	t.Helper()
	d := syncertest.StartSSHD(t, extra...)
	r := &rig{t: t, src: filepath.Join(t.TempDir(), "src"), dst: filepath.Join(t.TempDir(), "dst")}
	mkdir(t, r.src, r.dst)
	r.base = syncer.Config{Target: syncer.Target{Host: d.Host(), Path: r.dst}, Options: syncer.Archive()}
	r.base.Rsh = d.Rsh()
	return r, d
}

// Everything that a file list can hold arrives by each protocol.
func TestSSHFull(t *testing.T) {
	for _, protocol := range []int{32, 31, 30} {
		t.Run(fmt.Sprint(protocol), func(t *testing.T) {
			t.Parallel()
			r, _ := newSSHRig(t)
			oddTree(t, r.src)
			cfg := r.config()
			cfg.Protocol = protocol
			r.mustPush(cfg)
			if protocol == 30 {
				truncateTimes(t, r.src)
			}
			r.equal()
			again := r.mustPush(cfg)
			if again.Stats.Transferred != 0 || again.Stats.Changed != 0 {
				t.Errorf("a second push changed %d names and sent %d files: %q", again.Stats.Changed, again.Stats.Transferred, r.items)
			}
		})
	}
}

// Changes and deletions arrive by each protocol, and by one connection.
func TestSSHPartial(t *testing.T) {
	for _, protocol := range []int{32, 31, 30} {
		t.Run(fmt.Sprint(protocol), func(t *testing.T) {
			t.Parallel()
			r, d := newSSHRig(t)
			for _, name := range []string{"keep", "gone", "d/keep", "d/gone", "gonedir/x/y"} {
				write(t, r.in(name), name)
			}
			cfg := r.config()
			cfg.Protocol, cfg.Delete, cfg.Keep = protocol, true, true
			s := r.syncer(cfg)
			r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
			big := noise(1, 1_000_000)
			write(t, r.in("big"), big)
			r.mustBeWhole(s.Push(t.Context(), batch("big")))
			remove(t, r.in("gone"), r.in("d/gone"), r.in("gonedir"))
			write(t, r.in("big"), big[:500_000]+"new"+big[500_000:])
			write(t, r.in("new/a b/'c'"), "x")
			rep, err := s.Push(t.Context(), batch("gone", "d/gone", "gonedir", "big", "new"))
			r.mustBeWhole(rep, err)
			if protocol == 30 {
				truncateTimes(t, r.src)
			}
			r.equal()
			if rep.Stats.Literal > 20_000 || rep.Stats.Matched == 0 {
				t.Errorf("literal %d, matched %d", rep.Stats.Literal, rep.Stats.Matched)
			}
			if n := strings.Count(d.Log(), "Accepted publickey"); n != 1 {
				t.Errorf("%d logins, want 1", n)
			}
		})
	}
}

// Names mean themselves on their way through a shell; only a tilde at the beginning is the home
// directory, and an empty path.
func TestSSHPaths(t *testing.T) {
	syncertest.SkipUnderRace(t, "forty pushes that differ in their quotes")
	r, _ := newSSHRig(t)
	write(t, r.in("f"), "x")
	top := r.dst
	for _, name := range []string{
		"with space", "  two  ", `quo"te'`, "b`tick`", `back\slash`, "$HOME", "$(touch x)", "star*", "quest?", "[abc]", "{a,b}", "~tilde", "a~b",
		"semi;colon", "a&b", "a|b", "a>b", "<a", "(a)", "#hash", "!bang", "new\nline", "\n", "tab\t", "-dash", "--delete", "=eq", "\xff\xfe", "ünï",
		"a:b", "%s", "^x", "*/[a-z]",
	} {
		r.dst = filepath.Join(top, name)
		mkdir(t, filepath.Dir(r.dst))
		cfg := r.config()
		cfg.Target.Path = r.dst
		r.mustPush(cfg)
		r.equal()
	}
	home := t.TempDir()
	for path, want := range map[string]string{"": "", "~": "", "~/": "", "~/a b*": "a b*", "-x": "-x", "--help": "--help", "rel/": "rel"} {
		r.dst = filepath.Join(home, want)
		cfg := r.config()
		cfg.Rsh, cfg.Target.Path = homeShell(t, home), path
		r.mustPush(cfg)
		if read(t, filepath.Join(r.dst, "f")) != "x" {
			t.Errorf("path %q", path)
		}
		remove(t, filepath.Join(r.dst, "f"))
	}
}

// homeShell is a remote shell that is none: it begins in the directory given, as ssh does in a home.
func homeShell(t *testing.T, home string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "my shell")
	text := fmt.Sprintf("[ \"$1\" = -l ] && shift 2\nshift\nHOME=%s\nexport HOME\ncd\nexec sh -c \"$*\"", home)
	return "'" + syncertest.Script(t, path, text) + "'"
}

func batch(names ...string) syncer.Batch {
	var b syncer.Batch
	for _, name := range names {
		b.Paths = append(b.Paths, syncer.Path{Name: name, Tree: true, Content: true})
	}
	return b
}

// What goes wrong is told with ssh's words, a hint, and the exit code that rsync has for it.
func TestSSHRefusals(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed.Close() }) // it is accepted by nobody, which ssh sees as a connection that hangs
	for _, tt := range []struct {
		name  string
		set   func(*testing.T, *syncer.Config, *syncertest.SSHD)
		code  syncer.Code
		texts []string
	}{
		{"key refused", func(t *testing.T, _ *syncer.Config, d *syncertest.SSHD) { must(t, d.LetIn(false)) }, 255,
			[]string{"Permission denied (publickey)", "authorized_keys"}},
		{"host key changed", func(t *testing.T, _ *syncer.Config, d *syncertest.SSHD) { must(t, d.TrustHost(false)) }, 255,
			[]string{"REMOTE HOST IDENTIFICATION HAS CHANGED", "Host key verification failed", "known_hosts"}},
		{"connection refused", func(t *testing.T, c *syncer.Config, _ *syncertest.SSHD) { c.Rsh += " -p 1" }, 255,
			[]string{"Connection refused", "is sshd running there"}},
		{"unknown host", func(t *testing.T, c *syncer.Config, _ *syncertest.SSHD) { c.Target.Host = "nowhere.invalid" }, 255,
			[]string{"Could not resolve hostname", "check the host's name"}},
		{"no answer", func(t *testing.T, c *syncer.Config, _ *syncertest.SSHD) {
			c.Rsh += fmt.Sprintf(" -p %d", closed.Addr().(*net.TCPAddr).Port)
			c.ConTimeout = time.Second
		}, 255, []string{"imed out"}},
		{"no rsync there", func(t *testing.T, c *syncer.Config, _ *syncertest.SSHD) { c.RsyncPath = "/nonexistent/rsync" }, 127,
			[]string{"/nonexistent/rsync", "--rsync-path"}},
		{"noisy shell", func(t *testing.T, c *syncer.Config, _ *syncertest.SSHD) { c.RsyncPath = "echo hello there; rsync" }, 2,
			[]string{"hello there", "is your shell clean?"}},
		{"no ssh", func(t *testing.T, c *syncer.Config, _ *syncertest.SSHD) { c.Rsh = "/nonexistent/ssh" }, 14,
			[]string{"/nonexistent/ssh", "-e says"}},
		{"path is missing", func(t *testing.T, c *syncer.Config, _ *syncertest.SSHD) { c.Target.Path += "/no/such" }, syncer.CodeFile,
			[]string{"mkdir"}},
	} {
		for _, keep := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, kept %v", tt.name, keep), func(t *testing.T) {
				t.Parallel()
				r, d := newSSHRig(t)
				write(t, r.in("f"), "x")
				cfg := r.config()
				cfg.Keep = keep
				tt.set(t, &cfg, d)
				rep, err := r.push(cfg)
				requireFailure(t, r, rep, err, tt.code, tt.texts...)
				if keep {
					return
				}
				args := []string{"-a", "-e", cfg.Rsh, r.src + "/", cfg.Target.String()}
				if cfg.RsyncPath != "" {
					args = append(args, "--rsync-path="+cfg.RsyncPath)
				}
				if cfg.ConTimeout != 0 {
					return // rsync has it for daemons only
				}
				// rsync does not wait for the shell: when that ends a moment after its pipes the code is 12.
				if out, code := r.rsync(args...); code != int(tt.code) && code != int(syncer.CodeStream) {
					t.Errorf("rsync's exit code is %d: %s", code, out)
				}
			})
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What the peer could not do makes the push partial, though it says so beside the protocol.
func TestSSHPartly(t *testing.T) {
	t.Parallel()
	r, _ := newSSHRig(t)
	write(t, r.in("a"), "x")
	write(t, r.in("b"), "x")
	write(t, r.at("b/in/the/way"), "x")
	cfg := r.config()
	rep, err := r.push(cfg)
	if code := syncer.ExitCode(rep, err); code != syncer.CodePartial || len(r.messages) == 0 {
		t.Errorf("exit code %d, %v, %+v, messages %q", code, err, rep, r.messages)
	}
	if read(t, r.at("a")) != "x" {
		t.Error("a did not arrive")
	}
	remove(t, r.in("b"), r.in("a"))
	write(t, r.in("keep"), "x")
	cfg.Delete, cfg.MaxDelete = true, 1
	rep, err = r.push(cfg)
	if code := syncer.ExitCode(rep, err); code != syncer.CodeMaxDelete || !rep.DeletesHeld {
		t.Errorf("exit code %d, %v, %+v, messages %q", code, err, rep, r.messages)
	}
}

// Many pushes go over one connection, and leave no process and no descriptor.
func TestSSHMany(t *testing.T) {
	r, d := newSSHRig(t)
	cfg := r.config()
	cfg.Keep = true
	s := r.syncer(cfg)
	write(t, r.in("f"), "first")
	r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
	files := descriptors(t)
	n := 200
	if testing.Short() || syncertest.UnderRace {
		n = 20
	}
	for i := range n {
		write(t, r.in("f"), fmt.Sprint("number ", i))
		r.mustBeWhole(s.Push(t.Context(), batch("f")))
	}
	r.equal()
	if now := descriptors(t); now > files {
		t.Errorf("%d open files after %d pushes, %d before", now, n, files)
	}
	if logins := strings.Count(d.Log(), "Accepted publickey"); logins != 1 {
		t.Errorf("%d logins, want 1", logins)
	}
	if left := children(t); len(left) > 2 { // sshd and the connection
		t.Errorf("children: %q", left)
	}
	must(t, s.Close())
	if left := children(t); len(left) > 1 {
		t.Errorf("children after Close: %q", left)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(fds)
}

// children are our child processes, zombies too.
func children(t *testing.T) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	var list []string
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) > 1 && fields[1] == fmt.Sprint(os.Getpid()) {
			list = append(list, string(text))
		}
	}
	return list
}

// A connection that is cut in the middle ends the push with an error; the next one has another.
func TestSSHCut(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("kept ", keep), func(t *testing.T) {
			t.Parallel()
			r, d := newSSHRig(t)
			relay := syncertest.StartRelay(t, d.Addr())
			write(t, r.in("big"), noise(1, 3_000_000))
			cfg := r.config()
			cfg.Keep = keep
			cfg.Rsh += fmt.Sprintf(" -p %d", relay.Port())
			s := r.syncer(cfg)
			relay.CutAfter(1_000_000)
			rep, err := s.Push(t.Context(), syncer.Full())
			if code := syncer.ExitCode(rep, err); code != 255 && code != syncer.CodeStream {
				t.Errorf("exit code %d, %v", code, err)
			}
			r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
			syncertest.RequireEqual(t, r.src, r.dst, syncertest.CompareOptions{Ignore: temporary})
		})
	}
}

// A push that is told to end ends, though the network is silent, and leaves no process.
func TestSSHCancel(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("kept ", keep), func(t *testing.T) {
			r, d := newSSHRig(t)
			relay := syncertest.StartRelay(t, d.Addr())
			write(t, r.in("big"), noise(1, 20_000_000))
			cfg := r.config()
			cfg.Keep = keep
			cfg.Rsh += fmt.Sprintf(" -p %d", relay.Port())
			s := r.syncer(cfg)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				defer cancel()
				for relay.Sent() < 1_000_000 && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
				relay.Stall()
			}()
			rep, err := s.Push(ctx, syncer.Full())
			if code := syncer.ExitCode(rep, err); code != syncer.CodeSignal || !errors.Is(err, context.Canceled) {
				t.Errorf("exit code %d, %v", code, err)
			}
			must(t, s.Close())
			if left := children(t); len(left) > 1 {
				t.Errorf("children after Close: %q", left)
			}
			relay.Resume()
		})
	}
}

// A daemon's module can be reached through a shell that starts the daemon.
func TestSSHDaemon(t *testing.T) {
	t.Parallel()
	r, _ := newSSHRig(t)
	conf := filepath.Join(t.TempDir(), "rsyncd.conf")
	text := fmt.Sprintf("use chroot = no\nmunge symlinks = no\n[m]\npath = %s\nread only = no\n", r.dst)
	if os.Geteuid() == 0 {
		text = "uid = root\ngid = root\n" + text
	}
	must(t, os.WriteFile(conf, []byte(text), 0o600))
	write(t, r.in("d/f"), "x")
	cfg := r.config()
	cfg.Target = syncer.Target{Host: cfg.Target.Host, Module: "m"}
	cfg.RsyncPath = "rsync --config=" + conf
	cfg.Keep = true
	s := r.syncer(cfg)
	r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
	write(t, r.in("d/g"), "y")
	r.mustBeWhole(s.Push(t.Context(), batch("d/g")))
	r.equal()
}

// A shell that is no ssh is run as it is, a process a push; a peer behind it that is old is
// spoken to as such.
func TestShellCustom(t *testing.T) {
	t.Parallel()
	r, _ := newSSHRig(t)
	for _, keep := range []bool{false, true} {
		cfg := r.config()
		cfg.Rsh, cfg.Target.User, cfg.Keep, cfg.ConTimeout = homeShell(t, r.dst), "somebody", keep, time.Minute
		write(t, r.in("f"), fmt.Sprint(keep))
		r.mustPush(cfg)
		r.equal()
	}
	silent := r.config()
	silent.Rsh, silent.ConTimeout = "sh -c 'cat >/dev/null'", 50*time.Millisecond
	rep, err := r.push(silent)
	requireFailure(t, r, rep, err, syncer.CodeConTimeout, "no rsync answers")
	for _, bad := range []func(*syncer.Config){
		func(c *syncer.Config) { c.Rsh = "'x" },
		func(c *syncer.Config) { c.Rsh, c.Family = "x", 4 },
	} {
		cfg := r.config()
		bad(&cfg)
		if _, err := syncer.New(cfg); syncer.ExitCode(syncer.Report{}, err) != syncer.CodeUsage {
			t.Errorf("error %v", err)
		}
	}
}
