package api

import (
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
)

// The states of a target, and of a sync, which has that of the target that is worst off: the later
// in this list the worse, but for StateStopped.
const (
	StateStopped   = "stopped"   // nobody keeps it in step
	StateInStep    = "in-step"   // nothing is dirty
	StateVerifying = "verifying" // in step as far as is known, and being compared
	StatePushing   = "pushing"   // something is on its way, or about to be
	StateStarting  = "starting"  // nothing was pushed yet
	StatePaused    = "paused"    // an operator said so: changes are gathered
	StateHeld      = "held"      // deletions wait for an operator
	StatePartial   = "partial"   // some paths cannot be brought over
	StateRetrying  = "retrying"  // the target cannot be reached, or fails
)

// Agent is one process.
type Agent struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
	Now     time.Time `json:"now,omitzero"` // when it was asked, by its own clock; the server of the API sets it
	// Ready says that each sync watches its source, or has said why it cannot.
	Ready bool `json:"ready"`

	Config    string    `json:"config,omitempty"`     // its file; "" with --watch
	Loaded    time.Time `json:"loaded,omitzero"`      // when the settings were last read with success
	LoadError string    `json:"load_error,omitempty"` // why the last reload changed nothing

	Goroutines  int   `json:"goroutines"`
	Descriptors int   `json:"descriptors"`
	Resident    int64 `json:"resident_bytes"`

	Syncs []Sync `json:"syncs"` // in the order of the config
}

// Sync is one source with its targets.
type Sync struct {
	Name   string `json:"name"` // of the config; with --watch the source
	Source string `json:"source"`
	State  string `json:"state"`
	Text   string `json:"text"` // one sentence
	Paused bool   `json:"paused,omitempty"`
	// Error is why it does not run: its source cannot be watched, say. It is tried again.
	Error   string   `json:"error,omitempty"`
	Watch   Watch    `json:"watch"`
	Targets []Target `json:"targets"`
}

// Watch is how a source is watched.
type Watch struct {
	Ready     bool   `json:"ready"`             // all of it is watched
	Backend   string `json:"backend,omitempty"` // inotify or fanotify
	Watches   int64  `json:"watches"`           // directories with a watch; with fanotify one mark
	Limit     int64  `json:"limit,omitempty"`   // fs.inotify.max_user_watches
	Polled    int64  `json:"polled"`            // subtrees that are compared at intervals
	Events    int64  `json:"events"`
	Overflows int64  `json:"overflows"`
	Rebuilds  int64  `json:"rebuilds"` // times all watches were made anew
}

// Target is how one target is doing.
type Target struct {
	Sync       string    `json:"sync"` // the name of its sync
	Source     string    `json:"source"`
	Target     string    `json:"target"`
	State      string    `json:"state"` // see the State constants
	Text       string    `json:"text"`  // one sentence
	PID        int       `json:"pid,omitempty"`
	Goroutines int       `json:"goroutines,omitempty"` // of the process, which may have other targets too
	Since      time.Time `json:"since,omitzero"`       // when it was started

	Paths       int       `json:"paths"`           // dirty: to be pushed
	Oldest      time.Time `json:"oldest,omitzero"` // when the first of them was seen: the target lags behind since
	Lag         float64   `json:"lag_seconds"`     // the age of Oldest, or of the oldest change on its way
	InFlight    int       `json:"in_flight"`       // paths that are being pushed
	Transfer    *Transfer `json:"transfer,omitempty"`
	Known       bool      `json:"known"` // what the target has is known: a restart sends what differs, and no more
	LastSuccess time.Time `json:"last_success,omitzero"`

	Error  *Error          `json:"error,omitempty"` // that is going on
	Failed []syncer.Failed `json:"failed,omitempty"`
	Held   []Held          `json:"held,omitempty"`
	Verify *Verify         `json:"verify,omitempty"` // that goes on, or the last one

	Totals Totals `json:"totals"`
}

// Transfer is the push that is on its way.
type Transfer struct {
	Since time.Time `json:"since"`
	Path  string    `json:"path,omitempty"` // the file that is being sent; not UTF-8 it is quoted as in a log
	Size  int64     `json:"size"`           // of that file
	Sent  int64     `json:"sent"`           // of that file so far
	Files int64     `json:"files"`          // sent so far
	Bytes int64     `json:"bytes"`          // sent so far, of all files
	Rate  float64   `json:"bytes_per_second"`
	Left  float64   `json:"left_seconds,omitempty"` // of that file; 0: not known
}

// Error is why pushes fail.
type Error struct {
	Class  string    `json:"class"`
	Text   string    `json:"text"`
	Remedy string    `json:"remedy,omitempty"`
	Since  time.Time `json:"since"`
	Tries  int       `json:"tries"`
	Next   time.Time `json:"next"`
}

// Totals are what the pushes since the start brought about.
type Totals struct {
	Pushes       int64            `json:"pushes"`
	Failures     int64            `json:"failures"`
	ByClass      map[string]int64 `json:"failures_by_class,omitempty"`
	Retries      int64            `json:"retries"` // paths that were pushed again since they failed
	Files        int64            `json:"files"`
	LiteralBytes int64            `json:"literal_bytes"`
	MatchedBytes int64            `json:"matched_bytes"`
	SentBytes    int64            `json:"sent_bytes"`
	Deleted      int64            `json:"deleted"`
}

// Verify is how a verification went, or goes.
type Verify struct {
	Began    time.Time `json:"began,omitzero"`
	Ended    time.Time `json:"ended,omitzero"` // zero while it goes on
	Checksum bool      `json:"checksum,omitempty"`
	Names    int64     `json:"names"`             // looked at so far
	Mended   int64     `json:"mended"`            // differed on the target, and were brought back in step
	Deleted  int64     `json:"deleted,omitempty"` // were on the target alone, and were deleted
}
