package agent

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
)

// The states of a target, in Status.
const (
	StateStarting  = "starting"  // nothing was pushed yet
	StateInStep    = "in-step"   // nothing is dirty
	StatePushing   = "pushing"   // something is on its way, or about to be
	StateVerifying = "verifying" // in step as far as is known, and being compared
	StateRetrying  = "retrying"  // the target cannot be reached, or fails
	StatePartial   = "partial"   // some paths cannot be brought over
	StateHeld      = "held"      // deletions wait for an operator
	StateStopped   = "stopped"   // nobody keeps it in step
)

// Status is how one target is doing.
type Status struct {
	Source     string    `json:"source"`
	Target     string    `json:"target"`
	State      string    `json:"state"` // see the State constants
	Text       string    `json:"text"`  // one sentence
	PID        int       `json:"pid,omitempty"`
	Goroutines int       `json:"goroutines,omitempty"` // of the process, which may have other targets too
	Since      time.Time `json:"since,omitzero"`       // when it was started

	Paths       int       `json:"paths"`           // dirty: to be pushed
	Oldest      time.Time `json:"oldest,omitzero"` // when the first of them was seen: the target lags behind since
	InFlight    int       `json:"in_flight"`       // paths that are being pushed
	Known       bool      `json:"known"`           // what the target has is known: a restart sends what differs, and no more
	LastSuccess time.Time `json:"last_success,omitzero"`

	Error  *StatusError    `json:"error,omitempty"` // that is going on
	Failed []syncer.Failed `json:"failed,omitempty"`
	Held   []Held          `json:"held,omitempty"`
	Verify *VerifyStatus   `json:"verify,omitempty"` // that goes on, or the last one

	Totals Totals `json:"totals"`
}

// StatusError is why pushes fail.
type StatusError struct {
	Class  string    `json:"class"`
	Text   string    `json:"text"`
	Remedy string    `json:"remedy,omitempty"`
	Since  time.Time `json:"since"`
	Tries  int       `json:"tries"`
	Next   time.Time `json:"next"`
}

// Totals are what the pushes since the start brought about.
type Totals struct {
	Pushes       int64 `json:"pushes"`
	Failures     int64 `json:"failures"`
	Files        int64 `json:"files"`
	LiteralBytes int64 `json:"literal_bytes"`
	MatchedBytes int64 `json:"matched_bytes"`
	SentBytes    int64 `json:"sent_bytes"`
	Deleted      int64 `json:"deleted"`
}

// record gathers what a status needs. It is safe for concurrent use.
type record struct {
	mu     sync.Mutex // guards s and begun
	s      Status
	begun  bool // a push reached its end, or nothing was to be pushed
	verify bool // a slice is being pushed
}

func newRecord(s *Settings) *record {
	return &record{s: Status{Source: s.Source, Target: s.Target, PID: os.Getpid(), Since: time.Now()}}
}

// pushing notes that a batch is on its way.
func (r *record) pushing(b *syncer.Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.s.InFlight, r.verify = len(b.Paths), b.Verify
}

// inStep notes that there was nothing to push.
func (r *record) inStep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun, r.s.LastSuccess = true, time.Now()
}

// pushed notes what came of it.
func (r *record) pushed(o *syncer.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.s.InFlight, r.verify = 0, false
	t, st := &r.s.Totals, &o.Report.Stats
	t.Pushes++
	t.Files += st.Transferred
	t.LiteralBytes += st.Literal
	t.MatchedBytes += st.Matched
	t.SentBytes += st.Sent
	t.Deleted += st.Deleted
	if o.Err == nil {
		r.begun, r.s.LastSuccess, r.s.Error = true, now, nil
		return
	}
	if errors.Is(o.Err, errGrace) {
		return
	}
	t.Failures++
	since := now
	if r.s.Error != nil {
		since = r.s.Error.Since
	}
	r.s.Error = &StatusError{Class: o.Class.String(), Text: strings.ReplaceAll(bare(o.Err), "\n", "; "), Remedy: o.Remedy, Since: since, Tries: o.Failures, Next: now.Add(o.Retry)}
}

// status is what is known now.
func (r *replica) status() Status {
	r.record.mu.Lock()
	s, begun, verify := r.record.s, r.record.begun, r.record.verify
	r.record.mu.Unlock()
	s.Goroutines = runtime.NumGoroutine()
	s.Paths, s.Oldest = r.line.Pending()
	s.Known = r.memory.known()
	s.Failed, s.Held, s.Verify = r.push.Failed(), r.gate.held(), r.verify.status()
	waiting := r.gate.waiting()
	dirty := max(s.Paths-waiting, 0)
	if !verify {
		dirty += s.InFlight
	}
	behind := ""
	if !s.Oldest.IsZero() {
		behind = fmt.Sprintf(", the oldest for %s", rounded(time.Since(s.Oldest)))
	}
	switch {
	case s.Error != nil:
		s.State, s.Text = StateRetrying, fmt.Sprintf("%s (%s)", s.Error.Text, s.Error.Class)
	case !begun:
		s.State, s.Text = StateStarting, "the first push is not done"
	case len(s.Held) > 0:
		s.State, s.Text = StateHeld, countVerb(len(s.Held), "deletion", "waits", "wait")+" for lockstep release"
	case len(s.Failed) > 0:
		s.State, s.Text = StatePartial, fmt.Sprintf("%s could not be brought over", count(len(s.Failed), "path"))
	case dirty > 0:
		s.State, s.Text = StatePushing, fmt.Sprintf("%s to be pushed%s", count(dirty, "path"), behind)
	case verify:
		s.State, s.Text = StateVerifying, "in step as far as is known; being compared"
	case waiting > 0:
		s.State, s.Text = StateInStep, fmt.Sprintf("everything is on the target; %s for --delete-delay", countVerb(waiting, "deletion", "waits", "wait"))
	default:
		s.State, s.Text = StateInStep, "everything is on the target"
	}
	return s
}

// countVerb is "1 deletion waits", "2 deletions wait".
func countVerb(n int, what, one, more string) string {
	if n == 1 {
		more = one
	}
	return count(n, what) + " " + more
}

// count is "1 path", "2 paths".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
