package logs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// listener is the journal's end of the socket.
type listener struct {
	*net.UnixConn
	t    *testing.T
	path string
}

func listen(t *testing.T, path string) *listener {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &listener{conn, t, path}
}

// next reads an entry as the journal does: a datagram, or what is in the file that comes with an empty one.
func (l *listener) next() map[string]string {
	l.t.Helper()
	entry, control := make([]byte, 1<<20), make([]byte, 64)
	if err := l.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		l.t.Fatal(err)
	}
	n, nc, _, _, err := l.ReadMsgUnix(entry, control)
	if err != nil {
		l.t.Fatal(err)
	}
	entry = entry[:n]
	if messages, err := unix.ParseSocketControlMessage(control[:nc]); err == nil && len(messages) > 0 {
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			l.t.Fatal(err)
		}
		f := os.NewFile(uintptr(fds[0]), "entry")
		defer f.Close()
		if seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&unix.F_SEAL_WRITE == 0 {
			l.t.Errorf("seals %x, %v", seals, err)
		}
		if entry, err = io.ReadAll(io.NewSectionReader(f, 0, 1<<30)); err != nil {
			l.t.Fatal(err)
		}
	}
	return parseEntry(l.t, entry)
}

// parseEntry reads https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
func parseEntry(t *testing.T, entry []byte) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for len(entry) > 0 {
		line, rest, ok := bytes.Cut(entry, []byte("\n"))
		if !ok {
			t.Fatalf("no end: %q", entry)
		}
		name, value, short := bytes.Cut(line, []byte("="))
		if !short {
			n := binary.LittleEndian.Uint64(rest)
			value, rest = rest[8:8+n], rest[8+n:]
			if rest[0] != '\n' {
				t.Fatalf("no end of %s", name)
			}
			rest = rest[1:]
		}
		fields[string(name)] = string(value)
		entry = rest
	}
	return fields
}

func TestJournal(t *testing.T) {
	j := listen(t, filepath.Join(t.TempDir(), "socket"))
	l, out := open(t, Options{Format: Journal, socket: j.path})
	log := l.Logger().Named("push").With(zap.String("sync", "www"), zap.String("target", "h::m"))
	log.Error("push failed", zap.Error(errors.New("no\nspace=left \xff\x00")), zap.Duration("took", time.Second), zap.String("message", "words"), zap.Int("2nd_No-1", 7),
		zap.Strings("list", []string{"a", "b"}), Unfolded())
	got := j.next()
	if file := got["CODE_FILE"]; !strings.HasSuffix(file, "journal_test.go") || got["CODE_LINE"] == "" || !strings.HasSuffix(got["CODE_FUNC"], "TestJournal") {
		t.Errorf("the place is %q:%q %q", file, got["CODE_LINE"], got["CODE_FUNC"])
	}
	maps.DeleteFunc(got, func(name, _ string) bool { return strings.HasPrefix(name, "CODE_") })
	want := map[string]string{
		"PRIORITY": "3", "SYSLOG_IDENTIFIER": "lockstep", "COMPONENT": "push", "SYNC": "www", "TARGET": "h::m",
		"ERROR": "no\nspace=left \xff\x00", "TOOK": "1s", "LOCKSTEP_MESSAGE": "words", "ND_NO_1": "7", "LIST": "[a b]",
		"MESSAGE": `push failed  {"sync": "www", "target": "h::m", "error": "no\nspace=left \ufffd\u0000", "took": "1s", "message": "words", "2nd_No-1": 7, "list": ["a", "b"]}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	log.Info("i")
	if got := j.next(); got["PRIORITY"] != "6" {
		t.Errorf("%v", got)
	}
	if out.String() != "" {
		t.Errorf("standard error has %q", out)
	}
}

// An entry that is too large for a datagram arrives all the same.
func TestJournalLargeEntry(t *testing.T) {
	j := listen(t, filepath.Join(t.TempDir(), "socket"))
	l, out := open(t, Options{Format: Journal, socket: j.path})
	big := strings.Repeat("0123456789", 1<<16)
	l.Logger().Warn("large", zap.String("big", big))
	if got := j.next(); got["BIG"] != big || got["PRIORITY"] != "4" {
		t.Errorf("%d bytes, priority %q; standard error: %q", len(got["BIG"]), got["PRIORITY"], out)
	}
}

// A journal that is started anew is found again; meanwhile lines are on standard error.
func TestJournalGoesAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	j := listen(t, path)
	l, out := open(t, Options{Format: Journal, socket: path})
	log := l.Logger().With(zap.String("sync", "www"))
	log.Info("first")
	if got := j.next()["SYNC"]; got != "www" {
		t.Errorf("SYNC=%s", got)
	}
	j.Close()
	os.Remove(path)
	log.Info("second", zap.Int("n", 2))
	if got := out.String(); !strings.HasPrefix(got, "<6>") || !strings.Contains(got, `second  {"sync": "www", "n": 2}`) {
		t.Errorf("standard error has %q", got)
	}
	j = listen(t, path)
	log.Info("third")
	if got := j.next()["MESSAGE"]; got != `third  {"sync": "www"}` {
		t.Errorf("MESSAGE=%s", got)
	}
}

// A journal that does not read holds nobody up for long, and how much it missed is told when it reads again.
func TestJournalHangs(t *testing.T) {
	j := listen(t, filepath.Join(t.TempDir(), "socket"))
	l, _ := open(t, Options{Format: Journal, socket: j.path})
	log := l.Logger()
	sent := 0
	for begin := time.Now(); l.sink.conn.lost.Load() == 0; sent++ {
		log.Info("line", zap.Int("n", sent), Unfolded())
		if time.Since(begin) > 20*time.Second {
			t.Fatal("it takes all")
		}
	}
	for range sent - 1 {
		j.next()
	}
	log.Info("again")
	if got := j.next()["MESSAGE"]; !strings.HasPrefix(got, "again") {
		t.Errorf("MESSAGE=%s", got)
	}
	if got := j.next(); got["LINES"] != "1" {
		t.Errorf("%v", got)
	}
}
