package sender_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// metaJob lists ".", f0 with a short, a long, a short and a long attribute, f1 with the same, f2
// with none, and two names of one file: indices 0 to 5.
func metaJob() *sender.Job {
	long := meta.NewXattr("user.b", make([]byte, 50))
	set := []meta.Xattr{meta.NewXattr("user.a", []byte("short")), long, meta.NewXattr("user.c", nil), meta.NewXattr("user.d", make([]byte, 60))}
	var list sender.Entries
	list.Add(flist.Entry{Name: ".", Mode: unix.S_IFDIR | 0o755, Flags: flist.Top})
	for _, e := range []flist.Entry{
		{Name: "f0", Extra: &flist.Extra{Xattrs: set}}, {Name: "f1", Extra: &flist.Extra{Xattrs: set}}, {Name: "f2"},
		{Name: "h0", Ino: 1, Flags: flist.Linked}, {Name: "h1", Ino: 1, Flags: flist.Linked},
	} {
		e.Mode, e.Size = unix.S_IFREG|0o644, 100
		list.Add(e)
	}
	return &sender.Job{List: sender.NewList(list)}
}

func metaOptions() sender.Options {
	o := hostileOptions()
	o.HardLinks, o.ACLs, o.Xattrs = true, true, true
	return o
}

func TestHostileMeta(t *testing.T) {
	const wants = report.ReportXattr
	head := strings.Repeat("\x00", 16)
	for _, tt := range []struct {
		name string
		says *peerSays
		code report.Code
		text string
	}{
		{"good", opened().item(1, wants, "\x02\x02\x00").item(2, wants, "\x00").item(3, wants, "\x00").done(5), 0, ""},
		{"good, backwards", opened().item(1, wants, "\x04\xf0\xfe\xff\xff\xff\x00").done(5), 0, ""},
		{"good, with data", opened().item(1, wants|report.Transfer, "\x04\x00"+head).done(5), 0, ""},
		{"good, links", opened().item(5, wants|report.XnameFollows|report.LocalChange, "\x02h0\x00").done(5), 0, ""},
		{"a value that is in the list", opened().item(1, wants, "\x01\x00"), report.CodeStream, "attribute 1"},
		{"beyond the set", opened().item(1, wants, "\x05\x00"), report.CodeStream, "attribute 5"},
		{"before the set", opened().item(1, wants, "\xf0\xff\xff\xff\xff\x00"), report.CodeStream, "attribute -1"},
		{"far beyond", opened().item(1, wants, "\x02\xf0\xff\xff\xff\x7f\x00"), report.CodeStream, "attribute 2147483649"},
		{"of an entry without any", opened().item(3, wants, "\x01\x00"), report.CodeStream, "attribute 1 was asked for, of 0"},
		{"the same again", opened().item(1, wants, "\x02\xf0\xff\xff\xff\xff\x01\x00"), report.CodeStream, "attribute 1"},
		{"again in another request", opened().item(1, wants, "\x02\x00").item(1, wants, "\x02\x00"), report.CodeStream, "again"},
		{"again for another file", opened().item(1, wants, "\x02\x00").item(2, wants, "\x02\x00"), report.CodeStream, "again"},
		{"a list that does not end", opened().item(1, wants, "\x02"), report.CodeStream, "closed"},
		{"an integer that is none", opened().item(1, wants, "\xff\xff\xff\xff\xff\xff\xff"), report.CodeStream, "varint"},
		{"a link's endless name", opened().item(5, report.XnameFollows|report.LocalChange, "\xff\xff"), report.CodeStream, "string of"},
		{"a link's name that breaks off", opened().item(5, report.XnameFollows|report.LocalChange, "\x7fx"), report.CodeStream, "closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res, err := speakWith(t, tt.says.b, tt.text == "closed", metaOptions(), metaJob(), hostileSource(t, 100))
			if code := codeOf(res, err); code != tt.code {
				t.Fatalf("exit code %d, want %d: %v", code, tt.code, err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %q does not say %q", err, tt.text)
			}
		})
	}
}

// Without -X the same bytes are another thing: no list is read.
func TestHostileXattrsUnasked(t *testing.T) {
	o := metaOptions()
	o.Xattrs = false
	if res, err := speakWith(t, opened().item(1, report.ReportXattr, "").done(5).b, false, o, metaJob(), hostileSource(t, 100)); err != nil || res.Partial {
		t.Errorf("%v", err)
	}
}

// Asked for the end of a file behind what it never had, or twice.
func TestHostileAppend(t *testing.T) {
	for _, tt := range []struct {
		name    string
		says    *peerSays
		code    report.Code
		literal int64
	}{
		{"all of it", opened().ask(1, [4]int32{}).done(5), 0, 100},
		{"its end", opened().ask(1, [4]int32{1, 700, 2, 30}).done(5), 0, 70},
		{"behind its end", opened().ask(1, [4]int32{1 << 26, 1 << 17, 2, 0}).done(5), 0, 0},
		{"its end, then all", opened().ask(1, [4]int32{1, 700, 2, 30}).done(1).ask(1, [4]int32{}).done(4), 0, 170},
		{"its end once more", opened().ask(1, [4]int32{1, 700, 2, 30}).ask(1, [4]int32{1, 700, 2, 30}), report.CodeStream, 70},
		{"a last block longer than others", opened().ask(1, [4]int32{1, 700, 2, 701}), report.CodeStream, 0},
	} {
		for _, verify := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				o := metaOptions()
				o.Append, o.AppendVerify, o.Inplace = !verify, verify, true
				res, err := speakWith(t, tt.says.b, false, o, metaJob(), hostileSource(t, 100))
				if code := codeOf(res, err); code != tt.code || res.Stats.Literal != tt.literal {
					t.Errorf("exit code %d, want %d; %d literal bytes, want %d: %v", code, tt.code, res.Stats.Literal, tt.literal, err)
				}
			})
		}
	}
}

// A file that became shorter is not appended to, and comes back.
func TestAppendShorter(t *testing.T) {
	o := metaOptions()
	o.Append, o.Inplace = true, true
	res, err := speakWith(t, opened().ask(3, [4]int32{}).done(5).b, false, o, metaJob(), hostileSource(t, 50))
	if err != nil || len(res.Changed) != 1 || res.Changed[0] != "f2" || res.Stats.Literal != 0 {
		t.Errorf("%q changed, %d literal bytes, %v", res.Changed, res.Stats.Literal, err)
	}
}

// unreadable is a source whose attributes cannot be read.
type unreadable struct{ files }

var errUnreadable = errors.New("unreadable")

func (unreadable) Xattr(string, string) ([]byte, error) { return nil, errUnreadable }

// A value that cannot be read, or is another by now, brings its file back.
func TestXattrsThatChanged(t *testing.T) {
	says := opened().item(1, report.ReportXattr, "\x02\x00").done(5).b
	res, err := speakWith(t, says, false, metaOptions(), metaJob(), unreadable{hostileSource(t, 100)})
	if err != nil || len(res.Problems) != 1 || !errors.Is(res.Problems[0].Err, errUnreadable) || res.Problems[0].Path != "f0" {
		t.Errorf("problems %v, %v", res.Problems, err)
	}
	res, err = speakWith(t, says, false, metaOptions(), metaJob(), hostileSource(t, 100))
	if err != nil || len(res.Changed) != 1 || res.Changed[0] != "f0" {
		t.Errorf("%q changed, %v", res.Changed, err)
	}
}

// Entries with an alias are read there.
func TestAlias(t *testing.T) {
	j := metaJob()
	j.Alias = map[string]string{"f0": "moved/f0"}
	src := &naming{files: hostileSource(t, 100)}
	says := opened().item(1, report.ReportXattr|report.Transfer, "\x02\x00"+strings.Repeat("\x00", 16)).ask(2, [4]int32{}).done(5).b
	if _, err := speakWith(t, says, false, metaOptions(), j, src); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(src.names, " "); got != "moved/f0 user.b moved/f0 f1" && got != "moved/f0 moved/f0 user.b f1" {
		t.Errorf("read: %s", got)
	}
}

// naming remembers what was opened.
type naming struct {
	files
	names []string
}

func (n *naming) Open(name string) (*beneath.File, flist.Entry, error) {
	n.names = append(n.names, name)
	return n.files.Open(name)
}

func (n *naming) Xattr(name, attr string) ([]byte, error) {
	n.names = append(n.names, name, attr)
	return n.files.Xattr(name, attr)
}

// crtimes are nothing that an old peer knows.
func TestCrtimesOldPeer(t *testing.T) {
	o := metaOptions()
	o.Crtimes, o.Protocol = true, 31
	says := wire.AppendInt32([]byte("@RSYNCD: 31.0\n@RSYNCD: OK\n\x3e"), 1)
	res, err := speakWith(t, says, false, o, metaJob(), hostileSource(t, 100))
	if code := codeOf(res, err); code != report.CodeProtocol || !strings.Contains(err.Error(), "crtimes") {
		t.Errorf("exit code %d: %v", code, err)
	}
}

// speakWith is speak for any options and job.
func speakWith(t *testing.T, says []byte, closes bool, o sender.Options, j *sender.Job, src sender.Source) (sender.Result, error) {
	t.Helper()
	ours, theirs := newDuplex()
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(io.Discard, theirs) })
	wg.Go(func() {
		theirs.Write(says)
		if closes {
			theirs.w.Close()
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	res, err := sender.Push(ctx, ours, o, &sender.Module{Name: "m"}, j, src)
	ours.Close()
	wg.Wait()
	return res, err
}
