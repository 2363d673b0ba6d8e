package api

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrUnknown says that there is no such sync, target or component.
	ErrUnknown = errors.New("unknown")
	// ErrPaused says that what was asked cannot come about while a sync is paused.
	ErrPaused = errors.New("paused")
	// ErrNotThere says that a flush ended, by its time or by what a target refuses, before all was on the targets.
	ErrNotThere = errors.New("not everything is on the target")
	// ErrSettings says that the config has errors: nothing was changed.
	ErrSettings = errors.New("the config is not valid")
)

// Service is what can be asked of a running lockstep. A name of a sync is as Sync.Name has it, "" is all of them;
// a target is as Target.Target has it, "" is all of a sync's. Its methods may be called by several goroutines at once.
type Service interface {
	// Status tells how all is doing. It does not wait for anything.
	Status() Agent
	// Flush returns when everything that was changed before the call is on the targets: a barrier. Else it returns ErrNotThere,
	// ErrPaused, ErrUnknown or ctx's error, with what is missing; the list has one entry for each target in any case.
	Flush(ctx context.Context, sync string) ([]Flushed, error)
	// Pause has a sync gather changes, and push none. The push that is on its way ends as it would.
	Pause(sync string) error
	// Resume ends that.
	Resume(sync string) error
	// Resync has the targets compared with the source, all or what is at path and below, by content if checksum is set.
	Resync(sync, target, path string, checksum bool) error
	// Release lets held deletions go, and tells which.
	Release(sync, target string) ([]Released, error)
	// Queue is what is to be pushed, the longest waiting first, up to most of each target.
	Queue(sync, target string, most int) ([]Queued, error)
	// Reload reads the config again and applies what differs; ErrSettings: nothing was changed.
	Reload(ctx context.Context) (Reloaded, error)
	// Stop ends the process as SIGTERM does. It does not wait.
	Stop()
	// LogLevel sets the level from which on a component logs, "" being all; level "" changes nothing. It returns what holds now, by component.
	LogLevel(component, level string) (map[string]string, error)
}

// Flushed is what became of a flush on one target.
type Flushed struct {
	Sync   string  `json:"sync"`
	Target string  `json:"target"`
	Done   bool    `json:"done"`
	Text   string  `json:"text,omitempty"` // why not
	Took   float64 `json:"took_seconds"`
}

// Released are the deletions that were let go on one target.
type Released struct {
	Sync   string `json:"sync"`
	Target string `json:"target"`
	Held   []Held `json:"held"`
}

// Queued is a path that is to be pushed to a target.
type Queued struct {
	Sync   string    `json:"sync"`
	Target string    `json:"target"`
	Path   string    `json:"path"`                // not UTF-8 it is quoted as in a log
	Tree   bool      `json:"tree,omitempty"`      // with all below
	Since  time.Time `json:"since"`               // when it was first seen
	Sent   bool      `json:"in_flight,omitempty"` // it is on its way
}

// Reloaded is what a reload brought about, by the names of syncs.
type Reloaded struct {
	Started   []string `json:"started,omitempty"`
	Stopped   []string `json:"stopped,omitempty"`
	Restarted []string `json:"restarted,omitempty"`
	Kept      []string `json:"kept,omitempty"`
	// NotApplied are settings of the process that count from the next start on.
	NotApplied []string `json:"not_applied,omitempty"`
}

// Push is one push that ended, for who counts them.
type Push struct {
	Sync, Target            string
	Took, Lag               time.Duration // Lag: since the first of its changes was seen; 0 where there was none
	Files, Deleted          int64
	Literal, Matched, Bytes int64
	Class                   string // of its failure; "" where it did not fail
	Verify                  bool   // the target was looked at, nothing was known to have changed
}
