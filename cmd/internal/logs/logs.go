package logs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"

	"github.com/coreos/go-systemd/v22/journal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// The values of --log-format.
const (
	Console = "console"
	JSON    = "json"
	Journal = "journal"
)

// Formats are the values of --log-format.
func Formats() []string { return []string{Console, JSON, Journal} }

// ErrNoFile is of Reopen.
var ErrNoFile = errors.New("there is no log file: --log-file=FILE, or log-file in the config, names one")

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
	level, err := parseLevel(cmp.Or(o.Level, "info"))
	switch {
	case err != nil:
		return nil, err
	case o.Format != "" && !slices.Contains(Formats(), o.Format):
		return nil, fmt.Errorf("log format %q: it is console, json or journal", o.Format)
	case o.Format == Journal && o.File != "":
		return nil, errors.New("a log file and the format journal: the journal keeps its files itself, so it is one or the other")
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	l := &Logs{memory: newMemory()}
	l.levels.Store(&levels{all: level})
	core, err := l.open(&o)
	if err != nil {
		return nil, err
	}
	l.log = zap.New(leveled{&folding{Core: core, memory: l.memory}, &l.levels}, zap.ErrorOutput(zapcore.AddSync(o.Stderr)))
	return l, nil
}

// open gives what writes entries.
func (l *Logs) open(o *Options) (zapcore.Core, error) {
	w, format := o.Stderr, o.Format
	if o.File != "" {
		var err error
		if l.file, err = openFile(o.File); err != nil {
			return nil, err
		}
		w = l.file
	}
	if format == "" && w == os.Stderr {
		// JOURNAL_STREAM stays in the environment of what is started with its output elsewhere, so it is compared.
		if stream, err := journal.StderrIsJournalStream(); err == nil && stream {
			format = Journal
		}
	}
	switch format {
	case JSON:
		return newLines(w, jsonEncoder(), false), nil
	case Journal:
		instead := newLines(w, consoleEncoder(), true)
		sink, err := openJournal(cmp.Or(o.socket, journalSocket), instead)
		if err != nil {
			return instead, nil // who reads standard error understands the priorities
		}
		l.sink = sink
		return sink, nil
	}
	return newLines(w, consoleEncoder(), false), nil
}

// Logger is what to log with.
func (l *Logs) Logger() *zap.Logger { return l.log }

// Reopen goes on in the file that has the log file's name now: the old one was renamed. After an error lines go to the old
// file still. ErrNoFile: there is no log file.
func (l *Logs) Reopen() error {
	if l.file == nil {
		return ErrNoFile
	}
	return l.file.reopen()
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
