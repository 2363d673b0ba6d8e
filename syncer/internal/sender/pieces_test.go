package sender_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// chain is a tree of directories with one name in each that is no directory, or none, so that
// readdir(3) has no choice.
func chain(t *testing.T, dir string) {
	t.Helper()
	put(t, dir, "d/e/f", "at the end\n")
	for _, name := range []string{"d/e/empty"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// spread is a file with names in three directories, and ACLs and attributes that come again in the
// next one.
func spread(t *testing.T, dir string) {
	t.Helper()
	put(t, dir, "d/x", "one")
	for _, name := range []string{"d/e/y", "d/e/z", "d/e/g/x"} {
		if err := os.MkdirAll(filepath.Join(dir, path.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(filepath.Join(dir, "d/x"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	acl := meta.ACL{UserObj: 6, GroupObj: 4, Mask: 6, Other: 4, Named: []meta.Named{{ID: 1, User: true, Perm: 6}, {ID: 2, Perm: 4}}}
	for _, name := range []string{"d/x", "d/e"} {
		if err := meta.SetAccess(filepath.Join(dir, name), &acl, 0o664); err != nil {
			t.Fatal(err)
		}
		if err := meta.Set(filepath.Join(dir, name), "user.long", []byte(strings.Repeat("value ", 10))); err != nil {
			t.Fatal(err)
		}
	}
}

// dirs is a walk of directories that are known.
type dirs struct {
	list []sender.Dir
	end  error                 // after the last; nil: io.EOF
	more func(int) *sender.Dir // where list ends: directory number n, for ever
	next int
}

func (d *dirs) Begin(_ context.Context, ready func()) error {
	d.next = 0
	ready()
	return nil
}

func (d *dirs) Next(context.Context) (sender.Dir, error) {
	d.next++
	switch {
	case d.next <= len(d.list):
		return d.list[d.next-1], nil
	case d.more != nil:
		return *d.more(d.next), nil
	case d.end != nil:
		return sender.Dir{}, d.end
	}
	return sender.Dir{}, io.EOF
}

func (d *dirs) Whole(context.Context) (sender.List, error) {
	var all sender.Entries
	for i, dir := range d.list {
		if i == 0 {
			all.Add(dir.Self)
		}
		for _, e := range dir.Entries {
			all.Add(e)
		}
	}
	return sender.NewList(all), nil
}

// walkOf is a walk of what a list holds.
func walkOf(l *sender.List) *dirs {
	in := map[string][]flist.Entry{}
	var order []flist.Entry
	for e := range l.All() {
		if e.Name != "." {
			in[path.Dir(e.Name)] = append(in[path.Dir(e.Name)], *e)
		}
		if e.IsDir() {
			order = append(order, *e)
		}
	}
	d := &dirs{}
	for _, e := range order {
		flist.Sort(in[e.Name])
		d.list = append(d.list, sender.Dir{Self: e, Entries: in[e.Name]})
	}
	return d
}

func dirEntry(name string) flist.Entry { return flist.Entry{Name: name, Mode: unix.S_IFDIR | 0o755} }

func fileEntry(name string) flist.Entry {
	return flist.Entry{Name: name, Mode: unix.S_IFREG | 0o644, Size: 100}
}

// piecesJob is "." with f0, a and b (indices 0 and 1 to 4), a with a/f1 (5, 6), b with b/f2 and
// b/f3 (7, 8 and 9).
func piecesJob() *sender.Job {
	top := dirEntry(".")
	top.Flags = flist.Top
	return &sender.Job{Walk: &dirs{list: []sender.Dir{
		{Self: top, Entries: []flist.Entry{fileEntry("f0"), dirEntry("a"), dirEntry("b")}},
		{Self: dirEntry("a"), Entries: []flist.Entry{fileEntry("a/f1")}},
		{Self: dirEntry("b"), Entries: []flist.Entry{fileEntry("b/f2"), fileEntry("b/f3")}},
	}}}
}

// openedInPieces is opened with incremental recursion.
func openedInPieces() *peerSays { return replaceFlags("\x81\xff") }

// goodInPieces is a conversation in pieces that ends well.
func goodInPieces() []byte {
	return openedInPieces().item(0, report.ReportTime, "").ask(2, [4]int32{}).done(1).item(5, report.ReportTime, "").
		ask(6, [4]int32{1, 700, 2, 100}, 1, 2, 3, 4, 5, 6).ask(9, [4]int32{}).ask(6, [4]int32{}).done(6).b
}

func TestHostilePieces(t *testing.T) {
	var none [4]int32
	says := openedInPieces
	for _, tt := range []struct {
		name string
		says *peerSays
		edit func(*sender.Job)
		code report.Code
		text string
	}{
		{"good", &peerSays{b: goodInPieces()}, nil, 0, ""},
		{"one list after all", opened().ask(1, none).done(5), nil, 0, ""},
		{"by the old numbers", says().ask(1, none), nil, report.CodeStream, `"."`},
		{"an index between lists as data", says().ask(5, none), nil, report.CodeStream, `"a"`},
		{"an index behind the last", says().ask(10, none), nil, report.CodeStream, "index 10"},
		{"an index far behind", says().item(1<<31-1, 0, ""), nil, report.CodeStream, "index 2147483647"},
		{"a negative index", says().index(-77), nil, report.CodeStream, "index -77"},
		{"a list that is not ours", says().index(-101), nil, report.CodeStream, "index -101"},
		{"the end of lists", says().index(wire.IndexListEnd), nil, report.CodeStream, "index -2"},
		{"a list that is done", says().done(1).ask(2, none), nil, report.CodeStream, "index 2"},
		{"the directory of a list that is done", says().done(2).item(5, report.ReportTime, ""), nil, report.CodeStream, "index 5"},
		{"data after all lists", says().done(3).ask(9, none), nil, report.CodeStream, "index 9"},
		{"thrice", says().ask(2, none).ask(2, none).ask(2, none), nil, report.CodeStream, "again"},
		{"done too often", says().done(8), nil, report.CodeStream, "closed"},
		{"done too early", says().done(1), func(j *sender.Job) {
			d := j.Walk.(*dirs)
			d.list, d.end = d.list[:1], sender.ErrNotYet
		}, report.CodeStream, "before it is sent"},
		{"a directory that was not listed", says().done(7), func(j *sender.Job) {
			d := j.Walk.(*dirs)
			d.list = append(d.list, sender.Dir{Self: dirEntry("c")})
		}, report.CodeStream, `"c", which was not listed`},
		{"a directory twice", says().done(7), func(j *sender.Job) {
			d := j.Walk.(*dirs)
			d.list = append(d.list, d.list[1])
		}, report.CodeStream, `"a", which was not listed`},
		{"a walk that fails", says(), func(j *sender.Job) { j.Walk.(*dirs).end = errors.New("out of paper") }, report.CodeStream, "out of paper"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := piecesJob()
			if tt.edit != nil {
				tt.edit(j)
			}
			res, err := speakWith(t, tt.says.b, tt.text == "closed", hostileOptions(), j, hostileSource(t, 100))
			if code := codeOf(res, err); code != tt.code {
				t.Fatalf("exit code %d, want %d: %v", code, tt.code, err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %q does not say %q", err, tt.text)
			}
		})
	}
}

// The peer may close or talk nonsense after any byte.
func TestHostilePiecesAnywhere(t *testing.T) {
	good := goodInPieces()
	src := hostileSource(t, 100)
	for n := range good {
		if res, err := speakWith(t, good[:n:n], true, hostileOptions(), piecesJob(), src); err == nil {
			t.Errorf("closed after %d: exit code %d", n, codeOf(res, err))
		}
		nonsense := append(good[:n:n], strings.Repeat("\xEE\n\x01\xFF\x00", 5000)...)
		if res, err := speakWith(t, nonsense, true, hostileOptions(), piecesJob(), src); err == nil {
			t.Errorf("nonsense after %d: exit code %d", n, codeOf(res, err))
		}
	}
}

// Files that are asked for again, before their list is done, are told and counted once.
func TestPiecesRedo(t *testing.T) {
	o := hostileOptions()
	var items []string
	o.Sink.Item = func(it report.Item) { items = append(items, it.String()) }
	res, err := speakWith(t, goodInPieces(), false, o, piecesJob(), hostileSource(t, 100))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".d..t...... ./", "<f......... f0", ".d..t...... a/", "<f......... a/f1", "<f......... b/f3"}
	if diff := cmp.Diff(want, items); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	if s := res.Stats; s.Changed != 5 || s.Transferred != 4 || s.Files != 4 || s.Dirs != 3 {
		t.Errorf("stats %+v", s)
	}
}

// Files marked Content that the peer did not ask for are told, whichever list they are in.
func TestPiecesPassed(t *testing.T) {
	j := piecesJob()
	for _, d := range j.Walk.(*dirs).list {
		for i := range d.Entries {
			d.Entries[i].Flags |= flist.Content
		}
	}
	res, err := speakWith(t, goodInPieces(), false, hostileOptions(), j, hostileSource(t, 100))
	if err != nil || len(res.Passed) != 1 || res.Passed[0].Name != "b/f2" {
		t.Errorf("passed %v, %v", res.Passed, err)
	}
}

// A peer that is never done with a list gets no more of them, whatever they hold.
func TestHostilePiecesNeverDone(t *testing.T) {
	for _, n := range []int{0, 1, 500} {
		t.Run(fmt.Sprint(n, " files each"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { neverDone(t, n) })
		})
	}
}

func neverDone(t *testing.T, each int) {
	name := func(n int) string { return strings.Repeat("d/", n%1000) + fmt.Sprint(n) }
	walk := &dirs{more: func(n int) *sender.Dir {
		d := sender.Dir{Self: dirEntry(name(n))}
		if n == 1 {
			d.Self = dirEntry(".")
		}
		for i := range each {
			d.Entries = append(d.Entries, fileEntry(fmt.Sprint("f", i)))
		}
		d.Entries = append(d.Entries, dirEntry(name(n+1)))
		return &d
	}}
	ours, theirs := newDuplex()
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(io.Discard, theirs) })
	wg.Go(func() { theirs.Write(openedInPieces().item(0, report.ReportTime, "").b) })
	o := hostileOptions()
	o.Timeout = 10 * time.Second
	res, err := sender.Push(t.Context(), ours, o, &sender.Module{Name: "m"}, &sender.Job{Walk: walk}, files{})
	ours.Close()
	theirs.Close()
	wg.Wait()
	if code := codeOf(res, err); code != report.CodeTimeout {
		t.Errorf("exit code %d: %v", code, err)
	}
	if most := 10_500/(each+1) + 2; walk.next > most {
		t.Errorf("%d directories were sent, want at most %d", walk.next, most)
	}
}

// late is a walk whose directories come one by one, when the test says so.
type late struct {
	dirs
	mu    sync.Mutex // guards known
	known int
	ready func()
}

func (l *late) Begin(_ context.Context, ready func()) error { l.ready = ready; return nil }

func (l *late) Next(ctx context.Context) (sender.Dir, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == l.known {
		return sender.Dir{}, sender.ErrNotYet
	}
	return l.dirs.Next(ctx)
}

func (l *late) come() {
	l.mu.Lock()
	l.known++
	l.mu.Unlock()
	l.ready()
}

// What is asked for is sent while a directory is still being read, and what is read is sent while
// the peer says nothing; neither is taken for the silence of a peer that is gone.
func TestPiecesLate(t *testing.T) {
	src := hostileSource(t, 100)
	synctest.Test(t, func(t *testing.T) {
		walk := &late{dirs: *piecesJob().Walk.(*dirs)}
		ours, theirs := newDuplex()
		var wg sync.WaitGroup
		defer wg.Wait()
		defer theirs.Close()
		defer ours.Close()
		var mu sync.Mutex
		heard := 0
		wg.Go(func() {
			b := make([]byte, 1000)
			for {
				n, err := theirs.Read(b)
				mu.Lock()
				heard += n
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
		said := 0
		step := func(what string, do func()) {
			t.Helper()
			do()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if heard == said {
				t.Errorf("nothing was sent after %s", what)
			}
			said = heard
		}
		good := goodInPieces()
		at := len(openedInPieces().b)
		var err error
		done := make(chan struct{})
		step("the greeting", func() {
			wg.Go(func() {
				defer close(done)
				o := hostileOptions()
				o.Timeout = 10 * time.Second
				_, err = sender.Push(t.Context(), ours, o, &sender.Module{Name: "m"}, &sender.Job{Walk: walk}, src)
			})
			theirs.Write(good[:at])
		})
		step("the first directory", walk.come)
		requests := frames(good[at:], false)
		step("a request", func() { theirs.Write(requests[0].data) })
		step("data", func() { theirs.Write(requests[1].data) })
		time.Sleep(8 * time.Second) // of a slow disk
		step("the second directory", walk.come)
		time.Sleep(8 * time.Second)
		step("the third directory", walk.come)
		step("the end", walk.come)
		for _, r := range requests[2:] {
			theirs.Write(r.data)
		}
		<-done
		if err != nil {
			t.Error(err)
		}
	})
}

// FuzzPieces: what a generator says when the list goes in pieces.
func FuzzPieces(f *testing.F) {
	var requests []byte
	for _, s := range frames(goodInPieces()[len(openedInPieces().b):], false) {
		requests = append(requests, s.data[4:]...)
	}
	f.Add(requests)
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0})
	src := hostileSource(f, fuzzSize)
	f.Fuzz(func(t *testing.T, requests []byte) {
		p := openedInPieces()
		for part := range slices.Chunk(requests, 7) {
			p.data(part)
		}
		endureWith(t, p.b, src, 32, hostileOptions(), piecesJob())
	})
}
