package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/control"
	"github.com/lockstep-sync/lockstep/syncer"
)

// kept is a source and a local target, with state that outlives the Watch.
type kept struct {
	t                  *testing.T
	src, target, state string
	w                  *watching
}

func newKept(t *testing.T, files ...string) *kept {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	k := &kept{t: t, src: filepath.Join(dir, "src"), target: filepath.Join(dir, "target"), state: filepath.Join(dir, "state")}
	for _, d := range []string{k.src, k.target} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		k.write(f)
	}
	t.Cleanup(k.stop)
	return k
}

// start watches until stop, with these settings.
func (k *kept) start(set func(*Settings)) {
	k.t.Helper()
	k.w = startWatch(k.t, k.src+"/", k.target+"/", k.target, variant{state: k.state, set: set})
}

func (k *kept) stop() {
	k.t.Helper()
	if k.w != nil {
		k.w.stop(k.t)
		if k.t.Failed() {
			k.t.Logf("%s", k.w.tail(100))
		}
	}
	k.w = nil
}

func (k *kept) write(name string) {
	k.t.Helper()
	path := filepath.Join(k.src, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		k.t.Fatal(err)
	}
	put(k.t, path, name)
}

func (k *kept) remove(name string) {
	k.t.Helper()
	if err := os.RemoveAll(filepath.Join(k.src, name)); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kept) has(name string) bool {
	_, err := os.Lstat(filepath.Join(k.target, name))
	return err == nil
}

// pairControl asks the socket of a pair, which has one target.
type pairControl struct{ *control.Client }

func (c *pairControl) Status() (api.Target, error) {
	a, err := c.Fetch()
	if err != nil {
		return api.Target{}, err
	}
	return a.Syncs[0].Targets[0], nil
}

func (c *pairControl) Release() ([]api.Held, error) {
	r, err := c.Client.Release("", "")
	if err != nil {
		return nil, err
	}
	return r[0].Held, nil
}

func (c *pairControl) Resync(checksum bool) error { return c.Client.Resync("", "", "", checksum) }

func (k *kept) control() (c *pairControl) {
	k.t.Helper()
	k.until("there is a state", func() bool {
		pairs, err := Pairs(k.state)
		if err == nil && len(pairs) == 1 {
			c = &pairControl{control.Dial(pairs[0].Socket())}
		}
		return c != nil
	})
	return c
}

// until waits for something that comes about soon.
func (k *kept) until(what string, ok func() bool) {
	k.t.Helper()
	for late := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			k.t.Fatalf("not so: %s; the log:\n%s", what, k.w.tail(60))
		}
	}
}

// arrives writes a name, and waits for it to be on the target: what was changed before has been dealt with.
func (k *kept) arrives(name string) {
	k.t.Helper()
	k.write(name)
	k.until(name+" arrives", func() bool { return k.has(name) })
}

// settled waits until the state has all that was pushed: nothing but time makes it so.
func (k *kept) settled() {
	k.t.Helper()
	time.Sleep(1500 * time.Millisecond) // more than state.DefaultQuiet
}

// verified has the target compared, to the end.
func (k *kept) verified() {
	k.t.Helper()
	began := time.Now()
	k.until("the control socket answers", func() bool { return k.control().Resync(false) == nil })
	k.until("the target is verified", func() bool {
		s, err := k.control().Status()
		return err == nil && s.Verify != nil && s.Verify.Ended.After(began)
	})
}

func hourOfDelay(s *Settings) { s.DeleteDelay = time.Hour }

// A directory that is made anew does not take with it what was in the old one.
func TestDelayOfDirectoryMadeAnew(t *testing.T) {
	k := newKept(t, "d/a", "d/b/c", "x")
	k.start(hourOfDelay)
	k.until("the target is equal", func() bool { return k.has("x") && k.has("d/b/c") })
	k.settled()
	k.write("../other/new")
	if err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(k.src, "d"), unix.AT_FDCWD, filepath.Join(k.src, "../other"), unix.RENAME_EXCHANGE); err != nil {
		t.Fatal(err)
	}
	k.until("d/new arrives", func() bool { return k.has("d/new") })
	k.arrives("y")
	if !k.has("d/a") || !k.has("d/b/c") {
		t.Error("deleted at once")
	}
	k.verified()
	if !k.has("d/a") || !k.has("d/b/c") {
		t.Error("deleted by a verification")
	}
}

// Nor does a name go at once that was pushed just now.
func TestDelayOfWhatIsNew(t *testing.T) {
	k := newKept(t, "x")
	k.start(hourOfDelay)
	k.until("the target is equal", func() bool { return k.has("x") })
	k.settled()
	k.arrives("f")
	k.remove("f")
	k.arrives("y")
	k.arrives("z")
	if !k.has("f") {
		t.Error("deleted at once")
	}
}

// What is gone while nobody watches is not deleted by a look around what was in flight.
func TestDelayAfterRestart(t *testing.T) {
	k := newKept(t, "d/g", "d/h", "x")
	k.start(hourOfDelay)
	k.until("the target is equal", func() bool { return k.has("x") && k.has("d/h") })
	k.settled()
	k.arrives("d/f")
	k.stop() // d/f is in doubt
	k.remove("d/g")
	k.start(hourOfDelay)
	k.arrives("y")
	if !k.has("d/g") {
		t.Error("deleted at once")
	}
}

// A directory that became a file is a deletion of what was in it, whoever looks at it.
func TestDelayOfWhatBecameAFile(t *testing.T) {
	k := newKept(t, "d/a", "d/b/c", "x")
	k.start(hourOfDelay)
	k.until("the target is equal", func() bool { return k.has("x") && k.has("d/b/c") })
	k.settled()
	k.remove("d")
	k.write("d")
	k.arrives("y")
	if !k.has("d/b/c") {
		t.Error("deleted at once")
	}
	k.verified()
	if !k.has("d/b/c") {
		t.Error("deleted by a verification")
	}
}

// Names that wait for their time do not keep anybody waiting.
func TestDelayDoesNotDelayTheStop(t *testing.T) {
	k := newKept(t, "f", "x")
	k.start(func(s *Settings) { s.DeleteDelay, s.Grace = time.Hour, time.Minute })
	k.until("the target is equal", func() bool { return k.has("x") && k.has("f") })
	k.settled()
	k.remove("f")
	k.arrives("y")
	k.until("the status says what waits", func() bool {
		s, err := k.control().Status()
		return err == nil && s.State == api.StateInStep && strings.Contains(s.Text, "1 deletion waits for --delete-delay")
	})
	began := time.Now()
	k.stop()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if !k.has("f") {
		t.Error("deleted at once")
	}
}

// What an empty source was not trusted to delete is deleted once somebody says that it is meant.
func TestEmptySourceThatIsMeant(t *testing.T) {
	k := newKept(t)
	put(t, filepath.Join(k.target, "old"), "")
	k.start(func(*Settings) {})
	k.until("the source is told to be empty", func() bool {
		s, err := k.control().Status()
		return err == nil && !s.LastSuccess.IsZero()
	})
	k.settled()
	k.stop()
	if !k.has("old") {
		t.Fatal("deleted at once")
	}
	k.start(func(s *Settings) { s.AllowEmpty = true })
	k.until("old is deleted", func() bool { return !k.has("old") })
}

// A name that moved is not lost; one that is deleted at its new place is.
func TestLimitOfWhatMovedAndWent(t *testing.T) {
	k := newKept(t, "d/a", "d/b", "d/c", "d/e", "x")
	k.start(func(s *Settings) { s.DeleteLimit, s.Settle = Limit{Set: true, Names: 2}, 500*time.Millisecond })
	k.until("the target is equal", func() bool { return k.has("x") && k.has("d/e") })
	k.settled()
	if err := os.Rename(filepath.Join(k.src, "d"), filepath.Join(k.src, "trash")); err != nil {
		t.Fatal(err)
	}
	k.remove("trash")
	k.arrives("y")
	for _, name := range []string{"d/a", "d/b", "d/c", "d/e"} {
		if !k.has(name) {
			t.Errorf("%s is deleted", name)
		}
	}
}

// What is held stays, also when everything is compared with the target meanwhile, and goes when it is released.
func TestHeldOverFullPush(t *testing.T) {
	k := newKept(t, "d/a", "d/b", "d/c", "x", "y")
	limit := func(s *Settings) { s.DeleteLimit = Limit{Set: true, Names: 2} }
	k.start(limit)
	k.until("the target is equal", func() bool { return k.has("y") && k.has("d/c") })
	k.settled()
	if err := os.Rename(filepath.Join(k.src, "d"), filepath.Join(k.src, "../d")); err != nil { // all at once
		t.Fatal(err)
	}
	k.until("d is held", func() bool { s, err := k.control().Status(); return err == nil && len(s.Held) == 1 })
	k.stop()
	all := func() {
		t.Helper()
		for _, name := range []string{"d/a", "d/b", "d/c"} {
			if !k.has(name) {
				t.Fatalf("%s is deleted", name)
			}
		}
	}
	all()
	// With other options everything is compared with the target.
	other := func(s *Settings) { limit(s); s.OmitDirTimes = true }
	k.start(other)
	k.arrives("z")
	all()
	k.settled()
	k.stop()
	k.start(other)
	k.arrives("zz")
	all()
	if held, err := k.control().Release(); err != nil || len(held) != 1 {
		t.Fatal(held, err)
	}
	k.until("d is deleted", func() bool { return !k.has("d") })
	k.stop()
	k.start(other)
	k.until("it is in step", func() bool { s, err := k.control().Status(); return err == nil && s.State == api.StateInStep })
}

// A state that does not say for which options it is, is none: it may be for others.
func TestStateWithoutOptions(t *testing.T) {
	dir := t.TempDir()
	s := Defaults()
	s.Source, s.Target, s.StateDir = dir, filepath.Join(dir, "target"), filepath.Join(t.TempDir(), "state")
	open := func() *memory {
		t.Helper()
		m, err := openMemory(&s, dir, nil, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := open()
	b := syncer.Full()
	m.begin(t.Context(), &b)
	m.end(true, b.Paths, nil)
	time.Sleep(1500 * time.Millisecond) // more than state.DefaultQuiet
	m.close()
	if m = open(); !m.known() {
		t.Fatal("nothing is known")
	}
	if err := m.store.Put(keyOptions, nil); err != nil { // as after a file that was made anew
		t.Fatal(err)
	}
	m.close()
	if m = open(); m.known() {
		t.Error("believed")
	}
	m.close()
}
