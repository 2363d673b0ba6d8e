package logs

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// foldFor is how long a line's repeats are counted before they are told. What is told once a minute anyway is not folded.
	foldFor = 30 * time.Second
	// foldMost is how many different lines are remembered.
	foldMost = 200
	// foldBytes is up to which size a line can be folded.
	foldBytes = 16 << 10
)

// unfoldedKey marks lines that are never folded. Encoders pass fields of its type over.
const unfoldedKey = "unfolded"

// Unfolded is a field, which is not written, for a line whose each repeat is to be told: that of a push.
func Unfolded() zap.Field { return zap.Field{Key: unfoldedKey, Type: zapcore.SkipType} }

// memory is the lines that were written within the last foldFor, and how often they came again.
type memory struct {
	now func() time.Time

	mu    sync.Mutex // guards what follows; it is held while lines are written, so that they keep their order
	lines map[string]*line
	n     uint64      // lines that were remembered so far
	timer *time.Timer // runs while there are lines
	ended bool
}

// line is one that was written.
type line struct {
	key      string
	n        uint64    // the order in which they were remembered
	since    time.Time // it was written, or its repeats were
	repeated int
	core     zapcore.Core // what writes the last repeat
	entry    zapcore.Entry
	fields   []zapcore.Field
}

func newMemory() *memory { return &memory{now: time.Now, lines: map[string]*line{}} }

// folding is a core that writes the first of lines that differ in numbers at most, and later how many there were. Debug lines
// are not folded: who asks for them wants them all.
type folding struct {
	zapcore.Core
	memory  *memory
	context string // the key of the fields that the logger has
	whole   bool   // one of them is Unfolded
}

func (c *folding) With(fields []zapcore.Field) zapcore.Core {
	key, whole := fieldsKey(fields)
	return &folding{Core: c.Core.With(fields), memory: c.memory, context: c.context + key, whole: c.whole || whole}
}

func (c *folding) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *folding) Write(e zapcore.Entry, fields []zapcore.Field) error {
	key, whole := fieldsKey(fields)
	m := c.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if whole || c.whole || m.ended || e.Level < zapcore.InfoLevel || e.Level > zapcore.ErrorLevel || len(key) > foldBytes {
		return c.Core.Write(e, fields)
	}
	key = fmt.Sprintf("%d\x00%s\x00%s\x00%s%s", e.Level, e.LoggerName, e.Message, c.context, key)
	if l := m.lines[key]; l != nil {
		l.repeated++
		l.core, l.entry, l.fields = c.Core, e, frozen(fields)
		return nil
	}
	if len(m.lines) >= foldMost {
		m.end(m.oldest())
	}
	m.remember(key, m.now())
	m.wind()
	return c.Core.Write(e, fields)
}

func (m *memory) remember(key string, now time.Time) {
	m.n++
	m.lines[key] = &line{key: key, n: m.n, since: now}
}

// oldest is the line that was written first. There is one.
func (m *memory) oldest() *line {
	var first *line
	for _, l := range m.lines {
		if first == nil || l.n < first.n {
			first = l
		}
	}
	return first
}

// wind sets the timer, if it does not run, for the line that is due first.
func (m *memory) wind() {
	if m.timer == nil && len(m.lines) > 0 {
		m.timer = time.AfterFunc(m.oldest().since.Add(foldFor).Sub(m.now()), m.due)
	}
}

// due tells of the lines whose time is over. Those that came again are counted further, the others are forgotten.
func (m *memory) due() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.timer = nil
	if m.ended {
		return
	}
	m.tellOver(m.now())
	m.wind()
}

func (m *memory) tellOver(now time.Time) {
	var over []*line
	for _, l := range m.lines {
		if now.Sub(l.since) >= foldFor {
			over = append(over, l)
		}
	}
	slices.SortFunc(over, func(a, b *line) int { return cmp.Compare(a.n, b.n) })
	for _, l := range over {
		goesOn := l.repeated > 0
		m.end(l)
		if goesOn {
			m.remember(l.key, now)
		}
	}
}

// end forgets a line, and tells how often it was repeated: its last repeat is written, with the numbers that has.
func (m *memory) end(l *line) {
	delete(m.lines, l.key)
	if l.repeated == 0 {
		return
	}
	times := "times"
	if l.repeated == 1 {
		times = "time"
	}
	l.entry.Message += fmt.Sprintf(" (repeated %d %s)", l.repeated, times)
	// Nobody could be told of an error here but by the next line, which meets it too.
	_ = l.core.Write(l.entry, append(l.fields, zap.Int("repeated", l.repeated)))
}

// close tells of all repeats that were not told. What is written later is not folded.
func (m *memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	if m.timer != nil {
		m.timer.Stop() // who fires now finds that it has ended
	}
	for len(m.lines) > 0 {
		m.end(m.oldest())
	}
}

// port is the one of our end of a connection in an error's text: another each time.
var port = regexp.MustCompile(`:[0-9]+->`)

// fieldsKey is what must be the same in two lines that are folded: all but numbers, which are times and sizes too. In a
// text a number may be part of a name, and counts.
func fieldsKey(fields []zapcore.Field) (key string, unfolded bool) {
	var b strings.Builder
	for i := range fields {
		f := &fields[i]
		switch f.Type {
		case zapcore.SkipType:
			unfolded = unfolded || f.Key == unfoldedKey
			continue
		case zapcore.DurationType, zapcore.TimeType, zapcore.TimeFullType, zapcore.Float64Type, zapcore.Float32Type,
			zapcore.Int64Type, zapcore.Int32Type, zapcore.Int16Type, zapcore.Int8Type,
			zapcore.Uint64Type, zapcore.Uint32Type, zapcore.Uint16Type, zapcore.Uint8Type, zapcore.UintptrType:
			fmt.Fprintf(&b, "%s\x00", f.Key)
		case zapcore.ErrorType, zapcore.StringType:
			fmt.Fprintf(&b, "%s=%s\x00", f.Key, port.ReplaceAllString(textOf(f), ":->"))
		default:
			fmt.Fprintf(&b, "%s=%s\x00", f.Key, textOf(f))
		}
	}
	return b.String(), unfolded
}

// textOf is a field's value as text.
func textOf(f *zapcore.Field) string {
	switch v := f.Interface.(type) {
	case error:
		return v.Error()
	case []byte:
		return string(v)
	}
	switch f.Type {
	case zapcore.StringType:
		return f.String
	case zapcore.BoolType:
		return fmt.Sprint(f.Integer == 1)
	case zapcore.Float64Type:
		return fmt.Sprint(math.Float64frombits(uint64(f.Integer)))
	}
	enc := zapcore.NewMapObjectEncoder()
	f.AddTo(enc)
	return fmt.Sprint(enc.Fields[f.Key])
}

// frozen are fields that are as they are now when they are written later: some are asked for their text then.
func frozen(fields []zapcore.Field) []zapcore.Field {
	out := make([]zapcore.Field, 0, len(fields)+1)
	for i := range fields {
		f := fields[i]
		switch f.Type {
		case zapcore.ErrorType, zapcore.StringerType, zapcore.ByteStringType:
			f = zap.String(f.Key, textOf(&f))
		case zapcore.ArrayMarshalerType, zapcore.ObjectMarshalerType, zapcore.ReflectType, zapcore.BinaryType, zapcore.InlineMarshalerType:
			enc := zapcore.NewMapObjectEncoder()
			f.AddTo(enc)
			for key, value := range enc.Fields {
				out = append(out, zap.Any(key, value))
			}
			continue
		}
		out = append(out, f)
	}
	return out
}
