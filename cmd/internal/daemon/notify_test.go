package daemon

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// manager is systemd's end of the socket.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return conn
}

func next(t *testing.T, conn *net.UnixConn, within time.Duration) string {
	t.Helper()
	buf := make([]byte, 4096)
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	n, err := conn.Read(buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

func TestNotify(t *testing.T) {
	conn := manager(t)
	var n Notifier
	for _, step := range []struct {
		tell func() error
		want string
	}{
		{Ready, `^READY=1$`},
		{func() error { return n.Status("in step\nREADY=1") }, `^STATUS=in step READY=1$`},
		{n.Reloading, `^RELOADING=1\nMONOTONIC_USEC=[0-9]+$`},
		{n.Stopping, `^STOPPING=1$`},
	} {
		if err := step.tell(); err != nil {
			t.Fatal(err)
		}
		if got := next(t, conn, patience); !regexp.MustCompile(step.want).MatchString(got) {
			t.Errorf("%q, want %q", got, step.want)
		}
	}
}

// Without a manager nothing happens, and nothing is wrong.
func TestNobodyToTell(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	var n Notifier
	for _, tell := range []func() error{Ready, func() error { return n.Status("x") }, n.Reloading, n.Stopping,
		func() error { return n.Watch(t.Context(), func() bool { return true }) }} {
		if err := tell(); err != nil {
			t.Error(err)
		}
	}
}

// The watchdog is fed while there is progress, and hungry when there is none.
func TestWatchdog(t *testing.T) {
	conn := manager(t)
	t.Setenv("WATCHDOG_USEC", "60000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	var alive atomic.Bool
	alive.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Notifier{}.Watch(ctx, alive.Load) }()
	for range 3 {
		if got := next(t, conn, patience); got != "WATCHDOG=1" {
			t.Fatalf("%q", got)
		}
	}
	alive.Store(false)
	for next(t, conn, 500*time.Millisecond) != "" { // what was on its way
	}
	if got := next(t, conn, 200*time.Millisecond); got != "" {
		t.Errorf("it is dead, and says %q", got)
	}
	alive.Store(true)
	if got := next(t, conn, patience); got != "WATCHDOG=1" {
		t.Errorf("it lives again, and says %q", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	t.Setenv("WATCHDOG_PID", "1")
	if err := (Notifier{}).Watch(context.Background(), func() bool { t.Error("it is another's"); return true }); err != nil {
		t.Error(err)
	}
}
