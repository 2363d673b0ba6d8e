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
	last     string    // the error that is going on
	logged   time.Time // when it was logged last
	since    time.Time // when it began
	suspect  bool      // the empty source was told
	begun    bool      // a push has reached its end
	attempts int
	gone     []string             // where file systems were unmounted: told
	told     map[string]time.Time // problems and messages, and when they were told
}

func newJournal(log *zap.Logger) *journal {
	return &journal{log: log, told: map[string]time.Time{}}
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
	now := time.Now()
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
		return
	}
	if j.last != "" {
		j.log.Info("pushing goes on", zap.Duration("after", rounded(time.Since(j.since))), zap.Int("attempts", j.attempts))
		j.last = ""
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
	for _, p := range o.Report.Problems {
		j.problem(p)
	}
	if o.Report.DeletesHeld {
		j.log.Error("--max-delete stopped deletions on the target: raise it, or bring the files back")
	}
}

func (j *journal) failed(o *syncer.Outcome) {
	j.attempts = o.Failures
	text := o.Err.Error()
	now := time.Now()
	if text == j.last && now.Sub(j.logged) < repeatEvery {
		return
	}
	if j.last == "" {
		j.since = now
	}
	j.last, j.logged = text, now
	code := syncer.ExitCode(syncer.Report{}, o.Err)
	j.log.Error("push failed; nothing is lost, it is tried again",
		zap.Error(o.Err), zap.Int("code", int(code)), zap.Int("paths", len(o.Batch.Paths)),
		zap.Int("attempt", o.Failures), zap.Duration("retry_in", o.Retry.Round(time.Millisecond)))
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
	case idle && !first:
		level = zapcore.DebugLevel // the target had it all
	case partial:
		level = zapcore.WarnLevel
	case idle && o.Report.Whole() && !j.suspect:
		text = "in step"
	}
	if ce := j.log.Check(level, text); ce != nil {
		ce.Write(figures(o)...)
	}
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

// problem tells of a path that did not arrive: once, and then once a minute at most.
func (j *journal) problem(p syncer.Problem) {
	if p.Vanished() {
		j.log.Debug("vanished while it was sent", zap.ByteString("path", []byte(p.Path)))
		return
	}
	if errors.Is(p.Err, syncer.ErrUnmounted) && slices.Contains(j.gone, p.Path) || !j.due(p.Path) {
		return // the former was told
	}
	j.log.Warn("not brought over; it is tried again", zap.String("path", p.Path), zap.Error(p.Err))
}
