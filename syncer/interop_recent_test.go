package syncer_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// A file may be read while a write(2) into it goes on, which sets its times when it begins, and tells of itself
// when it ends. What is told then is not taken for what was sent. A mapping does the same in a way that a test can hold.
func TestInteropWrittenWhileRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const size = 3 * 4096
	write(t, r.in("f"), strings.Repeat("a", size))
	cfg := r.config()
	cfg.Keep = true
	s := r.syncer(cfg)
	r.mustBeWhole(s.Push(t.Context(), syncer.Full()))

	f, err := os.OpenFile(r.in("f"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	stamp := func() (st unix.Stat_t) {
		t.Helper()
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	for i := 0; i < size; i += 4096 {
		m[i] = 'b' // each page is dirty from here on
	}
	begun := stamp()
	for time.Since(time.Unix(begun.Ctim.Unix())) < 100*time.Millisecond { // else the stamps are too new to be believed
		time.Sleep(10 * time.Millisecond)
	}
	hint := syncer.Batch{Paths: changed("f")}
	r.mustBeWhole(s.Push(t.Context(), hint))
	for i := 1; i < size; i += 4096 {
		m[i] = 'c'
	}
	if st := stamp(); st.Ctim != begun.Ctim || st.Mtim != begun.Mtim {
		t.Skip("a store through a mapping sets the times of the file here")
	}
	r.mustBeWhole(s.Push(t.Context(), hint))
	syncertest.RequireEqual(t, r.src, r.dst, syncertest.CompareOptions{IgnoreOwners: os.Geteuid() != 0})

	rep, err := s.Push(t.Context(), hint)
	r.mustBeWhole(rep, err)
	if rep.Stats.Sent != 0 {
		t.Errorf("what the target surely has costs %d bytes", rep.Stats.Sent)
	}
}
