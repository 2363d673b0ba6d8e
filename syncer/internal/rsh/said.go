package rsh

import (
	"bufio"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

const (
	saidMax = 1 << 10 // lines kept until they are taken: each may be about another path
	lineMax = 4096    // bytes of a line that are looked at

	// TooMuch stands for what was said beyond.
	TooMuch = "… (more was said than is kept)"
)

// said listens to a process's standard error.
type said struct {
	errs  *os.File
	heard chan struct{} // closed when nothing more comes

	mu    sync.Mutex // guards what follows
	lines []string
}

func newSaid(errs *os.File) *said {
	s := &said{errs: errs, heard: make(chan struct{})}
	go s.listen()
	return s
}

// listen reads to the end, so that the process never waits for us.
func (s *said) listen() {
	defer close(s.heard)
	defer s.errs.Close()
	r := bufio.NewReaderSize(s.errs, lineMax)
	for {
		line, err := r.ReadSlice('\n')
		text := strings.TrimSpace(wire.Printable(line))
		s.mu.Lock()
		switch {
		case text == "":
		case len(s.lines) < saidMax:
			s.lines = append(s.lines, text)
		default:
			s.lines[saidMax-1] = TooMuch
		}
		s.mu.Unlock()
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// end is called when the process is no more.
func (s *said) end() {
	s.errs.SetReadDeadline(time.Now().Add(lastWords))
	<-s.heard
}

// take hands over the lines that came since the last time.
func (s *said) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	s.lines = nil
	return lines
}
