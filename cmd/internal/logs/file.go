package logs

import (
	"fmt"
	"os"
	"path/filepath"
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
	path, err := filepath.Abs(path) // whatever the working directory is later
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	f, err := openLog(path)
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	return &file{path: path, f: f}, nil
}

func openLog(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, fileMode)
	if err == nil {
		// Should the program crash, it is told there: standard error may lead nowhere.
		_ = debug.SetCrashOutput(f, debug.CrashOptions{})
	}
	return f, err
}

// reopen goes on in what has the log's name now, which is made if nothing has. After an error all is as it was.
func (l *file) reopen() error {
	f, err := openLog(l.path)
	if err != nil {
		return fmt.Errorf("the log file is not opened again, lines go to the old one: %w; who runs this must be able to write to the file, or to make it", err)
	}
	l.mu.Lock()
	old := l.f
	l.f = f
	l.mu.Unlock()
	if err := old.Close(); err != nil {
		return fmt.Errorf("the log file was opened again, and of the old one something may be lost: %w", err)
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
