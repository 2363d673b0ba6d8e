package wire

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// frame is one frame as it travels.
func frame(tag Tag, data string) []byte { return append(header(nil, tag, len(data)), data...) }

func int32Frame(tag Tag, v int32) []byte { return frame(tag, string(AppendInt32(nil, v))) }

// start makes a Mux over one end of a pipe and returns it with the other end.
func start(t *testing.T, timeout time.Duration, onMessage func(Message) error) (*Mux, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	if onMessage == nil {
		onMessage = func(m Message) error { return fmt.Errorf("unexpected message %v", m) }
	}
	m := NewMux(t.Context(), ours, bufio.NewReader(ours), timeout, onMessage)
	t.Cleanup(func() {
		m.Close()
		ours.Close()
		theirs.Close()
	})
	return m, theirs
}

// send writes in the background of a test, since a pipe has no buffer.
func send(t *testing.T, conn net.Conn, parts ...[]byte) {
	t.Helper()
	var wg sync.WaitGroup
	t.Cleanup(func() {
		conn.Close() // the test may end before all was read
		wg.Wait()
	})
	wg.Go(func() {
		for _, b := range parts {
			if _, err := conn.Write(b); err != nil {
				return // the test has ended
			}
		}
	})
}

func TestMuxKeepsOrder(t *testing.T) {
	var got []string
	m, peer := start(t, 0, func(msg Message) error {
		got = append(got, fmt.Sprintf("%d:%s", msg.Tag, msg.Data))
		return nil
	})
	send(t, peer, frame(TagInfo, "one\n"), frame(TagData, "ab"), frame(TagData, ""), frame(TagNoop, ""),
		frame(TagDeleted, "gone"), frame(TagData, "c"), frame(TagWarning, "two\n"), frame(TagData, "d"))
	for range 4 {
		b, err := m.ReadByte()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(b))
	}
	want := []string{"2:one\n", "a", "b", "101:gone", "c", "4:two\n", "d"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Await sends what was written, hands messages over, and returns for data, for what else is ready,
// and at the end.
func TestMuxAwait(t *testing.T) {
	messages := 0
	m, theirs := start(t, 0, func(Message) error { messages++; return nil })
	heard := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(theirs, make([]byte, 4+5))
		heard <- err
	}()
	m.Write([]byte("hello"))
	var ready atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := <-heard; err != nil {
			t.Error(err)
		}
		ready.Store(true)
		m.Wake()
	})
	if data, err := m.Await(ready.Load); data || err != nil {
		t.Fatalf("with something ready: data %v, %v", data, err)
	}
	wg.Wait()
	send(t, theirs, frame(TagInfo, "a"), frame(TagData, ""), frame(TagWarning, "b"), frame(TagData, "xy"), frame(77, ""))
	ready.Store(false)
	for range 2 {
		if data, err := m.Await(ready.Load); !data || err != nil || messages != 2 {
			t.Fatalf("with data: data %v, %d messages, %v", data, messages, err)
		}
		if b, err := m.ReadByte(); err != nil || b != 'x' && b != 'y' {
			t.Fatalf("read %q, %v", b, err)
		}
	}
	if data, err := m.Await(ready.Load); !data || err != nil {
		t.Fatalf("at the end: data %v, %v", data, err)
	}
	if _, err := m.ReadByte(); !errors.Is(err, ErrProtocol) {
		t.Errorf("at the end: %v", err)
	}
}

func TestMuxReadsWhatWasBuffered(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	all := append(frame(TagData, "early"), frame(TagData, " and late")...)
	br := bufio.NewReader(io.MultiReader(bytes.NewReader(all[:7])))
	if _, err := br.Peek(7); err != nil { // the first frame's head and three bytes
		t.Fatal(err)
	}
	m := NewMux(t.Context(), ours, br, 0, nil)
	defer m.Close()
	send(t, theirs, all[7:])
	got := make([]byte, len("early and late"))
	if _, err := io.ReadFull(m, got); err != nil || string(got) != "early and late" {
		t.Errorf("read %q, %v", got, err)
	}
}

// Data and messages leave in the order they were written, data gathered into few frames.
func TestMuxWrites(t *testing.T) {
	m, peer := start(t, 0, nil)
	var err error
	send(t, peer) // the pipe's reader is this test
	go func() {
		for _, s := range []string{"a", "b", "c"} {
			_, e := m.Write([]byte(s))
			err = errors.Join(err, e)
		}
		err = errors.Join(err, m.Message(TagNoSend, AppendInt32(nil, 7)))
		_, e := m.Write(bytes.Repeat([]byte{'x'}, outSize))
		err = errors.Join(err, e, m.Flush(), m.Flush())
		m.Close()
		peer.Close()
	}()
	var want []byte
	want = append(want, frame(TagData, "abc")...)
	want = append(want, int32Frame(TagNoSend, 7)...)
	want = append(want, frame(TagData, strings.Repeat("x", outSize-4))...)
	want = append(want, frame(TagData, "xxxx")...)
	got, _ := io.ReadAll(peer)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMuxRefuses(t *testing.T) {
	tooLong := binary.LittleEndian.AppendUint32(nil, uint32(TagInfo+tagBase)<<24|(maxMessage+1))
	for _, tt := range []struct {
		name string
		in   []byte
		want error
	}{
		{"a tag below the first", []byte{0, 0, 0, 6}, ErrProtocol},
		{"an unknown tag", frame(50, ""), ErrProtocol},
		{"a tag of rsync's own processes", frame(9, "1234"), ErrProtocol},
		{"an endless message", tooLong, ErrProtocol},
		{"the end", nil, io.ErrUnexpectedEOF},
		{"the end in a head", []byte{1, 0, 0}, io.ErrUnexpectedEOF},
		{"the end in a frame", frame(TagData, "abc")[:5], io.ErrUnexpectedEOF},
		{"the end in a message", frame(TagInfo, "abc")[:5], io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, peer := start(t, 0, nil)
			if _, err := peer.Write(tt.in); err != nil && len(tt.in) > 0 {
				t.Fatal(err)
			}
			peer.Close()
			var err error
			for err == nil {
				_, err = m.ReadByte()
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// What onMessage says ends the reading.
func TestMuxMessageError(t *testing.T) {
	boom := errors.New("boom")
	m, peer := start(t, 0, func(Message) error { return boom })
	send(t, peer, frame(TagIOError, "1234"), frame(TagData, "x"))
	if _, err := m.ReadByte(); !errors.Is(err, boom) {
		t.Errorf("error %v, want %v", err, boom)
	}
}

// A peer that goes silent is given up, although our keep-alives reach the kernel.
func TestMuxTimeout(t *testing.T) {
	for _, tt := range []struct {
		name    string
		own     time.Duration
		asked   []int32 // by the peer
		want    time.Duration
		forever bool
	}{
		{name: "own", own: 10 * time.Second, want: 10 * time.Second},
		{name: "the peer's", asked: []int32{7}, want: 7 * time.Second},
		{name: "the peer's is shorter", own: 10 * time.Second, asked: []int32{4}, want: 4 * time.Second},
		{name: "the peer's is longer", own: 10 * time.Second, asked: []int32{40}, want: 10 * time.Second},
		{name: "nonsense", own: 10 * time.Second, asked: []int32{0, -1, sentTimeout + 1}, want: 10 * time.Second},
		{name: "none", forever: true},
		{name: "none and nonsense", asked: []int32{0, -5, sentTimeout + 1}, forever: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, peer := start(t, tt.own, nil)
				m.AllowKeepAlive()
				var wg sync.WaitGroup
				wg.Go(func() { io.Copy(io.Discard, peer) })
				for _, s := range tt.asked {
					send(t, peer, int32Frame(TagIOTimeout, s))
				}
				begin := time.Now()
				if tt.forever {
					time.AfterFunc(24*time.Hour, m.Close)
				}
				_, err := m.ReadByte()
				took := time.Since(begin)
				peer.Close()
				wg.Wait()
				switch {
				case tt.forever:
					if errors.Is(err, ErrTimeout) || took != 24*time.Hour {
						t.Errorf("error %v after %v, want none", err, took)
					}
				case !errors.Is(err, ErrTimeout):
					t.Errorf("error %v, want a timeout", err)
				case took < tt.want || took > tt.want+time.Second:
					t.Errorf("timeout after %v, want %v", took, tt.want)
				}
			})
		})
	}
}

// talk sends an empty frame every interval until conn is closed.
func talk(conn net.Conn, interval time.Duration) {
	for {
		if _, err := conn.Write(frame(TagData, "")); err != nil {
			return
		}
		time.Sleep(interval)
	}
}

// While the caller is busy elsewhere a silent peer waits for it, and is not given up; when the
// caller waits, it is.
func TestMuxBusyCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, peer := start(t, 10*time.Second, nil)
		m.AllowKeepAlive()
		var wg sync.WaitGroup
		wg.Go(func() { io.Copy(io.Discard, peer) })
		time.Sleep(time.Hour)
		wg.Go(func() {
			time.Sleep(9 * time.Second)
			peer.Write(frame(TagData, "x"))
		})
		if b, err := m.ReadByte(); b != 'x' || err != nil {
			t.Fatalf("read %q, %v", b, err)
		}
		time.Sleep(time.Hour)
		begin := time.Now()
		if _, err := m.ReadByte(); !errors.Is(err, ErrTimeout) || time.Since(begin) < 10*time.Second || time.Since(begin) > 11*time.Second {
			t.Errorf("error %v after %v", err, time.Since(begin))
		}
		peer.Close()
		wg.Wait()
	})
}

// The daemon's timeout holds too for a write that began before it came.
func TestMuxTimeoutWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, peer := start(t, 0, nil)
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(time.Hour)
			peer.Write(int32Frame(TagIOTimeout, 5))
		})
		begin := time.Now()
		_, err := m.Write(make([]byte, 4*outSize)) // nobody reads it
		if took := time.Since(begin); !errors.Is(err, ErrTimeout) || took < time.Hour || took > time.Hour+6*time.Second {
			t.Errorf("error %v after %v", err, took)
		}
		if err := m.Reason(err); !errors.Is(err, ErrTimeout) {
			t.Errorf("reason %v", err)
		}
		wg.Wait()
	})
}

// The peer hears from us at least every half timeout, also while it talks itself.
func TestMuxKeepAlive(t *testing.T) {
	const timeout = 10 * time.Second
	for _, tt := range []struct {
		name  string
		talks bool
		end   time.Duration
	}{{"silent peer", false, 9500 * time.Millisecond}, {"talking peer", true, time.Minute}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, peer := start(t, timeout, nil)
				m.AllowKeepAlive()
				var wg sync.WaitGroup
				if tt.talks {
					wg.Go(func() { talk(peer, 2*time.Second) })
				}
				begin := time.Now()
				last := begin
				wg.Go(func() {
					for {
						var b [4]byte
						if _, err := io.ReadFull(peer, b[:]); err != nil {
							return
						}
						if !bytes.Equal(b[:], frame(TagData, "")) {
							t.Errorf("%x came, want an empty frame", b)
						}
						if gap := time.Since(last); gap > timeout/2+time.Second {
							t.Errorf("%v without a word of ours", gap)
						}
						last = time.Now()
					}
				})
				time.Sleep(tt.end)
				m.Close()
				peer.Close()
				wg.Wait()
				if last.Sub(begin) < tt.end-timeout/2-time.Second {
					t.Errorf("the last keep-alive came after %v of %v", last.Sub(begin), tt.end)
				}
			})
		})
	}
}

// Before the list is complete old peers want no empty frames.
func TestMuxKeepAliveWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, peer := start(t, 2*time.Second, nil)
		var wg sync.WaitGroup
		wg.Go(func() { talk(peer, time.Second) })
		time.Sleep(10 * time.Second)
		if sent, _ := m.Counts(); sent != 0 {
			t.Errorf("%d bytes were sent, want none yet", sent)
		}
		peer.Close()
		wg.Wait()
	})
}

// A peer that takes data now and then is alive, although it says nothing.
func TestMuxSlowWriteIsNoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, peer := start(t, 10*time.Second, nil)
		var wg sync.WaitGroup
		wg.Go(func() {
			buf := make([]byte, 1<<10)
			for {
				time.Sleep(time.Second)
				if _, err := peer.Read(buf); err != nil {
					return
				}
			}
		})
		if _, err := m.Write(make([]byte, 4*outSize)); err != nil {
			t.Error(err)
		}
		peer.Close()
		wg.Wait()
	})
}

// A peer that ends the run while we write says why, and is answered by the end.
func TestMuxReason(t *testing.T) {
	var texts []string
	m, peer := start(t, 0, func(msg Message) error {
		texts = append(texts, string(msg.Data))
		return nil
	})
	send(t, peer, frame(TagError, "disk full\n"), int32Frame(TagErrorExit, 11))
	_, err := m.Write(make([]byte, 4*outSize)) // nobody reads it
	if err == nil {
		t.Fatal("a write to a peer that left did not fail")
	}
	err = m.Reason(err)
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 11 {
		t.Errorf("reason %v, want exit code 11", err)
	}
	if diff := cmp.Diff([]string{"disk full\n"}, texts); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// No exit of the peer counts as a success.
func TestMuxExitCodes(t *testing.T) {
	for in, want := range map[string]int{"": 12, "\x19\x00\x00\x00": 25, "\x00\x00\x00\x00": 12, "\xff\xff\xff\xff": 12, "\x00\x01\x00\x00": 12, "ab": 12} {
		m, peer := start(t, 0, nil)
		go io.Copy(io.Discard, peer)
		send(t, peer, frame(TagErrorExit, in))
		_, err := m.ReadByte()
		var exit *ExitError
		if !errors.As(err, &exit) || exit.Code != want {
			t.Errorf("payload %q gives %v, want exit code %d", in, err, want)
		}
	}
}

// The peer's exit is answered, or it would wait for a minute (rsync 3.5.0 io.c, noop_io_until_death).
func TestMuxAnswersExit(t *testing.T) {
	m, peer := start(t, 0, nil)
	send(t, peer, int32Frame(TagErrorExit, 1))
	var b [4]byte
	if _, err := io.ReadFull(peer, b[:]); err != nil || !bytes.Equal(b[:], frame(TagErrorExit, "")) {
		t.Errorf("the answer is %x, %v", b, err)
	}
	if _, err := m.Write([]byte("x")); err != nil {
		t.Errorf("gathering: %v", err)
	}
	if err := m.Flush(); err == nil {
		t.Error("data was written behind the answer")
	}
}

// Close, and the end of the context, wake whoever reads or writes.
func TestMuxEnds(t *testing.T) {
	cause := errors.New("enough")
	for _, tt := range []struct {
		name string
		end  func(*Mux, context.CancelCauseFunc)
		want error
	}{
		{"close", func(m *Mux, _ context.CancelCauseFunc) { m.Close() }, nil},
		{"context", func(_ *Mux, cancel context.CancelCauseFunc) { cancel(cause) }, cause},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer theirs.Close()
			defer ours.Close()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			m := NewMux(ctx, ours, bufio.NewReader(ours), 0, nil)
			defer m.Close()
			var wg sync.WaitGroup
			var rerr, werr error
			wg.Go(func() { _, rerr = m.ReadByte() })
			wg.Go(func() { _, werr = m.Write(make([]byte, 2*outSize)) })
			theirs.Read(make([]byte, 1)) // the write is under way
			tt.end(m, cancel)
			wg.Wait()
			if rerr == nil || werr == nil {
				t.Fatalf("read gave %v, write %v", rerr, werr)
			}
			if tt.want != nil && (!errors.Is(rerr, tt.want) || !errors.Is(m.Reason(werr), tt.want)) {
				t.Errorf("read gave %v, write %v, want %v", rerr, m.Reason(werr), tt.want)
			}
		})
	}
}

// A peer that sends what nobody reads is made to wait, and nothing of it is lost.
func TestMuxBoundsTheQueue(t *testing.T) {
	for _, size := range []int{1, 1000, maxFrame} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			m, peer := start(t, 0, nil)
			const total = 3 * inLimit
			b := frame(TagData, strings.Repeat("z", size))
			frames := max(total/(size+64), 2)
			var wg sync.WaitGroup
			wg.Go(func() {
				w := bufio.NewWriter(peer)
				for range frames {
					if _, err := w.Write(b); err != nil {
						return
					}
				}
				w.Flush()
			})
			for { // until the reader has stopped
				m.mu.Lock()
				queued := m.queued
				m.mu.Unlock()
				if queued > inLimit+maxMessage {
					t.Fatalf("%d bytes are queued", queued)
				}
				if queued > inLimit {
					break
				}
				time.Sleep(time.Millisecond)
			}
			n, err := io.CopyN(io.Discard, m, int64(frames)*int64(size))
			if err != nil {
				t.Errorf("%d of %d bytes came: %v", n, frames*size, err)
			}
			wg.Wait()
		})
	}
}

// brittle fails one write in its middle and would then go on.
type brittle struct {
	net.Conn
	mu    sync.Mutex
	wrote int
	fail  bool
}

func (b *brittle) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.fail {
		b.fail = true
		b.wrote += len(p) / 2
		return len(p) / 2, os.ErrPermission
	}
	b.wrote += len(p)
	return len(p), nil
}

// After half a frame nothing may follow: the peer would take it for the rest.
func TestMuxWriteErrorSticks(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	conn := &brittle{Conn: ours}
	m := NewMux(t.Context(), conn, bufio.NewReader(conn), 0, nil)
	defer m.Close()
	m.Write([]byte("abcd"))
	if err := m.Flush(); !errors.Is(err, os.ErrPermission) {
		t.Fatalf("error %v, want %v", err, os.ErrPermission)
	}
	m.Write([]byte("efgh"))
	if err := errors.Join(m.Flush(), m.Message(TagNoSend, nil)); !errors.Is(err, os.ErrPermission) {
		t.Errorf("error %v, want %v again", err, os.ErrPermission)
	}
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if conn.wrote != 4 {
		t.Errorf("%d bytes were written, want the first 4", conn.wrote)
	}
}

// Everything at once, for the race detector: data both ways, messages, keep-alives, the end.
func TestMuxRaces(t *testing.T) {
	m, peer := start(t, 100*time.Millisecond, func(Message) error { return nil })
	m.AllowKeepAlive()
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(io.Discard, peer) })
	wg.Go(func() {
		for range 300 {
			if _, err := peer.Write(append(frame(TagInfo, "x\n"), frame(TagData, "0123456789")...)); err != nil {
				return
			}
		}
	})
	buf := make([]byte, 7)
	for range 300 {
		if _, err := io.ReadFull(m, buf); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Write(buf); err != nil {
			t.Fatal(err)
		}
		m.Counts()
	}
	m.Close()
	peer.Close()
	wg.Wait()
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain text\r\n":          "plain text",
		"a\x1b[2Jb\x00\xff":       `a\x1b[2Jb\x00\xff`,
		"größe\n":                 "größe",
		strings.Repeat("x", 2000): strings.Repeat("x", 1024) + "…",
		"two\nlines\n":            `two\nlines`,
		"":                        "",
	} {
		if got := Printable([]byte(in)); got != want {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}
