package logs

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// output is what a log has written.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// take gives the lines since the last time, without time and level.
func (o *output) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var lines []string
	for l := range strings.Lines(o.text.String()) {
		lines = append(lines, strings.SplitN(strings.TrimSuffix(l, "\n"), "  ", 3)[2])
	}
	o.text.Reset()
	return lines
}

func (o *output) wants(t *testing.T, lines ...string) {
	t.Helper()
	if got := strings.Join(o.take(), "\n"); got != strings.Join(lines, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(lines, "\n"))
	}
}

func TestFoldRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		log := mustNew(t, Options{Stderr: &out}).Logger()
		refused := func(port int, down time.Duration) {
			log.Warn("failed", zap.String("error", fmt.Sprintf("read 10.0.0.1:%d->10.0.0.2:873: refused", port)), zap.Duration("down", down))
		}
		refused(4000, 0)
		out.wants(t, `failed  {"error": "read 10.0.0.1:4000->10.0.0.2:873: refused", "down": "0s"}`)
		for i := range 9 {
			refused(4001+i, time.Duration(i+1)*time.Second)
		}
		out.wants(t)
		time.Sleep(foldFor)
		synctest.Wait()
		out.wants(t, `failed (repeated 9 times)  {"error": "read 10.0.0.1:4009->10.0.0.2:873: refused", "down": "9s", "repeated": 9}`)

		// It goes on: a line a minute, no more.
		refused(5000, time.Minute)
		out.wants(t)
		time.Sleep(foldFor)
		synctest.Wait()
		out.wants(t, `failed (repeated 1 time)  {"error": "read 10.0.0.1:5000->10.0.0.2:873: refused", "down": "1m0s", "repeated": 1}`)

		// After a minute without one it is news again.
		time.Sleep(foldFor)
		synctest.Wait()
		refused(6000, 0)
		out.wants(t, `failed  {"error": "read 10.0.0.1:6000->10.0.0.2:873: refused", "down": "0s"}`)
	})
}

// TestFoldNothingElse: what differs is not folded, nor what is no warning and no error.
func TestFoldNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		log := mustNew(t, Options{Stderr: &out, Level: "debug"}).Logger()
		for _, say := range []func(){
			func() { log.Warn("text") },
			func() { log.Error("text") },
			func() { log.Named("push").Warn("text") },
			func() { log.Warn("text", zap.Int("code", 23)) },
			func() { log.Warn("text", zap.Int("code", 12)) },
			func() { log.Warn("text", zap.String("path", "a"), zap.String("to", "b")) },
			func() { log.Warn("text", zap.String("path", "a\x00to=b")) },
			func() { log.With(zap.String("target", "x")).Warn("text") },
			func() { log.With(zap.String("target", "y")).Warn("text") },
			func() { log.Warn("text", zap.Strings("lost", []string{"a"})) },
			func() { log.Warn("text", zap.Strings("lost", []string{"b"})) },
			func() { log.Warn("text", zap.Bool("partial", true)) },
			func() { log.Warn("text", zap.Error(errors.New("one"))) },
			func() { log.Warn("text", zap.Error(errors.New("two"))) },
		} {
			say()
			if got := out.take(); len(got) != 1 {
				t.Errorf("lines: %q", got)
			}
			say()
			if got := out.take(); len(got) != 0 {
				t.Errorf("a repeat is written: %q", got)
			}
		}
		for range 3 {
			log.Named("done").Info("pushed", zap.Int("files", 1))
			log.Debug("event")
		}
		if got := out.take(); len(got) != 6 {
			t.Errorf("lines: %q", got)
		}
	})
}

// TestFoldEndsWithNews: when a logger tells that something was done, what it warned of before is no repeat any more; of other
// loggers it is.
func TestFoldEndsWithNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		log := mustNew(t, Options{Stderr: &out}).Logger()
		one, other := log.With(zap.String("target", "1")), log.With(zap.String("target", "2"))
		for range 3 {
			one.Warn("failed")
			other.Warn("failed")
			one.Error("something else")
		}
		out.wants(t, `failed  {"target": "1"}`, `failed  {"target": "2"}`, `something else  {"target": "1"}`)
		time.Sleep(time.Second)
		one.Info("goes on")
		got := strings.Join(out.take(), "\n")
		for _, want := range []string{`failed (repeated 2 times)  {"target": "1", "repeated": 2}`, `something else (repeated 2 times)  {"target": "1", "repeated": 2}`} {
			if strings.Count(got, want) != 1 || !strings.HasSuffix(got, "\n"+`goes on  {"target": "1"}`) || strings.Count(got, "\n") != 2 {
				t.Errorf("got\n%s\nwant %s, and then what was done", got, want)
			}
		}
		one.Warn("failed")
		other.Warn("failed")
		out.wants(t, `failed  {"target": "1"}`)
		time.Sleep(foldFor)
		synctest.Wait()
		out.wants(t, `failed (repeated 3 times)  {"target": "2", "repeated": 3}`)
	})
}

// TestFoldIsBounded: of more different lines than are remembered none is lost, nor what was counted of them.
func TestFoldIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		l := mustNew(t, Options{Stderr: &out})
		const lines = 5 * foldMost
		for i := range lines {
			for range 3 {
				l.Logger().Warn("text", zap.Int("line", i))
			}
			time.Sleep(time.Millisecond) // the oldest is known
			if n := len(l.memory.lines); n > foldMost {
				t.Fatalf("%d lines are remembered", n)
			}
		}
		huge := strings.Repeat("x", foldBytes)
		for range 2 {
			l.Logger().Warn("huge", zap.String("text", huge))
		}
		l.Close()
		firsts, repeats, whole := 0, 0, 0
		for _, line := range out.take() {
			switch {
			case strings.HasPrefix(line, "text (repeated 2 times)"):
				repeats++
			case strings.HasPrefix(line, "text  "):
				firsts++
			case strings.HasPrefix(line, "huge  "):
				whole++
			}
		}
		if firsts != lines || repeats != lines || whole != 2 {
			t.Errorf("%d first lines and %d repeats of %d, and %d of 2 that are too long", firsts, repeats, lines, whole)
		}
	})
}

// TestFoldOfWhatChanges: a repeat has what it had when it was logged.
func TestFoldOfWhatChanges(t *testing.T) {
	var out output
	l := mustNew(t, Options{Stderr: &out})
	bytes, text := []byte("a"), &strings.Builder{}
	text.WriteString("a")
	for range 2 {
		l.Logger().Warn("text", zap.ByteString("path", bytes), zap.Stringer("to", text))
	}
	bytes[0] = 'b'
	text.WriteString("b")
	l.Close()
	l.Logger().Warn("after the end")
	l.Logger().Warn("after the end")
	out.wants(t, `text  {"path": "a", "to": "a"}`, `text (repeated 1 time)  {"path": "a", "to": "a", "repeated": 1}`, "after the end", "after the end")
}
