package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// terminal is a pseudo terminal and what was written to it.
type terminal struct {
	master, slave *os.File
	over          chan struct{}

	mu   sync.Mutex // guards text
	text []byte
}

func newTerminal(t testing.TB, columns uint16) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs pseudo terminals: %v", err)
	}
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	must(t, unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
	term := &terminal{master: master, slave: slave, over: make(chan struct{})}
	go term.read()
	t.Cleanup(term.close)
	return term
}

// read ends when no slave is open any more.
func (p *terminal) read() {
	defer close(p.over)
	buf := make([]byte, 4096)
	for {
		n, err := p.master.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.text = append(p.text, buf[:n]...)
		p.mu.Unlock()
	}
}

func (p *terminal) close() {
	p.slave.Close()
	<-p.over
	p.master.Close()
}

func (p *terminal) written() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.text)
}

// shows waits until the terminal was told something.
func (p *terminal) shows(t testing.TB, pattern string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(patience); !re.Match(p.written()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the terminal does not show %q but %q", pattern, p.written())
		}
	}
}

// TestProgressBar watches a slow push on a terminal: files, bytes, rate and time left
// while it goes on; the whole when it is done; no more than it came to when it is cut.
func TestProgressBar(t *testing.T) {
	for _, whole := range []bool{true, false} {
		t.Run(map[bool]string{true: "whole", false: "cut"}[whole], func(t *testing.T) {
			t.Parallel()
			src, dst := t.TempDir(), t.TempDir()
			must(t, errors.Join(
				os.WriteFile(filepath.Join(src, "big"), bytes.Repeat([]byte("x"), 24<<20), 0o644),
				os.WriteFile(filepath.Join(src, "small"), []byte("x"), 0o644),
			))
			d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{{Name: "m", Path: dst}}})
			relay := syncertest.StartRelay(t, d.Addr())
			relay.Limit(1 << 20)
			term := newTerminal(t, 100)
			var stderr bytes.Buffer
			cmd := lockstepCmd(src, os.Environ(), term.slave, &stderr, "--progress", "-v", "./", "rsync://"+relay.Addr()+"/m")
			must(t, cmd.Start())
			term.shows(t, `0 of 2 files +[1-9][0-9.]* MiB of 24\.0 MiB +\[[=>-]+\] +[0-9]+ % +[0-9.]+ [KM]iB/s +[0-9a-z]+ left`)
			if whole {
				relay.Limit(0)
			} else {
				relay.Cut()
			}
			code, err := exitCode(cmd.Wait())
			must(t, err)
			if whole {
				if code != 0 {
					t.Fatalf("exit code %d\n%s", code, stderr.String())
				}
				term.shows(t, `2 of 2 files +24\.0 MiB of 24\.0 MiB +\[=+\] 100 %`)
				term.shows(t, `total size is 25,165,825`)
				return
			}
			if code != 12 {
				t.Fatalf("exit code %d\n%s", code, stderr.String())
			}
			if bytes.Contains(term.written(), []byte("100 %")) {
				t.Errorf("what was cut seems to be whole: %q", term.written())
			}
		})
	}
}
