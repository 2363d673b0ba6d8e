package syncer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
)

// reserve is a warm that opens one end of a pipe, or fails.
func reserve(t *testing.T, fail *error) (*warm, chan net.Conn) {
	t.Helper()
	far := make(chan net.Conn, 100)
	w := newWarm(func(context.Context) (*greeted, error) {
		if *fail != nil {
			return nil, *fail
		}
		near, other := net.Pipe()
		far <- other
		return &greeted{conn: near}, nil
	})
	t.Cleanup(w.close)
	return w, far
}

// A daemon that has no place is not asked for one in reserve for a while; another error is
// forgotten with the next push.
func TestWarmPauses(t *testing.T) {
	fail := fmt.Errorf("refused: %w", sender.ErrBusy)
	w, _ := reserve(t, &fail)
	w.prepare()
	if g := w.take(t.Context()); g != nil {
		t.Fatal("a connection that was refused")
	}
	if w.prepare(); w.keeper != nil {
		t.Error("it asks again at once")
	}
	w.quiet = time.Now()
	fail = errors.New("something else")
	for range 2 {
		w.prepare()
		if w.keeper == nil {
			t.Fatal("it does not ask again")
		}
		if g := w.take(t.Context()); g != nil {
			t.Fatal("a connection that failed")
		}
	}
}

// What the daemon closed is replaced, and the next one renewed in time; one that closes at once
// is left alone.
func TestWarmRenews(t *testing.T) {
	var none error
	w, far := reserve(t, &none)
	w.life = 20 * time.Millisecond
	w.prepare()
	if _, err := (<-far).Read(make([]byte, 1)); err == nil {
		t.Error("it speaks")
	}
	second := <-far // it comes because the first was given up
	g := w.take(t.Context())
	if g == nil {
		t.Fatal("no connection")
	}
	g.conn.Close()
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("it is not the second that was taken")
	}
	w.prepare()
	(<-far).Close()
	for !w.rests() {
		runtime.Gosched()
	}
	if g := w.take(t.Context()); g != nil {
		t.Error("a daemon that closes at once is asked again")
	}
}

func TestWarmLearns(t *testing.T) {
	for _, tt := range []struct {
		life, lived time.Duration
		longer      bool
		want        time.Duration
		rests       bool
	}{
		{warmLife, 10 * time.Second, false, 8 * time.Second, false},
		{8 * time.Second, 8 * time.Second, true, 10 * time.Second, false},
		{warmLife, warmLife, true, warmLife, false},
		{5 * time.Second, 40 * time.Second, false, 4 * time.Second, false},
		{warmLife, 3 * time.Second, false, warmLeast, false},
		{warmLife, time.Second, false, warmLife, true},
	} {
		w := newWarm(nil)
		w.life = tt.life
		w.learn(tt.lived, tt.longer)
		if w.life != tt.want || w.rests() != tt.rests {
			t.Errorf("%+v: life %v, rests %v", tt, w.life, w.rests())
		}
	}
}
