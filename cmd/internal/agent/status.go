package agent

import (
	"errors"
	"fmt"
	"maps"
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
	mu     sync.Mutex // guards what follows; held for moments
	s      api.Target
	begun  bool      // a push reached its end, or nothing was to be pushed
	verify bool      // a slice is being pushed
	oldest time.Time // when the first change of the batch on its way was seen
	veto   string    // why before-push puts off what is to be pushed; "" where it does not
}

func newRecord(sync string, s *Settings) *record {
	return &record{s: api.Target{Sync: sync, Source: s.Source, Target: s.Target, PID: os.Getpid(), Since: time.Now()}}
}

// pushing notes that a batch is on its way.
func (r *record) pushing(b *syncer.Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.s.InFlight, r.verify, r.oldest = len(b.Paths), b.Verify, b.Oldest
}

// vetoed notes what before-push said about a batch.
func (r *record) vetoed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.veto = ""; err != nil {
		r.veto = err.Error()
	}
}

// vetoText is why what is to be pushed is put off, "" where it is not.
func (r *record) vetoText() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.veto
}

// failing is why pushes fail at present; nil while they do not.
func (r *record) failing() *api.Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.s.Error == nil {
		return nil
	}
	e := *r.s.Error
	return &e
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
	t, st := &r.s.Totals, &o.Report.Stats
	if t.Pushes++; r.s.Error != nil {
		t.Retries += int64(len(o.Batch.Paths))
	} else {
		t.Retries += int64(len(o.Arrived) + countAgain(o.Failed))
	}
	r.s.InFlight, r.verify, r.oldest = 0, false, time.Time{}
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
	t.ByClass = maps.Clone(t.ByClass) // others have the old one
	if t.ByClass == nil {
		t.ByClass = map[string]int64{}
	}
	t.ByClass[o.Class.String()]++
	since := now
	if r.s.Error != nil {
		since = r.s.Error.Since
	}
	r.s.Error = &api.Error{Class: o.Class.String(), Text: strings.ReplaceAll(bare(o.Err), "\n", "; "), Remedy: o.Remedy, Since: since, Tries: o.Failures, Next: now.Add(o.Retry)}
}

// countAgain is how many of failed had failed before.
func countAgain(failed []syncer.Failed) (n int) {
	for i := range failed {
		if failed[i].Count > 1 {
			n++
		}
	}
	return n
}

// status is what is known now. It waits for nothing: each lock that it takes is held for moments.
func (r *replica) status() api.Target {
	r.record.mu.Lock()
	s, begun, verify, oldest := r.record.s, r.record.begun, r.record.verify, r.record.oldest
	r.record.mu.Unlock()
	now, veto := time.Now(), r.record.vetoText()
	s.Goroutines = runtime.NumGoroutine()
	s.Paths, s.Oldest = r.line.Glance()
	if oldest.IsZero() || !s.Oldest.IsZero() && s.Oldest.Before(oldest) {
		oldest = s.Oldest
	}
	if !oldest.IsZero() {
		s.Lag = max(now.Sub(oldest).Seconds(), 0)
	}
	s.Known = r.memory.known()
	if s.InFlight > 0 {
		s.Transfer = transfer(r.push.Progress(), now)
	}
	s.Failed, s.Held, s.Verify = r.push.Failed(), r.gate.held(), r.verify.status()
	waiting := r.gate.waiting()
	dirty := max(s.Paths-waiting, 0)
	if !verify {
		dirty += s.InFlight
	}
	behind := ""
	if !s.Oldest.IsZero() {
		behind = fmt.Sprintf(", the oldest for %s", rounded(now.Sub(s.Oldest)))
	}
	switch {
	case r.pause.is():
		s.State, s.Text = api.StatePaused, fmt.Sprintf("paused: %s gathered until lockstep resume%s", count(dirty, "path"), behind)
	case s.Error != nil:
		s.State, s.Text = api.StateRetrying, fmt.Sprintf("%s (%s)", s.Error.Text, s.Error.Class)
	case !begun && veto != "":
		s.State, s.Text = api.StateStarting, "the first push is put off: "+veto
	case !begun:
		s.State, s.Text = api.StateStarting, "the first push is not done"
	case len(s.Held) > 0:
		s.State, s.Text = api.StateHeld, countVerb(len(s.Held), "deletion", "waits", "wait")+" for lockstep release"
	case len(s.Failed) > 0:
		s.State, s.Text = api.StatePartial, fmt.Sprintf("%s could not be brought over", count(len(s.Failed), "path"))
	case dirty > 0 && veto != "":
		s.State, s.Text = api.StatePushing, fmt.Sprintf("%s put off: %s", count(dirty, "path"), veto)
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

// transfer is how far a push is that goes on.
func transfer(p syncer.Metered, now time.Time) *api.Transfer {
	if p.Since.IsZero() {
		return nil
	}
	t := &api.Transfer{Since: p.Since, Size: p.Size, Sent: p.Sent, Files: p.Files, Bytes: p.Bytes, Rate: rate(p.Bytes, now.Sub(p.Since))}
	if p.Path != "" {
		t.Path = syncer.Quote(p.Path)
	}
	if p.Sent > 0 && p.Took > 0 && p.Sent < p.Size {
		t.Left = float64(p.Size-p.Sent) / rate(p.Sent, p.Took)
	}
	return t
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
