package logs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// fakeJournal reads what the journal would.
type fakeJournal struct {
	t    *testing.T
	path string
	*net.UnixConn
}

func startJournal(t *testing.T) *fakeJournal {
	t.Helper()
	j := &fakeJournal{t: t, path: filepath.Join(t.TempDir(), "socket")}
	j.listen()
	t.Cleanup(func() { j.Close() })
	return j
}

func (j *fakeJournal) listen() {
	j.t.Helper()
	os.Remove(j.path) // of the one before
	var err error
	if j.UnixConn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: j.path, Net: "unixgram"}); err != nil {
		j.t.Fatal(err)
	}
}

// next is the next entry: its fields by name.
func (j *fakeJournal) next() map[string]string {
	j.t.Helper()
	entry, err := j.receive()
	if err != nil {
		j.t.Fatal(err)
	}
	fields, err := parseEntry(entry)
	if err != nil {
		j.t.Fatalf("%v in %q", err, entry)
	}
	return fields
}

// receive takes an entry as systemd does: the datagram, or the sealed file that comes with an empty one.
func (j *fakeJournal) receive() ([]byte, error) {
	j.SetReadDeadline(time.Now().Add(10 * time.Second))
	b, oob := make([]byte, 1<<20), make([]byte, 100)
	n, oobn, _, _, err := j.ReadMsgUnix(b, oob)
	if err != nil || n > 0 {
		return b[:n], err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("%d control messages, %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fds[0]), "entry")
	defer f.Close()
	const all = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&all != all {
		return nil, fmt.Errorf("seals %#x, %w", seals, err) // journald refuses it
	}
	return io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
}

// parseEntry is the dumbest reader of https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
func parseEntry(b []byte) (map[string]string, error) {
	fields := map[string]string{}
	for len(b) > 0 {
		end := bytes.IndexAny(b, "=\n")
		if end < 1 {
			return nil, errors.New("a field without a name")
		}
		name, short := string(b[:end]), b[end] == '='
		b = b[end+1:]
		size := bytes.IndexByte(b, '\n')
		if !short {
			if len(b) < 8 {
				return nil, errors.New("no length")
			}
			size = int(binary.LittleEndian.Uint64(b))
			b = b[8:]
		}
		if size < 0 || size >= len(b) || b[size] != '\n' {
			return nil, fmt.Errorf("%s does not end", name)
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		fields[name] = string(b[:size])
		b = b[size+1:]
	}
	return fields, nil
}

func TestJournal(t *testing.T) {
	j := startJournal(t)
	var out output
	l := mustNew(t, Options{Level: "debug", Format: Journal, Stderr: &out, socket: j.path})
	log := l.Logger().Named("push").With(zap.String("sync", "web"), zap.String("target", "h::m"))

	log.Error("push failed", zap.Error(errors.New("one\ntwo")), zap.ByteString("path", []byte("bad\xff\nname")),
		zap.Duration("retry_in", 1500*time.Millisecond), zap.Int("code", 23), zap.Bool("partial", true), zap.String("message", "said"), zap.String("9_odd-key.", "x"))
	want := map[string]string{
		"MESSAGE":  `push failed  {"sync": "web", "target": "h::m", "error": "one\ntwo", "path": "bad\ufffd\nname", "retry_in": "1.5s", "code": 23, "partial": true, "message": "said", "9_odd-key.": "x"}`,
		"PRIORITY": "3", "SYSLOG_IDENTIFIER": "lockstep", "COMPONENT": "push", "SYNC": "web", "TARGET": "h::m",
		"ERROR": "one\ntwo", "PATH": "bad\xff\nname", "RETRY_IN": "1.5s", "CODE": "23", "PARTIAL": "true", "LOCKSTEP_MESSAGE": "said", "ODD_KEY_": "x",
	}
	if diff := cmp.Diff(want, j.next()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}

	for _, p := range []struct {
		say  func(string, ...zap.Field)
		want string
	}{{log.Debug, "7"}, {log.Info, "6"}, {log.Warn, "4"}, {log.DPanic, "2"}} {
		p.say("text")
		if got := j.next(); got["PRIORITY"] != p.want || !strings.HasPrefix(got["MESSAGE"], "text  {") {
			t.Errorf("%q, want priority %s", got, p.want)
		}
	}

	huge := strings.Repeat("0123456789abcdef\n", 1<<16) // no datagram is that large
	log.Info("huge", zap.String("text", huge))
	if got := j.next(); got["TEXT"] != huge || got["PRIORITY"] != "6" {
		t.Errorf("of %d bytes there are %d", len(huge), len(got["TEXT"]))
	}
	out.wants(t)
}

// TestJournalIsGone: lines go to standard error while nobody listens, and to the journal when it is started anew.
func TestJournalIsGone(t *testing.T) {
	j := startJournal(t)
	var out output
	log := mustNew(t, Options{Format: Journal, Stderr: &out, socket: j.path}).Logger().With(zap.String("sync", "web"))
	j.Close()
	log.Info("gone")
	if got := out.take(); len(got) != 1 || got[0] != `gone  {"sync": "web"}` {
		t.Errorf("%q", got)
	}
	j.listen()
	log.Info("back")
	if got := j.next(); got["MESSAGE"] != `back  {"sync": "web"}` {
		t.Errorf("%q", got)
	}
	out.wants(t)
}

// TestJournalThatIsNot: a line for each, with its priority.
func TestJournalThatIsNot(t *testing.T) {
	var out output
	log := mustNew(t, Options{Format: Journal, Stderr: &out, socket: filepath.Join(t.TempDir(), "none")}).Logger()
	log.Info("said")
	log.Warn("warned")
	log.Error("two\nlines")
	lines := strings.Split(out.text.String(), "\n")
	for i, prefix := range []string{"<6>2", "<4>2", "<3>2", "<3>lines"} {
		if !strings.HasPrefix(lines[i], prefix) {
			t.Errorf("line %d is %q, want %s", i, lines[i], prefix)
		}
	}
}

// streamEnv has the test binary log to the journal at that socket, as it would under systemd, instead of testing.
const streamEnv = "LOCKSTEP_TEST_JOURNAL"

func logToStream(socket string) {
	l, err := New(Options{socket: socket})
	if err != nil {
		panic(err)
	}
	l.Logger().Info("said")
	l.Close()
}

// TestJournalByDefault: where JOURNAL_STREAM tells that standard error is the journal.
func TestJournalByDefault(t *testing.T) {
	j := startJournal(t)
	for name, test := range map[string]struct {
		elsewhere bool
		socket    string
		want      string
	}{
		"standard error": {false, j.path, "^$"},
		"no socket":      {false, j.path + "x", "^<6>.*  INFO  said\n$"},
		"elsewhere":      {true, j.path, "^2.*  INFO  said\n$"},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var at unix.Stat_t
		if err := unix.Fstat(int(w.Fd()), &at); err != nil {
			t.Fatal(err)
		}
		if test.elsewhere {
			at.Ino++
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("JOURNAL_STREAM=%d:%d", at.Dev, at.Ino), streamEnv+"="+test.socket)
		cmd.Stderr = w
		err = cmd.Run()
		w.Close()
		out, readErr := io.ReadAll(r)
		if err != nil || readErr != nil || !regexp.MustCompile(test.want).Match(out) {
			t.Errorf("%s: %v, %v: %q", name, err, readErr, out)
		}
	}
	if got := j.next(); got["MESSAGE"] != "said" || got["PRIORITY"] != "6" {
		t.Errorf("%q", got)
	}
}

// TestJournalHangs: one that does not read holds nothing up for long, and is told what it missed.
func TestJournalHangs(t *testing.T) {
	j := startJournal(t)
	log := mustNew(t, Options{Format: Journal, Stderr: &output{}, socket: j.path}).Logger()
	const path = "/proc/sys/net/unix/max_dgram_qlen" // what waits in a socket
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	lines := most + 200
	began := time.Now()
	for i := range lines {
		log.Info("line", zap.Int("n", i))
	}
	if took := time.Since(began); took < journalWait || took > journalWait+20*time.Second {
		t.Errorf("it took %v", took)
	}
	read := 0
	for ; read < lines; read++ {
		j.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := j.Read(make([]byte, 1000)); err != nil {
			break
		}
	}
	log.Info("after")
	if got := j.next(); !strings.HasPrefix(got["MESSAGE"], "after") {
		t.Errorf("%q", got)
	}
	want := fmt.Sprintf("the journal did not read for a time: %d lines before this one are lost", lines-read)
	if got := j.next(); got["MESSAGE"] != want || got["PRIORITY"] != "4" || read == lines {
		t.Errorf("%q, want %q", got, want)
	}
	log.Info("at last")
	if got := j.next(); got["MESSAGE"] != "at last" {
		t.Errorf("%q: it is told twice", got)
	}
}
