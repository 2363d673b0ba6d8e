package syncer

import (
	"cmp"
	"errors"

	"github.com/lockstep-sync/lockstep/syncer/internal/report"
)

// What a push tells about itself; see the types for their fields.
type (
	Stats    = report.Stats
	Item     = report.Item
	Sink     = report.Sink
	Progress = report.Progress
	Metered  = report.Metered
	Problem  = report.Problem
	Failure  = report.Failure
	Code     = report.Code
)

// The exit codes of rsync(1) that a push can end with.
const (
	CodeOK          = report.CodeOK
	CodeUsage       = report.CodeUsage
	CodeSelect      = report.CodeSelect
	CodeUnsupported = report.CodeUnsupported
	CodeStart       = report.CodeStart
	CodeSocket      = report.CodeSocket
	CodeFile        = report.CodeFile
	CodeStream      = report.CodeStream
	CodeSignal      = report.CodeSignal
	CodePartial     = report.CodePartial
	CodeVanished    = report.CodeVanished
	CodeMaxDelete   = report.CodeMaxDelete
	CodeTimeout     = report.CodeTimeout
	CodeConTimeout  = report.CodeConTimeout
)

// ExitCode is the code of a push that returned rep and err.
func ExitCode(rep Report, err error) Code {
	var f *Failure
	switch {
	case errors.As(err, &f):
		return f.Code
	case err != nil:
		return CodeStream
	case rep.DeletesHeld:
		return CodeMaxDelete
	case rep.Partial:
		return CodePartial
	}
	code := CodeOK
	for _, p := range rep.Problems {
		if !p.Vanished() {
			return CodePartial
		}
		code = CodeVanished
	}
	return code
}

// Report is what a push brought about.
type Report struct {
	Stats    Stats
	Problems []Problem // paths that were not brought over, and why
	Changed  []string  // files that changed while they were read: to be sent again
	// Partial says that the target could not do everything, and of something it is not known which path it
	// was: Said is what the target said last of it, "" if nothing.
	Partial     bool
	Said        string
	DeletesHeld bool // --max-delete stopped deletions

	broke   bool    // a run before the push ended badly, maybe in the middle of a file
	touched touched // by a peer
}

// add adds what another run of the same push brought about.
func (r *Report) add(o Report) {
	r.Stats.Add(o.Stats)
	r.Problems = append(r.Problems, o.Problems...)
	r.Changed = append(r.Changed, o.Changed...)
	r.Partial = r.Partial || o.Partial
	r.Said = cmp.Or(r.Said, o.Said)
	r.DeletesHeld = r.DeletesHeld || o.DeletesHeld
}

// Whole says that everything arrived.
func (r *Report) Whole() bool {
	return !r.Partial && len(r.Problems) == 0 && len(r.Changed) == 0
}

// Quote makes a name, or a line that holds one, fit for a terminal: rsync's way of writing control
// characters and what is no UTF-8.
func Quote(s string) string { return report.Quote(s) }
