package syncer

import (
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
)

// Options are rsync's, by rsync's names.
type Options = option.Set

// Archive is -a: -rlptgoD.
func Archive() Options { return option.Archive() }

// Defaults is an empty command line.
func Defaults() Options { return option.Defaults() }

// Config is one source and one target.
type Config struct {
	Source string // as rsync takes it: a trailing slash means the content, not the directory
	Target Target
	Port   int // where Target gives none; 0 is DefaultPort
	// Password is asked for when the daemon wants one; nil gives none.
	Password func() (string, error)
	// AllowEmpty says that an empty source may empty the target.
	AllowEmpty bool
	// DeleteUnmounted says that what was on a file system that is not mounted any more below the
	// source is gone like anything else. Without it, it stays on the target.
	DeleteUnmounted bool
	// Root is who the source was to an earlier run, as Syncer.Root told it; "": not known. Another
	// directory in its place is ErrRoot.
	Root string
	// Mounts are where file systems were mounted below the source in an earlier run, as
	// Syncer.Mounts told it: what the target has of those that are not there now stays.
	Mounts []string
	// NewSource has Root and Mounts not count: the directory is taken as it is, as in a first run.
	NewSource bool
	// Marker is a name below the source without which nothing is pushed; "": none is needed.
	Marker string
	// Keep says that the Syncer lives on after a push: a missing source is waited for,
	// what was sent is remembered, and connections are kept. Nobody is asked for a password.
	Keep bool
	// Failed is the ledger that an earlier Syncer left (see Syncer.Failed): what is in it is tried at once.
	Failed []Failed
	// Found, if not nil and Delete is set, is told of names that a push saw in dir, before it sends them: what there is
	// of its paths, and all in a directory that it lists. Both are relative to the watched directory. Tree marks
	// directories. Several goroutines call it.
	Found func(dir string, names []Path)

	Options
	Sink Sink
	// Protocol to announce to a daemon, 30 to 32; 0 is the newest.
	Protocol int
}
