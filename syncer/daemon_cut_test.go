package syncer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
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

// The connection may end after any byte, in either direction: the push ends with an error, at once
// and without a goroutine left, and the next one makes the trees equal.
func TestInteropCut(t *testing.T) {
	for _, pieces := range []bool{true, false} {
		t.Run(fmt.Sprintf("a list in pieces %v", pieces), func(t *testing.T) {
			t.Parallel()
			cutAnywhere(t, pieces)
		})
	}
}

func cutAnywhere(t *testing.T, pieces bool) {
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
		if !pieces {
			cfg.Sink.Progress = func(syncer.Progress) {} // which wants to know the whole
		}
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

	frames := int64(0)
	if pieces {
		// When the source was read decides into how many frames, of four bytes each, it falls.
		frames = 20 * 4
	}
	try := func(n, total int64, direction string, cut func(int64)) {
		cfg := build(fmt.Sprint(n, direction))
		pointAt(t, &cfg, relay.Addr())
		cut(n)
		begin := time.Now()
		rep, err := r.push(cfg)
		switch code := syncer.ExitCode(rep, err); {
		case err == nil && total-n < frames:
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
	apart := int64(7)
	if syncertest.UnderRace {
		apart = 3 // where it is cut matters less than what runs beside it
	}
	for _, lane := range []struct {
		direction string
		total     int64
		cut       func(int64)
	}{{"up", up, relay.CutAfter}, {"down", down, relay.CutAfterReceived}} {
		for n := int64(0); n < lane.total; n += 1 + n/apart {
			try(n, lane.total, lane.direction, lane.cut)
		}
		for n := lane.total - 25; n < lane.total; n++ { // the goodbye
			try(n, lane.total, lane.direction, lane.cut)
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
