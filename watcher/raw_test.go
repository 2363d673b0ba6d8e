package watcher

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// record is a struct inotify_event as inotify(7) has it: the name is padded with NULs.
func record(wd int32, mask, cookie uint32, name string) []byte {
	size := (len(name) + 16) / 16 * 16
	if name == "" {
		size = 0
	}
	b := make([]byte, unix.SizeofInotifyEvent+size)
	binary.NativeEndian.PutUint32(b, uint32(wd))
	binary.NativeEndian.PutUint32(b[4:], mask)
	binary.NativeEndian.PutUint32(b[8:], cookie)
	binary.NativeEndian.PutUint32(b[12:], uint32(size))
	copy(b[unix.SizeofInotifyEvent:], name)
	return b
}

// FuzzRawEvents takes apart any bytes: events have names below a watched directory, or there is an error.
func FuzzRawEvents(f *testing.F) {
	f.Add(record(1, unix.IN_CREATE|unix.IN_ISDIR, 0, "d"))
	f.Add(slices.Concat(record(1, unix.IN_MOVED_FROM, 7, "a"), record(1, unix.IN_MOVED_TO, 7, strings.Repeat("b", 255))))
	f.Add(slices.Concat(record(1, unix.IN_DELETE_SELF, 0, ""), record(1, unix.IN_IGNORED, 0, ""), record(1, unix.IN_MODIFY, 0, "x")))
	f.Add(record(-1, unix.IN_Q_OVERFLOW, 0, ""))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, buf []byte) {
		r := &rawSource{path: map[int32]string{1: "/r", 2: "/r/d"}, wd: map[string]int32{"/r": 1, "/r/d": 2}}
		p := newPending(maxPending)
		_ = r.events(buf, new(cookies), p)
		for _, e := range p.list {
			if e.name != "/r" && !strings.HasPrefix(e.name, "/r/") || strings.ContainsRune(e.name, 0) || e.op == 0 {
				t.Errorf("%+v of %q", e, buf)
			}
		}
	})
}

// TestRawEvents compares what a few operations give with what inotify(7) promises.
func TestRawEvents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	mkdir(t, root)
	write(t, dir+"/outside", "one")
	var got []string
	seen := make(chan struct{})
	cookies := make(map[uint32]int)
	h := newHarness(t, Config{Root: root, Ops: OpOpen, OnEvent: func(list []Event) {
		for _, e := range list {
			text := e.Op.String() + " " + e.Path
			if e.Dir {
				text += "/"
			}
			if e.Found {
				text += " found"
			}
			if e.Cookie != 0 {
				cookies[e.Cookie]++
			}
			if e.Path != "." {
				got = append(got, text)
			}
			if e.Path == "last" && e.Op == OpDelete {
				close(seen)
			}
		}
	}})
	h.run()
	h.await("first emission", func() bool { return h.rootChanges() > 0 })
	for _, command := range []string{"write f one", "mv f g", "mv ../outside h", "mv g ../outside", "link h l", "chmod h 600", "rm h"} {
		must(t, runCommand(root, command))
	}
	must(t, os.WriteFile(root+"/last", nil, 0o600))
	must(t, os.Remove(root+"/last"))
	<-seen
	h.stop()
	want := []string{
		"CREATE f", "OPEN f", "MODIFY f", "CLOSE_WRITE f", "MOVED_FROM f", "MOVED_TO g", "MOVED_TO h", "MOVED_FROM g",
		"CREATE l", "ATTRIB h", "DELETE h", "CREATE last", "OPEN last", "CLOSE_WRITE last", "DELETE last",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	pairs := 0
	for _, n := range cookies {
		if n == 2 {
			pairs++
		}
	}
	if pairs != 1 {
		t.Errorf("want one rename with both halves, cookies are %v", cookies)
	}
}

// TestFoundEvents fills new directories faster than they can be watched: each file is told once.
func TestFoundEvents(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	created := make(map[string]int)
	done := make(chan struct{})
	h := newHarness(t, Config{Root: root, OnEvent: func(list []Event) {
		for _, e := range list {
			if e.Op == OpCreate {
				created[e.Path]++
			}
			if e.Path == "last" && e.Op == OpCreate {
				close(done)
			}
		}
	}})
	h.run()
	h.await("first emission", func() bool { return h.rootChanges() > 0 })
	const dirs = 300
	for i := range dirs {
		d := filepath.Join(root, string(rune('\u4e00'+i)), "a/b")
		mkdir(t, d)
		write(t, d+"/f", "")
	}
	write(t, root+"/last", "")
	<-done
	h.stop()
	for i := range dirs {
		for _, below := range []string{"", "/a", "/a/b", "/a/b/f"} {
			if p := string(rune('\u4e00'+i)) + below; created[p] != 1 {
				t.Errorf("%q was created %d times", p, created[p])
			}
		}
	}
}

// TestCloseWrite: the pinned fsnotify tells of closing. If this fails after an update, closewrite.go has to
// be looked at; until then a file counts as complete when it was quiet.
func TestCloseWrite(t *testing.T) {
	t.Parallel()
	if !hasCloseWrite || closeWrite == 0 {
		t.Fatal("fsnotify has other options than closewrite.go knows")
	}
	root := t.TempDir()
	h := start(t, Config{Root: root})
	open := func() (c Change) {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.raw["f"]
	}
	f, err := os.Create(root + "/f")
	must(t, err)
	_, err = f.WriteString("one")
	must(t, err)
	h.await("an open file", func() bool { return open().Open })
	must(t, f.Close())
	h.await("a closed file", func() bool { return open().Closed && !open().Open })
	// Stores through mmap give no event before the last reference is gone.
	f, err = os.OpenFile(root+"/f", os.O_RDWR, 0)
	must(t, err)
	h.sync()
	h.take()
	m, err := unix.Mmap(int(f.Fd()), 0, 3, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	copy(m, "two")
	must(t, unix.Munmap(m))
	must(t, f.Close())
	h.await("a change by mmap", func() bool { return h.has(Change{Path: "f", Content: true}) })
}
