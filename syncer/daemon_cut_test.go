package syncer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// meddle stands between us and the daemon; up sees what goes up, and may change its bytes.
func meddle(t *testing.T, target string, up func([]byte)) string {
	t.Helper()
	return peer(t, func(client net.Conn) {
		server, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer server.Close()
		var wg sync.WaitGroup
		wg.Go(func() {
			io.Copy(client, server)
			client.(*net.TCPConn).CloseWrite()
		})
		buf := make([]byte, 32<<10)
		for {
			n, err := client.Read(buf)
			up(buf[:n])
			if _, werr := server.Write(buf[:n]); err != nil || werr != nil {
				break
			}
		}
		server.(*net.TCPConn).CloseWrite()
		wg.Wait()
	})
}

// A file that arrives damaged is asked for again, once.
func TestInteropRedo(t *testing.T) {
	for _, tt := range []struct {
		name   string
		flips  int32
		code   syncer.Code
		basis  bool
		copies int64 // how often its bytes were sent
	}{
		{name: "new", flips: 1, code: syncer.CodeOK, copies: 2},
		{name: "changed", flips: 1, code: syncer.CodeOK, basis: true, copies: 1},
		{name: "damaged twice", flips: 2, code: syncer.CodePartial, copies: 2},
	} {
		for _, protocol := range []int{30, 32} {
			t.Run(fmt.Sprint(tt.name, protocol), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				const marker = "<flip a byte of this marker>"
				content := noise(1, 40_000) + marker + noise(2, 100_000)
				write(t, r.in("a"), "before")
				write(t, r.in("file"), content)
				write(t, r.in("z"), "behind")
				if tt.basis {
					write(t, r.at("file"), strings.Replace(content, marker, "<flip a byte of that marker>", 1))
				}
				truncateTimes(t, r.src)
				var left atomic.Int32
				left.Store(tt.flips)
				cfg := r.config()
				cfg.Protocol = protocol
				pointAt(t, &cfg, meddle(t, r.daemon.Addr(), func(b []byte) {
					if i := bytes.Index(b, []byte(marker)); i >= 0 && left.Add(-1) >= 0 {
						b[i+1] ^= 0x20
					}
				}))
				rep, err := r.push(cfg)
				if code := syncer.ExitCode(rep, err); code != tt.code {
					t.Errorf("exit code %d, want %d; error %v, messages %q", code, tt.code, err, r.messages)
				}
				if left.Load() > 0 {
					t.Fatal("the marker did not pass")
				}
				if want := tt.copies*int64(len(content)) - 5_000; !tt.basis && rep.Stats.Literal < want {
					t.Errorf("%d literal bytes, want at least %d", rep.Stats.Literal, want)
				}
				if tt.code == syncer.CodeOK {
					r.equal()
					return
				}
				if exists(t, r.at("file")) {
					t.Error("a damaged file is on the target")
				}
				if all := strings.Join(r.messages, "\n"); !strings.Contains(all, "failed verification") {
					t.Errorf("messages %q", r.messages)
				}
			})
		}
	}
}

// A file that changes while it is read is told, and another push makes it equal.
func TestInteropChanging(t *testing.T) {
	const size = 5_000_000
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, name string)
	}{
		{"grows", func(t *testing.T, name string) { appendTo(t, name, "more") }},
		{"shrinks", func(t *testing.T, name string) { truncate(t, name, size/3) }},
		{"is emptied", func(t *testing.T, name string) { truncate(t, name, 0) }},
		{"is rewritten", func(t *testing.T, name string) { write(t, name, noise(7, size)) }},
		{"is rewritten, its time set back", func(t *testing.T, name string) {
			write(t, name, noise(7, size))
			touch(t, name, old())
		}},
		{"is replaced", func(t *testing.T, name string) {
			write(t, name+".tmp", noise(8, size))
			touch(t, name+".tmp", old())
			rename(t, name+".tmp", name)
		}},
		{"is touched", func(t *testing.T, name string) { touch(t, name, time.Now()) }},
		{"is chmodded", func(t *testing.T, name string) { chmod(t, name, 0o600) }},
		{"is deleted", func(t *testing.T, name string) { remove(t, name) }},
		{"becomes a directory", func(t *testing.T, name string) { remove(t, name); write(t, name+"/f", "x") }},
	} {
		for _, basis := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s basis %v", tt.name, basis), func(t *testing.T) {
				r := newRig(t)
				write(t, r.in("d/file"), noise(1, size))
				if basis {
					write(t, r.at("d/file"), noise(1, size/2))
				}
				touch(t, r.in("d/file"), old())
				cfg := r.config()
				cfg.Delete, cfg.Keep = true, true
				once := sync.Once{}
				cfg.Sink.Progress = func(p syncer.Progress) {
					if p.Done >= size/10 && p.File == "d/file" {
						once.Do(func() { tt.change(t, r.in("d/file")) })
					}
				}
				s := r.syncer(cfg)
				rep, err := s.Push(t.Context(), syncer.Full())
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(rep.Changed, []string{"d/file"}) || len(rep.Problems) > 0 {
					t.Errorf("changed %q, problems %v, want the file in changed", rep.Changed, rep.Problems)
				}
				rep, err = s.Push(t.Context(), syncer.Batch{Paths: tree("d/file")})
				r.mustBeWhole(rep, err)
				r.equal()
			})
		}
	}
}

func appendTo(t *testing.T, name, more string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(more)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, name string, size int64) {
	t.Helper()
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
}

// What vanishes between the list and its turn is told as vanished: exit code 24, as rsync's.
func TestInteropVanished(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, name string){
		"gone":             func(t *testing.T, name string) { remove(t, name) },
		"with its parent":  func(t *testing.T, name string) { remove(t, filepath.Dir(name)) },
		"a directory now":  func(t *testing.T, name string) { remove(t, name); mkdir(t, name) },
		"a symlink now":    func(t *testing.T, name string) { remove(t, name); link(t, "/etc/passwd", name) },
		"a FIFO now":       func(t *testing.T, name string) { remove(t, name); fifo(t, name) },
		"parent a symlink": func(t *testing.T, name string) { remove(t, filepath.Dir(name)); link(t, "/etc", filepath.Dir(name)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			write(t, r.in("a"), "x")
			write(t, r.in("z/passwd"), "x")
			write(t, r.in("z/stays"), "x")
			cfg := r.config()
			inner := cfg.Sink.Item
			cfg.Sink.Item = func(it syncer.Item) {
				inner(it)
				if it.Name == "a" {
					change(t, r.in("z/passwd"))
				}
			}
			rep, err := r.push(cfg)
			if code := syncer.ExitCode(rep, err); code != syncer.CodeVanished {
				t.Errorf("exit code %d, want %d: error %v, problems %v, messages %q", code, syncer.CodeVanished, err, rep.Problems, r.messages)
			}
			if len(rep.Problems) == 0 || rep.Problems[0].Path != "z/passwd" || !rep.Problems[0].Vanished() {
				t.Errorf("problems %v", rep.Problems)
			}
			if exists(t, r.at("z/passwd")) {
				t.Error("something arrived")
			}
			rep, err = r.push(r.config()) // without the hook
			r.mustBeWhole(rep, err)
		})
	}
}

// What cannot be read is told, everything else arrives, and nothing is deleted for it.
func TestInteropUnreadable(t *testing.T) {
	needRoot(t)
	r := newRig(t)
	for _, n := range []string{"a", "secret", "z", "dir/f", "sub/open"} {
		write(t, r.in(n), "new "+n)
	}
	for _, n := range []string{"secret", "dir/old", "dir/f", "gone"} {
		write(t, r.at(n), "old")
	}
	chmod(t, r.in("secret"), 0)
	chmod(t, r.in("dir"), 0)
	cfg := r.config()
	cfg.Delete = true
	s := r.syncer(cfg)
	var rep syncer.Report
	var err error
	withoutOverride(t, func() { rep, err = s.Push(t.Context(), syncer.Full()) })
	if code := syncer.ExitCode(rep, err); code != syncer.CodePartial {
		t.Errorf("exit code %d, want %d: %v", code, syncer.CodePartial, err)
	}
	bad := map[string]bool{}
	for _, p := range rep.Problems {
		bad[p.Path] = errors.Is(p.Err, fs.ErrPermission)
	}
	if len(bad) != 2 || !bad["secret"] || !bad["dir"] {
		t.Errorf("problems %v", rep.Problems)
	}
	for n, want := range map[string]string{"secret": "old", "dir/old": "old", "dir/f": "old", "a": "new a", "z": "new z", "sub/open": "new sub/open"} {
		if got := read(t, r.at(n)); got != want {
			t.Errorf("%q is %q, want %q", n, got, want)
		}
	}
	if exists(t, r.at("gone")) {
		t.Error("what is gone elsewhere was not deleted")
	}
	rep, err = r.push(cfg)
	r.mustBeWhole(rep, err)
	r.equal()
}

// withoutOverride runs f in a thread that has no right to read what permissions forbid; the
// thread ends with it (capabilities(7): they belong to threads).
func withoutOverride(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		err := unix.Capget(&hdr, &caps[0])
		if err == nil {
			caps[0].Effective &^= 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH
			err = unix.Capset(&hdr, &caps[0])
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Skip("capset: ", err)
	}
}

// The connection may end after any byte, in either direction: the push ends with an error, at once
// and without a goroutine left, and the next one makes the trees equal.
func TestInteropCut(t *testing.T) {
	r := newRig(t)
	top := r.dst
	// Each try has a place of its own on the target: the daemon is still at work on the last one.
	build := func(try string) syncer.Config {
		r.dst = filepath.Join(top, try)
		for i := range 12 {
			name := fmt.Sprintf("d%d/f%d", i%3, i)
			write(t, r.at(name), noise(uint64(i), 50+i*2900))
		}
		write(t, r.at("gone"), "x")
		cfg := r.config()
		cfg.Delete, cfg.Target.Path, cfg.Timeout = true, try, 20*time.Second
		return cfg
	}
	for i := range 12 {
		write(t, r.in(fmt.Sprintf("d%d/f%d", i%3, i)), noise(uint64(i), 100+i*3000))
	}
	// How many bytes travel when nothing is cut.
	cfg := build("whole")
	relay := syncertest.StartRelay(t, r.daemon.Addr())
	pointAt(t, &cfg, relay.Addr())
	r.mustPush(cfg)
	r.equal()
	up, down := relay.Sent(), relay.Received()

	try := func(n int64, direction string, cut func(int64)) {
		cfg := build(fmt.Sprint(n, direction))
		pointAt(t, &cfg, relay.Addr())
		cut(n)
		begin := time.Now()
		rep, err := r.push(cfg)
		switch code := syncer.ExitCode(rep, err); {
		case err == nil:
			t.Errorf("cut after %d bytes %s: no error, report %+v", n, direction, rep)
		case code != syncer.CodeStart && code != syncer.CodeSocket && code != syncer.CodeStream:
			t.Errorf("cut after %d bytes %s: exit code %d, %v", n, direction, code, err)
		case time.Since(begin) > 10*time.Second:
			t.Errorf("cut after %d bytes %s: it took %v to see it", n, direction, time.Since(begin))
		}
		cut(1 << 40) // never, if it was not reached
		if n%5 == 0 {
			r.mustPush(cfg)
			syncertest.RequireEqual(t, r.src, r.dst, syncertest.CompareOptions{Ignore: temporary})
		}
	}
	for _, lane := range []struct {
		direction string
		total     int64
		cut       func(int64)
	}{{"up", up, relay.CutAfter}, {"down", down, relay.CutAfterReceived}} {
		for n := int64(0); n < lane.total; n += 1 + n/7 {
			try(n, lane.direction, lane.cut)
		}
		for n := lane.total - 25; n < lane.total; n++ { // the goodbye
			try(n, lane.direction, lane.cut)
		}
	}
}

// temporary says whether a name is a temporary file of rsync: ".name.XXXXXX".
func temporary(name string) bool {
	base := filepath.Base(name)
	return base[0] == '.' && len(base) > 8 && base[len(base)-7] == '.'
}

// A peer that goes silent in the middle is given up after --timeout.
func TestInteropStall(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   int64 // bytes that go up before
		own  time.Duration
		conf string
	}{
		{name: "in the dialog", at: 10, own: time.Second},
		{name: "in a file", at: 100_000, own: time.Second},
		{name: "in a file, the daemon's own timeout", at: 100_000, conf: "timeout = 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *syncertest.DaemonConfig) {
				if tt.conf != "" {
					c.Modules[0].Extra = []string{tt.conf}
				}
			})
			write(t, r.in("big"), noise(1, 30_000_000))
			relay := syncertest.StartRelay(t, r.daemon.Addr())
			relay.Limit(8 << 20)
			cfg := r.config()
			cfg.Timeout = tt.own
			pointAt(t, &cfg, relay.Addr())
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			wg.Go(func() {
				for relay.Sent() < tt.at && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
				relay.Stall()
			})
			begin := time.Now()
			rep, err := r.push(cfg)
			requireFailure(t, r, rep, err, syncer.CodeTimeout)
			if took := time.Since(begin); took < time.Second || took > 8*time.Second {
				t.Errorf("it took %v", took)
			}
			relay.Resume()
		})
	}
}

// A cancelled push ends at once, wherever it is.
func TestInteropCancel(t *testing.T) {
	r := newRig(t)
	write(t, r.in("big"), noise(1, 10_000_000))
	for _, at := range []int64{0, 20, 200, 1_000_000} {
		relay := syncertest.StartRelay(t, r.daemon.Addr())
		relay.Limit(4 << 20)
		cfg := r.config()
		cfg.Timeout = time.Minute
		pointAt(t, &cfg, relay.Addr())
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for relay.Sent() < at {
				time.Sleep(time.Millisecond)
			}
			if at == 20 {
				relay.Stall()
			}
			cancel()
		})
		rep, err := r.syncer(cfg).Push(ctx, syncer.Full())
		requireFailure(t, r, rep, err, syncer.CodeSignal)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		wg.Wait()
		relay.Resume()
	}
	if exists(t, r.at("big")) {
		t.Error("half a file is on the target under its name")
	}
}

// A daemon that is killed in the middle.
func TestInteropDaemonKilled(t *testing.T) {
	r := newRig(t)
	write(t, r.in("big"), noise(1, 30_000_000))
	cfg := r.config()
	var once sync.Once
	cfg.Sink.Progress = func(p syncer.Progress) {
		if p.Done > 10_000_000 {
			once.Do(func() {
				if err := r.daemon.Kill(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	rep, err := r.push(cfg)
	code := syncer.ExitCode(rep, err)
	if err == nil || code != syncer.CodeStream && code != syncer.CodeSocket {
		t.Errorf("exit code %d, error %v", code, err)
	}
	t.Log(err)
	if err := r.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	r.mustPush(r.config())
	syncertest.RequireEqual(t, r.src, r.dst, syncertest.CompareOptions{Ignore: temporary, IgnoreTopTimes: true})
}

// A full disk on the target.
func TestInteropDiskFull(t *testing.T) {
	needRoot(t)
	r := newRig(t)
	if err := unix.Mount("tmpfs", r.dst, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(r.dst, unix.MNT_DETACH) })
	write(t, r.in("a"), "small")
	write(t, r.in("big"), noise(1, 8_000_000))
	rep, err := r.push(r.config())
	requireFailure(t, r, rep, err, syncer.CodeFile, "No space left")
	sameCodeAsRsync(t, r, r.config(), syncer.CodeFile)
	if exists(t, r.at("big")) {
		t.Error("half a file is on the target under its name")
	}
}
