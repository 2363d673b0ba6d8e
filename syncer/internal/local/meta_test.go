package local

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// TestAtimeSurvivesReading: what is compared by content is read, and has its old atime after.
func TestAtimeSurvivesReading(t *testing.T) {
	src, dst := dirs(t)
	o := archive
	o.Atimes, o.Checksum = true, true
	past := unix.NsecToTimespec(early.Unix() * int64(time.Second))
	for _, root := range []string{src, dst} {
		write(t, filepath.Join(root, "f"), "same")
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(root, "f"), []unix.Timespec{past, past}, 0))
	}
	full(t, src, dst, o)
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(dst, "f"), &st))
	if st.Atim != past {
		t.Errorf("atime %v, want %v", st.Atim, past)
	}
}

func TestCrtimesAreRefused(t *testing.T) {
	o := archive
	o.Crtimes = true
	if _, err := Open(t.TempDir(), o); !errors.Is(err, errCrtimes) {
		t.Errorf("%v", err)
	}
}

// TestUnknownMappedName: it is told, and the rules behind it count.
func TestUnknownMappedName(t *testing.T) {
	requireRoot(t)
	src, dst := dirs(t)
	write(t, filepath.Join(src, "f"), "x")
	o := archive
	o.Usermap = "0:no such user,*:7"
	var said []string
	o.Sink.Message = func(text string, isError bool) { said = append(said, text) }
	res, _ := full(t, src, dst, o)
	requireClean(t, res)
	if want := []string{"Unknown --usermap name on receiver: no such user"}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(dst, "f"), &st))
	if st.Uid != 7 {
		t.Errorf("owner %d, want 7", st.Uid)
	}
	o.Usermap = "0"
	if _, err := Open(dst, o); err == nil || !strings.Contains(err.Error(), "--usermap") {
		t.Errorf("half a rule: %v", err)
	}
}

// TestKeptXattrs: who is not root keeps the user's, --fake-super writes the others down.
func TestKeptXattrs(t *testing.T) {
	e := &flist.Entry{Extra: &flist.Extra{Xattrs: []meta.Xattr{{Name: "security.capability"}, {Name: "trusted.t"}, {Name: "user.a"}}}}
	for _, tt := range []struct {
		id   identity
		want []string
	}{
		{identity{super: true}, []string{"security.capability", "trusted.t", "user.a"}},
		{identity{}, []string{"user.a"}},
		{identity{fake: true}, []string{"user.a", "user.rsync.security.capability", "user.rsync.trusted.t"}},
		{identity{super: true, fake: true}, []string{"user.a", "user.rsync.security.capability", "user.rsync.trusted.t"}},
	} {
		r := &run{t: &Target{id: tt.id}}
		var got []string
		for _, k := range r.xattrs(e) {
			got = append(got, k.Name)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %q, want %q", tt.id, got, tt.want)
		}
	}
}

// TestFakeSuperAsNobody: what takes root otherwise is written down by a user without any right.
func TestFakeSuperAsNobody(t *testing.T) {
	if !asNobody(t) {
		return
	}
	src, dst := dirs(t)
	o := archive
	o.FakeSuper, o.Xattrs = true, true
	write(t, filepath.Join(src, "f"), "x")
	must(t, os.Symlink("to", filepath.Join(src, "l")))
	must(t, unix.Mkfifo(filepath.Join(src, "p"), 0o604))
	mkdir(t, src, "closed")
	write(t, filepath.Join(src, "closed", "f"), "x")
	must(t, meta.Set(filepath.Join(src, "f"), "user.rsync.%stat", []byte("104711 0,0 3:4")))
	must(t, os.Chmod(filepath.Join(src, "closed"), 0o555))
	t.Cleanup(func() { os.Chmod(filepath.Join(src, "closed"), 0o755) })
	age(t, src)
	res, _ := full(t, src, dst, o)
	requireClean(t, res)
	for name, want := range map[string]string{"f": "104711 0,0 3:4", "l": "120777 0,0 65534:65534", "p": "10604 0,0 65534:65534", "closed": "40555 0,0 65534:65534"} {
		got, err := meta.Value(filepath.Join(dst, name), "user.rsync.%stat")
		if string(got) != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	if got := read(t, filepath.Join(dst, "l")); got != "to" {
		t.Errorf("the symlink became %q", got)
	}
	_, lines := full(t, src, dst, o)
	requireSameLines(t, nil, lines)

	// Sent back, it is what it was.
	back := mkdir(t, filepath.Dir(src), "back")
	res, err := openTarget(t, back, o).Full(t.Context(), openSource(t, dst, source.Options{Set: o.Set}), time.Time{})
	must(t, err)
	requireClean(t, res)
	if got, err := meta.Value(filepath.Join(back, "p"), "user.rsync.%stat"); string(got) != "10604 0,0 65534:65534" || err != nil {
		t.Errorf("back: %q, %v", got, err)
	}
}
