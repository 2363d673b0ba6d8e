package wire

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/rate"
)

// A limited connection is slow, but not idle: neither side's timeout ends it, and what the
// peer says arrives meanwhile.
func TestMuxLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, peer := start(t, time.Second, nil)
		m.AllowKeepAlive()
		m.Limit(rate.New(10_000))
		const size = 100_000
		got := make(chan time.Duration, 1)
		begin := time.Now()
		go func() {
			io.CopyN(io.Discard, peer, size) // headers are in it, so a few bytes are left
			got <- time.Since(begin)
			io.Copy(io.Discard, peer)
		}()
		go func() {
			time.Sleep(3 * time.Second)
			peer.Write(frame(TagData, "x"))
		}()
		if _, err := m.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
		if took := <-got; took < 9500*time.Millisecond || took > 10500*time.Millisecond {
			t.Errorf("%d bytes took %v", size, took)
		}
		if b, err := m.ReadByte(); b != 'x' || err != nil {
			t.Errorf("read %q, %v", b, err)
		}
	})
}

// A peer that does not read is still found out.
func TestMuxLimitTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := start(t, 2*time.Second, nil)
		m.Limit(rate.New(1000))
		m.Write(make([]byte, 10_000))
		begin := time.Now()
		if err := m.Flush(); !errors.Is(err, ErrTimeout) || time.Since(begin) > 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// The context ends the wait for the limit at once.
func TestMuxLimitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		go io.Copy(io.Discard, theirs)
		ctx, cancel := context.WithCancel(t.Context())
		m := NewMux(ctx, ours, bufio.NewReader(ours), time.Minute, nil)
		defer m.Close()
		m.Limit(rate.New(1))
		begin := time.Now()
		time.AfterFunc(1500*time.Millisecond, cancel)
		m.Write(make([]byte, 1000))
		if err := m.Flush(); !errors.Is(err, context.Canceled) || time.Since(begin) != 1500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if sent, _ := m.Counts(); sent > 100 {
			t.Errorf("%d bytes went out, most of them after the end", sent)
		}
	})
}
