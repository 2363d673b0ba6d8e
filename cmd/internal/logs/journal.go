package logs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

const journalSocket = "/run/systemd/journal/socket"

// journalWait is how long a line waits for a journal that does not read. Then it is given up: what is pushed must not
// depend on who writes down what.
const journalWait = time.Second

// journald writes entries to systemd's journal, in its native protocol
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram an entry, or a file in memory where it is too large for one.
//
// The library's journal.Send is not used: it waits for a journal that hangs, for ever, and writes large entries to /dev/shm, which
// a confined process may not.
type journald struct {
	conn   *journalConn
	text   zapcore.Encoder // of MESSAGE: the message and its fields
	fields []zapcore.Field // of the logger
}

// journalConn is the way there.
type journalConn struct {
	*net.UnixConn
	to      *net.UnixAddr // not connected: the journal may be started anew
	instead zapcore.Core  // what writes the lines that it does not take
	lost    atomic.Int64  // lines that nobody has got
}

// openJournal fails where nobody listens. Lines that the journal does not take later go to instead.
func openJournal(socket string, instead zapcore.Core) (*journald, error) {
	to := &net.UnixAddr{Name: socket, Net: "unixgram"}
	probe, err := net.DialUnix("unixgram", nil, to)
	if err != nil {
		return nil, err
	}
	probe.Close()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"}) // a name of the kernel's choice
	if err != nil {
		return nil, err
	}
	cfg := encoderConfig()
	cfg.TimeKey, cfg.LevelKey, cfg.NameKey = zapcore.OmitKey, zapcore.OmitKey, zapcore.OmitKey // the journal has them
	cfg.ConsoleSeparator = "  "
	return &journald{conn: &journalConn{UnixConn: conn, to: to, instead: instead}, text: zapcore.NewConsoleEncoder(cfg)}, nil
}

func (j *journald) Enabled(zapcore.Level) bool { return true }

func (j *journald) With(fields []zapcore.Field) zapcore.Core {
	c := &journald{conn: j.conn, text: j.text.Clone(), fields: slices.Concat(j.fields, fields)}
	for i := range fields {
		fields[i].AddTo(c.text)
	}
	return c
}

func (j *journald) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return ce.AddCore(e, j)
}

func (j *journald) Sync() error { return nil }

func (j *journald) Write(e zapcore.Entry, fields []zapcore.Field) error {
	buf, err := j.text.EncodeEntry(e, fields)
	if err != nil {
		return err
	}
	defer buf.Free()
	message := bytes.TrimSuffix(plainText(buf.Bytes()), []byte("\n"))
	lost := j.conn.lost.Load()
	wait := journalWait
	if lost > 0 {
		wait = time.Millisecond // it waited long enough for the first
	}
	switch err := j.conn.send(journalEntry(e, message, slices.Concat(j.fields, fields)), wait); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		j.conn.lost.Add(1)
		return nil
	case err != nil: // it is gone
		return j.conn.instead.With(j.fields).Write(e, fields)
	}
	if lost == 0 {
		return nil
	}
	text := fmt.Sprintf("the journal did not read for a time: %d lines before this one are lost", lost)
	told := journalEntry(zapcore.Entry{Level: zapcore.WarnLevel}, []byte(text), nil)
	if err := j.conn.send(told, time.Millisecond); err == nil {
		j.conn.lost.Add(-lost)
	}
	return nil
}

func (j *journald) close() error { return j.conn.Close() }

// reserved are fields that mean something to the journal, beside those of ours that do.
var reserved = []string{
	"MESSAGE", "MESSAGE_ID", "PRIORITY", "COMPONENT", "CODE_FILE", "CODE_LINE", "CODE_FUNC", "ERRNO", "DOCUMENTATION", "TID",
	"SYSLOG_IDENTIFIER", "SYSLOG_PID", "SYSLOG_FACILITY", "SYSLOG_TIMESTAMP", "SYSLOG_RAW", "UNIT", "USER_UNIT", "INVOCATION_ID",
	"USER_INVOCATION_ID", "OBJECT_PID", "COREDUMP_UNIT", "COREDUMP_USER_UNIT",
}

// journalEntry is an entry as the journal reads it.
func journalEntry(e zapcore.Entry, message []byte, fields []zapcore.Field) []byte {
	var b bytes.Buffer
	put(&b, "MESSAGE", message)
	put(&b, "PRIORITY", strconv.AppendInt(nil, int64(priorityOf(e.Level)), 10))
	put(&b, "SYSLOG_IDENTIFIER", []byte("lockstep"))
	if e.LoggerName != "" {
		put(&b, "COMPONENT", []byte(e.LoggerName))
	}
	values := map[string]string{} // of fields with one name, the last counts
	for i := range fields {
		if name := journalName(fields[i].Key); name != "" && fields[i].Type != zapcore.SkipType {
			values[name] = textOf(&fields[i])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		put(&b, name, []byte(values[name]))
	}
	return b.Bytes()
}

// journalName makes a key the name of a field: capitals, digits and underscores, no more than 64, and a letter first
// (systemd.journal-fields(7)).
func journalName(key string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
	name = strings.TrimLeft(name, "_0123456789")
	if slices.Contains(reserved, name) {
		name = "LOCKSTEP_" + name
	}
	return name[:min(len(name), 64)]
}

// put writes a field. The short form ends at a newline; what holds one has its length in front.
func put(b *bytes.Buffer, name string, value []byte) {
	b.WriteString(name)
	if bytes.IndexByte(value, '\n') < 0 {
		b.WriteByte('=')
	} else {
		b.WriteByte('\n')
		b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(value))))
	}
	b.Write(value)
	b.WriteByte('\n')
}

// send sends an entry, and waits no longer than that for one who does not read.
func (c *journalConn) send(entry []byte, wait time.Duration) error {
	if err := c.SetWriteDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	_, _, err := c.WriteMsgUnix(entry, nil, c.to)
	if !errors.Is(err, unix.EMSGSIZE) && !errors.Is(err, unix.ENOBUFS) {
		return err
	}
	fd, err := unix.MemfdCreate("lockstep-log", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "log entry")
	defer f.Close()
	if _, err := f.Write(entry); err != nil {
		return err
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal a log entry: %w", err)
	}
	_, _, err = c.WriteMsgUnix(nil, unix.UnixRights(int(f.Fd())), c.to)
	return err
}
