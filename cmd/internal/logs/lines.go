package logs

import (
	"bytes"
	"fmt"
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func encoderConfig() zapcore.EncoderConfig {
	cfg := zap.NewProductionEncoderConfig()
	cfg.TimeKey = "time"
	cfg.CallerKey = zapcore.OmitKey
	cfg.EncodeTime = zapcore.ISO8601TimeEncoder
	cfg.EncodeDuration = zapcore.StringDurationEncoder
	return cfg
}

func jsonEncoder() zapcore.Encoder { return zapcore.NewJSONEncoder(encoderConfig()) }

func consoleEncoder() zapcore.Encoder {
	cfg := encoderConfig()
	cfg.EncodeLevel = zapcore.CapitalLevelEncoder
	cfg.ConsoleSeparator, cfg.NameKey = "  ", zapcore.OmitKey // a line says by itself whose it is
	return zapcore.NewConsoleEncoder(cfg)
}

// lines writes entries as lines of text.
type lines struct {
	enc      zapcore.Encoder
	w        io.Writer
	priority bool // in front of each line, as sd-daemon(3) says: <6>
}

func newLines(w io.Writer, enc zapcore.Encoder, priority bool) *lines {
	return &lines{enc: enc, w: w, priority: priority}
}

func (c *lines) Enabled(zapcore.Level) bool { return true }

func (c *lines) With(fields []zapcore.Field) zapcore.Core {
	enc := c.enc.Clone()
	for i := range fields {
		fields[i].AddTo(enc)
	}
	return &lines{enc: enc, w: c.w, priority: c.priority}
}

func (c *lines) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return ce.AddCore(e, c)
}

// Write writes an entry in one call: in a file others append to, it stays whole.
func (c *lines) Write(e zapcore.Entry, fields []zapcore.Field) error {
	buf, err := c.enc.EncodeEntry(e, fields)
	if err != nil {
		return err
	}
	defer buf.Free()
	text := plainText(buf.Bytes())
	if c.priority {
		text = withPriority(text, priorityOf(e.Level))
	}
	_, err = c.w.Write(text)
	return err
}

func (c *lines) Sync() error { return nil } // nothing is kept back

// withPriority puts a priority in front of each line.
func withPriority(text []byte, priority int) []byte {
	var out []byte
	for l := range bytes.Lines(text) {
		out = append(fmt.Appendf(out, "<%d>", priority), l...)
	}
	return out
}

// priorityOf is a level as syslog(3) has it.
func priorityOf(level zapcore.Level) int {
	switch {
	case level < zapcore.InfoLevel:
		return 7 // debug
	case level == zapcore.InfoLevel:
		return 6 // informational
	case level == zapcore.WarnLevel:
		return 4 // warning
	case level == zapcore.ErrorLevel:
		return 3 // error
	}
	return 2 // critical: the program ends
}
