package hooks

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Of what a hook says the first and the last bytes are kept.
const (
	keepFirst = 2 << 10
	keepLast  = 6 << 10
)

// output is what a hook says, shortened in the middle. One goroutine writes.
type output struct {
	first, last []byte
	all         int64 // bytes
}

func (o *output) Write(b []byte) (int, error) {
	n := len(b)
	o.all += int64(n)
	if room := keepFirst - len(o.first); room > 0 {
		room = min(room, len(b))
		o.first, b = append(o.first, b[:room]...), b[room:]
	}
	if len(b) > keepLast {
		b = b[len(b)-keepLast:]
	}
	if over := len(o.last) + len(b) - keepLast; over > 0 {
		o.last = append(o.last[:0], o.last[over:]...)
	}
	o.last = append(o.last, b...)
	return n, nil
}

// String is it without a line's end at its end, and with bytes that are no UTF-8 as rsync has them.
func (o *output) String() string {
	text := string(o.first)
	if lost := o.all - int64(len(o.first)+len(o.last)); lost > 0 {
		text += fmt.Sprintf("\n… %d bytes …\n", lost)
	}
	return escape(strings.TrimRight(text+string(o.last), "\n\r\t "))
}

// lastLine is its last line.
func (o *output) lastLine() string {
	text := o.String()
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// escape writes bytes that are no UTF-8, and NULs, in octal. What else a terminal obeys is the log's to escape.
func escape(s string) string {
	var b strings.Builder
	for rest := s; rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		if r == utf8.RuneError && n == 1 || r == 0 {
			fmt.Fprintf(&b, `\#%03o`, rest[0])
		} else {
			b.WriteString(rest[:n])
		}
		rest = rest[n:]
	}
	return b.String()
}

// tell logs what came of a hook.
func (r *Runner) tell(w *waiting, res *result) {
	level, text := zapcore.InfoLevel, "hook done"
	if w.Kind == BeforePush {
		level = zapcore.DebugLevel // the push has a line of its own
	}
	fields := []zap.Field{zap.Stringer("event", w.Kind), zap.String("target", w.Target), zap.Int("paths", len(w.Paths))}
	if w.events > 1 {
		fields = append(fields, zap.Int("events", w.events))
	}
	switch {
	case res.stopped:
		text = "hook ended: its time was over with lockstep's"
	case res.err == errTimeout:
		level, text = zapcore.ErrorLevel, "hook took too long and was ended"
	case res.err != nil:
		level, text = zapcore.ErrorLevel, "hook cannot be run"
		fields = append(fields, zap.Strings("argv", r.set.of(w.Kind).Argv), zap.Error(res.err))
	case res.signal != 0:
		level, text = zapcore.ErrorLevel, "hook was ended by a signal"
	case w.Kind == BeforePush && res.vetoes():
		level, text = zapcore.InfoLevel, "hook puts the push off"
	case res.code != 0:
		level, text = zapcore.ErrorLevel, "hook failed"
	}
	if res.code >= 0 {
		fields = append(fields, zap.Int("code", res.code))
	}
	if res.signal != 0 {
		fields = append(fields, zap.Stringer("signal", res.signal))
	}
	fields = append(fields, zap.Duration("took", res.took.Round(time.Millisecond)))
	if said := res.said.String(); said != "" {
		fields = append(fields, zap.String("output", said))
	}
	r.log.Log(level, text, fields...)
}
