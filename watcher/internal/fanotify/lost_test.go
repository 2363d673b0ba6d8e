package fanotify

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openLimited makes a group whose queue holds a number of events: the setting is the whole system's,
// and counts when a group is made.
func openLimited(t *testing.T, cfg Config, events int) *Group {
	t.Helper()
	needRoot(t)
	const path = "/proc/sys/fs/fanotify/max_queued_events"
	old, err := os.ReadFile(path)
	must(t, err)
	if err := os.WriteFile(path, fmt.Append(nil, events), 0); err != nil {
		t.Skipf("max_queued_events cannot be written here: %v", err)
	}
	cfg.limited = true
	g, err := Open(cfg)
	must(t, os.WriteFile(path, old, 0))
	must(t, err)
	return g
}

// TestOverflow fills a queue of 10 while nobody reads, with a rename of a known directory among what
// is lost.
func TestOverflow(t *testing.T) {
	needRoot(t)
	root := tempDir(t) // a file system of its own: others would fill a queue this small
	must(t, unix.Mount("tmpfs", root, "tmpfs", 0, ""))
	t.Cleanup(func() { unix.Unmount(root, unix.MNT_DETACH) })
	mkdir(t, root+"/a/b")
	g := openLimited(t, Config{Root: root}, 10)
	full, gate := make(chan struct{}), make(chan struct{})
	h := newHarness(t, g, root)
	h.before = func() {
		h.before = nil
		close(full)
		<-gate
	}
	h.run()
	write(t, root+"/a/b/f", "")
	<-full
	for i := range 100 {
		write(t, fmt.Sprintf("%s/f%d", root, i), "")
	}
	must(t, os.Rename(root+"/a", root+"/z"))
	close(gate)
	h.await("loss", func() bool { return g.Stats().Lost > 0 })
	got := h.take()
	if n := lostIn(got); n != 1 {
		t.Errorf("want one loss, got %d in %q", n, show(got))
	}
	write(t, root+"/z/b/f", "1")
	h.want("z/b/f MODIFY|CLOSE_WRITE")
}

func lostIn(list []Event) (n int) {
	for _, e := range list {
		if e.Lost() {
			n++
		}
	}
	return n
}

// TestNoDescriptors cannot open what it must resolve, for a while.
func TestNoDescriptors(t *testing.T) {
	if !inChild(t, &syscall.SysProcAttr{}) {
		return
	}
	root := shm(t)
	mkdir(t, root+"/d")
	h := start(t, Config{Root: root})
	h.sync(".")
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}))
	must(t, unix.Mknod(root+"/d/f", unix.S_IFREG, 0))
	h.await("loss", func() bool { return h.g.Stats().Lost > 0 })
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	if got := h.take(); lostIn(got) == 0 {
		t.Errorf("the loss is told, got %q", show(got))
	}
	write(t, root+"/d/f", "1")
	h.want("d/f MODIFY|CLOSE_WRITE")
}

// TestDeep has a directory whose path the kernel does not tell.
func TestDeep(t *testing.T) {
	needRoot(t)
	root := shm(t)
	component := strings.Repeat("n", 200)
	deep, err := os.OpenRoot(root)
	must(t, err)
	for range 25 {
		must(t, deep.Mkdir(component, 0o755))
		next, err := deep.OpenRoot(component)
		must(t, err)
		must(t, deep.Close())
		deep = next
	}
	defer deep.Close()
	h := start(t, Config{Root: root})
	must(t, deep.WriteFile("f", nil, 0o600))
	got := h.take()
	if len(got) == 0 || !got[0].Deep {
		t.Fatalf("want a deep event, got %q", show(got))
	}
	at := got[0].Path
	if n := len(root + "/" + at); n > pathMax || n < pathMax-2*len(component) {
		t.Errorf("the nearest path is told, got one of %d bytes", n)
	}
	must(t, deep.Rename("f", "g"))
	for _, e := range h.take() {
		if !e.Deep || e.Path+e.From != at {
			t.Errorf("no half of a deep rename is a pair, got %q", show([]Event{e}))
		}
	}
	must(t, deep.Mkdir("d", 0o700))
	write(t, root+"/f", "")
	h.take()
	must(t, os.Rename(root+"/"+component, root+"/short"))
	must(t, deep.Chmod("g", 0o700))
	got = h.take()
	last := got[len(got)-1]
	if !strings.HasPrefix(last.Path, "short/") || !last.Deep {
		t.Errorf("got %q", show(got))
	}
}

func TestDirCache(t *testing.T) {
	c := make(dirCache)
	k := func(i int) dirKey { return fmt.Appendf(key(1, 0), "%08d", i) }
	for i := range maxDirs + 1000 {
		c.put(k(i), dir{inside, "d"})
	}
	if len(c) != maxDirs {
		t.Errorf("%d directories are remembered, not %d", len(c), maxDirs)
	}
	if _, ok := c.get(k(maxDirs + 999)); !ok {
		t.Error("the last is remembered")
	}
	if c = c.emptied(); len(c) != 0 {
		t.Errorf("%d left", len(c))
	}
}

func TestLocate(t *testing.T) {
	hidden := func(rel string) bool { return rel == "no" }
	for _, tt := range []struct {
		root, abs string
		want      dir
	}{
		{"/a/b", "/a/b", dir{inside, "."}},
		{"/a/b", "/a/b/c/d", dir{inside, "c/d"}},
		{"/a/b", "/a/b/no", dir{}},
		{"/a/b", "/a/bc", dir{}},
		{"/a/b", "/c", dir{}},
		{"/a/b", "/a", dir{above, "b"}},
		{"/a/b", "/", dir{above, "a"}},
		{"/", "/", dir{inside, "."}},
		{"/", "/a/b", dir{inside, "a/b"}},
	} {
		r := &resolver{root: tt.root, hidden: hidden}
		if got := r.locate(tt.abs); got != tt.want {
			t.Errorf("%q below %q: got %+v, want %+v", tt.abs, tt.root, got, tt.want)
		}
	}
}

// TestTranslate adds records to a translator that knows their directories: what is outside costs no
// memory.
func TestTranslate(t *testing.T) {
	in, out, up := key(1, 8), key(2, 8), key(3, 8)
	known := func() *translator {
		return &translator{pid: 7, cache: dirCache{
			string(in): dir{inside, "d"}, string(out): dir{}, string(up): dir{above, "root"},
		}}
	}
	entry := func(k dirKey, s string) name { return name{k, []byte(s)} }
	const onDir = unix.FAN_ONDIR
	for _, tt := range []struct {
		name string
		in   record
		want string
		kept bool // the cache
	}{
		{"inside", record{mask: unix.FAN_CREATE, name: entry(in, "f")}, "d/f CREATE", true},
		{"directory itself", record{mask: unix.FAN_ATTRIB | onDir, name: entry(in, ".")}, "d/ ATTRIB", true},
		{"outside", record{mask: unix.FAN_CREATE, name: entry(out, "f")}, "", true},
		{"above", record{mask: unix.FAN_CREATE | onDir, name: entry(up, "other")}, "", true},
		{"root made", record{mask: unix.FAN_CREATE | onDir, name: entry(up, "root")}, "./ CREATE", true},
		{"file renamed", record{mask: unix.FAN_RENAME, name: entry(in, "g"), old: entry(in, "f")}, "d/f -> d/g RENAME", true},
		{"renamed", record{mask: unix.FAN_RENAME | onDir, name: entry(in, "g"), old: entry(in, "f")}, "d/f -> d/g/ RENAME", false},
		{"in", record{mask: unix.FAN_RENAME | onDir, name: entry(in, "g"), old: entry(out, "f")}, "d/g/ RENAME", false},
		{"out", record{mask: unix.FAN_RENAME | onDir, name: entry(out, "g"), old: entry(in, "f")}, "d/f -> / RENAME", false},
		{"root renamed", record{mask: unix.FAN_RENAME | onDir, name: entry(up, "x"), old: entry(up, "root")}, ". -> / RENAME", false},
		{"renamed outside", record{mask: unix.FAN_RENAME | onDir, name: entry(out, "g"), old: entry(up, "f")}, "", true},
		{"half", record{mask: unix.FAN_MOVED_TO | unix.FAN_CREATE | onDir, name: entry(in, "g")}, "d/g/ CREATE|MOVED_TO", false},
		{"overflow", record{mask: unix.FAN_Q_OVERFLOW}, "LOST", false},
		{"own reading", record{pid: 7, mask: unix.FAN_OPEN, name: entry(in, "f")}, "", true},
		{"reading of others", record{pid: 8, mask: unix.FAN_OPEN, name: entry(in, "f")}, "d/f OPEN", true},
		{"own writing", record{pid: 7, mask: unix.FAN_OPEN | unix.FAN_MODIFY, name: entry(in, "f")}, "d/f MODIFY|OPEN", true},
		{"no name", record{mask: unix.FAN_ATTRIB}, "", true},
	} {
		tr := known()
		must(t, tr.add(&tt.in))
		if got := strings.Join(show(tr.batch), ", "); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if kept := len(tr.cache) == 3; kept != tt.kept {
			t.Errorf("%s: cache kept is %v, want %v", tt.name, kept, tt.kept)
		}
	}
	tr := known()
	r := record{mask: unix.FAN_MODIFY, name: entry(out, "f")}
	if n := testing.AllocsPerRun(100, func() { must(t, tr.add(&r)) }); n != 0 {
		t.Errorf("an event outside costs %v allocations", n)
	}
	if tr.lost != 0 || tr.dropped == 0 {
		t.Errorf("%d lost, %d dropped", tr.lost, tr.dropped)
	}
}
