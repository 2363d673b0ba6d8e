package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What the file system is told holds from then on, however fast it is told something else.
func TestSickAtOnce(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts a file system")
	}
	if err := canFUSE(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	w := &world{ctx: t.Context(), c: config{Out: dir}}
	d := disk{mount: filepath.Join(dir, "disk")}
	if err := os.Mkdir(d.mount, 0o755); err != nil {
		t.Fatal(err)
	}
	err := w.mountSick(&d)
	t.Cleanup(func() {
		if d.server != nil {
			_ = unix.Unmount(d.sick, unix.MNT_DETACH) // it may not have been mounted
			if err := errors.Join(d.server.kill(), d.ailment.Close()); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	tgt, name := &target{disk: d}, filepath.Join(d.shown(), "file")
	for range 100 {
		for _, errno := range []unix.Errno{unix.EIO, unix.EDQUOT} {
			heal, err := sicken(errno)(w, tgt, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte("x"), 0o644); errno == unix.EDQUOT && !errors.Is(err, errno) {
				t.Fatalf("with its quota used up: %v", err)
			}
			if err := heal(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
				t.Fatalf("healed of %v: %v", errno, err)
			}
		}
	}
}
