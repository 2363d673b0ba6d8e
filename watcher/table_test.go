package watcher

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

var cmpEmpty = cmpopts.EquateEmpty()

// TestTable compares with a plain map from path to inode.
func TestTable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tab := newTable()
		model := map[string]inode{"/r": {1, 1}}
		tab.insert("/r", nil, inode{1, 1})
		paths := rapid.Custom(func(t *rapid.T) string {
			return "/r/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 4).Draw(t, "path"), "/")
		})
		for next := uint64(2); next < 60; next++ {
			p := paths.Draw(t, "p")
			n := tab.at(p)
			parent := tab.at(parentPath(p))
			switch {
			case n != nil:
				var gone []string
				tab.remove(n, func(m *node) { gone = append(gone, m.path) })
				for _, g := range gone {
					if _, ok := model[g]; !ok || g != p && !strings.HasPrefix(g, p+"/") {
						t.Fatalf("remove(%q) took %q", p, g)
					}
				}
				maps.DeleteFunc(model, func(k string, _ inode) bool { return k == p || strings.HasPrefix(k, p+"/") })
			case parent != nil && rapid.Bool().Draw(t, "polled"):
				tab.insert(p, parent, inode{})
				model[p] = inode{}
			case parent != nil:
				tab.insert(p, parent, inode{1, next})
				model[p] = inode{1, next}
			}
			checkTable(t, &tab, model)
		}
	})
}

func checkTable(t *rapid.T, tab *table, model map[string]inode) {
	inodes := 0
	for p, id := range model {
		n := tab.at(p)
		if n == nil || n.id != id || n.polled != (id == inode{}) || p != "/r" && n.parent != tab.at(parentPath(p)).self {
			t.Fatalf("%q is %+v", p, n)
		}
		if !n.polled {
			inodes++
			if tab.ofInode(id) != n {
				t.Fatalf("inode of %q is %+v", p, tab.ofInode(id))
			}
		}
	}
	if tab.size != len(model) || tab.byPath.used != len(model) || tab.byIno.used != inodes {
		t.Fatalf("table has %d nodes, %d paths and %d inodes, want %d and %d", tab.size, tab.byPath.used, tab.byIno.used, len(model), inodes)
	}
}

// TestChangeSet holds the two promises: nothing that was added is lost, and nothing superfluous is kept.
func TestChangeSet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s changeSet
		all := make(map[string]Change)
		added := rapid.SliceOf(rapid.Custom(drawChange)).Draw(t, "changes")
		for _, c := range added {
			s.add(c)
			old := all[c.Path]
			all[c.Path] = Change{Path: c.Path, Tree: c.Tree || old.Tree, Content: c.Content || old.Content}
		}
		got := make(map[string]Change)
		for _, c := range s.take() {
			if _, twice := got[c.Path]; twice {
				t.Fatalf("%q came twice", c.Path)
			}
			got[c.Path] = c
		}
		for p, c := range got {
			if (c.Tree || c.Content) && !implied(all, c) || all[p].Path != p || coveredIn(got, c) {
				t.Fatalf("%+v is superfluous in %v of %v", c, got, all)
			}
		}
		for _, c := range added {
			if !implied(got, c) {
				t.Fatalf("%+v is lost in %v", c, got)
			}
		}
		if s.len() != 0 || len(s.take()) != 0 {
			t.Fatal("take leaves something behind")
		}
	})
}

func drawChange(t *rapid.T) Change {
	names := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab"}), 0, 3).Draw(t, "path")
	path := "."
	if len(names) > 0 {
		path = strings.Join(names, "/")
	}
	return Change{Path: path, Tree: rapid.Bool().Draw(t, "tree"), Content: rapid.Bool().Draw(t, "content")}
}

// implied reports whether changes say at least what c says.
func implied(changes map[string]Change, c Change) bool {
	own, ok := changes[c.Path]
	return coveredIn(changes, c) || ok && (own.Tree || !c.Tree) && (own.Content || !c.Content)
}

func TestPaths(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		root, abs, rel string
		ok             bool
	}{
		{"/r", "/r", ".", true},
		{"/r", "/r/a", "a", true},
		{"/r", "/r/a/b\n", "a/b\n", true},
		{"/r", "/ra", "", false},
		{"/r", "/", "", false},
		{"/r", "/r/", "", false},
		{"/r", "", "", false},
		{"/", "/", ".", true},
		{"/", "/a", "a", true},
		{"/", "a", "", false},
	} {
		if rel, ok := relPath(test.root, test.abs); rel != test.rel || ok != test.ok {
			t.Errorf("relPath(%q, %q) is %q, %v", test.root, test.abs, rel, ok)
		}
	}
	for path, want := range map[string]string{"/": "", "/a": "/", "/a/b": "/a"} {
		if got := parentPath(path); got != want {
			t.Errorf("parentPath(%q) is %q", path, got)
		}
		if i := strings.LastIndexByte(path, '/'); path != "/" && joinPath(want, path[i+1:]) != path {
			t.Errorf("joinPath(%q) does not give %q", want, path)
		}
	}
	if got := cleanName("//usr/x"); got != "/usr/x" {
		t.Errorf("cleanName gives %q", got)
	}
}

// TestPendingCrowd holds the bound on memory.
func TestPendingCrowd(t *testing.T) {
	t.Parallel()
	p := newPending(3)
	for _, name := range []string{"/r/a", "/r/b", "/r/a", "/r/c"} {
		p.add(event{name: name, op: OpModify}, "")
	}
	p.add(event{name: "/r/a", op: OpCreate}, "")
	if lost := p.lostEvents(); lost.count != 0 {
		t.Fatalf("lost at the bound: %+v", lost)
	}
	list, _, n := p.take()
	if n != 5 || len(list) != 3 || list[0] != (event{name: "/r/a", op: OpModify | OpCreate}) {
		t.Errorf("took %v of %d events", list, n)
	}
	for _, name := range []string{"/r/a", "/r/b", "/r/c", "/r/d", "/r/e"} {
		p.add(event{name: name, op: OpModify}, "")
	}
	list, _, _ = p.take()
	if lost := p.lostEvents(); lost.count != 1 || !lost.crowded || len(list) != 1 || list[0].name != "/r/e" {
		t.Errorf("past the bound: %v, %+v", list, lost)
	}
	select {
	case <-p.wake:
	default:
		t.Error("nobody is woken")
	}
}

func TestPendingReadError(t *testing.T) {
	t.Parallel()
	p := newPending(3)
	p.lose(errors.New("short read"))
	if lost := p.lostEvents(); lost.count != 1 || lost.err == nil || len(p.wake) != 1 {
		t.Errorf("a read error is not a loss: %+v", lost)
	}
}

// TestReadDirs lists more than one buffer holds, and compares with the standard library.
func TestReadDirs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 300 {
		name := strings.Repeat(string(rune('a'+i%26)), 1+i/26)
		if i%3 == 0 {
			write(t, filepath.Join(dir, name), "")
			continue
		}
		mkdir(t, filepath.Join(dir, name))
	}
	must(t, os.Symlink("b", filepath.Join(dir, "link")))
	fd, err := openDir(dir)
	must(t, err)
	defer unix.Close(fd)
	var got, want []string
	must(t, readDirs(fd, make([]byte, 1024), func(name []byte) { got = append(got, string(name)) }))
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if e.IsDir() {
			want = append(want, e.Name())
		}
		if isDirAt(fd, e.Name()) != e.IsDir() {
			t.Errorf("isDirAt(%q) is wrong", e.Name())
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := openDir(filepath.Join(dir, "link")); !gone(err) {
		t.Errorf("open a symbolic link: %v", err)
	}
}
