package agent

import (
	"fmt"
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func logLevels() []string { return []string{"debug", "info", "warn", "error"} }

// NewLogger writes to w in the settings' format and from their level on; --quiet leaves
// what an operator should know.
func (s *Settings) NewLogger(w io.Writer) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(s.LogLevel)
	if err != nil {
		return nil, fmt.Errorf("--log-level %q: it is debug, info, warn or error", s.LogLevel)
	}
	if s.Quiet {
		level = max(level, zapcore.WarnLevel)
	}
	cfg := zap.NewProductionEncoderConfig()
	cfg.TimeKey = "time"
	cfg.EncodeTime = zapcore.ISO8601TimeEncoder
	cfg.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(cfg)
	if s.LogFormat == "console" {
		cfg.EncodeLevel = zapcore.CapitalLevelEncoder
		cfg.ConsoleSeparator, cfg.NameKey = "  ", zapcore.OmitKey // a line says by itself whose it is
		encoder = zapcore.NewConsoleEncoder(cfg)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(logText{w}), level)), nil
}
