package syncer_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// mover changes a source and notes what a watcher would tell of it.
type mover struct {
	*rig
	batch syncer.Batch
}

func (m *mover) tell(p syncer.Path) { m.batch.Paths = append(m.batch.Paths, p) }

// mv renames, and replaces a file.
func (m *mover) mv(from, to string) {
	m.t.Helper()
	hint := syncer.Move{From: from, To: to}
	var st unix.Stat_t
	if err := unix.Lstat(m.in(from), &st); err != nil {
		m.t.Fatal(err)
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if isDir {
		hint.Dev, hint.Ino = uint64(st.Dev), st.Ino
	}
	if err := os.Rename(m.in(from), m.in(to)); err != nil {
		m.t.Fatal(err)
	}
	m.tell(syncer.Path{Name: from, Tree: true})
	m.tell(syncer.Path{Name: to, Tree: isDir, Content: true})
	m.batch.Moves = append(m.batch.Moves, hint)
}

func (m *mover) rm(name string) {
	m.t.Helper()
	remove(m.t, m.in(name))
	m.tell(syncer.Path{Name: name, Tree: true})
}

func (m *mover) write(name, content string) {
	m.t.Helper()
	write(m.t, m.in(name), content)
	m.tell(syncer.Path{Name: name, Content: true})
}

func (m *mover) mkdir(name string) {
	m.t.Helper()
	mkdir(m.t, m.in(name))
	m.tell(syncer.Path{Name: name, Tree: true, Content: true})
}

// movedFile is larger than what the lists and greetings of a push come to.
const movedFile = 300_000

// movable is the tree that the cases begin with.
func movable(t *testing.T, dir string) {
	for i, name := range []string{"d/1", "d/2", "d/s/3", "d/s/t/4", "e/5", "f"} {
		write(t, filepath.Join(dir, name), noise(uint64(i), movedFile))
	}
	mkdir(t, filepath.Join(dir, "d/empty"), filepath.Join(dir, "far/away"))
	link(t, "../f", filepath.Join(dir, "d/link"))
	fifo(t, filepath.Join(dir, "d/fifo"))
	write(t, filepath.Join(dir, "d/none"), "")
}

type movesCase struct {
	name   string
	do     func(m *mover)
	travel int  // bytes of files that are new
	local  int  // bytes that a local target writes beside: it knows no delta, and replaces nothing by renaming
	resent bool // what moved is sent as if it were new, and that is known
}

var movesCases = []movesCase{
	{name: "directory renamed", do: func(m *mover) { m.mv("d", "g") }},
	{name: "directory moved elsewhere", do: func(m *mover) { m.mv("d", "far/away/d") }},
	{name: "directory moved and renamed", do: func(m *mover) { m.mv("d/s", "far/u") }},
	{name: "directory moved into new ones", do: func(m *mover) { m.mkdir("n/o"); m.mv("d", "n/o/p") }},
	{name: "directory moved, its parent deleted", do: func(m *mover) { m.mv("d/s", "s"); m.rm("d") }},
	{name: "directory partly changed before the push", travel: 60_000, local: movedFile, do: func(m *mover) {
		m.mv("d", "g")
		m.write("g/1", noise(0, movedFile)+"and more")
		m.write("g/s/new", noise(99, 60_000))
		m.rm("g/2")
	}},
	{name: "file renamed", do: func(m *mover) { m.mv("d/1", "d/one") }},
	{name: "file renamed before its old name", do: func(m *mover) { m.mv("d/2", "d/0") }},
	{name: "file moved", do: func(m *mover) { m.mv("d/1", "e/1") }},
	{name: "file moved and renamed", do: func(m *mover) { m.mv("d/s/3", "f3") }},
	{name: "file moved over a file", local: movedFile, do: func(m *mover) { m.mv("d/1", "e/5") }},
	{name: "several files", do: func(m *mover) { m.mv("d/1", "e/1"); m.mv("d/2", "e/2"); m.mv("e/5", "d/5") }},
	{name: "chain folded", do: func(m *mover) {
		m.mv("d", "x")
		m.mv("x", "y")
		m.batch.Moves = []syncer.Move{{From: "d", To: "y", Dev: m.batch.Moves[0].Dev, Ino: m.batch.Moves[0].Ino}}
	}},
	{name: "chain of a file folded", do: func(m *mover) {
		m.mv("f", "x")
		m.mv("x", "e/y")
		m.batch.Moves = []syncer.Move{{From: "f", To: "e/y"}}
	}},
	{name: "a part moved on", do: func(m *mover) {
		m.mv("d", "g")
		m.mv("g/s", "far/s")
		m.batch.Moves[1].From = "d/s"
	}},
	{name: "moved into what is moved", do: func(m *mover) {
		m.mv("e", "d/e")
		m.mv("d", "g")
		m.batch.Moves[0].To = "g/e"
	}},
	{name: "new directory at the old place", resent: true, travel: 1000, do: func(m *mover) {
		m.mv("d", "g")
		m.mkdir("d")
		m.write("d/1", noise(98, 1000))
	}},
	{name: "new file at the old place", resent: true, travel: 1000, do: func(m *mover) {
		m.mv("d/1", "d/one")
		m.write("d/1", noise(98, 1000))
	}},
	{name: "swap of directories", resent: true, do: func(m *mover) { m.mv("d", "t"); m.mv("e", "d"); m.mv("t", "e") }},
	{name: "swap of files", resent: true, do: func(m *mover) { m.mv("d/1", "t"); m.mv("d/2", "d/1"); m.mv("t", "d/2") }},
	{name: "out and back", travel: movedFile / 20, do: func(m *mover) { m.mv("d", "x"); m.mv("x", "d"); m.batch.Moves = nil }},
	{name: "moved, then deleted", do: func(m *mover) { m.mv("d", "x"); m.rm("x") }},
	{name: "moved into what is deleted", do: func(m *mover) { m.mv("e", "d/e"); m.rm("d") }},
	{name: "chain not folded", resent: true, do: func(m *mover) { m.mv("f", "x"); m.mv("x", "y") }},
}

// movesTargets is where the cases are pushed to.
var movesTargets = []struct {
	name     string
	protocol int
	each     int // every so many cases
	config   func(r *rig) syncer.Config
}{
	{"daemon", 32, 1, (*rig).config},
	{"daemon31", 31, 7, (*rig).config},
	{"daemon30", 30, 3, (*rig).config},
	{"ssh", 32, 4, func(r *rig) syncer.Config {
		sshd := syncertest.StartSSHD(r.t)
		cfg := r.config()
		cfg.Target = syncer.Target{Host: sshd.Host(), Path: r.dst}
		cfg.Rsh = sshd.Rsh()
		return cfg
	}},
	{"local", 0, 1, func(r *rig) syncer.Config {
		cfg := r.config()
		cfg.Target = syncer.Target{Path: r.dst}
		return cfg
	}},
}

// A moved name arrives as what it is, and what it holds does not travel.
func TestMoves(t *testing.T) {
	for _, target := range movesTargets {
		t.Run(target.name, func(t *testing.T) {
			for i, c := range movesCases {
				if i%target.each != 0 {
					continue
				}
				for _, proven := range []bool{false, true} {
					if proven && (target.each > 1 || syncertest.UnderRace) {
						continue
					}
					t.Run(fmt.Sprintf("%s/%v", c.name, proven), func(t *testing.T) {
						t.Parallel()
						r := newRig(t)
						cfg := target.config(r)
						cfg.Protocol = target.protocol
						testMove(t, r, cfg, c, proven)
					})
				}
			}
		})
	}
}

func testMove(t *testing.T, r *rig, cfg syncer.Config, c movesCase, proven bool) {
	movable(t, r.src)
	if cfg.Protocol == 30 {
		truncateTimes(t, r.src)
	}
	cfg.Delete, cfg.Keep = true, true
	s := r.syncer(cfg)
	defer s.Close()
	rep, err := s.Push(t.Context(), syncer.Full())
	r.mustBeWhole(rep, err)
	m := &mover{rig: r}
	c.do(m)
	if cfg.Protocol == 30 {
		truncateTimes(t, r.src)
	}
	m.batch.Oldest = time.Now()
	if proven {
		// All was changed long before the move, as far as the push can see.
		m.batch.Oldest = m.batch.Oldest.Add(time.Hour)
	}
	rep, err = s.Push(t.Context(), m.batch)
	r.mustBeWhole(rep, err)
	r.equal()
	if len(r.messages) > 0 {
		t.Errorf("messages: %q", r.messages)
	}
	limit := int64(c.travel + movedFile/100 + 1500)
	if !cfg.Target.Remote() {
		limit += int64(c.local)
	}
	if !c.resent && rep.Stats.Sent > limit {
		t.Errorf("%d bytes sent, of at most %d; stats %+v", rep.Stats.Sent, limit, rep.Stats)
	}
	rep, err = s.Push(t.Context(), syncer.Full())
	r.mustBeWhole(rep, err)
	if rep.Stats.Transferred > 0 || rep.Stats.Deleted > 0 {
		t.Errorf("a full push still found something: %+v", rep.Stats)
	}
}

// Whatever the hints say, the result is the source.
func TestMovesHintsAreHints(t *testing.T) {
	for _, target := range movesTargets {
		t.Run(target.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			cfg := target.config(r)
			cfg.Protocol, cfg.Delete, cfg.Keep = target.protocol, true, true
			randomMoves(t, r, cfg, 25)
		})
	}
}

func randomMoves(t *testing.T, r *rig, cfg syncer.Config, rounds int) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for _, name := range []string{"a/1", "a/2", "a/s/1", "b/1", "b/2", "b/s/1", "1", "2"} {
		write(t, r.in(name), "same size: "+name[len(name)-1:]+fmt.Sprint(rnd.IntN(10)))
		touch(t, r.in(name), old())
	}
	s := r.syncer(cfg)
	defer s.Close()
	rep, err := s.Push(t.Context(), syncer.Full())
	r.mustBeWhole(rep, err)
	for round := range rounds {
		m := &mover{rig: r}
		var did []string
		for range 1 + rnd.IntN(5) {
			did = append(did, m.random(rnd))
		}
		m.disturb(rnd)
		m.batch.Oldest = time.Now()
		if _, err = s.Push(t.Context(), m.batch); err != nil {
			t.Fatal(err)
		}
		if cfg.Protocol == 30 {
			truncateTimes(t, r.src) // so coarse are the times that arrive
		}
		r.equal()
		if t.Failed() {
			t.Fatalf("round %d: %q, batch %+v", round, did, m.batch)
		}
	}
}

// all lists the names in the source.
func (m *mover) all() (files, dirs []string) {
	_ = filepath.WalkDir(m.src, func(p string, d os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(m.src, p); d.IsDir() {
			dirs = append(dirs, rel)
		} else {
			files = append(files, rel)
		}
		return err
	})
	return files, dirs
}

// random does one thing. Sizes and times are alike, so that nothing but its content tells one
// file from another.
func (m *mover) random(rnd *rand.Rand) string {
	files, dirs := m.all()
	names := append(slices.Clone(files), dirs[1:]...)
	pick := func(list []string) string { return list[rnd.IntN(len(list))] }
	fresh := filepath.Join(pick(dirs), fmt.Sprint(rnd.IntN(4)))
	switch n := rnd.IntN(10); {
	case n < 6 && len(names) > 0:
		from, to := pick(names), fresh
		if rnd.IntN(3) == 0 {
			to = pick(names)
		}
		if strings.HasPrefix(to+"/", from+"/") || strings.HasPrefix(from+"/", to+"/") || m.isDir(from) && exists(m.t, m.in(to)) || m.isDir(to) {
			return "nothing"
		}
		m.mv(from, to)
		return "mv " + from + " " + to
	case n < 8:
		if m.isDir(fresh) {
			return "nothing"
		}
		m.write(fresh, "same size: "+fmt.Sprint(10+rnd.IntN(90)))
		touch(m.t, m.in(fresh), old())
		return "write " + fresh
	case n < 9:
		if exists(m.t, m.in(fresh)) {
			return "nothing"
		}
		m.mkdir(fresh)
		return "mkdir " + fresh
	case len(files) > 5:
		name := pick(files)
		m.rm(name)
		return "rm " + name
	}
	return "nothing"
}

func (m *mover) isDir(name string) bool {
	st, err := os.Lstat(m.in(name))
	return err == nil && st.IsDir()
}

// disturb drops hints, changes their order, and invents some.
func (m *mover) disturb(rnd *rand.Rand) {
	files, dirs := m.all()
	names := append(append(files, dirs...), "a", "b", "gone", "a/1", "a/gone", "../x", "/etc", "a//b", "")
	moves := m.batch.Moves
	switch rnd.IntN(4) {
	case 0:
		rnd.Shuffle(len(moves), func(i, k int) { moves[i], moves[k] = moves[k], moves[i] })
	case 1:
		moves = slices.DeleteFunc(moves, func(syncer.Move) bool { return rnd.IntN(2) == 0 })
	}
	for range rnd.IntN(4) {
		moves = append(moves, syncer.Move{From: names[rnd.IntN(len(names))], To: names[rnd.IntN(len(names))]})
	}
	m.batch.Moves = moves
}

// A daemon that refuses what the first run needs gets the ordinary push, and is not asked again.
func TestMovesRefused(t *testing.T) {
	r := newRig(t, func(c *syncertest.DaemonConfig) { c.Modules[0].Extra = []string{"refuse options = hard-links"} })
	movable(t, r.src)
	cfg := r.config()
	cfg.Delete, cfg.Keep = true, true
	s := r.syncer(cfg)
	defer s.Close()
	rep, err := s.Push(t.Context(), syncer.Full())
	r.mustBeWhole(rep, err)
	for _, mv := range [][2]string{{"d", "g"}, {"g", "d"}} {
		m := &mover{rig: r}
		m.mv(mv[0], mv[1])
		rep, err = s.Push(t.Context(), m.batch)
		r.mustBeWhole(rep, err)
		r.equal()
		if rep.Stats.Literal < movedFile {
			t.Errorf("%v moved although it was refused: %+v", mv, rep.Stats)
		}
	}
	if n := strings.Count(r.daemon.Log(), "refus"); n > 1 {
		t.Errorf("asked %d times:\n%s", n, r.daemon.Log())
	}
}

// With options under which a push would not make the new name, or not delete the old one, a move does
// not either.
func TestMovesLeftOut(t *testing.T) {
	for _, c := range []struct {
		name     string
		set      func(*syncer.Options)
		old, new bool // are there afterwards
	}{
		{"delete off", func(o *syncer.Options) { o.Delete = false }, true, true},
		{"existing", func(o *syncer.Options) { o.Existing = true }, false, false},
		{"max size", func(o *syncer.Options) { o.MaxSize = movedFile / 2 }, false, false},
		{"dry run", func(o *syncer.Options) { o.DryRun = true }, true, false},
	} {
		for _, local := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", c.name, local), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				movable(t, r.src)
				cfg := r.config()
				cfg.Delete = true
				r.mustPush(cfg)
				if local {
					cfg.Target = syncer.Target{Path: r.dst}
				}
				cfg.Keep = true
				c.set(&cfg.Options)
				s := r.syncer(cfg)
				defer s.Close()
				if _, err := s.Push(t.Context(), syncer.Full()); err != nil {
					t.Fatal(err)
				}
				m := &mover{rig: r}
				m.mv("d", "g")
				if _, err := s.Push(t.Context(), m.batch); err != nil {
					t.Fatal(err)
				}
				if was, is := exists(t, r.at("d/1")), exists(t, r.at("g/1")); was != c.old || is != c.new {
					t.Errorf("the old name is there: %v, the new one: %v", was, is)
				}
			})
		}
	}
}
