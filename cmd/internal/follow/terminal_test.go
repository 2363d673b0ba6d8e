package follow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// screen is a real terminal, tmux's, in which the test binary follows a file.
type screen struct {
	t   *testing.T
	dir string
}

// patient is how long a busy machine may take for what is waited for.
const patient = 20 * time.Second

// newScreen shows an agent, on a terminal that has a line of text.
func newScreen(t *testing.T, a api.Agent, env ...string) *screen {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Fatal("tmux is missing: .ci/deps installs it")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t, t.TempDir()}
	s.tell(a)
	script := fmt.Sprintf(`cd %q; case " %s" in *" JOBS="*) set -m;; esac; echo typed before; stty -g >before; sh -c 'echo $$ >pid; exec env %s="$PWD/agent" %s "$0"' %q 2>err; c=$?; if [ $c -gt 128 ]; then echo stopped; read x; fg; c=$?; fi; echo "code $c"; stty -g >after; exec sleep 1000`,
		s.dir, strings.Join(env, " "), fakeEnv, strings.Join(env, " "), self)
	s.tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "env -u NO_COLOR -u CI TERM=xterm-256color LC_ALL=C.UTF-8 sh -c '"+strings.ReplaceAll(script, "'", `'\''`)+"'")
	t.Cleanup(func() { s.tmux("kill-server") })
	return s
}

func (s *screen) tmux(args ...string) string {
	s.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-u", "-S", filepath.Join(s.dir, "tmux")}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TERM=xterm-256color")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// tell is what the agent says from now on.
func (s *screen) tell(a api.Agent) {
	s.t.Helper()
	b, err := json.Marshal(a)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(b)
}

func (s *screen) write(b []byte) {
	s.t.Helper()
	next := filepath.Join(s.dir, "next")
	if err := os.WriteFile(next, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(s.dir, "agent")); err != nil {
		s.t.Fatal(err)
	}
}

// waitFor waits until all of the texts are on the screen, and gives it.
func (s *screen) waitFor(texts ...string) string {
	s.t.Helper()
	var shown string
	for end := time.Now().Add(patient); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		shown = s.tmux("capture-pane", "-p")
		all := true
		for _, text := range texts {
			all = all && strings.Contains(shown, text)
		}
		if all {
			return shown
		}
	}
	stderr, _ := os.ReadFile(filepath.Join(s.dir, "err"))
	s.t.Fatalf("%q not on the screen:\n%s\nstderr: %s", texts, shown, stderr)
	return ""
}

func (s *screen) press(keys ...string) {
	s.t.Helper()
	s.tmux(append([]string{"send-keys"}, keys...)...)
}

// restored waits for the end of the program and demands the terminal as it was.
func (s *screen) restored(code int) {
	s.t.Helper()
	s.waitFor("typed before", fmt.Sprintf("code %d", code))
	if modes := strings.TrimSpace(s.tmux("display-message", "-p", "alternate #{alternate_on} cursor #{cursor_flag} mouse #{mouse_any_flag}")); modes != "alternate 0 cursor 1 mouse 0" {
		s.t.Errorf("the terminal was left in another mode: %s", modes)
	}
	var before, after []byte
	for end := time.Now().Add(patient); time.Now().Before(end) && len(after) == 0; time.Sleep(20 * time.Millisecond) {
		before, _ = os.ReadFile(filepath.Join(s.dir, "before"))
		after, _ = os.ReadFile(filepath.Join(s.dir, "after"))
	}
	if !bytes.Equal(before, after) || len(before) == 0 {
		s.t.Errorf("stty was %q, and is %q", before, after)
	}
}

func (s *screen) kill(sig unix.Signal) {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "pid"))
	if err != nil {
		s.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := unix.Kill(pid, sig); err != nil {
		s.t.Fatal(err)
	}
}

func TestTerminalKeys(t *testing.T) {
	t.Parallel()
	s := newScreen(t, brokenAgent(time.Now()))
	s.waitFor("▌ ✗ retrying  no target", "edge2.example.net::www", "sort: trouble")
	s.press("Down")
	s.waitFor("▌ ✗ retrying  edge2.example.net::www", "2/7")
	s.press("Enter")
	s.waitFor("/srv/www/ → edge2.example.net::www", "did not have to travel", "esc back")
	s.press("Escape")
	s.waitFor("▌ ✗ retrying  edge2.example.net::www")
	s.press("s")
	s.waitFor("sort: config")
	s.press("/", "h", "e", "l", "d")
	s.waitFor("filter: held", "▌ ◆ held      deploy@standby")
	s.press("Enter")
	s.waitFor("1/1 of 7", "filter: held")
	s.press("Escape")
	s.waitFor("uploads")
	s.press("?")
	s.waitFor("any key back")
	s.press("x")
	s.waitFor("sort: config")
	s.press("q")
	s.restored(0)
}

func TestTerminalScrollsAndResizes(t *testing.T) {
	t.Parallel()
	s := newScreen(t, many(time.Now()))
	s.waitFor("1/150")
	s.press("NPage")
	s.waitFor("▌ ✓ in step   edge2.example.net::site19", "12/150")
	s.press("End")
	s.waitFor("150/150", "▌ ✓ in step   edge3.example.net::site48")
	s.tmux("resize-window", "-x", "160", "-y", "50")
	s.waitFor("DELETED", "NOW", "150/150", "edge3.example.net::site48")
	s.tmux("resize-window", "-x", "40", "-y", "12")
	got := s.waitFor("150/150", "▌ ✓ in step   edge3.example")
	if lines := strings.Split(strings.TrimRight(got, "\n"), "\n"); len(lines) != 12 || !strings.HasPrefix(lines[0], "lockstep 1.4.0") {
		t.Errorf("not a picture of 12 lines:\n%s", got)
	}
	s.press("C-c")
	s.restored(0)
}

func TestTerminalAgentGoesAndReturns(t *testing.T) {
	t.Parallel()
	a := idle(time.Now())
	s := newScreen(t, a)
	s.waitFor("6 in step")
	if err := os.Remove(filepath.Join(s.dir, "agent")); err != nil {
		t.Fatal(err)
	}
	s.waitFor("no answer for", "below is what was seen", "connection refused", "edge1.example.net::www")
	a.PID++
	s.tell(a)
	s.waitFor("it was started again", "6 in step")
	if err := os.Remove(filepath.Join(s.dir, "agent")); err != nil {
		t.Fatal(err)
	}
	s.waitFor("no answer for")
	s.press("q")
	s.restored(0)
}

func TestTerminalRestoredAfterSignal(t *testing.T) {
	t.Parallel()
	s := newScreen(t, busyAgent(time.Now()))
	s.waitFor("3 pushing")
	s.kill(unix.SIGTERM)
	s.restored(0)
}

// TestTerminalStops with ctrl-z where a shell is there that goes on with it.
func TestTerminalStops(t *testing.T) {
	t.Parallel()
	s := newScreen(t, idle(time.Now()), "JOBS=1")
	s.waitFor("6 in step")
	s.press("C-z")
	s.waitFor("typed before", "stopped")
	s.press("Enter")
	s.waitFor("6 in step")
	s.press("?")
	s.waitFor("any key back")
	s.press("q", "q")
	s.restored(0)

	alone := newScreen(t, idle(time.Now()))
	alone.waitFor("6 in step")
	alone.press("C-z", "?")
	alone.waitFor("any key back")
	alone.press("C-c")
	alone.restored(0)
}

func TestTerminalRestoredAfterPanic(t *testing.T) {
	t.Parallel()
	s := newScreen(t, idle(time.Now()))
	s.waitFor("6 in step")
	s.write([]byte("panic"))
	s.restored(1)
	stderr, err := os.ReadFile(filepath.Join(s.dir, "err"))
	if err != nil || !bytes.Contains(stderr, []byte("the view broke: shown; please report it")) || !bytes.Contains(stderr, []byte("view.go")) {
		t.Errorf("it is not said what broke: %v\n%s", err, stderr)
	}
}

func TestTerminalWithoutColour(t *testing.T) {
	t.Parallel()
	s := newScreen(t, brokenAgent(time.Now()), "NO_COLOR=1", "LC_ALL=C")
	s.waitFor("> x retrying  no target", "# held")
	if shown := s.tmux("capture-pane", "-p", "-e"); strings.Contains(shown, "\x1b[3") || strings.ContainsFunc(shown, func(r rune) bool { return r >= 0x7f }) {
		t.Errorf("colours or other than ASCII:\n%q", shown)
	}
	s.press("q")
	s.restored(0)
}
