package watcher

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// TestMoves does what each case says, at once, and compares the pairs: "from to", with a "/" behind a
// directory that was known as one.
func TestMoves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, before, do string
		want             []string
	}{
		{"file in its directory", "mkdir d; write d/f one", "mv d/f d/g", []string{"d/f d/g"}},
		{"file across directories", "mkdir d; mkdir e; write d/f one", "mv d/f e/g", []string{"d/f e/g"}},
		{"file over a file", "write f one; write g two", "mv f g", []string{"f g"}},
		{"directory in its directory", "mkdir a/s", "mv a b", []string{"a b/"}},
		{"directory across directories", "mkdir a/s/t; mkdir b", "mv a/s b/u", []string{"a/s b/u/"}},
		{"from outside", "mkdir d; write ../out/f one", "mv ../out/f d/f", nil},
		{"to outside", "mkdir d", "mv d ../out/d", nil},
		{"chain of a file", "write a one", "mv a b; mv b c; mv c d", []string{"a b", "b c", "c d"}},
		{"chain of a directory", "mkdir a/s", "mv a b; mv b c", []string{"a b/", "b c/"}},
		{"rotation of files", "write log x; write log.1 y; write log.2 z", "mv log.2 log.3; mv log.1 log.2; mv log log.1",
			[]string{"log.2 log.3", "log.1 log.2", "log log.1"}},
		{"swap of directories", "mkdir a/x; mkdir b/y", "mv a t; mv b a; mv t b", []string{"a t/", "b a/", "t b/"}},
		{"out and back", "mkdir a/s", "mv a b; mv b a", []string{"a b/", "b a/"}},
		{"name excluded", "write f.skip one", "mv f.skip f", nil},
		{"to a name excluded", "write f one; mkdir d", "mv f f.skip; mv d d.skip", nil},
		{"names of any bytes", `write "a ← \"b\xff\n" one`, `mv "a ← \"b\xff\n" "\" ← \"\t"`, []string{"a ← \"b\xff\n \" ← \"\t"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			root := filepath.Join(dir, "root")
			mkdir(t, root)
			mkdir(t, filepath.Join(dir, "out"))
			commands(t, root, c.before)
			h := start(t, Config{Root: root, Excluded: func(path string, _ bool) bool { return strings.HasSuffix(path, ".skip") }})
			commands(t, root, c.do)
			h.sync()
			if got := pairsOf(h.takeMoves()); !slices.Equal(got, c.want) {
				t.Errorf("%s: %q, want %q", c.do, got, c.want)
			}
		})
	}
}

func commands(t *testing.T, root, all string) {
	t.Helper()
	for command := range strings.SplitSeq(all, "; ") {
		if err := runCommand(root, command); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
}

func pairsOf(moves []Change) (list []string) {
	for _, m := range moves {
		dir := ""
		if m.FromIno != 0 {
			dir = "/"
		}
		list = append(list, m.From+" "+m.Path+dir)
	}
	return list
}

// The identity that comes with a directory's move is that of the directory.
func TestMovedDirectoryIdentity(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	mkdir(t, root+"/a/s")
	h := start(t, Config{Root: root})
	for _, step := range []string{"mv a b; mv b c", "mv c/s d", "mv c d/c", "mv d c; mv c d; mv d e"} {
		commands(t, root, step)
		h.sync()
		moves := h.takeMoves()
		if len(moves) == 0 {
			t.Fatalf("%s: no move", step)
		}
		last := moves[len(moves)-1]
		var st unix.Stat_t
		must(t, lstat(root+"/"+last.Path, &st))
		if last.FromDev != uint64(st.Dev) || last.FromIno != st.Ino {
			t.Errorf("%s: %+v, the directory there is %d:%d", step, last, st.Dev, st.Ino)
		}
	}
}

// However many names are moved at once, the pairs are bounded, and those told are true.
func TestMovesAreBounded(t *testing.T) {
	t.Parallel()
	p := newPending(maxPending)
	for i := range 2 * maxMoves {
		p.add(event{name: fmt.Sprint("/to", i), op: OpCreate}, fmt.Sprint("/from", i))
	}
	list, moves, _ := p.take()
	if len(list) != 2*maxMoves || len(moves) != maxMoves || moves[7] != (move{from: "/from7", to: "/to7"}) {
		t.Errorf("%d events, %d moves", len(list), len(moves))
	}
	if _, moves, _ = p.take(); len(moves) != 0 {
		t.Errorf("%d moves are told again", len(moves))
	}
	p.add(event{name: "/b", op: OpCreate}, "/a")
	p.lose(nil)
	if _, moves, _ = p.take(); len(moves) != 0 {
		t.Errorf("after an overflow: %v", moves)
	}
}

// The first half of a rename is not taken without the second, if that one is on its way.
func TestHalfARename(t *testing.T) {
	t.Parallel()
	p := newPending(maxPending)
	p.wait = patience
	for range 100 {
		p.add(event{name: "/a", op: OpMovedFrom}, "")
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.add(event{name: "/b", op: OpCreate}, "/a")
		}()
		p.whole(t.Context())
		if _, moves, _ := p.take(); len(moves) != 1 {
			t.Fatal("the second half is not taken with the first")
		}
		<-done
		p.take()
	}
	p.add(event{name: "/a", op: OpMovedFrom}, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.whole(ctx) // nothing more comes
}

// What String shows is read where it is the form that is known, and else is no old name.
func TestRenamedFrom(t *testing.T) {
	t.Parallel()
	for _, e := range []fsnotify.Event{
		{Name: "/a", Op: fsnotify.Create},
		{Name: `/a" ← "/b`, Op: fsnotify.Create},
		{Name: "", Op: fsnotify.Create | fsnotify.Write},
	} {
		if from := renamedFrom(e); from != "" {
			t.Errorf("%v: %q", e, from)
		}
	}
}

// BenchmarkRenamedFrom is what an old name costs the goroutine that drains, and what a creation does
// that no rename was seen before.
func BenchmarkRenamedFrom(b *testing.B) {
	fs, err := fsnotify.NewWatcher()
	must(b, err)
	defer fs.Close()
	dir := b.TempDir()
	must(b, fs.Add(dir))
	write(b, dir+"/some-file-with-a-name", "")
	must(b, os.Rename(dir+"/some-file-with-a-name", dir+"/some-other-file"))
	var created fsnotify.Event
	for created = range fs.Events {
		if strings.Contains(created.String(), "←") {
			break
		}
	}
	b.Run("renamed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if renamedFrom(created) != dir+"/some-file-with-a-name" {
				b.Fatal(created.String())
			}
		}
	})
	b.Run("created", func(b *testing.B) {
		b.ReportAllocs()
		var p pairing
		for b.Loop() {
			p.from(created)
		}
	})
}
