package syncer

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// nameServer answers each question for an address with 127.0.0.1, or with the code that is set.
type nameServer struct {
	conn net.PacketConn
	code atomic.Int32 // RFC 1035: 0 no error, 2 server failure, 3 no such name
}

func startNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if n > 12 {
				conn.WriteTo(s.answer(buf[:n]), from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return s
}

// answer is a message with the question as it came (RFC 1035, 4.1).
func (s *nameServer) answer(query []byte) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5
	code := uint16(s.code.Load())
	isA := binary.BigEndian.Uint16(query[end-4:]) == 1
	b := append([]byte{}, query[:end]...)
	binary.BigEndian.PutUint16(b[2:], 0x8180|code)
	clear(b[6:12])
	if code == 0 && isA {
		b[7] = 1
		b = append(b, 0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return b
}

func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

// held is a feed of one batch that comes back.
type held struct {
	batch Batch
	some  bool
	back  <-chan struct{}
	hold  time.Duration
}

func (f *held) Next(ctx context.Context) (Batch, error) {
	if !f.some {
		<-ctx.Done()
		return Batch{}, context.Cause(ctx)
	}
	f.some = false
	if f.hold > 0 {
		t := time.NewTimer(f.hold)
		defer t.Stop()
		select {
		case <-t.C:
		case <-f.back:
		}
	}
	return f.batch, nil
}

func (f *held) Defer(Batch, time.Duration)                 { f.some = true }
func (f *held) Hold(d time.Duration, back <-chan struct{}) { f.hold, f.back = d, back }

// Names are looked up anew for each attempt: it goes on when they are there, whatever was wrong before.
func TestOutageDNS(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		code  int32
		class Class
		words string
	}{
		{"servers fail", 2, ClassTransient, "/etc/resolv.conf"},
		{"no such name", 3, ClassConfiguration, "box.test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
			write(t, filepath.Join(src, "f"), "x")
			write(t, filepath.Join(dst, "f"), "not yet")
			d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{{Name: "m", Path: dst}}})
			names := startNameServer(t)
			names.code.Store(tt.code)
			s, err := New(Config{Source: src + "/", Target: Target{Host: "box.test", Port: d.Port(), Module: "m"}, Options: Archive(), Keep: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			s.target.(*remote).link.(*daemon).dialer.Resolver = names.resolver()
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("it does not go on"))
			defer cancel()
			failed := 0
			enough := errors.New("enough")
			ctx, end := context.WithCancelCause(ctx)
			defer end(nil)
			err = s.Run(ctx, &held{batch: Full(), some: true}, func(o Outcome) {
				switch {
				case o.Err == nil:
					end(enough)
				case o.Class != tt.class || !strings.Contains(o.Remedy, tt.words):
					t.Errorf("%v: %v: %s", o.Err, o.Class, o.Remedy)
				default:
					if failed++; failed == 2 {
						names.code.Store(0)
					}
				}
			})
			if !errors.Is(err, enough) {
				t.Fatal(err)
			}
			if failed < 2 {
				t.Errorf("%d pushes failed", failed)
			}
			syncertest.RequireSoonEqual(t, 10*time.Second, src, dst, syncertest.CompareOptions{IgnoreOwners: true})
		})
	}
}
