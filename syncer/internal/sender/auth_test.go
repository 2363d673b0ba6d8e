package sender_test

import (
	"bufio"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/checksum"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// oneFile pushes a single file to the module and says what became of it.
func oneFile(t *testing.T, addr string, o sender.Options, password string) error {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var list sender.Entries
	list.Add(flist.Entry{Name: ".", Mode: unix.S_IFDIR | 0o755, Flags: flist.Partial})
	list.Add(flist.Entry{Name: "f", Mode: unix.S_IFREG | 0o644, Size: 30_000})
	o.Set = option.Defaults()
	o.Recurse = true
	module := &sender.Module{Name: "m", User: "alice", Password: func() (string, error) { return password, nil }}
	res, err := sender.Push(t.Context(), conn, o, module, &sender.Job{List: sender.NewList(list), IgnoreTimes: true}, hostileSource(t, 30_000))
	if err == nil && res.Partial {
		err = errors.New("partial")
	}
	return err
}

// Each digest for passwords, announced alone, against a daemon that takes any, and one that is picky.
func TestInteropAuthDigests(t *testing.T) {
	names := []string{"sha512", "sha256", "sha1", "md5", "md4"} // strongest first
	for weakest := -1; weakest < len(names); weakest++ {
		dir := t.TempDir()
		m := syncertest.Module{Name: "m", Path: dir, AuthUsers: "alice", Secrets: map[string]string{"alice": "secret"}}
		if weakest >= 0 {
			m.Extra = []string{"auth digest = " + names[weakest]}
		}
		d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{m}})
		for i, name := range names {
			err := oneFile(t, d.Addr(), sender.Options{AuthDigests: []string{name}}, "secret")
			if may := weakest < 0 || i <= weakest; may != (err == nil) {
				t.Errorf("%s, the daemon wants at least %v: error %v", name, m.Extra, err)
			}
			if err != nil && codeOf(sender.Result{}, err) != report.CodeStart {
				t.Errorf("%s: exit code %d, %v", name, codeOf(sender.Result{}, err), err)
			}
			err = oneFile(t, d.Addr(), sender.Options{AuthDigests: []string{name}}, "wrong")
			if !errors.Is(err, sender.ErrAuth) || codeOf(sender.Result{}, err) != report.CodeStart {
				t.Errorf("%s with a wrong password: %v", name, err)
			}
		}
	}
}

// Each checksum, offered alone, for a new file and a delta.
func TestInteropChecksums(t *testing.T) {
	dir := t.TempDir()
	d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{{Name: "m", Path: dir}}})
	for _, k := range []checksum.Kind{checksum.XXH128, checksum.XXH3, checksum.XXH64, checksum.MD5} {
		for _, basis := range []string{"", strings.Repeat("0123456789", 2000) + "other"} {
			name := filepath.Join(dir, "f")
			if err := os.WriteFile(name, []byte(basis), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := oneFile(t, d.Addr(), sender.Options{Checksums: []checksum.Kind{k}}, ""); err != nil {
				t.Errorf("%v: %v", k, err)
			}
			got, err := os.ReadFile(name)
			if want := strings.Repeat("0123456789", 3000); err != nil || string(got) != want {
				t.Errorf("%v: %d bytes arrived, want %d: %v", k, len(got), len(want), err)
			}
		}
	}
}

// TestAskedTwice: each answer to a challenge is something to guess the password from.
func TestAskedTwice(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	heard := make(chan string)
	go func() {
		defer close(heard)
		r := bufio.NewReader(theirs)
		said := func() {
			if line, err := r.ReadString('\n'); err == nil {
				heard <- line
			}
		}
		said()
		said() // the module
		theirs.Write([]byte("@RSYNCD: 32.0 sha512 md5\n@RSYNCD: AUTHREQD one\n"))
		said()
		theirs.Write([]byte("@RSYNCD: AUTHREQD two\n"))
		said()
	}()
	asked := 0
	module := &sender.Module{Name: "m", User: "alice", Password: func() (string, error) { asked++; return "secret", nil }}
	done := make(chan error, 1)
	go func() {
		_, err := sender.Push(t.Context(), ours, sender.Options{Set: option.Defaults()}, module, hostileJob(), hostileSource(t, 100))
		ours.Close()
		done <- err
	}()
	var lines []string
	for line := range heard {
		lines = append(lines, line)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "asks for the password twice") {
		t.Errorf("error %v", err)
	}
	if asked != 1 || len(lines) != 3 {
		t.Errorf("the password was asked for %d times, and we said %q", asked, lines)
	}
}
