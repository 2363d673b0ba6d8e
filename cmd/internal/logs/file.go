package logs

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
)

// fileMode lets nobody else read a log: there are names in it.
const fileMode = 0o640

// file is a log file that can be opened again.
type file struct {
	path string

	mu sync.Mutex // guards f; it is held while a line is written, so that none is between two files
	f  *os.File
}

func openFile(path string) (*file, error) {
	l := &file{path: path}
	return l, l.reopen()
}

// reopen goes on in what has the log's name now, which is made if nothing has. After an error all is as it was.
func (l *file) reopen() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, fileMode)
	if err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	// Should the program crash, it is told there: standard error may lead nowhere.
	_ = debug.SetCrashOutput(f, debug.CrashOptions{})
	l.mu.Lock()
	old := l.f
	l.f = f
	l.mu.Unlock()
	if old == nil {
		return nil
	}
	if err := old.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("log file, what was written before: %w", err)
	}
	return nil
}

func (l *file) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Write(b)
}

func (l *file) close() error {
	_ = debug.SetCrashOutput(nil, debug.CrashOptions{})
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}
