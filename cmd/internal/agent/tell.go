package agent

import (
	"context"
	"errors"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/hooks"
	"github.com/lockstep-sync/lockstep/syncer"
)

// vetoRetry are the waits after a veto of before-push: who says no has a reason that takes a while.
const (
	vetoRetryMin = time.Second
	vetoRetryMax = time.Minute
)

// pathsTold is how many paths of a push a hook is told.
const pathsTold = 10_000

// teller tells an operator's hooks, and who counts pushes, what happens to a target. The goroutine that pushes owns it.
type teller struct {
	hooks  *hooks.Runner
	before bool // there is a before-push
	pushed func(api.Push)
	about  hooks.Event // what is the same in all
	bad    bool        // a failure was told that is not over
	vetoes int         // in a row
}

func newTeller(u *unit, s *Settings) *teller {
	return &teller{hooks: u.hooks, before: len(u.cfg.Hooks.BeforePush.Argv) > 0, pushed: u.env.pushed,
		about: hooks.Event{Sync: u.cfg.Name, Source: s.Source, Target: s.Target}}
}

func (t *teller) tell(kind hooks.Kind, paths []string, facts map[string]string) {
	e := t.about
	e.Kind, e.Facts = kind, facts
	e.Paths, e.More = paths[:min(len(paths), pathsTold)], len(paths) > pathsTold
	t.hooks.Tell(e)
}

// ask asks before-push about b. A veto is how long b is to be put off, and why.
func (t *teller) ask(ctx context.Context, b *syncer.Batch) (wait time.Duration, veto error) {
	if !t.before {
		return 0, nil
	}
	e := t.about
	e.Kind, e.Paths, e.More = hooks.BeforePush, pathsOf(b), len(b.Paths) > pathsTold
	err := t.hooks.Before(ctx, e)
	if !errors.Is(err, hooks.ErrVeto) {
		t.vetoes = 0
		return 0, nil // ctx has ended, and so does the push
	}
	wait = min(vetoRetryMin<<min(t.vetoes, 10), vetoRetryMax)
	t.vetoes++
	return wait, err
}

func pathsOf(b *syncer.Batch) []string {
	names := make([]string, min(len(b.Paths), pathsTold+1))
	for i := range names {
		names[i] = b.Paths[i].Name
	}
	return names
}

// outcome tells what came of a push; failed is all that the target lacks.
func (t *teller) outcome(o *syncer.Outcome, failed []syncer.Failed) {
	if errors.Is(o.Err, errGrace) {
		return
	}
	if t.pushed != nil {
		t.pushed(t.push(o))
	}
	st := &o.Report.Stats
	switch {
	case o.Err != nil && !t.bad:
		t.tell(hooks.Failure, pathsOf(&o.Batch), map[string]string{
			"CLASS": o.Class.String(), "ERROR": bare(o.Err), "REMEDY": o.Remedy, "CODE": strconv.Itoa(int(syncer.ExitCode(syncer.Report{}, o.Err)))})
	case o.Err != nil:
	case st.Changed+st.Transferred+st.Deleted > 0:
		t.tell(hooks.Success, pathsOf(&o.Batch), pushFacts(o))
	}
	t.failedPaths(o)
	if now := o.Err != nil || len(failed) > 0; now != t.bad {
		if t.bad = now; !now {
			t.tell(hooks.Recovered, nil, pushFacts(o))
		}
	}
}

// failedPaths tells of those that failed for the first time.
func (t *teller) failedPaths(o *syncer.Outcome) {
	var names []string
	var first *syncer.Failed
	for i := range o.Failed {
		if f := &o.Failed[i]; f.Count == 1 {
			if first == nil {
				first = f
			}
			names = append(names, f.Path)
		}
	}
	if first != nil {
		t.tell(hooks.Failure, names, map[string]string{"CLASS": first.Class.String(), "ERROR": first.Reason, "REMEDY": first.Remedy()})
	}
}

// held tells of deletions that wait for somebody since now.
func (t *teller) held(held []api.Held) {
	names := make([]string, len(held))
	var total int64
	for i, h := range held {
		names[i] = h.Path
		total += h.Names
	}
	t.tell(hooks.DeleteHeld, names, map[string]string{"NAMES": strconv.FormatInt(total, 10)})
}

// pushFacts are what a push brought about.
func pushFacts(o *syncer.Outcome) map[string]string {
	st := &o.Report.Stats
	facts := map[string]string{
		"FILES": strconv.FormatInt(st.Transferred, 10), "DELETED": strconv.FormatInt(st.Deleted, 10), "BYTES": strconv.FormatInt(st.Sent, 10),
		"LITERAL_BYTES": strconv.FormatInt(st.Literal, 10), "MATCHED_BYTES": strconv.FormatInt(st.Matched, 10),
		"TOOK": seconds(o.Took), "SEQ": strconv.FormatUint(o.Batch.Seq, 10),
	}
	if !o.Batch.Oldest.IsZero() {
		facts["LAG"] = seconds(time.Since(o.Batch.Oldest))
	}
	return facts
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

// push is what is counted of a push.
func (t *teller) push(o *syncer.Outcome) api.Push {
	st := &o.Report.Stats
	p := api.Push{
		Sync: t.about.Sync, Target: t.about.Target, Took: o.Took, Files: st.Transferred, Deleted: st.Deleted,
		Literal: st.Literal, Matched: st.Matched, Bytes: st.Sent, Verify: o.Batch.Verify,
	}
	if o.Err != nil {
		p.Class = o.Class.String()
	}
	if !o.Batch.Verify && !o.Batch.Oldest.IsZero() {
		p.Lag = time.Since(o.Batch.Oldest)
	}
	return p
}

// veto puts a batch off that before-push does not want, or says that it may go.
func (r *replica) veto(ctx context.Context, b *syncer.Batch) bool {
	wait, veto := r.teller.ask(ctx, b)
	if r.record.vetoed(veto); veto == nil {
		return false
	}
	r.log.Warn("put off", zap.Error(veto), zap.Int("paths", len(b.Paths)), zap.Duration("retry_in", wait))
	r.feed.putOff(*b, wait)
	b.Paths = nil
	return true
}
