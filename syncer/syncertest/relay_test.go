package syncertest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// echoServer sends back what it gets, until it gets the end.
func echoServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				io.Copy(conn, conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		wg.Wait()
	})
	return listener.Addr().String()
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn.(*net.TCPConn)
}

// ask sends and waits for the echo.
func ask(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	must(t, err)
	buf := make([]byte, len(text))
	if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != text {
		t.Fatalf("echo of %q is %q, %v", text, buf, err)
	}
}

func TestRelayForwardsAndCounts(t *testing.T) {
	r := StartRelay(t, echoServer(t))
	conn := dial(t, r.Addr())
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() {
		conn.Write(want)
		conn.CloseWrite() // the end goes through, and the other direction stays open
	}()
	got, err := io.ReadAll(conn)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes came back, not the %d sent", len(got), len(want))
	}
	if r.Sent() != int64(len(want)) || r.Received() != int64(len(want)) || r.Connections() != 1 {
		t.Errorf("counted %d up, %d down, %d connections", r.Sent(), r.Received(), r.Connections())
	}
}

func TestRelayCut(t *testing.T) {
	r := StartRelay(t, echoServer(t))
	one, two := dial(t, r.Addr()), dial(t, r.Addr())
	ask(t, one, "a")
	ask(t, two, "b")
	r.Cut()
	for _, conn := range []net.Conn{one, two} {
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read after the cut: %d, %v", n, err)
		}
	}
	ask(t, dial(t, r.Addr()), "new connections work")
}

func TestRelayCutAfter(t *testing.T) {
	for _, n := range []int64{0, 1, 5, 999} {
		// A server that counts tells what really arrived.
		got := make(chan int64)
		r := StartRelay(t, server(t, func(conn net.Conn) {
			n, _ := io.Copy(io.Discard, conn)
			got <- n
		}))
		r.CutAfter(n)
		conn := dial(t, r.Addr())
		conn.Write(make([]byte, 1000))
		if m := <-got; m != n {
			t.Errorf("CutAfter(%d): %d bytes arrived", n, m)
		}
		if r.Sent() != n {
			t.Errorf("CutAfter(%d): Sent is %d", n, r.Sent())
		}
		// Once only.
		conn = dial(t, r.Addr())
		conn.Write(make([]byte, 1000))
		must(t, conn.CloseWrite())
		if m := <-got; m != 1000 {
			t.Errorf("after CutAfter(%d): %d bytes arrived", n, m)
		}
	}
}

func TestRelayCutAfterReceived(t *testing.T) {
	r := StartRelay(t, server(t, func(conn net.Conn) { io.WriteString(conn, strings.Repeat("x", 1000)) }))
	r.CutAfterReceived(321)
	got, _ := io.ReadAll(dial(t, r.Addr()))
	if len(got) != 321 || r.Received() != 321 {
		t.Errorf("%d bytes came, Received is %d", len(got), r.Received())
	}
}

// server runs serve for each connection and waits for it at the end of the test.
func server(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		wg.Wait()
	})
	return listener.Addr().String()
}

func TestRelayStall(t *testing.T) {
	closed := make(chan struct{})
	r := StartRelay(t, server(t, func(conn net.Conn) {
		io.Copy(conn, conn)
		close(closed)
	}))
	conn := dial(t, r.Addr())
	ask(t, conn, "before")
	r.Stall()
	r.Stall() // no change
	_, err := io.WriteString(conn, "held back")
	must(t, err)
	must(t, conn.CloseWrite())
	must(t, conn.SetReadDeadline(time.Now().Add(30*time.Millisecond)))
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("stalled, but read %d bytes, %v", n, err)
	}
	select {
	case <-closed:
		t.Error("stalled, but the server saw the end")
	default:
	}
	if sent := r.Sent(); sent != int64(len("before")) {
		t.Errorf("stalled, but %d bytes were sent", sent)
	}
	r.Resume()
	must(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != "held back" {
		t.Errorf("after Resume: %q, %v", got, err)
	}
	<-closed
}

func TestRelayCloseWhileStalled(t *testing.T) {
	r := StartRelay(t, echoServer(t))
	conn := dial(t, r.Addr())
	ask(t, conn, "x")
	r.Stall()
	io.WriteString(conn, "y")
	must(t, r.Close())
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after Close: %v", err)
	}
	if _, err := net.Dial("tcp", r.Addr()); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("dial after Close: %v", err)
	}
}

func TestRelayDelay(t *testing.T) {
	r := StartRelay(t, echoServer(t))
	r.Delay(30*time.Millisecond, 20*time.Millisecond)
	conn := dial(t, r.Addr())
	start := time.Now()
	ask(t, conn, "slow")
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("there and back in %v", took)
	}
	// Chunks are on their way together: a hundred do not take a hundred times as long.
	const chunks = 100
	start = time.Now()
	go func() {
		gap := time.NewTicker(time.Millisecond) // so that each travels alone
		defer gap.Stop()
		for range chunks {
			<-gap.C
			io.WriteString(conn, "a")
		}
	}()
	if _, err := io.ReadFull(conn, make([]byte, chunks)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 50*time.Millisecond || took > chunks/2*50*time.Millisecond {
		t.Errorf("%d chunks took %v", chunks, took)
	}
}

func TestRelayLimit(t *testing.T) {
	r := StartRelay(t, echoServer(t))
	r.Limit(128 << 10)
	conn := dial(t, r.Addr())
	start := time.Now()
	ask(t, conn, strings.Repeat("x", 16<<10))
	if took := time.Since(start); took < 120*time.Millisecond {
		t.Errorf("16 KiB at 128 KiB/s took %v", took)
	}
	r.Limit(0)
	start = time.Now()
	ask(t, conn, strings.Repeat("x", 1<<20)) // 8 s with the limit
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("1 MiB without limit took %v", took)
	}
}

func TestRelayTargetDown(t *testing.T) {
	fd, port, err := holdPort()
	must(t, err)
	defer unix.Close(fd)
	r := StartRelay(t, (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String())
	if n, err := dial(t, r.Addr()).Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d, %v", n, err)
	}
}

// A real push is cut in the middle, and the next one over the same relay completes it.
func TestRelayBeforeDaemon(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	_, err := MakeTree(src, TreeSpec{Files: 20, Dirs: 3, MinSize: 50_000, ModTime: time.Unix(1e9, 0)})
	must(t, err)
	d := StartDaemon(t, DaemonConfig{Modules: []Module{{Name: "m", Path: dst}}})
	r := StartRelay(t, d.Addr())
	to := "rsync://" + r.Addr() + "/m/"
	r.CutAfter(300_000)
	if out, code := push(t, "", "-a", src+"/", to); code == 0 {
		t.Errorf("rsync does not mind the cut: %s", out)
	}
	if diffs, err := Compare(src, dst, CompareOptions{IgnoreOwners: true}); err != nil || len(diffs) == 0 {
		t.Errorf("after the cut: %d differences, %v", len(diffs), err)
	}
	if out, code := push(t, "", "-a", src+"/", to); code != 0 {
		t.Errorf("rsync exits with %d: %s", code, out)
	}
	RequireEqual(t, src, dst, CompareOptions{IgnoreOwners: os.Geteuid() != 0})
}

func BenchmarkRelay(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	r := StartRelay(b, listener.Addr().String())
	conn, err := net.Dial("tcp", r.Addr())
	must(b, err)
	defer conn.Close()
	buf := make([]byte, 1<<20)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, err := conn.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// A client that asks, waits for the answer and asks again needs a round trip for each.
func TestRelayRoundTrips(t *testing.T) {
	r := StartRelay(t, echoServer(t))
	conn, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	read := func(n int) {
		t.Helper()
		if _, err := io.ReadFull(conn, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	r.HoldBeyond(2)
	for i := range 2 {
		io.WriteString(conn, "ab")
		if read(2); r.RoundTrips() != i+1 {
			t.Errorf("%d round trips, want %d", r.RoundTrips(), i+1)
		}
	}
	io.WriteString(conn, "c")
	for !r.Holds() {
		runtime.Gosched()
	}
	if n := r.Sent(); n != 4 {
		t.Errorf("%d bytes went up, want 4", n)
	}
	r.HoldBeyond(0)
	read(1)
}
