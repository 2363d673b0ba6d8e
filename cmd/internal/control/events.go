package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

const (
	// pollEvery is how often the status is looked at while somebody listens.
	pollEvery = 250 * time.Millisecond
	// heartbeat keeps proxies from closing what is quiet, and finds out who has gone.
	heartbeat = 15 * time.Second
	// mostListeners bounds how many listen at once.
	mostListeners = 32
)

// events sends the status to who listens. It has no goroutine: the first listener whose time has come looks, and the
// others take what it saw.
type events struct {
	status func() api.Agent
	every  time.Duration
	beat   time.Duration
	places chan struct{} // holds one for each listener

	mu     sync.Mutex // guards what follows; held while the status is looked at, which waits for nothing
	looked time.Time
	seen   []byte // what was seen last, without what changes by itself
	event  []byte // as it is sent
	number int    // of event
}

func newEvents(status func() api.Agent) *events {
	return &events{status: status, every: pollEvery, beat: heartbeat, places: make(chan struct{}, mostListeners)}
}

// now is the newest event and its number.
func (e *events) now() ([]byte, int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.number > 0 && time.Since(e.looked) < e.every/2 {
		return e.event, e.number, nil
	}
	e.looked = time.Now()
	a := e.status()
	a.Now = e.looked
	full, err := json.Marshal(a)
	if err != nil {
		return nil, 0, err
	}
	a.Now, a.Goroutines, a.Descriptors, a.Resident = time.Time{}, 0, 0, 0
	seen, err := json.Marshal(a)
	if err != nil {
		return nil, 0, err
	}
	if e.number == 0 || !bytes.Equal(seen, e.seen) {
		e.number++
		e.seen, e.event = seen, fmt.Appendf(nil, "event: status\nid: %d\ndata: %s\n\n", e.number, full)
	}
	return e.event, e.number, nil
}

func (e *events) serve(w http.ResponseWriter, q *http.Request) {
	if _, err := parameters(q); err != nil {
		refuse(w, err)
		return
	}
	select {
	case e.places <- struct{}{}:
		defer func() { <-e.places }()
	default:
		w.Header().Set("Retry-After", "10")
		refuse(w, fmt.Errorf("%w: %d listen already", errBusy, mostListeners))
		return
	}
	lasting(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would gather it
	s := stream{w: w, c: http.NewResponseController(w)}
	tick := time.NewTicker(e.every)
	defer tick.Stop()
	quiet := time.Now()
	for last := 0; ; {
		event, number, err := e.now()
		switch {
		case err != nil:
			return
		case number != last:
			last, quiet = number, time.Now()
			s.send(event)
		case time.Since(quiet) >= e.beat:
			quiet = time.Now()
			s.send([]byte(": still here\n\n"))
		}
		if s.err != nil {
			return
		}
		select {
		case <-q.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// stream writes to one listener, who may take answerTimeout for each event and no longer.
type stream struct {
	w   http.ResponseWriter
	c   *http.ResponseController
	err error
}

func (s *stream) send(b []byte) {
	s.c.SetWriteDeadline(time.Now().Add(answerTimeout))
	if _, err := s.w.Write(b); err != nil {
		s.err = err
		return
	}
	s.err = s.c.Flush()
}
