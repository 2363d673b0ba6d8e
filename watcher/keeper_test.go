package watcher

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/lockstep-sync/lockstep/watcher/internal/index"
)

// told is what a queue holds: changes, or a loss, or a barrier.
type told struct {
	list    []Change
	loss    bool
	barrier uint64
}

// fakeBackend is a kernel's queue: it forgets what a test wants, and says so where it stands in the queue.
type fakeBackend struct {
	backend   // nil: the keeper asks for no more than what is here
	queue     []told
	full      bool // it drops what comes, barriers too
	losses    lostEvents
	raised    uint64
	hasPassed uint64
}

func (b *fakeBackend) lost() lostEvents { return b.losses }
func (b *fakeBackend) passed() uint64   { return b.hasPassed }

func (b *fakeBackend) barrier() uint64 {
	b.raised++
	b.push(told{barrier: b.raised})
	return b.raised
}

func (b *fakeBackend) push(e told) {
	if !b.full {
		b.queue = append(b.queue, e)
	}
}

// fataler is what rapid.T and testing.T have in common here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// keeperModel is a session around a keeper, step by step: a tree on disk, a queue of what was told of it, and
// a replica as the proof, which looks at the very moment of an emission.
type keeperModel struct {
	t     fataler
	k     *keeper
	b     *fakeBackend
	r     *replica
	root  string
	clock time.Time
	fresh bool   // what changed just now may change again without its stamps telling
	held  func() // a job that was started and has not looked yet
	marks changeSet
	found changeSet
	doubt changeSet
	blind string // nothing below is told of
	size  int
}

func newKeeperModel(t fataler, root string) *keeperModel {
	m := &keeperModel{t: t, root: root, r: newReplica(root), b: &fakeBackend{}, clock: time.Now().Add(time.Hour)}
	m.k = newKeeper(zap.NewNop(), index.Config{Root: root, Now: func() time.Time {
		if m.fresh {
			return time.Now()
		}
		return m.clock
	}})
	m.k.now = func() time.Time { return m.clock }
	m.k.spawn = func(f func()) { m.held = f }
	m.marks.add(Change{Path: ".", Tree: true})
	return m
}

// change does something to the disk; the kernel tells list of it.
func (m *keeperModel) change(err error, list ...Change) {
	if err != nil {
		return
	}
	seen := list[:0]
	for _, c := range list {
		if m.blind == "" || !strings.HasPrefix(c.Path, m.blind+"/") {
			seen = append(seen, c)
		}
	}
	m.b.push(told{list: seen})
}

func (m *keeperModel) handle(most int) {
	for ; most > 0 && len(m.b.queue) > 0; most-- {
		e := m.b.queue[0]
		m.b.queue = m.b.queue[1:]
		for _, c := range e.list {
			m.marks.add(c)
		}
		if e.loss {
			m.b.losses.count++
		}
		if e.barrier > 0 {
			m.b.hasPassed = e.barrier
		}
	}
}

// loop is what a session does in each round.
func (m *keeperModel) loop() {
	if list := m.doubt.take(); len(list) > 0 && !m.k.suspect(list) {
		for _, c := range list {
			m.marks.add(c)
		}
	}
	for _, c := range m.k.repeat.take() {
		m.marks.add(c)
	}
	list := m.marks.take()
	m.k.emitted(list)
	for _, c := range append(list, m.found.take()...) {
		m.r.look(c)
	}
	m.k.prove(m.b)
	m.k.step(context.Background())
}

func (m *keeperModel) work() {
	if m.held != nil {
		m.held()
		m.held = nil
	}
}

func (m *keeperModel) finish() {
	select {
	case j := <-m.k.done:
		m.differences()
		m.k.finished(j)
	default:
	}
}

func (m *keeperModel) differences() {
	for _, c := range m.k.take() {
		m.found.add(c)
	}
}

func (m *keeperModel) rebuild() {
	if m.k.comparing() {
		return
	}
	m.b.queue, m.b.losses, m.b.full = nil, lostEvents{}, false
	m.k.lost()
	m.doubt.add(Change{Path: ".", Tree: true})
}

func (m *keeperModel) poll() {
	if m.blind != "" {
		m.doubt.add(Change{Path: m.blind, Tree: true})
	}
}

// settle answers all losses, and goes on until nothing is left to do.
func (m *keeperModel) settle(rounds int) {
	for range rounds {
		m.b.full = false
		m.handle(len(m.b.queue))
		if m.b.losses.count > 0 {
			m.rebuild()
		}
		m.loop()
		m.work()
		m.differences()
		m.finish()
		m.clock = m.clock.Add(doubtFor / 2)
		m.loop()
		m.k.tick(context.Background())
	}
}

func (m *keeperModel) check() {
	m.t.Helper()
	m.fresh = false
	m.poll()
	m.settle(12)
	if diff := cmp.Diff(scan(m.root), m.r.entries); diff != "" {
		m.t.Fatalf("replica differs (-disk +replica):\n%s", diff)
	}
}

// TestKeeperModel proves that whatever is lost, and however looks, losses, barriers and jobs follow one
// another, all that differs is told once the losses are answered.
func TestKeeperModel(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		m := newKeeperModel(t, root)
		name := rapid.SampledFrom([]string{"a", "b", "c"})
		path := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(name, 1, 3).Draw(t, "names"), "/")
		})
		// With fanotify a directory that is made is no Tree: what comes into it is told.
		fan := rapid.Bool().Draw(t, "fanotify")
		if rapid.Bool().Draw(t, "blind") {
			m.blind = "b"
		}
		m.k.blind = func() []string {
			if m.blind == "" {
				return nil
			}
			return []string{m.blind}
		}
		edit := func(f func(abs, rel string)) func(*rapid.T) {
			return func(t *rapid.T) {
				rel := path.Draw(t, "path")
				f(filepath.Join(root, rel), rel)
			}
		}
		if rapid.Bool().Draw(t, "known") {
			m.settle(6)
			if !m.k.known {
				t.Fatal("the index is not known after all")
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": edit(func(abs, rel string) {
				m.size++
				m.change(os.WriteFile(abs, make([]byte, m.size), 0o600), Change{Path: rel, Content: true})
			}),
			"mkdir": edit(func(abs, rel string) {
				m.change(os.Mkdir(abs, 0o700), Change{Path: rel, Tree: !fan, Content: true})
			}),
			"chmod": edit(func(abs, rel string) {
				m.size++
				m.change(os.Chmod(abs, os.FileMode(0o700+m.size%2)), Change{Path: rel})
			}),
			"remove": edit(func(abs, rel string) {
				if _, err := os.Lstat(abs); err == nil {
					m.change(os.RemoveAll(abs), Change{Path: rel, Tree: true})
				}
			}),
			"rename": func(t *rapid.T) {
				from, to := path.Draw(t, "from"), path.Draw(t, "to")
				err := unix.Rename(filepath.Join(root, from), filepath.Join(root, to))
				m.change(err, Change{Path: from, Tree: true}, Change{Path: to, Tree: true, Content: true})
			},
			"overflow": func(t *rapid.T) {
				if !m.b.full {
					m.b.push(told{loss: true})
					m.b.full = true
				}
			},
			"room":    func(*rapid.T) { m.b.full = false },
			"handle":  func(t *rapid.T) { m.handle(rapid.IntRange(1, 5).Draw(t, "events")) },
			"loop":    func(*rapid.T) { m.loop() },
			"tick":    func(t *rapid.T) { m.loop(); m.k.tick(t.Context()) },
			"work":    func(*rapid.T) { m.work() },
			"finish":  func(*rapid.T) { m.finish() },
			"news":    func(*rapid.T) { m.differences() },
			"poll":    func(*rapid.T) { m.poll() },
			"rebuild": func(*rapid.T) { m.loop(); m.rebuild() },
			"fresh":   func(*rapid.T) { m.fresh = !m.fresh },
			"time":    func(t *rapid.T) { m.clock = m.clock.Add(doubtFor) },
			"settle":  func(t *rapid.T) { m.settle(rapid.IntRange(1, 3).Draw(t, "rounds")) },
			"crowd": func(t *rapid.T) { // as if more than maxDirty were dirty
				if len(m.k.dirty) > 0 && rapid.IntRange(0, 9).Draw(t, "odds") == 0 {
					m.k.dirty = pathSet{".": true}
				}
			},
		})
		m.check()
	})
}

// TestKeeperLosses are interleavings that chance seldom finds. Each begins with a known index of a/x, b/c and d.
func TestKeeperLosses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		steps func(m *keeperModel, do func(told bool, err error, list ...Change))
	}{
		{"a directory above what is looked at was replaced", func(m *keeperModel, do func(bool, error, ...Change)) {
			do(false, os.Rename(m.root+"/a", m.root+"/e"))
			do(false, os.MkdirAll(m.root+"/a/b", 0o700))
			do(false, os.WriteFile(m.root+"/a/other", nil, 0o600))
			do(true, nil, Change{Path: "a/b", Tree: true, Content: true})
		}},
		{"a directory that is looked at was replaced", func(m *keeperModel, do func(bool, error, ...Change)) {
			do(true, os.Chmod(m.root+"/a", 0o711), Change{Path: "a"})
			do(false, os.Rename(m.root+"/a", m.root+"/e"))
			do(false, os.Mkdir(m.root+"/a", 0o700))
		}},
		{"a directory that is looked at went", func(m *keeperModel, do func(bool, error, ...Change)) {
			do(true, os.Chmod(m.root+"/a", 0o711), Change{Path: "a"})
			do(false, os.RemoveAll(m.root+"/a"))
		}},
		{"made, and the deletion is lost", func(m *keeperModel, do func(bool, error, ...Change)) {
			do(true, os.WriteFile(m.root+"/f", nil, 0o600), Change{Path: "f", Content: true})
			m.handle(1)
			m.loop()
			do(false, os.Remove(m.root+"/f"))
		}},
		{"made after the look in a place without events, pushed, and deleted", func(m *keeperModel, do func(bool, error, ...Change)) {
			m.blind = "b"
			m.k.blind = func() []string { return []string{"b"} }
			do(true, os.Chmod(m.root+"/b", 0o711), Change{Path: "b", Tree: true})
			m.handle(1)
			m.loop()
			m.k.tick(context.Background())
			m.k.tick(context.Background())
			m.work()
			do(false, os.WriteFile(m.root+"/b/c/f", nil, 0o600))
			m.differences()
			m.finish()
			m.loop() // which sees it
			m.settle(8)
			do(false, os.Remove(m.root+"/b/c/f"))
		}},
		{"made after a look in a place without events that has to be repeated, pushed, and deleted", func(m *keeperModel, do func(bool, error, ...Change)) {
			m.blind = "b"
			m.k.blind = func() []string { return []string{"b"} }
			for tries, unsettled := 0, false; !unsettled && tries < 100; tries++ { // a slow machine may let it settle
				m.size++
				m.fresh = true
				do(false, os.WriteFile(fmt.Sprintf("%s/b/c/g%d", m.root, m.size), nil, 0o600))
				m.poll()
				m.loop()
				m.work()
				do(false, os.WriteFile(m.root+"/b/c/f", nil, 0o600))
				m.differences()
				m.finish()
				_, unsettled = m.k.dirty["b/c"]
				m.loop() // which sees it
			}
			m.fresh = false
			do(false, os.Remove(m.root+"/b/c/f"))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			mkdir(t, root+"/a")
			mkdir(t, root+"/b/c")
			mkdir(t, root+"/d")
			write(t, root+"/a/x", "x")
			m := newKeeperModel(t, root)
			m.settle(8)
			if !m.k.known {
				t.Fatal("the index is not known after all")
			}
			test.steps(m, func(told bool, err error, list ...Change) {
				must(t, err)
				if told {
					m.change(nil, list...)
				}
			})
			for range 3 { // what was told is looked at
				m.handle(10)
				m.loop()
				m.k.tick(t.Context())
				m.work()
				m.differences()
				m.finish()
			}
			m.b.push(told{loss: true})
			m.check()
		})
	}
}
