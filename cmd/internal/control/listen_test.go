package control

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestListen makes sockets where there is none, a stale one, a live one, and something else.
func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("long", 40), "control.sock")
	l, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Lstat(path); err != nil || st.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket is %v, %v", st.Mode(), err)
	}
	if _, err := Listen(path, ""); !errors.Is(err, ErrInUse) {
		t.Errorf("Listen where somebody does: %v, want %v", err, ErrInUse)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is there when it is closed: %v", err)
	}
	stale := filepath.Join(t.TempDir(), "stale.sock")
	leave(t, stale)
	if l, err = Listen(stale, ""); err != nil {
		t.Fatalf("Listen where a socket was left: %v", err)
	}
	// Somebody else's that took its place stays.
	os.Remove(stale)
	leave(t, stale)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(stale); err != nil {
		t.Errorf("another's socket is gone: %v", err)
	}
	file := write(t, "file", "precious", 0o600)
	if _, err := Listen(file, ""); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("Listen where a file is: %v", err)
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Errorf("the file holds %q", b)
	}
	if _, err := Listen(filepath.Join(t.TempDir(), "a"), "no-such-group"); err == nil || !strings.Contains(err.Error(), "groupadd") {
		t.Errorf("Listen for no group: %v", err)
	}
}

// TestListenGroup lets a group in, and nobody before it is said who.
func TestListenGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving a socket to another group needs root")
	}
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := Listen(path, "12345")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || st.Mode&0o777 != 0o660 || st.Gid != 12345 || st.Uid != 0 {
		t.Errorf("the socket has mode %o, owner %d, group %d, %v", st.Mode, st.Uid, st.Gid, err)
	}
	// Whatever the umask is, others cannot connect in between: the socket is made so.
	before := filepath.Join(t.TempDir(), "before.sock")
	bound, err := restricted.Listen(t.Context(), "unix", before)
	if err != nil {
		t.Fatal(err)
	}
	defer bound.Close()
	if st, err := os.Lstat(before); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("a socket that was just bound has mode %v, %v", st.Mode(), err)
	}
	var _ net.Listener = l
}
