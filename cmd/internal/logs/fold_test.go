package logs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// folded is a logger that folds, and what it wrote.
func folded() (*zap.Logger, *memory, func() []string) {
	core, seen := observer.New(zap.DebugLevel)
	m := newMemory()
	return zap.New(&folding{Core: core, memory: m}), m, func() []string {
		var lines []string
		for _, e := range seen.TakeAll() {
			line := e.Message
			for _, f := range e.Context {
				if f.Type != zapcore.SkipType {
					line += fmt.Sprintf(" %s=%s", f.Key, textOf(&f))
				}
			}
			lines = append(lines, line)
		}
		return lines
	}
}

func TestFold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, m, lines := folded()
		check := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(want, lines()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		for i := range 5 {
			log.Warn("failed", zap.String("target", "a"), zap.Int("attempt", i), zap.Duration("took", time.Duration(i)))
			log.Warn("failed", zap.String("target", "b1"), zap.Int("attempt", i))
			log.Warn("failed", zap.String("target", fmt.Sprint("c", i)))
		}
		check("at once", "failed target=a attempt=0 took=0s", "failed target=b1 attempt=0", "failed target=c0", "failed target=c1", "failed target=c2",
			"failed target=c3", "failed target=c4")
		time.Sleep(foldFor + time.Second)
		check("after a while", "failed (repeated 4 times) target=a attempt=4 took=4ns repeated=4", "failed (repeated 4 times) target=b1 attempt=4 repeated=4")
		log.Warn("failed", zap.String("target", "a"), zap.Int("attempt", 5), zap.Duration("took", 0))
		check("goes on", []string(nil)...)
		time.Sleep(foldFor)
		check("after another", "failed (repeated 1 time) target=a attempt=5 took=0s repeated=1")
		time.Sleep(2 * foldFor)
		log.Warn("failed", zap.String("target", "a"), zap.Int("attempt", 6), zap.Duration("took", 0))
		check("a new one, later", "failed target=a attempt=6 took=0s")
		log.Warn("failed", zap.String("target", "a"), zap.Int("attempt", 7), zap.Duration("took", 0))
		m.close()
		check("at the end", "failed (repeated 1 time) target=a attempt=7 took=0s repeated=1")
		log.Warn("failed", zap.String("target", "a"), zap.Int("attempt", 8), zap.Duration("took", 0))
		check("after the end", "failed target=a attempt=8 took=0s")
	})
}

// What differs in anything but numbers is another line: level, logger, context, an error's text.
func TestFoldKeepsWhatDiffers(t *testing.T) {
	log, m, lines := folded()
	defer m.close()
	err := errors.New("read tcp 10.0.0.1:5001->10.0.0.2:873: reset")
	for range 2 {
		log.Warn("m", zap.Error(err))
		log.Error("m", zap.Error(err))
		log.Named("push").Warn("m", zap.Error(err))
		log.With(zap.String("root", "/a")).Warn("m", zap.Error(err))
		log.With(zap.String("root", "/b")).Warn("m", zap.Error(err))
		log.Warn("m", zap.Error(errors.New("read tcp 10.0.0.1:5002->10.0.0.3:873: reset")))
		log.Warn("m", zap.Bool("x", true))
		log.Warn("m", zap.Bool("x", false))
		log.Warn("m", zap.Strings("list", []string{"a"}))
		log.Warn("m", zap.Strings("list", []string{"b"}))
		err = errors.New("read tcp 10.0.0.1:5009->10.0.0.2:873: reset") // the same, but for the port on our side
	}
	if got := lines(); len(got) != 10 {
		t.Errorf("%d lines:\n%s", len(got), strings.Join(got, "\n"))
	}
}

// The line of a push is told each time, and so is all of debug.
func TestUnfolded(t *testing.T) {
	log, m, lines := folded()
	defer m.close()
	for range 3 {
		log.Info("pushed", zap.Int("files", 1), Unfolded())
		log.With(Unfolded()).Warn("pushed")
		log.Debug("event")
	}
	if got := lines(); len(got) != 9 {
		t.Errorf("%q", got)
	}
}

// However many different lines there are, memory is bounded, and no line nor count is lost.
func TestFoldIsBounded(t *testing.T) {
	log, m, lines := folded()
	const different = 5 * foldMost
	for i := range different {
		for range 3 {
			log.Warn("m", zap.String("path", fmt.Sprint(i)))
		}
		if len(m.lines) > foldMost {
			t.Fatalf("%d lines are remembered", len(m.lines))
		}
	}
	m.close()
	got := lines()
	for i := range different {
		want := []string{fmt.Sprintf("m path=%d", i), fmt.Sprintf("m (repeated 2 times) path=%d repeated=2", i)}
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Fatalf("no %q", w)
			}
		}
	}
	log, m, lines = folded()
	defer m.close()
	for range 2 {
		log.Warn("m", zap.String("long", strings.Repeat("x", foldBytes+1)))
	}
	if n := len(lines()); n != 2 {
		t.Errorf("%d lines", n)
	}
}

// What a field said when it was logged is told later, whatever became of it.
func TestFoldFreezes(t *testing.T) {
	log, m, lines := folded()
	text := []byte("first")
	log.Warn("m", zap.ByteString("b", []byte("first")), zap.Strings("s", []string{"x"}))
	log.Warn("m", zap.ByteString("b", text), zap.Strings("s", []string{"x"}))
	copy(text, "LATER")
	m.close()
	want := []string{"m b=first s=[x]", "m (repeated 1 time) b=first s=[x] repeated=1"}
	if diff := cmp.Diff(want, lines()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Of what many goroutines say no line goes uncounted.
func TestFoldConcurrently(t *testing.T) {
	log, m, lines := folded()
	var saying sync.WaitGroup
	for range 8 {
		saying.Go(func() {
			for i := range 1000 {
				log.Warn("m", zap.Int("n", i))
			}
		})
	}
	saying.Wait()
	m.close()
	if got := lines(); len(got) != 2 || !strings.HasPrefix(got[1], "m (repeated 7999 times)") {
		t.Errorf("%q", got)
	}
}
