package agent

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/syncer"
)

// record gathers what a status needs. It is safe for concurrent use.
type record struct {
	mu     sync.Mutex // guards s and begun
	s      api.Target
	begun  bool // a push reached its end, or nothing was to be pushed
	verify bool // a slice is being pushed
}

func newRecord(s *Settings) *record {
	return &record{s: api.Target{Source: s.Source, Target: s.Target, PID: os.Getpid(), Since: time.Now()}}
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
	r.s.Error = &api.Error{Class: o.Class.String(), Text: strings.ReplaceAll(bare(o.Err), "\n", "; "), Remedy: o.Remedy, Since: since, Tries: o.Failures, Next: now.Add(o.Retry)}
}

// status is what is known now.
func (r *replica) status() api.Target {
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
		s.State, s.Text = api.StateRetrying, fmt.Sprintf("%s (%s)", s.Error.Text, s.Error.Class)
	case !begun:
		s.State, s.Text = api.StateStarting, "the first push is not done"
	case len(s.Held) > 0:
		s.State, s.Text = api.StateHeld, countVerb(len(s.Held), "deletion", "waits", "wait")+" for lockstep release"
	case len(s.Failed) > 0:
		s.State, s.Text = api.StatePartial, fmt.Sprintf("%s could not be brought over", count(len(s.Failed), "path"))
	case dirty > 0:
		s.State, s.Text = api.StatePushing, fmt.Sprintf("%s to be pushed%s", count(dirty, "path"), behind)
	case verify:
		s.State, s.Text = api.StateVerifying, "in step as far as is known; being compared"
	case waiting > 0:
		s.State, s.Text = api.StateInStep, fmt.Sprintf("everything is on the target; %s for --delete-delay", countVerb(waiting, "deletion", "waits", "wait"))
	default:
		s.State, s.Text = api.StateInStep, "everything is on the target"
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
