package logs

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// foldFor is how long a line's repeats are counted before they are told.
	foldFor = time.Minute
	// foldMost is how many different lines are remembered.
	foldMost = 200
	// foldBytes is up to which size a line can be folded.
	foldBytes = 16 << 10
)

// memory is the lines that were written within the last foldFor, and how often they came again.
type memory struct {
	mu    sync.Mutex // guards what follows; it is held while lines are written, so that they keep their order
	lines map[string]*line
	timer *time.Timer // runs while there are lines
	ended bool
}

// line is one that was written.
type line struct {
	key      string
	source   string    // the name and the fields of its logger
	since    time.Time // it was written, or its repeats were
	repeated int
	core     zapcore.Core // what writes the last repeat
	entry    zapcore.Entry
	fields   []zapcore.Field
}

func newMemory() *memory { return &memory{lines: map[string]*line{}} }

// folding is a core that writes the first of warnings or errors that differ in times at most, and later how many came after it.
// Other lines tell what was done or begun, as a push: each counts, and after it what its logger warned of before is news again.
type folding struct {
	zapcore.Core
	memory  *memory
	context string // the key of the fields that the logger has
}

func (c *folding) With(fields []zapcore.Field) zapcore.Core {
	return &folding{c.Core.With(fields), c.memory, c.context + fieldsKey(fields)}
}

func (c *folding) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return ce.AddCore(e, c)
}

func (c *folding) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if e.Level < zapcore.InfoLevel || e.Level > zapcore.ErrorLevel {
		return c.Core.Write(e, fields)
	}
	source := e.LoggerName + "\x00" + c.context
	var key string
	if e.Level != zapcore.InfoLevel {
		key = fmt.Sprintf("%s\x00%d\x00%s\x00%s", source, e.Level, e.Message, fieldsKey(fields))
	}
	m := c.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.Level == zapcore.InfoLevel {
		m.end(m.those(func(l *line) bool { return l.source == source }))
	}
	if key == "" || len(key) > foldBytes || m.ended {
		return c.Core.Write(e, fields)
	}
	if l := m.lines[key]; l != nil {
		l.repeated++
		l.core, l.entry, l.fields = c.Core, e, frozen(fields)
		return nil
	}
	if len(m.lines) >= foldMost {
		m.end(m.those(everyLine)[:1])
	}
	m.lines[key] = &line{key: key, source: source, since: time.Now()}
	m.wind()
	return c.Core.Write(e, fields)
}

func everyLine(*line) bool { return true }

// those are the lines that are such, in the order in which they were written.
func (m *memory) those(are func(*line) bool) []*line {
	var list []*line
	for _, l := range m.lines {
		if are(l) {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b *line) int { return a.since.Compare(b.since) })
	return list
}

// wind sets the timer, if it does not run, for the line that is due first.
func (m *memory) wind() {
	if m.timer == nil && len(m.lines) > 0 {
		m.timer = time.AfterFunc(time.Until(m.those(everyLine)[0].since.Add(foldFor)), m.due)
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
	now := time.Now()
	over := m.those(func(l *line) bool { return now.Sub(l.since) >= foldFor })
	m.end(over)
	for _, l := range over {
		if l.repeated > 0 {
			m.lines[l.key] = &line{key: l.key, source: l.source, since: now}
		}
	}
	m.wind()
}

// end forgets lines, and tells how often each was repeated: its last repeat is written, with the times that has.
func (m *memory) end(list []*line) {
	for _, l := range list {
		delete(m.lines, l.key)
		if l.repeated == 0 {
			continue
		}
		times := "times"
		if l.repeated == 1 {
			times = "time"
		}
		l.entry.Message += fmt.Sprintf(" (repeated %d %s)", l.repeated, times)
		// Nobody could be told of an error here but by the next line, which meets it too, and tells.
		_ = l.core.Write(l.entry, append(l.fields, zap.Int("repeated", l.repeated)))
	}
}

// close tells of all repeats that were not told. What is written later is not folded.
func (m *memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	if m.timer != nil {
		m.timer.Stop() // who fires now finds that it has ended
	}
	m.end(m.those(everyLine))
}

// port is the one of our end of a connection in an error's text: another each time.
var port = regexp.MustCompile(`:[0-9]+->`)

// fieldsKey is what must be the same in two lines that are folded: all but times, and ports in errors.
func fieldsKey(fields []zapcore.Field) string {
	var b strings.Builder
	for i := range fields {
		f := &fields[i]
		var text string
		switch f.Type {
		case zapcore.DurationType, zapcore.TimeType, zapcore.TimeFullType:
		default:
			text = textOf(f)
		}
		if f.Key == "error" {
			text = port.ReplaceAllString(text, ":->")
		}
		fmt.Fprintf(&b, "%s=%q\x00", f.Key, text)
	}
	return b.String()
}

// textOf is a field's value as text.
func textOf(f *zapcore.Field) string {
	if f.Type == zapcore.StringType {
		return f.String
	}
	values := valuesOf(f)
	if value, ok := values[f.Key]; ok && len(values) == 1 {
		return fmt.Sprint(value)
	}
	return fmt.Sprint(values)
}

// valuesOf are what a field adds to a line: mostly one value, of the field's name.
func valuesOf(f *zapcore.Field) map[string]any {
	enc := zapcore.NewMapObjectEncoder()
	f.AddTo(enc)
	return enc.Fields
}

// frozen are fields that stay as they are now: some are asked for their text only when they are written.
func frozen(fields []zapcore.Field) []zapcore.Field {
	out := make([]zapcore.Field, 0, len(fields)+1)
	for i := range fields {
		values := valuesOf(&fields[i])
		for _, key := range slices.Sorted(maps.Keys(values)) {
			out = append(out, zap.Any(key, values[key]))
		}
	}
	return out
}
