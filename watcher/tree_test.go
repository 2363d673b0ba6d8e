package watcher

import (
	"context"
	"os"
	"slices"
	"testing"

	"github.com/fsnotify/fsnotify"
)

// startTree watches root without a Watcher around it.
func startTree(t *testing.T, root string) *tree {
	t.Helper()
	tr := benchTree(root)
	tr.log = newHarness(t, Config{Root: root}).w.cfg.Logger
	tr.rebuild(context.Background())
	tr.marks.reset()
	t.Cleanup(func() { tr.close(); tr.wait() })
	return tr
}

// TestSalvage keeps what the instance before a rebuild told about contents: nobody else knows.
func TestSalvage(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	tr := startTree(t, root)
	tr.excluded = func(path string, _ bool) bool { return path == "tmp" }
	for name, op := range map[string]Op{
		"/written": OpModify, "/made": OpCreate, "/touched": OpAttrib,
		"/gone": OpDelete, "/tmp": OpModify, "": OpModify,
	} {
		tr.inst.pending.add(event{name: root + name, op: op}, "")
	}
	tr.rebuild(context.Background())
	got := tr.marks.take()
	for _, want := range []Change{{Path: "written", Content: true}, {Path: "made", Content: true}} {
		if !slices.Contains(got, want) {
			t.Errorf("%+v is missing in %+v", want, got)
		}
	}
	if len(got) != 2 {
		t.Errorf("want 2 changes, got %+v", got)
	}
}

// TestWatchChecks adds a watch at a name that has become a symbolic link, which fsnotify follows.
func TestWatchChecks(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	mkdir(t, root+"/d")
	tr := startTree(t, root)
	tr.forget(tr.at(root + "/d"))
	must(t, os.Remove(root+"/d"))
	must(t, os.Symlink(t.TempDir(), root+"/d"))
	if _, ok := tr.watch(root + "/d"); ok || tr.at(root+"/d") != nil || slices.Contains(tr.inst.src.list(), root+"/d") {
		t.Error("what a symbolic link leads to is watched")
	}
	if got := tr.marks.take(); len(got) != 1 || got[0] != (Change{Path: "d", Tree: true, Content: true}) {
		t.Errorf("want it to be looked at again, got %+v", got)
	}
}

// drained waits until all events up to now are pending, unhandled.
func (t *tree) drained(tb testing.TB, marker string) {
	tb.Helper()
	write(tb, t.root+"/"+marker, "")
	for range t.inst.pending.wake {
		t.inst.pending.mu.Lock()
		_, ok := t.inst.pending.index[t.root+"/"+marker]
		t.inst.pending.mu.Unlock()
		if ok {
			t.inst.pending.notify()
			return
		}
	}
}

// TestAwayAndBack renames a directory away and back before anybody looks: name and inode are the same, and
// the kernel has ended the watch.
func TestAwayAndBack(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	mkdir(t, root+"/d/e")
	tr := startTree(t, root)
	all := func() bool { return true }
	must(t, runCommand(root, "mv d x"))
	must(t, runCommand(root, "mv x d"))
	tr.drained(t, "marker1")
	tr.handle(t.Context(), all)
	if got := tr.marks.take(); !slices.Contains(got, Change{Path: "d", Tree: true, Content: true}) {
		t.Errorf("want d with all below, got %+v", got)
	}
	write(t, root+"/d/f", "")
	write(t, root+"/d/e/f", "")
	tr.drained(t, "marker2")
	tr.handle(t.Context(), all)
	got := tr.marks.take()
	for _, want := range []Change{{Path: "d/f", Content: true, Closed: true}, {Path: "d/e/f", Content: true, Closed: true}} {
		if !slices.Contains(got, want) {
			t.Errorf("%+v is missing in %+v", want, got)
		}
	}
}

// TestCreateOfKnown costs no second watch: the parent's listing had found the directory already.
func TestCreateOfKnown(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	mkdir(t, root+"/d/e")
	tr := startTree(t, root)
	tr.event(t.Context(), root+"/d", OpCreate)
	if got := tr.marks.take(); len(got) != 1 || got[0] != (Change{Path: "d"}) {
		t.Errorf("want a plain hint, got %+v", got)
	}
}

// stalledInstance is an instance whose reader waits to deliver an event: what the kernel queues from now
// on, the library has not heard of yet.
func stalledInstance(t *testing.T, root string) *instance {
	t.Helper()
	fs, err := fsnotify.NewWatcher()
	must(t, err)
	t.Cleanup(func() { fs.Close() })
	i := &instance{src: fsSource{fs}}
	must(t, i.watch(root))
	write(t, root+"/stall", "")
	return i
}

// TestUnwatchPanic reproduces the state in which fsnotify v1.10.1 dereferences nil: a path whose
// descriptor has become another path's.
func TestUnwatchPanic(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	i := stalledInstance(t, root)
	for _, d := range []string{root + "/n", root + "/d"} {
		mkdir(t, d)
		must(t, i.watch(d))
	}
	must(t, runCommand(root, "mv n d"))
	must(t, i.src.add(root+"/d")) // what watch does not do: adding without removing
	i.unwatch(root + "/d")
	i.unwatch(root + "/n")
	must(t, i.watch(root+"/d"))
	if alive := i.watched(map[string]bool{root + "/d": true}); !alive[root+"/d"] {
		t.Error("not watched in the end")
	}
}

// TestWatchRemovesFirst adds a path whose old directory was replaced by one that is watched under another
// name. The library must not be left with a path of no descriptor: its reader would panic on it.
func TestWatchRemovesFirst(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	i := stalledInstance(t, root)
	for _, d := range []string{root + "/n", root + "/d"} {
		mkdir(t, d)
		must(t, i.watch(d))
	}
	must(t, runCommand(root, "mv n d"))
	i.unwatch(root + "/d")
	must(t, i.watch(root+"/d"))
	if list := i.src.list(); slices.Contains(list, root+"/d") {
		t.Errorf("the library has a path without descriptor: %q", list)
	}
	i.unwatch(root + "/n")
	must(t, i.watch(root+"/d"))
	if list := i.src.list(); !slices.Contains(list, root+"/d") {
		t.Errorf("not watched in the end: %q", list)
	}
}

// TestManyPolled makes one change of the root out of very many.
func TestManyPolled(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	tr := startTree(t, root)
	for i := range maxPolledMarks + 1 {
		name := root + "/" + string(rune('\u4e00'+i))
		mkdir(t, name)
		tr.forgetAt(name)
		tr.poll(name, pollTooLong, nil)
	}
	tr.suspects.reset()
	tr.retry(context.Background())
	if got := tr.suspects.take(); len(got) != 1 || got[0] != (Change{Path: ".", Tree: true}) {
		t.Errorf("want the root's change, got %d", len(got))
	}
	if n := len(tr.polled.reasons); n != 0 || tr.watches() != maxPolledMarks+2 {
		t.Errorf("%d are still polled, %d watched", n, tr.watches())
	}
}

func (t *tree) forgetAt(abs string) {
	if n := t.at(abs); n != nil {
		t.forget(n)
	}
}

func TestPollReasons(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for r := pollLimit; r <= pollOther; r++ {
		if s := r.String(); s == "" || seen[s] {
			t.Errorf("reason %d is %q", r, s)
		} else {
			seen[s] = true
		}
	}
}

func TestRemote(t *testing.T) {
	t.Parallel()
	for magic, want := range map[int64]bool{ // statfs(2)
		0x6969: true, 0xFF534D42: true, 0xFE534D42: true, -0x1acb2be: true, 0x65735546: true,
		0xEF53: false, 0x01021994: false, 0x794c7630: false, 0x9123683E: false,
	} {
		if got := isRemote(magic); got != want {
			t.Errorf("isRemote(%#x) is %v", magic, got)
		}
	}
}

func TestReadLimit(t *testing.T) {
	t.Parallel()
	if l := readLimit("watches"); l.value <= 0 || l.name == "" {
		t.Errorf("limit is %+v", l)
	}
	if l := readLimit("nothing"); l.value != -1 || l.name != "fs.inotify.max_user_nothing" {
		t.Errorf("limit is %+v", l)
	}
}

// TestKnownThroughLink has a directory that moved, and its old path leads to it still, through a symbolic
// link: it has one name, and is to be watched, not polled.
func TestKnownThroughLink(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	mkdir(t, root+"/a/d")
	tr := startTree(t, root)
	must(t, os.Rename(root+"/a", root+"/b"))
	must(t, os.Symlink("b", root+"/a"))
	if ok := tr.claim(root+"/b/d", tr.at(root+"/a/d").id); !ok || len(tr.polled.reasons) > 0 {
		t.Errorf("want it claimed, got %v, polled %v", ok, tr.polled.reasons)
	}
}
