package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// buffer is written by one goroutine and read by another.
type buffer struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func open(t *testing.T, o Options) (*Logs, *buffer) {
	t.Helper()
	var out buffer
	if o.Stderr == nil {
		o.Stderr = &out
	}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return l, &out
}

// Formats and levels.
func TestNew(t *testing.T) {
	for name, test := range map[string]struct {
		o          Options
		want, lack string
	}{
		"console":                     {Options{Level: "info", Format: "console"}, "INFO  push  said  {\"n\": 1}", "whispered"},
		"neither":                     {Options{}, "INFO  push  said", "whispered"},
		"json":                        {Options{Level: "debug", Format: "json"}, `"level":"debug"`, "INFO"},
		"errors":                      {Options{Level: "error", Format: "console"}, "ERROR  push  shouted", "WARN"},
		"journal, which is not there": {Options{Format: "journal", socket: "/no/such"}, "<6>", "<7>"},
	} {
		l, out := open(t, test.o)
		log := l.Logger().Named("push")
		log.Debug("whispered")
		log.Info("said", zap.Int("n", 1))
		log.Warn("warned")
		log.Error("shouted")
		if got := out.String(); !strings.Contains(got, test.want) || strings.Contains(got, test.lack) {
			t.Errorf("%s: %q lacks %q or has %q", name, got, test.want, test.lack)
		}
	}
	for _, o := range []Options{{Level: "loud"}, {Level: "fatal"}, {Format: "xml"}, {File: "/no/such/dir/log"}, {File: "/dev/null", Format: "journal"}} {
		if l, err := New(o); err == nil {
			l.Close()
			t.Errorf("%+v is fine", o)
		}
	}
}

// A priority is in front of each line, as whoever reads standard error takes them.
func TestPriorities(t *testing.T) {
	l, out := open(t, Options{Level: "debug", Format: "journal", socket: "/no/such"})
	log := l.Logger()
	log.Debug("a")
	log.Info("b")
	log.Warn("c")
	log.Error("d\ne")
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, line[:3])
	}
	if diff := cmp.Diff([]string{"<7>", "<6>", "<4>", "<3>", "<3>"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, out)
	}
}

// A component's level counts for it alone, and for all of its loggers, also those that are there already.
func TestSetLevel(t *testing.T) {
	l, out := open(t, Options{})
	push, watcher := l.Logger().Named("agent").Named("push").With(zap.String("target", "t")), l.Logger().Named("watcher")
	say := func() string {
		before := len(out.String())
		push.Debug("p")
		watcher.Debug("w")
		var said strings.Builder
		for line := range strings.Lines(out.String()[before:]) {
			said.WriteString(strings.Fields(line)[3])
		}
		return said.String()
	}
	for _, step := range []struct{ component, level, want string }{
		{"", "", ""}, {"push", "debug", "p"}, {"watcher", "debug", "pw"}, {"push", "error", "w"}, {"agent", "debug", "w"}, {"", "debug", "pw"}, {"", "info", ""},
	} {
		holds, err := l.SetLevel(step.component, step.level)
		if err != nil {
			t.Fatal(err)
		}
		if want := step.level; want != "" && holds[step.component] != want {
			t.Errorf("%s=%s: it holds %v", step.component, step.level, holds)
		}
		if got := say(); got != step.want {
			t.Errorf("after %s=%s: %q, want %q", step.component, step.level, got, step.want)
		}
	}
	for _, bad := range [][2]string{{"pusher", "debug"}, {"push", "loud"}, {"", "fatal"}} {
		if _, err := l.SetLevel(bad[0], bad[1]); !errors.Is(err, api.ErrUnknown) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// While lines are written, and the file is renamed and opened again, none is lost, torn or written twice.
func TestReopenLosesNothing(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "log")
	l, _ := open(t, Options{File: name, Format: JSON})
	const writers, each, files = 4, 500, 20
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				l.Logger().Info("line", zap.String("n", fmt.Sprintf("%d/%d", w, i)))
			}
		})
	}
	for i := range files {
		if err := os.Rename(name, filepath.Join(dir, fmt.Sprintf("log.%d", i))); err != nil {
			t.Fatal(err)
		}
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	writing.Wait()
	seen := map[string]int{}
	all, _ := filepath.Glob(filepath.Join(dir, "log*"))
	for _, f := range all {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			_, n, ok := strings.Cut(line, `"n":"`)
			if n, ok = strings.CutSuffix(n, "\"}\n"); !ok {
				t.Fatalf("torn: %q", line)
			}
			seen[n]++
		}
	}
	for w := range writers {
		for i := range each {
			if n := seen[fmt.Sprintf("%d/%d", w, i)]; n != 1 {
				t.Fatalf("line %d/%d is there %d times", w, i, n)
			}
		}
	}
	if st, err := os.Stat(name); err != nil || st.Mode().Perm()&^fileMode != 0 {
		t.Errorf("%v, %v", st, err)
	}
}

// Where the file cannot be opened again, the old one goes on, and says why.
func TestReopenOnSignal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, _ := open(t, Options{File: filepath.Join(dir, "log")})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { l.ReopenOnSignal(ctx) })
	defer running.Wait()
	defer cancel()
	signal := func(file, want string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
			_ = unix.Kill(os.Getpid(), unix.SIGUSR1)
			if text, _ := os.ReadFile(file); strings.Contains(string(text), want) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s has no %q", file, want)
			}
		}
	}
	// Until somebody listens, the signal would end the test.
	listening := make(chan os.Signal, 1)
	notify(listening)
	defer stopNotify(listening)
	signal(filepath.Join(dir, "log"), "was opened again")
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	signal(filepath.Join(dir+"2", "log"), "the old one goes on")
}

// A log file may be full or gone: who logs goes on.
func TestFullFile(t *testing.T) {
	l, out := open(t, Options{File: "/dev/full"})
	l.Logger().Info("said")
	if !strings.Contains(out.String(), "no space left") {
		t.Errorf("%q", out)
	}
}
