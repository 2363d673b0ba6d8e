package agent

import (
	"errors"
	"runtime/debug"
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/lockstep-sync/lockstep/syncer"
)

// manyFiles is how long a push's list is for its memory to be given back at once.
const manyFiles = 10_000

// repeatEvery is how often an error that goes on is logged again.
const repeatEvery = time.Minute

// journal writes what happens to one target: a line for each push that did something, a
// line for each change of state, and while a state lasts at most one a minute.
type journal struct {
	log      *zap.Logger
	push     *syncer.Syncer
	pending  func() int            // paths that wait for a push; nil: those of the batch count
	now      func() time.Time      // the clock
	outage   map[syncer.Class]bool // the classes of the outage that is going on; nil: there is none
	logged   time.Time             // when it was logged last
	since    time.Time             // when it began
	suspect  bool                  // the empty source was told
	begun    bool                  // a push has reached its end
	attempts int
	told     map[string]time.Time // messages, and when they were told
	summed   time.Time            // when the paths that are not on the target were told last
	gone     []string             // where file systems were unmounted: told
}

func newJournal(log *zap.Logger) *journal {
	return &journal{log: log, now: time.Now, told: map[string]time.Time{}}
}

// says takes a message of the target: an error once, and then once a minute at most.
func (j *journal) says(text string, isError bool) {
	switch {
	case !isError:
		j.log.Debug("the target says", zap.String("message", text))
	case j.due(text):
		j.log.Warn("the target says", zap.String("message", text))
	}
}

// sshSays takes what ssh says on its own account.
func (j *journal) sshSays(text string) {
	if j.due(text) {
		j.log.Warn("ssh says", zap.String("message", text))
	}
}

// due says whether what is to be told was not told within the last minute, and notes it.
func (j *journal) due(what string) bool {
	const most = 1000
	now := j.now()
	if now.Sub(j.told[what]) < repeatEvery {
		return false
	}
	if len(j.told) >= most {
		clear(j.told)
	}
	j.told[what] = now
	return true
}

func (j *journal) observe(o syncer.Outcome) {
	if o.Err != nil {
		if errors.Is(o.Err, errGrace) {
			return // the last report tells what is left
		}
		j.failed(&o)
		j.paths(&o)
		return
	}
	if j.outage != nil {
		j.log.Info("pushing goes on", zap.Duration("after", rounded(j.now().Sub(j.since))), zap.Int("attempts", j.attempts),
			zap.Int("paths", j.waiting(&o)))
		j.outage = nil
	}
	if j.push.Suspect() && !j.suspect {
		j.log.Error("the source was empty at the start: what the target has beyond it is not deleted; restart with --allow-empty if it is meant to be empty")
	}
	j.suspect = j.push.Suspect()
	j.pushed(&o)
	if st := &o.Report.Stats; st.Files+st.Dirs > manyFiles {
		// The list of a full push is garbage now, and the next one may be days away.
		debug.FreeOSMemory()
	}
	j.unmounted(j.push.Unmounted())
	j.paths(&o)
}

// inStep tells that there was nothing to push, if that is news.
func (j *journal) inStep() {
	if j.begun {
		return
	}
	j.begun = true
	j.log.Info("in step, nothing differs from what the target was last brought to")
}

// failed tells of a push that failed as a whole: when an outage begins or turns into one of another class, and
// then once a minute, whatever the errors say meanwhile.
func (j *journal) failed(o *syncer.Outcome) {
	j.attempts = o.Failures
	now := j.now()
	if j.outage == nil {
		j.outage, j.since = map[syncer.Class]bool{}, now
	}
	if j.outage[o.Class] && now.Sub(j.logged) < repeatEvery {
		return
	}
	j.outage[o.Class], j.logged = true, now
	level := zapcore.ErrorLevel
	if o.Class == syncer.ClassTransient {
		level = zapcore.WarnLevel
	}
	if ce := j.log.Check(level, "push failed; nothing is lost, it is tried again"); ce != nil {
		code := syncer.ExitCode(syncer.Report{}, o.Err)
		ce.Write(zap.String("error", bare(o.Err)), zap.Stringer("class", o.Class), zap.String("remedy", o.Remedy),
			zap.Int("code", int(code)), zap.String("rsync", code.Words()), zap.Int("paths", j.waiting(o)),
			zap.Int("attempt", o.Failures), zap.Duration("down", rounded(now.Sub(j.since))),
			zap.Duration("retry_in", o.Retry.Round(time.Millisecond)))
	}
}

// waiting is how many paths are to be pushed.
func (j *journal) waiting(o *syncer.Outcome) int {
	if j.pending == nil {
		return len(o.Batch.Paths)
	}
	return j.pending()
}

// bare is an error's text without the hint, beside which the remedy would say it again.
func bare(err error) string {
	var f *syncer.Failure
	if errors.As(err, &f) {
		return f.Err.Error()
	}
	return err.Error()
}

// pushed writes the line of a push. The first one is told even where the target had it all: from
// then on it is in step.
func (j *journal) pushed(o *syncer.Outcome) {
	st := &o.Report.Stats
	idle := st.Changed == 0 && st.Deleted == 0 && st.Transferred == 0
	partial := o.Report.Partial || slices.ContainsFunc(o.Report.Problems, func(p syncer.Problem) bool { return !p.Vanished() })
	first := !j.begun
	j.begun = true
	level, text := zapcore.InfoLevel, "pushed"
	switch {
	case idle && !first, partial && !first && st.Transferred+st.Deleted == 0 && !newFailures(o):
		level = zapcore.DebugLevel // the target had it all, or does not take what it did not take before
	case partial:
		level = zapcore.WarnLevel
	case idle && o.Report.Whole() && !j.suspect:
		text = "in step"
	}
	if ce := j.log.Check(level, text); ce != nil {
		ce.Write(figures(o)...)
	}
}

// newFailures says whether something failed for the first time.
func newFailures(o *syncer.Outcome) bool {
	return slices.ContainsFunc(o.Failed, func(f syncer.Failed) bool { return f.Count == 1 })
}

// figures are what a push brought about.
func figures(o *syncer.Outcome) []zap.Field {
	st := &o.Report.Stats
	fields := []zap.Field{
		zap.Uint64("seq", o.Batch.Seq),
		zap.Int("paths", len(o.Batch.Paths)),
		zap.Int64("files", st.Transferred),
		zap.Int64("literal_bytes", st.Literal),
		zap.Int64("matched_bytes", st.Matched),
	}
	if st.Moved > 0 {
		fields = append(fields, zap.Int64("moved", st.Moved))
	}
	fields = append(fields, zap.Int64("deleted", st.Deleted), zap.Duration("took", rounded(o.Took)))
	if !o.Batch.Oldest.IsZero() {
		fields = append(fields, zap.Duration("lag", rounded(time.Since(o.Batch.Oldest))))
	}
	if n := len(o.Report.Problems); n > 0 || o.Report.Partial {
		fields = append(fields, zap.Bool("partial", true), zap.Int("problems", n))
	}
	if code := syncer.ExitCode(o.Report, nil); code != syncer.CodeOK {
		fields = append(fields, zap.String("rsync", code.Words()))
	}
	return fields
}

// unmounted tells of places below the source that file systems left, and to which they came back.
func (j *journal) unmounted(gone []string) {
	for _, name := range gone {
		if !slices.Contains(j.gone, name) {
			j.log.Warn("a file system was unmounted here: what the target has of it stays; where it is gone for good, restart once with --delete-unmounted", zap.String("path", name))
		}
	}
	for _, name := range j.gone {
		if !slices.Contains(gone, name) {
			j.log.Info("a file system is mounted again", zap.String("path", name))
		}
	}
	j.gone = gone
}

// paths tells of the paths that do not arrive: each once, with what can be done about it, and once more
// when it is there after all; of all of them once a minute at most.
func (j *journal) paths(o *syncer.Outcome) {
	for _, p := range o.Report.Problems {
		if p.Vanished() {
			j.log.Debug("vanished while it was sent", zap.ByteString("path", []byte(p.Path)))
		}
	}
	n := 0
	for i := range o.Failed {
		if f := &o.Failed[i]; f.Count == 1 && j.due(f.Path) {
			if n++; n <= pathsMax {
				j.newlyFailed(f)
			}
		}
	}
	j.beyond(zapcore.WarnLevel, "more paths were not brought over", n)
	for i := range o.Arrived {
		if i < pathsMax {
			f := &o.Arrived[i]
			j.log.Info("brought over at last", zap.String("path", f.Path), zap.Int("failures", f.Count),
				zap.Duration("after", rounded(time.Since(f.First))))
		}
	}
	j.beyond(zapcore.InfoLevel, "more paths were brought over at last", len(o.Arrived))
	j.summary(n)
}

// pathsMax is how many paths are told one by one after a push.
const pathsMax = 20

func (j *journal) beyond(level zapcore.Level, text string, n int) {
	if n > pathsMax {
		j.log.Log(level, text, zap.Int("paths", n-pathsMax))
	}
}

func (j *journal) newlyFailed(f *syncer.Failed) {
	fields := []zap.Field{zap.String("path", f.Path), zap.String("error", f.Reason), zap.Stringer("class", f.Class)}
	if remedy := f.Remedy(); remedy != "" {
		fields = append(fields, zap.String("remedy", remedy))
	}
	j.log.Warn("not brought over; it is tried again", append(fields, zap.Duration("retry_in", rounded(time.Until(f.Next))))...)
}

// summary tells once a minute what is not on the target. What was told just now, one by one, waits for
// its minute.
func (j *journal) summary(told int) {
	all := j.push.Failed()
	now := time.Now()
	switch {
	case len(all) == 0:
		j.summed = time.Time{}
		return
	case j.summed.IsZero() && told > 0:
		j.summed = now
	}
	if now.Sub(j.summed) < repeatEvery {
		return
	}
	j.summed = now
	paths := 0
	for i := range all {
		paths += all[i].Paths
	}
	first := all[0]
	j.log.Warn("paths are not on the target", zap.Int("paths", paths), zap.String("first", first.Path),
		zap.String("error", first.Reason), zap.Int("failures", first.Count), zap.Duration("since", rounded(now.Sub(first.First))))
}
