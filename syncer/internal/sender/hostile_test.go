package sender_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
	"github.com/lockstep-sync/lockstep/syncer/internal/checksum"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// files is a source of regular files that are all the same file on disk.
type files struct{ path string }

func (f files) Open(name string) (*beneath.File, flist.Entry, error) {
	fd, err := unix.Open(f.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, flist.Entry{}, err
	}
	file := beneath.NewFile(fd)
	e, err := f.Fstat(file, name)
	return file, e, err
}

func (f files) Fstat(file *beneath.File, name string) (flist.Entry, error) {
	st, err := file.Stat()
	return flist.FromStat(name, &st), err
}

func (f files) Xattr(string, string) ([]byte, error) { return bytes.Repeat([]byte("x"), 50), nil }

// job lists ".", "dir", "f0" to "f2" and "link": file indices 0 ".", 1 to 3 the files, 4 the link,
// 5 the directory.
func hostileJob() *sender.Job {
	var list sender.Entries
	list.Add(flist.Entry{Name: ".", Mode: unix.S_IFDIR | 0o755, Flags: flist.Top})
	for i := range 3 {
		list.Add(flist.Entry{Name: fmt.Sprint("f", i), Mode: unix.S_IFREG | 0o644, Size: 100})
	}
	list.Add(flist.Entry{Name: "link", Mode: unix.S_IFLNK | 0o777, Extra: &flist.Extra{Link: "x"}})
	list.Add(flist.Entry{Name: "z", Mode: unix.S_IFDIR | 0o755})
	return &sender.Job{List: sender.NewList(list)}
}

func hostileSource(tb testing.TB, size int) files {
	tb.Helper()
	name := filepath.Join(tb.TempDir(), "f")
	if err := os.WriteFile(name, bytes.Repeat([]byte("0123456789"), size/10), 0o644); err != nil {
		tb.Fatal(err)
	}
	return files{name}
}

func hostileOptions() sender.Options {
	set := option.Defaults()
	set.Recurse, set.Links, set.Times = true, true, true
	return sender.Options{Set: set, Checksums: []checksum.Kind{checksum.MD5}}
}

// peerSays builds what a daemon says.
type peerSays struct {
	b   []byte
	ndx wire.IndexState
}

// opened is a daemon's side up to the beginning of multiplexing.
func opened() *peerSays {
	p := &peerSays{b: []byte("@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n@RSYNCD: OK\n\x81\xfe")}
	p.b = wire.AppendVstring(p.b, "xxh128 xxh3 xxh64 md5 md4 sha1 none")
	p.b = wire.AppendInt32(p.b, 1)
	return p
}

func (p *peerSays) frame(tag wire.Tag, data string) *peerSays {
	p.b = append(wire.AppendInt32(p.b, int32(tag+7)<<24|int32(len(data))), data...)
	return p
}

func (p *peerSays) data(b []byte) *peerSays { return p.frame(wire.TagData, string(b)) }

func (p *peerSays) index(n int32) *peerSays { return p.data(p.ndx.Append(nil, n)) }

func (p *peerSays) done(times int) *peerSays {
	for range times {
		p.index(wire.IndexDone)
	}
	return p
}

// ask requests a file's data with a sum head and what follows it.
func (p *peerSays) ask(n int32, head [4]int32, sums ...byte) *peerSays {
	b := wire.AppendShort(p.ndx.Append(nil, n), report.Transfer)
	for _, v := range head {
		b = wire.AppendInt32(b, v)
	}
	return p.data(append(b, sums...))
}

func (p *peerSays) item(n int32, flags uint16, more string) *peerSays {
	return p.data(append(wire.AppendShort(p.ndx.Append(nil, n), flags), more...))
}

// Whatever a peer says, the push ends with a code and a reason.
func TestHostile(t *testing.T) {
	none := [4]int32{}
	for _, tt := range []struct {
		name string
		says *peerSays
		code report.Code
		text string
	}{
		{"good", opened().ask(1, none).ask(3, none).done(4).done(1), 0, ""},
		{"good, with a redo", opened().ask(1, none).done(1).ask(1, none).done(3).done(1), 0, ""},
		{"good, statistics anywhere", opened().data([]byte{0xff, 2, 1, 2, 3, 4, 5}).ask(1, none).done(4).data([]byte{0xfe, 0, 0}[:0]).done(1), 0, ""},
		{"good, messages within data", split(opened().frame(wire.TagInfo, "x\n").ask(1, none).ask(2, none).done(5)), 0, ""},

		{"index too large", opened().index(6), report.CodeStream, "file index 6"},
		{"index much too large", opened().index(1<<31 - 2), report.CodeStream, "file index"},
		{"a list of its own", opened().index(-105), report.CodeStream, "file index -105"},
		{"end of lists", opened().index(wire.IndexListEnd), report.CodeStream, "file index -2"},
		{"index that overflows", opened().data([]byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0x05, 0x00, 0x00}), report.CodeStream, "protocol error"},
		{"data of the root", opened().ask(0, none), report.CodeStream, `"."`},
		{"data of a symlink", opened().ask(4, none), report.CodeStream, `"link"`},
		{"data of a directory", opened().ask(5, none), report.CodeStream, `"z"`},
		{"the same file again", opened().ask(1, none).ask(1, none), report.CodeStream, "again"},
		{"a second redo", opened().ask(1, none).done(1).ask(1, none).ask(1, none), report.CodeStream, "again"},
		{"data in the last phase", opened().done(2).ask(1, none), report.CodeStream, "phase 2"},
		{"a request in the goodbye", opened().done(3).index(1), report.CodeStream, "instead of the goodbye"},
		{"one end of a phase too little", opened().done(4), report.CodeStream, "closed"},
		{"negative block count", opened().ask(1, [4]int32{-1, 700, 2, 0}), report.CodeStream, "sum head with -1 blocks"},
		{"too many blocks", opened().ask(1, [4]int32{1<<31 - 1, 700, 2, 0}), report.CodeStream, "blocks"},
		{"many blocks that never come", opened().ask(1, [4]int32{1 << 26, 700, 16, 0}), report.CodeStream, "closed"},
		{"blocks of nothing", opened().ask(1, [4]int32{1, 0, 2, 0}), report.CodeStream, "0 bytes"},
		{"blocks too long", opened().ask(1, [4]int32{1, 1<<17 + 1, 2, 0}), report.CodeStream, "131073 bytes"},
		{"negative block length", opened().ask(1, [4]int32{1, -1, 2, 0}), report.CodeStream, "-1 bytes"},
		{"sum longer than the digest", opened().ask(1, [4]int32{1, 700, 17, 0}), report.CodeStream, "17 bytes"},
		{"remainder longer than a block", opened().ask(1, [4]int32{1, 700, 2, 701}), report.CodeStream, "701 bytes"},
		{"an endless name", opened().item(1, report.XnameFollows, "\xff\xff"), report.CodeStream, "string of"},
		{"unknown tag", opened().frame(77, "x"), report.CodeStream, "unknown tag 77"},
		{"tag of rsync's own", opened().frame(9, "xxxx"), report.CodeStream, "unknown tag 9"},
		{"an endless message", opened().frame(wire.TagInfo, strings.Repeat("x", 1<<17)), report.CodeStream, "message"},
		{"an I/O error of two bytes", opened().frame(wire.TagIOError, "ab").done(1), report.CodeStream, "I/O error message"},
		{"incremental recursion", replaceFlags("\x81\xff"), report.CodeStream, "incremental recursion"},
		{"no negotiation", replaceFlags("\x80\x7e"), report.CodeStream, "negotiates no checksum"},
		{"checksums unknown", &peerSays{b: []byte("@RSYNCD: 32.0 md5\n@RSYNCD: OK\n\x81\xfe\x04sha9\x01\x00\x00\x00")}, report.CodeUnsupported, "sha9"},
		{"an endless list of checksums", &peerSays{b: []byte("@RSYNCD: 32.0 md5\n@RSYNCD: OK\n\x81\xfe\xff\xff")}, report.CodeStream, "string of"},
		{"an endless message of the day", &peerSays{b: append([]byte("@RSYNCD: 32.0 md5\n"), bytes.Repeat([]byte("hello\n"), 1_001)...)}, report.CodeStream, "more than 1000 lines"},
		{"an endless line", &peerSays{b: append([]byte("@RSYNCD: 32.0 md5\n"), bytes.Repeat([]byte("x"), 5_000)...)}, report.CodeStream, "longer than 4096"},
		{"an endless greeting", &peerSays{b: bytes.Repeat([]byte("@RSYNCD: "), 5_000)}, report.CodeStream, "longer than 4096"},
		{"exit with 0", opened().frame(wire.TagErrorExit, "\x00\x00\x00\x00"), report.CodeStream, "exit code"},
		{"exit without a code", opened().frame(wire.TagErrorExit, ""), report.CodeStream, "exit code"},
		{"exit", opened().frame(wire.TagError, "no\n").frame(wire.TagErrorExit, "\x0b\x00\x00\x00"), report.CodeFile, "exit code 11"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res, err := speak(t, tt.says.b, tt.text == "closed", hostileSource(t, 100))
			if code := codeOf(res, err); code != tt.code {
				t.Fatalf("exit code %d, want %d: %v", code, tt.code, err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %q does not say %q", err, tt.text)
			}
		})
	}
}

func replaceFlags(flags string) *peerSays {
	return &peerSays{b: bytes.Replace(opened().b, []byte("\x81\xfe"), []byte(flags), 1)}
}

// split cuts data frames into frames of one byte with messages between them.
func split(p *peerSays) *peerSays {
	head := opened().b
	out := &peerSays{b: bytes.Clone(head)}
	for _, f := range frames(p.b[len(head):], false) {
		if f.tag != wire.TagData {
			out.frame(f.tag, string(f.data[4:]))
			continue
		}
		for _, c := range f.data[4:] {
			out.data([]byte{c}).frame(wire.TagWarning, "in between\n").data(nil).frame(wire.TagDeleted, "dir\x00")
		}
	}
	return out
}

// duplex is a connection whose directions end apart, as those of TCP.
type duplex struct{ r, w net.Conn }

func (d duplex) Read(b []byte) (int, error)          { return d.r.Read(b) }
func (d duplex) Write(b []byte) (int, error)         { return d.w.Write(b) }
func (d duplex) Close() error                        { return errors.Join(d.r.Close(), d.w.Close()) }
func (d duplex) SetReadDeadline(at time.Time) error  { return d.r.SetReadDeadline(at) }
func (d duplex) SetWriteDeadline(at time.Time) error { return d.w.SetWriteDeadline(at) }

// newDuplex returns our end, and the peer's.
func newDuplex() (ours, theirs duplex) {
	ours.r, theirs.w = net.Pipe()
	theirs.r, ours.w = net.Pipe()
	return ours, theirs
}

// speak runs a push whose peer says what it says, and then closes its side or waits.
func speak(t *testing.T, says []byte, closes bool, src sender.Source) (sender.Result, error) {
	t.Helper()
	return speakWith(t, says, closes, hostileOptions(), hostileJob(), src)
}

// goodPeer is a conversation that ends well.
func goodPeer() []byte {
	return opened().frame(wire.TagInfo, "hello\n").item(0, report.ReportTime, "").ask(1, [4]int32{1, 700, 2, 100}, 1, 2, 3, 4, 5, 6).
		ask(2, [4]int32{}).item(4, report.IsNew|report.LocalChange, "").done(1).ask(1, [4]int32{}).done(4).b
}

// The peer may close, go silent, leave or talk nonsense after any byte.
func TestHostileAnywhere(t *testing.T) {
	good := goodPeer()
	src := hostileSource(t, 100)
	if res, err := speak(t, good, false, src); err != nil || res.Partial {
		t.Fatalf("the whole conversation: %v", err)
	}
	exit := (&peerSays{}).frame(wire.TagErrorExit, "\x0b\x00\x00\x00").b
	for n := range good {
		said := good[:n:n]
		t.Run(fmt.Sprint("closed after ", n), func(t *testing.T) {
			res, err := speak(t, said, true, src)
			if code := codeOf(res, err); code != report.CodeStart && code != report.CodeStream {
				t.Errorf("exit code %d: %v", code, err)
			}
		})
		t.Run(fmt.Sprint("nonsense after ", n), func(t *testing.T) {
			res, err := speak(t, append(said, bytes.Repeat([]byte{0xEE, '\n', 0x01, 0xFF, 0x00}, 5000)...), true, src)
			if err == nil {
				t.Errorf("no error, exit code %d", codeOf(res, err))
			}
		})
		t.Run(fmt.Sprint("silent after ", n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { silentAfter(t, said, src) })
		})
	}
	at := len(opened().b)
	for _, f := range append(frames(good[at:], false), segment{}) {
		res, err := speak(t, append(good[:at:at], exit...), false, src)
		if code := codeOf(res, err); code != report.CodeFile {
			t.Errorf("peer that leaves after %d bytes: exit code %d: %v", at, code, err)
		}
		at += len(f.data)
	}
}

// silentAfter gives a peer up that stops talking, after the timeout and not before.
func silentAfter(t *testing.T, said []byte, src sender.Source) {
	ours, theirs := newDuplex()
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(io.Discard, theirs) })
	wg.Go(func() { theirs.Write(said) })
	o := hostileOptions()
	o.Timeout = 10 * time.Second
	begin := time.Now()
	res, err := sender.Push(t.Context(), ours, o, &sender.Module{Name: "m"}, hostileJob(), src)
	took := time.Since(begin)
	ours.Close()
	theirs.Close()
	wg.Wait()
	if code := codeOf(res, err); code != report.CodeTimeout {
		t.Errorf("exit code %d: %v", code, err)
	}
	if took < 10*time.Second || took > 13*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A peer that leaves while a large file is on its way says why.
func TestHostileExitWhileWriting(t *testing.T) {
	says := opened().ask(1, [4]int32{}).frame(wire.TagError, "disk full\n").frame(wire.TagErrorExit, "\x0b\x00\x00\x00").b
	ours, theirs := net.Pipe()
	defer theirs.Close()
	defer ours.Close()
	var wg sync.WaitGroup
	wg.Go(func() { io.CopyN(io.Discard, theirs, 100_000) }) // then it reads no more
	wg.Go(func() { theirs.Write(says) })
	o := hostileOptions()
	var texts []string
	o.Sink.Message = func(text string, _ bool) { texts = append(texts, text) }
	res, err := sender.Push(t.Context(), ours, o, &sender.Module{Name: "m"}, hostileJob(), hostileSource(t, 5_000_000))
	if code := codeOf(res, err); code != report.CodeFile {
		t.Errorf("exit code %d: %v", code, err)
	}
	if len(texts) != 1 || texts[0] != "disk full" {
		t.Errorf("messages %q", texts)
	}
	theirs.Close()
	wg.Wait()
}

// Endless messages cost the peer time and us no memory; so does a peer that asks and never reads.
func TestHostileFlood(t *testing.T) {
	for _, reads := range []bool{true, false} {
		t.Run(fmt.Sprintf("peer reads %v", reads), func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer ours.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var wg sync.WaitGroup
			wg.Go(func() {
				if reads {
					io.Copy(io.Discard, theirs)
				} else {
					io.CopyN(io.Discard, theirs, 1_000)
				}
			})
			var before, peak runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			wg.Go(func() {
				defer cancel()
				theirs.Write(opened().ask(1, [4]int32{}).b)
				flood := bytes.Repeat((&peerSays{}).frame(wire.TagDeleted, strings.Repeat("d/", 200)).b, 100)
				theirs.SetWriteDeadline(time.Now().Add(2 * time.Second))
				for range 2_000 {
					if _, err := theirs.Write(flood); err != nil {
						break // we take no more
					}
				}
				runtime.GC()
				runtime.ReadMemStats(&peak)
			})
			_, err := sender.Push(ctx, ours, hostileOptions(), &sender.Module{Name: "m"}, hostileJob(), hostileSource(t, 5_000_000))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			theirs.Close()
			wg.Wait()
			if grown := int64(peak.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
				t.Errorf("the heap grew by %d bytes", grown)
			}
		})
	}
}

// A peer that sends its half and closes it, and reads on.
func TestHostileHalfClosed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.Write(opened().ask(1, [4]int32{}).b)
		c.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c)
	})
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	res, err := sender.Push(t.Context(), conn, hostileOptions(), &sender.Module{Name: "m"}, hostileJob(), hostileSource(t, 5_000_000))
	if code := codeOf(res, err); code != report.CodeStream {
		t.Errorf("exit code %d: %v", code, err)
	}
}
