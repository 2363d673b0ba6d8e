package rsh

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// A sweep takes what killed processes left, and nothing else.
func TestSweep(t *testing.T) {
	tmp := shortTemp(t)
	t.Setenv("TMPDIR", tmp)
	mkdir := func(name string) string {
		path := filepath.Join(tmp, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	socket := func(path string, alive bool) {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		if alive {
			t.Cleanup(func() { l.Close() })
			return
		}
		l.Close()
	}
	gone := []string{mkdir(dirPrefix + "1"), mkdir(dirPrefix + "2")}
	socket(gone[1]+"/s", false)
	socket(gone[1]+"/s.x1y2z3", false)

	answers := mkdir(dirPrefix + "3")
	socket(answers+"/s", true)
	file := mkdir(dirPrefix + "4")
	if err := os.WriteFile(file+"/s", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open := mkdir(dirPrefix + "5")
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	other := mkdir("other")
	link := filepath.Join(tmp, dirPrefix+"6")
	if err := os.Symlink(other, link); err != nil {
		t.Fatal(err)
	}
	kept := []string{answers + "/s", file + "/s", open, other, link, mkdir(dirPrefix + "x7"), mkdir(dirPrefix)}
	if os.Geteuid() == 0 {
		theirs := mkdir(dirPrefix + "8")
		if err := os.Chown(theirs, 1, -1); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, theirs)
	}
	ours, err := newPrivate() // ssh did not make its socket yet
	if err != nil {
		t.Fatal(err)
	}
	kept = append(kept, ours.path)

	sweep()
	for _, path := range gone {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	for _, path := range kept {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	if err := ours.remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(ours.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", ours.path, err)
	}
}

// shortTemp is a directory whose name leaves room for a socket's.
func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sweep")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A process that ends without Close takes its directories with it.
func TestAbandon(t *testing.T) {
	d := syncertest.StartSSHD(t)
	s := mustNew(t, Config{Rsh: d.Rsh(), Host: d.Host(), Keep: true})
	if out, _ := output(t, s, "echo", "there"); out != "there\n" {
		t.Fatalf("%q", out)
	}
	Abandon()
	if _, err := os.Lstat(s.master.dir.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", s.master.dir.path, err)
	}
}
