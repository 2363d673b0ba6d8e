package syncer_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// A daemon that was down for seconds has the next push within about a second of its return.
func TestOutageDaemonDown(t *testing.T) {
	r := newRunning(t)
	var late time.Duration
	for range 3 { // the machine may be busy
		must(t, r.daemon.Kill())
		r.change("d/f", "changed while it was down")
		r.fails(syncer.ClassTransient, "start rsync --daemon on 127.0.0.1", fmt.Sprint(r.daemon.Port()))
		r.fails(syncer.ClassTransient)
		if third := r.fails(syncer.ClassTransient); third.Retry < 2*time.Second {
			t.Fatalf("retry in %v: it proves nothing", third.Retry)
		}
		must(t, r.daemon.Start())
		back := time.Now()
		if late = r.succeeds().began.Sub(back); late < 1200*time.Millisecond {
			break
		}
	}
	if late >= 1200*time.Millisecond {
		t.Errorf("the push began %v after the daemon's return", late)
	}
	r.equal()
}

// What answers and then fails is not asked every second.
func TestOutageBackoffOfWhatAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		say   string
		class syncer.Class
	}{
		"refuses":        {"@RSYNCD: 32.0 md5\n@ERROR: auth failed on module m\n", syncer.ClassConfiguration},
		"is full":        {"@RSYNCD: 32.0 md5\n@ERROR: max connections (1) reached -- try again later\n", syncer.ClassTransient},
		"closes":         {"", syncer.ClassTransient},
		"is no daemon":   {"SSH-2.0-x\n", syncer.ClassConfiguration},
		"speaks nothing": {"@RSYNCD: 20.0\n", syncer.ClassConfiguration},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			addr := peer(t, func(c net.Conn) {
				asked.Add(1)
				io.WriteString(c, tt.say)
			})
			r := &rig{t: t, src: t.TempDir()}
			write(t, r.in("f"), "x")
			cfg := syncer.Config{Source: r.src + "/", Target: syncer.Target{Module: "m"}, Options: syncer.Archive(), Sink: r.sink()}
			pointAt(t, &cfg, addr)
			run := r.start(cfg)
			run.feed.add(syncer.Path{Name: ".", Tree: true})
			for range 3 { // at 0 s, 1 s and 3 s
				run.fails(tt.class)
			}
			if n := asked.Load(); n != 3 {
				t.Errorf("%d connections for three pushes", n)
			}
		})
	}
}

// A daemon that hangs holds a push for its timeout, and is served when it goes on.
func TestOutageDaemonStopped(t *testing.T) {
	r := newRunningTimeout(t, 700*time.Millisecond)
	must(t, r.daemon.Signal(unix.SIGSTOP))
	r.change("d/f", "changed while it hung")
	e := r.fails(syncer.ClassTransient, "127.0.0.1 is silent", "--timeout")
	if e.Took > 10*time.Second {
		t.Errorf("the push took %v", e.Took)
	}
	must(t, r.daemon.Signal(unix.SIGCONT))
	r.converges()
}

// A network that drops everything, in the middle of a push and before one.
func TestOutageNetworkSilent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	relay := syncertest.StartRelay(t, r.daemon.Addr())
	write(t, r.in("f"), "first")
	cfg := r.config()
	cfg.Timeout = 700 * time.Millisecond
	pointAt(t, &cfg, relay.Addr())
	run := r.run(cfg)
	relay.Stall()
	run.change("f", "second")
	run.fails(syncer.ClassTransient, "is silent")
	relay.Resume()
	run.converges()
	relay.Limit(2_000_000)
	run.change("big", noise(1, 3_000_000))
	sent := relay.Sent()
	eventually(t, "data on the way", func() bool { return relay.Sent() > sent+500_000 })
	relay.Stall()
	run.fails(syncer.ClassTransient, "is silent")
	relay.Limit(0)
	relay.Resume()
	run.converges()
}

// A connection that was kept warm and died without a sign costs its push some time, and nothing else.
func TestOutageWarmForgotten(t *testing.T) {
	r, relay, s := newWarmRigWith(t, func(c *syncer.Config) { c.Timeout = time.Second })
	relay.Forget()
	write(t, r.in("d/f"), "second")
	start := time.Now()
	r.mustBeWhole(s.Push(t.Context(), batch("d/f")))
	if took := time.Since(start); took < 900*time.Millisecond || took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	r.equal()
}

// A peer that says a byte now and then is not silent, and would never be done.
func TestOutageTrickle(t *testing.T) {
	for name, say := range map[string]string{
		"greeting":           "@RSYNCD: " + strings.Repeat("3", 1000),
		"message of the day": "@RSYNCD: 32.0 md5\n" + strings.Repeat("hello\n", 200),
		"setup":              "@RSYNCD: 32.0 md5\n@RSYNCD: OK\n\x81\xfe\x7f" + strings.Repeat("md5 ", 250),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := peer(t, func(c net.Conn) {
				for b := range bytes.SplitSeq([]byte(say), nil) {
					if _, err := c.Write(b); err != nil {
						return
					}
					time.Sleep(30 * time.Millisecond) // that is what it is
				}
			})
			r := &rig{t: t, src: t.TempDir()}
			write(t, r.in("f"), "x")
			cfg := syncer.Config{Source: r.src + "/", Target: syncer.Target{Module: "m"}, Options: syncer.Archive(), Sink: r.sink()}
			pointAt(t, &cfg, addr)
			cfg.Timeout = 400 * time.Millisecond
			start := time.Now()
			rep, err := r.push(cfg)
			requireFailure(t, r, rep, err, syncer.CodeTimeout)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			if class, remedy := syncer.Classify(err); class != syncer.ClassTransient || !strings.Contains(remedy, "is silent") {
				t.Errorf("%v: %s", class, remedy)
			}
		})
	}
}

// What is wrong with the daemon's module is named, and goes on when it is mended.
func TestOutageModule(t *testing.T) {
	edit := func(r *running, old, new string) {
		r.t.Helper()
		name := r.daemon.ConfigFile()
		text, err := os.ReadFile(name)
		must(r.t, err)
		changed := strings.Replace(string(text), old, new, 1)
		if changed == string(text) {
			r.t.Fatalf("%q is not in\n%s", old, text)
		}
		must(r.t, os.WriteFile(name, []byte(changed), 0o600)) // a daemon reads it for each connection
	}
	for _, tt := range []struct {
		name        string
		spoil, mend func(*running)
		class       syncer.Class
		words       []string
	}{
		{"turns read-only", func(r *running) { edit(r, "read only = no", "read only = yes") },
			func(r *running) { edit(r, "read only = yes", "read only = no") },
			syncer.ClassConfiguration, []string{"read only = no", "module m", "127.0.0.1"}},
		{"is renamed", func(r *running) { edit(r, "[m]", "[n]") }, func(r *running) { edit(r, "[n]", "[m]") },
			syncer.ClassConfiguration, []string{"the name m", "rsyncd.conf"}},
		{"is forbidden", func(r *running) { edit(r, "read only = no", "read only = no\nhosts deny = *") },
			func(r *running) { edit(r, "hosts deny = *", "") },
			syncer.ClassConfiguration, []string{"hosts allow", "module m"}},
		{"wants a password", func(r *running) { edit(r, "read only = no", "read only = no\nauth users = x") },
			func(r *running) { edit(r, "auth users = x", "") },
			syncer.ClassConfiguration, []string{"--password-file", "module m"}},
		{"refuses an option", func(r *running) { edit(r, "read only = no", "read only = no\nrefuse options = delete") },
			func(r *running) { edit(r, "refuse options = delete", "") },
			syncer.ClassConfiguration, []string{"--delete", "refuse options"}},
		{"loses its directory", func(r *running) { must(r.t, os.Rename(r.dst, r.dst+".away")) },
			func(r *running) { must(r.t, os.Rename(r.dst+".away", r.dst)) },
			syncer.ClassOperator, []string{"mount or make", "module m"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRunning(t, func(c *syncertest.DaemonConfig) {
				c.Chroot = c.Chroot && tt.name != "is forbidden"
			})
			tt.spoil(r)
			// The connection that is kept warm was let in before.
			must(t, r.daemon.Restart())
			write(t, r.in("d/f"), "changed")
			r.feed.add(syncer.Path{Name: ".", Tree: true}) // as a whole, for what is refused may be --delete
			r.fails(tt.class, tt.words...)
			tt.mend(r)
			r.converges()
		})
	}
}

func TestOutageMaxConnections(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *syncertest.DaemonConfig) { c.Modules[0].Extra = []string{"max connections = 1"} })
	write(t, r.in("f"), "first")
	cfg := r.config()
	cfg.NoPrewarm = true
	run := r.run(cfg)
	hold, err := net.Dial("tcp", r.daemon.Addr())
	must(t, err)
	defer hold.Close()
	fmt.Fprintf(hold, "@RSYNCD: 32.0 sha512\nm\n")
	var got []byte
	for b := make([]byte, 256); !bytes.Contains(got, []byte("@RSYNCD: OK")); {
		n, err := hold.Read(b)
		must(t, err)
		if got = append(got, b[:n]...); bytes.Contains(got, []byte("@ERROR")) { // the last push's is not gone yet
			hold.Close()
			hold, err = net.Dial("tcp", r.daemon.Addr())
			must(t, err)
			fmt.Fprintf(hold, "@RSYNCD: 32.0 sha512\nm\n")
			got = nil
		}
	}
	run.change("f", "second")
	run.fails(syncer.ClassTransient, "max connections of module m")
	hold.Close()
	run.converges()
}
