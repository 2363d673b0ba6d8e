package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/coreos/go-systemd/v22/journal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Formats are the values of --log-format; "" is one of them.
const (
	Console = "console"
	JSON    = "json"
	Journal = "journal"
)

// Formats are the values of --log-format beside none.
func Formats() []string { return []string{Console, JSON, Journal} }

// Options say where a log goes, and what of it.
type Options struct {
	Level  string    // one of Levels; "": info
	Format string    // one of Formats; "": journal where standard error leads there (and there is no File), else console
	File   string    // a log file; "": Stderr
	Stderr io.Writer // nil: the process's

	socket string // the journal's, for tests
}

// Logs is the log of a process.
type Logs struct {
	log    *zap.Logger
	levels atomic.Pointer[levels]
	memory *memory
	file   *file     // nil: there is none
	sink   *journald // nil: there is none
}

// New opens the log.
func New(o Options) (*Logs, error) {
	l := &Logs{memory: newMemory()}
	if o.Level == "" {
		o.Level = "info"
	}
	level, err := parseLevel(o.Level)
	if err != nil {
		return nil, err
	}
	l.levels.Store(&levels{all: level})
	core, err := l.open(&o)
	if err != nil {
		return nil, err
	}
	l.log = zap.New(leveled{&folding{Core: core, memory: l.memory}, &l.levels}, l.options(o)...)
	return l, nil
}

func (l *Logs) options(o Options) []zap.Option {
	opts := []zap.Option{zap.ErrorOutput(zapcore.AddSync(o.Stderr))}
	if l.sink != nil {
		opts = append(opts, zap.AddCaller()) // CODE_FILE and the like
	}
	return opts
}

// open gives what writes entries.
func (l *Logs) open(o *Options) (zapcore.Core, error) {
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if o.socket == "" {
		o.socket = journalSocket
	}
	w := o.Stderr
	if o.File != "" {
		var err error
		if l.file, err = openFile(o.File); err != nil {
			return nil, err
		}
		w = l.file
	}
	if stream, err := journal.StderrIsJournalStream(); o.Format == "" && o.File == "" && o.Stderr == os.Stderr && err == nil && stream {
		o.Format = Journal
	}
	switch o.Format {
	case "", Console:
		return newLines(w, consoleEncoder(), false), nil
	case JSON:
		return newLines(w, jsonEncoder(), false), nil
	case Journal:
		if o.File != "" {
			_ = l.file.close()
			return nil, errors.New("a log file and the format journal: the journal keeps its files itself, so it is one or the other")
		}
		lines := newLines(w, consoleEncoder(), true)
		sink, err := openJournal(o.socket, lines)
		if err != nil {
			return lines, nil // who listens at standard error reads the priorities
		}
		l.sink = sink
		return sink, nil
	}
	return nil, fmt.Errorf("log format %q: it is console, json or journal", o.Format)
}

// Logger is what to log with.
func (l *Logs) Logger() *zap.Logger { return l.log }

// Reopen goes on in the file that has the log file's name now: the old one was renamed. An error leaves it as it was, and
// lines go to the old file; without a log file there is nothing to do.
func (l *Logs) Reopen() error {
	if l.file == nil {
		return nil
	}
	return l.file.reopen()
}

// ReopenOnSignal has SIGUSR1 do that until ctx is done, and tells in the log. It returns when that has ended.
func (l *Logs) ReopenOnSignal(ctx context.Context) {
	signals := make(chan os.Signal, 1) // one: two that come at once are one
	signal.Notify(signals, syscall.SIGUSR1)
	defer signal.Stop(signals)
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		switch err := l.Reopen(); {
		case l.file == nil:
			l.log.Info("SIGUSR1 opens the log file again, and there is none: see --log-file")
		case err != nil:
			l.log.Error("the log file cannot be opened again, the old one goes on; its directory must be writable for who runs this", zap.Error(err))
		default:
			l.log.Info("the log file was opened again", zap.String("file", l.file.path))
		}
	}
}

// Close tells what was held back, and closes what New opened.
func (l *Logs) Close() error {
	l.memory.close()
	switch {
	case l.file != nil:
		return l.file.close()
	case l.sink != nil:
		return l.sink.close()
	}
	return nil
}
