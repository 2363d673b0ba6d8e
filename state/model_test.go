package state

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// world is a source on the disk, a target that is a map, and a store that crashes. It changes the source, pushes what
// it was told of, and after each crash holds the store to its promise.
type world struct {
	*rapid.T
	root    string
	dir     string // the state directory
	s       *Store
	target  map[string]string // what is at each name
	dirty   map[string]bool   // what is to be pushed: name and whether as a tree
	size    int               // of the last file written: no two have the same
	blind   string            // what happens below is told by nobody
	crashes int
}

var names = []string{"a", "a/b", "a/b/c", "a/b/c/d", "a/b/e", "a-b", "a/f", "g", "g/h", "g/i", "g\n", "g/\xff"}

// TestModel is the promise of the package, with a Quiet that ends when the test says so.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		base, err := os.MkdirTemp(tempBase(t), "state")
		must(t, err)
		defer os.RemoveAll(base)
		w := &world{T: rt, root: base + "/root", dir: base + "/0", target: map[string]string{}}
		must(t, os.Mkdir(w.root, 0o755))
		w.blind = rapid.SampledFrom([]string{"", "a", "g"}).Draw(rt, "blind")
		w.open()
		defer func() { must(t, w.s.Close()) }()
		w.restart()
		rt.Repeat(map[string]func(*rapid.T){
			"change": func(rt *rapid.T) {
				w.T = rt
				w.change(true)
			},
			"push": func(rt *rapid.T) {
				w.T = rt
				w.push()
			},
			"level": func(rt *rapid.T) { // outside of any push, as a verification
				w.T = rt
				w.level(rapid.SampledFrom([]string{".", "a", "a/b", "a/b/c", "g"}).Draw(rt, "dir"))
			},
			"settle": func(rt *rapid.T) {
				w.T = rt
				w.settle()
			},
			"crash": func(rt *rapid.T) {
				w.T = rt
				w.crash()
			},
			"": func(rt *rapid.T) {
				w.T = rt
				w.sound()
			},
		})
		w.T = rt
		w.calm()
	})
}

func (w *world) cfg() Config {
	return Config{Dir: w.dir, Source: "s", Target: "t", Root: w.root, Quiet: time.Hour}
}

func (w *world) open() {
	s, opened, err := Open(w.cfg())
	must(w, err)
	if opened.Rebuilt != "" || opened.Fresh != (w.crashes == 0) {
		w.Fatalf("opened: %+v", opened)
	}
	w.s = s
}

// restart takes over what the store says is to be pushed, which has to be all that differs.
func (w *world) restart() {
	w.dirty = map[string]bool{}
	note := func(list []Path) error {
		for _, p := range list {
			w.dirty[p.Name] = w.dirty[p.Name] || p.Tree
		}
		return nil
	}
	_ = note(w.s.Dirty())
	_, err := w.s.Differs(context.Background(), []Path{{".", true}}, note)
	must(w, err)
	source := w.source(".")
	for name := range w.target {
		if _, ok := source[name]; !ok {
			source[name] = ""
		}
	}
	for name, is := range source {
		if tree, ok := w.dirty[name]; w.target[name] != is && !ok && !tree && !coveredBy(w.dirty, name) {
			w.Fatalf("%q is %q, on the target %q, and not among %v", name, is, w.target[name], w.dirty)
		}
	}
}

// crash goes on with a copy of the file as it is.
func (w *world) crash() {
	w.crashes++
	next := fmt.Sprintf("%s/../%d", w.root, w.crashes)
	must(w, os.CopyFS(next, os.DirFS(w.dir)))
	old := w.s
	w.dir = filepath.Clean(next)
	for range rapid.IntRange(0, 3).Draw(w.T, "down") {
		w.change(false)
	}
	w.open()
	must(w, old.Close())
	w.restart()
}

// source returns what is at and below a name.
func (w *world) source(name string) map[string]string {
	all := map[string]string{}
	_ = filepath.WalkDir(filepath.Join(w.root, name), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := d.Info()
		must(w, err)
		rel, err := filepath.Rel(w.root, path)
		must(w, err)
		all[rel] = fmt.Sprint(info.Mode())
		if !info.IsDir() {
			all[rel] += fmt.Sprint(info.Size())
		}
		return nil
	})
	return all
}

// change changes the source, and tells of it as a watcher does.
func (w *world) change(told bool) {
	name := rapid.SampledFrom(names).Draw(w.T, "name")
	path := filepath.Join(w.root, name)
	var changed []Path
	switch rapid.SampledFrom([]string{"write", "write", "mkdir", "remove", "rename", "chmod", "root"}).Draw(w.T, "what") {
	case "write":
		changed = w.makeAbove(name)
		if info, err := os.Lstat(path); err == nil && info.IsDir() {
			must(w, os.RemoveAll(path))
		}
		w.size++
		must(w, os.WriteFile(path, make([]byte, w.size), 0o644))
		changed = append(changed, Path{name, false})
	case "mkdir":
		changed = w.makeAbove(name + "/x")
	case "remove":
		_ = os.RemoveAll(path) // ENOTDIR below a file
		changed = []Path{{name, rapid.Bool().Draw(w.T, "tree")}}
	case "rename":
		to := rapid.SampledFrom(names).Draw(w.T, "to")
		if os.Rename(path, filepath.Join(w.root, to)) == nil {
			changed = []Path{{name, true}, {to, true}}
		}
	case "chmod":
		mode := rapid.SampledFrom([]os.FileMode{0o700, 0o755, 0o711}).Draw(w.T, "mode")
		if os.Chmod(path, mode) == nil {
			changed = []Path{{name, false}}
		}
	case "root":
		must(w, os.Chmod(w.root, rapid.SampledFrom([]os.FileMode{0o700, 0o755}).Draw(w.T, "mode")))
		changed = []Path{{".", false}}
	}
	changed = slices.DeleteFunc(changed, func(p Path) bool { return !told || w.blind != "" && isBelow(p.Name, w.blind) })
	w.s.Touch(changed)
	for _, p := range changed {
		w.dirty[p.Name] = w.dirty[p.Name] || p.Tree
	}
}

// makeAbove makes the directories above name, in the place of files, and returns the topmost that is new.
func (w *world) makeAbove(name string) []Path {
	var made []Path
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		path := filepath.Join(w.root, name[:i])
		if info, err := os.Lstat(path); err == nil && !info.IsDir() {
			must(w, os.Remove(path))
		}
		if os.Mkdir(path, 0o755) == nil && made == nil {
			made = []Path{{name[:i], true}}
		}
	}
	return made
}

// push pushes some of what is dirty, or anything, well or not.
func (w *world) push() {
	set := map[string]bool{}
	all := slices.Sorted(maps.Keys(w.dirty))
	for _, name := range all {
		if rapid.IntRange(0, 3).Draw(w.T, "take") > 0 {
			set[name] = w.dirty[name]
		}
	}
	if !w.s.Known() && rapid.IntRange(0, 3).Draw(w.T, "full") > 0 {
		set["."] = true
	}
	paths := sorted(set)
	p, err := w.s.Begin(context.Background(), paths)
	must(w, err)
	for name := range set {
		delete(w.dirty, name)
	}
	for _, q := range paths {
		delete(w.dirty, q.Name)
		if q.Tree {
			maps.DeleteFunc(w.dirty, func(name string, _ bool) bool { return isBelow(name, q.Name) })
		}
	}
	w.between()
	end := rapid.SampledFrom([]string{"done", "done", "done", "failed", "abandon", "crash", "partly"}).Draw(w.T, "end")
	if end == "partly" && len(paths) > 0 {
		for _, q := range paths[:len(paths)/2+1] {
			w.apply(q)
		}
		w.crash()
		return
	}
	var failed []Path
	if end == "failed" {
		failed = w.failing(paths)
	} else {
		for _, q := range paths {
			w.apply(q)
		}
	}
	w.between()
	if end == "crash" {
		w.crash()
		return
	}
	if end == "abandon" {
		p.Abandon()
		failed = paths
	} else {
		p.Done(failed)
	}
	for _, f := range failed {
		w.dirty[f.Name] = w.dirty[f.Name] || f.Tree
	}
}

func (w *world) between() {
	for range rapid.IntRange(0, 2).Draw(w.T, "meanwhile") {
		w.change(true)
	}
}

// failing applies paths, but for one name below one of them.
func (w *world) failing(paths []Path) []Path {
	name := rapid.SampledFrom(names).Draw(w.T, "fails")
	before := maps.Clone(w.target)
	var failed []Path
	for _, q := range paths {
		if q.Name == name || q.Tree && isBelow(name, q.Name) {
			failed = []Path{{name, true}}
		}
		w.apply(q)
	}
	dir, _ := splitName(name)
	if len(failed) > 0 && dir != "." && !strings.HasPrefix(w.target[dir], "d") {
		return nil // there is no place for what is to be left there
	}
	if len(failed) > 0 {
		maps.DeleteFunc(w.target, func(n string, _ string) bool { return n == name || isBelow(n, name) })
		maps.DeleteFunc(before, func(n string, _ string) bool { return n != name && !isBelow(n, name) })
		maps.Copy(w.target, before)
	}
	return failed
}

// found tells the store of what is sent, and takes up what it did not know.
func (w *world) found(dir string, names ...Path) {
	news, err := w.s.Found(dir, names)
	must(w, err)
	for _, p := range news {
		w.dirty[p.Name] = w.dirty[p.Name] || p.Tree
	}
}

// level brings what is directly in a directory to the target, and takes away what is not.
func (w *world) level(dir string) {
	is := w.source(dir)
	if !strings.HasPrefix(is[dir], "d") || w.target[dir] == "" && dir != "." {
		return
	}
	var list []Path
	for name := range is {
		if above, _ := splitName(name); name != "." && above == dir {
			list = append(list, Path{Name: name})
		}
	}
	w.found(dir, list...)
	maps.DeleteFunc(w.target, func(name string, was string) bool {
		child := name
		for above, _ := splitName(child); above != dir && above != "."; above, _ = splitName(child) {
			child = above
		}
		return isBelow(name, dir) && (is[child] == "" || name != child && !strings.HasPrefix(is[child], "d"))
	})
	for _, p := range list {
		w.target[p.Name] = is[p.Name]
	}
}

// apply brings one path to the target, as rsync does.
func (w *world) apply(p Path) {
	is := w.source(p.Name)
	own, there := is[p.Name]
	w.tellOf(p, is)
	if !there || !strings.HasPrefix(own, "d") || p.Tree {
		maps.DeleteFunc(w.target, func(n string, _ string) bool { return n == p.Name || isBelow(n, p.Name) })
	}
	if p.Tree {
		maps.Copy(w.target, is)
	} else if there {
		w.target[p.Name] = own
	}
	if p.Name == "." {
		return
	}
	for dir, first := p.Name, true; dir != "."; first = false {
		dir, _ = splitName(dir)
		old, had := w.target[dir]
		now, ok := w.source(dir)[dir]
		switch {
		case !ok:
		case !had || first || !strings.HasPrefix(old, "d"):
			if there || had && strings.HasPrefix(old, "d") {
				w.target[dir] = now
			}
		}
	}
}

// tellOf tells the store of what apply sends.
func (w *world) tellOf(p Path, is map[string]string) {
	dirs := map[string][]Path{}
	for name, what := range is {
		if dir, _ := splitName(name); name == p.Name || p.Tree {
			dirs[dir] = append(dirs[dir], Path{name, p.Tree && strings.HasPrefix(what, "d")})
		}
	}
	for dir := p.Name; dir != "."; {
		dir, _ = splitName(dir)
		if _, there := w.source(dir)[dir]; there && dir != "." {
			above, _ := splitName(dir)
			dirs[above] = append(dirs[above], Path{Name: dir})
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		w.found(dir, dirs[dir]...)
	}
}

// settle lets Quiet pass.
func (w *world) settle() {
	w.s.write.Lock()
	defer w.s.write.Unlock()
	must(w, w.s.settle(w.s.current(), time.Now().Add(2*time.Hour)))
}

// calm pushes all that is dirty until nothing is, and looks that nothing is left.
func (w *world) calm() {
	push := func(paths []Path) {
		p, err := w.s.Begin(context.Background(), paths)
		must(w, err)
		for _, q := range paths {
			w.apply(q)
		}
		p.Done(nil)
		w.settle()
	}
	push([]Path{{".", true}})
	w.crash()
	push(sorted(w.dirty)) // what changed while it was down
	w.dirty = map[string]bool{}
	if list := w.s.Dirty(); len(list) > 0 {
		w.Errorf("in doubt: %v", list)
	}
	if source := w.source("."); !maps.Equal(source, w.target) {
		w.Errorf("source %q, target %q", source, w.target)
	}
	for _, p := range differs(w, w.s) {
		if !strings.HasPrefix(w.target[p.Name], "d") || p.Tree { // of a directory the times may differ
			w.Errorf("%v differs", p)
		}
	}
	if n := w.s.Total(); n != int64(len(w.target)-1) {
		w.Errorf("%d records, %d names", n, len(w.target)-1)
	}
	w.sound()
}

// sound checks the file.
func (w *world) sound() {
	checkFile(w, w.s)
}

// checkFile fails unless all chunks are well formed, each record's directory has one, and the count is right.
func checkFile(tb tester, s *Store) {
	tb.Helper()
	must(tb, s.view(func(tx *bbolt.Tx) error {
		t := table{b: tx.Bucket(recordBucket)}
		var n int64
		last := ""
		_, err := t.chunks(nil, nil, func(key, recs []byte) (bool, error) {
			dir, from, _ := strings.Cut(string(key), "\x00")
			if dir != "" {
				if r, ok, err := t.get(dir); err != nil || !ok || !r.dir {
					tb.Errorf("%q has records, and none itself: %+v, %v, %v", dir, r, ok, err)
				}
			}
			if len(recs) == 0 || len(recs) > maxChunk {
				tb.Errorf("a chunk of %d bytes", len(recs))
			}
			for len(recs) > 0 {
				var r record
				var err error
				if r, recs, err = cutRecord(recs); err != nil {
					return false, err
				}
				full := dir + "\x00" + string(r.name)
				if string(r.name) < from || full <= last && strings.HasPrefix(last, dir+"\x00") {
					tb.Errorf("%q after %q in the chunk %q", full, last, key)
				}
				last = full
				n++
			}
			return true, nil
		})
		if n != s.Total() {
			tb.Errorf("%d records, Total is %d", n, s.Total())
		}
		return err
	}))
}

// TestTable compares the table with a map.
func TestTable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		base, err := os.MkdirTemp(tempBase(t), "state")
		must(t, err)
		defer os.RemoveAll(base)
		s, _, err := Open(Config{Dir: base, Root: "/"})
		must(t, err)
		defer s.Close()
		model := map[string]record{}
		name := rapid.Custom(func(rt *rapid.T) string {
			dir := rapid.SampledFrom([]string{".", "a", "a/b", "a-b", "a/b/c"}).Draw(rt, "dir")
			return joinName(dir, rapid.SampledFrom([]string{"a", "b", "c", "a-b"}).Draw(rt, "short")+
				strings.Repeat("x", rapid.IntRange(0, 250).Draw(rt, "long")))
		})
		change := func(do func(t *table) error) { must(t, s.change(s.current(), do)) }
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				n := name.Draw(rt, "name")
				r := record{print: fingerprint(rapid.Uint64().Draw(rt, "print"))}
				if old, ok := model[n]; ok {
					r.dir = old.dir
				}
				change(func(t *table) error { return t.put(n, r) })
				model[n] = r
				for dir, _ := splitName(n); dir != "."; dir, _ = splitName(dir) {
					if !model[dir].dir {
						model[dir] = record{dir: true}
					}
				}
			},
			"remove": func(rt *rapid.T) {
				n := name.Draw(rt, "name")
				if model[n].dir {
					rt.Skip("has records below")
				}
				change(func(t *table) error { return t.remove(n) })
				delete(model, n)
			},
			"below": func(rt *rapid.T) {
				n := name.Draw(rt, "name")
				change(func(t *table) error {
					_, err := t.removeBelow(n, 1000)
					return err
				})
				maps.DeleteFunc(model, func(name string, _ record) bool { return isBelow(name, n) })
			},
			"": func(rt *rapid.T) {
				if s.Total() != int64(len(model)) {
					rt.Errorf("Total is %d, not %d", s.Total(), len(model))
				}
				must(t, s.view(func(tx *bbolt.Tx) error {
					table := table{b: tx.Bucket(recordBucket)}
					for n, want := range model {
						got, ok, err := table.get(n)
						if err != nil || !ok || got.print != want.print || got.dir != want.dir {
							rt.Errorf("%q: %+v, %v, %v, want %+v", n, got, ok, err, want)
						}
					}
					return nil
				}))
			},
		})
		checkFile(t, s)
	})
}
