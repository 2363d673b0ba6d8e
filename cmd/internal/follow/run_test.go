package follow

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// written counts what reaches a terminal.
type written struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
	n    atomic.Int64
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n.Add(1)
	return w.text.Write(b)
}

func (w *written) has(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(w.text.String(), text)
}

// TestPictureRestsWhenNothingChanges counts what is written while an agent says the same again and again.
func TestPictureRestsWhenNothingChanges(t *testing.T) {
	t.Parallel()
	a := idle(time.Now().Add(-30 * time.Minute)) // ages that do not show seconds
	for i := range a.Syncs {
		for j := range a.Syncs[i].Targets {
			a.Syncs[i].Targets[j].LastSuccess = time.Now().Add(-90 * time.Minute)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	in, keys := io.Pipe()
	defer keys.Close()
	var out written
	var asked, settled, after atomic.Int64
	fetch := func(context.Context) (api.Agent, error) {
		asked.Add(1)
		switch {
		case settled.Load() == 0 && out.has("6 in step"):
			settled.Store(asked.Load())
		case settled.Load() > 0 && asked.Load() == settled.Load()+20: // what was on its way then is written
			after.Store(out.n.Load())
		case settled.Load() > 0 && asked.Load() == settled.Load()+220:
			cancel()
		}
		return a, nil
	}
	if err := Run(ctx, fetch, Options{In: in, Out: &out, Interval: 5 * time.Millisecond, Terminal: true}); err != nil {
		t.Fatal(err)
	}
	// Leaving the terminal is some; a change of a minute is one.
	if n := out.n.Load() - after.Load(); after.Load() == 0 || n > 20 {
		t.Errorf("%d writes for 200 answers that were all the same", n)
	}
}

// TestLines follows without a terminal: a line for each change, until ctx is done.
func TestLines(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	fetch := func(context.Context) (api.Agent, error) {
		if n++; n == 3 {
			cancel()
		}
		if n == 1 {
			return api.Agent{}, errRefused
		}
		return idle(noon), nil
	}
	var out bytes.Buffer
	if err := Run(ctx, fetch, Options{Out: &out, Interval: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "\n"); got != 8 || strings.Contains(out.String(), "\x1b") { // no answer, answers, six targets
		t.Errorf("%d lines:\n%s", got, &out)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestLinesEndWhereNobodyReads hands back what writing fails with.
func TestLinesEndWhereNobodyReads(t *testing.T) {
	t.Parallel()
	fetch := func(context.Context) (api.Agent, error) { return idle(noon), nil }
	if err := Run(context.Background(), fetch, Options{Out: full{}}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
}

// TestRunWaitsForFetch ends while an answer is waited for.
func TestRunWaitsForFetch(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{false, true} {
		ctx, cancel := context.WithCancel(context.Background())
		in, keys := io.Pipe()
		returned := false
		fetch := func(ctx context.Context) (api.Agent, error) {
			cancel()
			<-ctx.Done()
			returned = true
			return api.Agent{}, ctx.Err()
		}
		var out written
		if err := Run(ctx, fetch, Options{In: in, Out: &out, Terminal: terminal}); err != nil {
			t.Error(err)
		}
		if !returned {
			t.Error("it did not wait for fetch")
		}
		keys.Close()
		cancel()
	}
}

// TestAsksNothingAtStart starts the program on a terminal that could be asked for its colours: it is not, by
// any of the libraries.
func TestAsksNothingAtStart(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	master, slave := openPTY(t)
	cmd := exec.Command(self)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); name != "CI" && name != "TERM" {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "TERM=xterm-256color", fakeEnv+"="+justStart)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	shown, err := io.ReadAll(master)
	if err != nil && !errors.Is(err, syscall.EIO) { // the terminal's other end is closed
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%q", err, shown)
	}
	if got := string(shown); got != "started, CI is not set\r\n" {
		t.Errorf("on the terminal: %q", got)
	}
}

func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		if failed = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); failed != nil {
			return
		}
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY)
		if errno != 0 {
			failed = errno
			return
		}
		slave = os.NewFile(n, "pty")
	}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return master, slave
}
