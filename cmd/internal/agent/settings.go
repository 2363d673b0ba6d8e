package agent

import (
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/confine"
	"github.com/lockstep-sync/lockstep/debounce"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/watcher"
)

const (
	// DefaultGrace is how long a stop may take: enough for a push of what just changed,
	// well within the 90 s that systemd waits.
	DefaultGrace = 10 * time.Second
	// DefaultWatchTimeout is --timeout in --watch where none is given: a peer that went
	// silent must not hold a push for ever.
	DefaultWatchTimeout = time.Minute
	// ConfineDefault is --confine of the command.
	ConfineDefault = confine.Auto
	// DefaultConTimeout is --contimeout in --watch where none is given.
	DefaultConTimeout = 20 * time.Second
)

// Settings are everything that can be set. Start from Defaults.
type Settings struct {
	Source, Target string
	// Also are further targets of Source, each with all that is its own: queue, pushes, retries.
	Also []string
	syncer.Options
	Filter filter.Builder // in the order of the command line

	Port         int
	PasswordFile string
	Password     string // RSYNC_PASSWORD
	HasPassword  bool   // it was set, maybe to nothing
	ShellEnv     string // RSYNC_RSH: --rsh of the targets behind a remote shell, where none is given
	AllowEmpty   bool
	// DeleteUnmounted: what was on a file system that was unmounted below the source counts as deleted.
	DeleteUnmounted bool
	// NewSource: what stands at the source is the source, whatever was there in an earlier run.
	NewSource bool
	Marker    string // a name below the source that must be there
	Protocol  int    // to announce; 0: the newest

	Verbose               int
	Quiet, Itemize, Stats bool
	Progress              bool
	Human                 int // level of --human-readable: 0 digits, 1 groups of them, 2 and 3 units
	Watch, NoTune         bool
	Settle, MaxDelay      time.Duration
	Quieter               []Quiet // first match counts
	WatchBackend          string  // auto, inotify or fanotify
	PollInterval          time.Duration
	NoIndex               bool
	Grace                 time.Duration
	LogLevel, LogFormat   string
	LogFile               string // "" is standard error
	Daemon                bool   // go on in the background
	PIDFile               string // "" is none

	StateDir       string        // "" is DefaultStateDir
	VerifyEvery    time.Duration // 0: never by itself
	VerifyChecksum bool
	DeleteLimit    Limit         // --max-delete; in --watch for any hour
	DeleteDelay    time.Duration // how long a name must have been gone before it is deleted

	Control string // a control socket beside those of --state-dir; "" is none
	User    string // to become: NAME[:GROUP]
	// Confine is how much is taken from the process: auto, strict or off. Empty is off: what is
	// taken is taken from all that the process does, so it is asked for by a main.
	Confine                string
	TimeoutGiven, ConGiven bool
}

// Defaults are the settings of an empty command line.
func Defaults() Settings {
	return Settings{
		Options:  syncer.Archive(),
		Settle:   debounce.DefaultSettle,
		MaxDelay: debounce.DefaultMaxDelay,

		WatchBackend: watcher.BackendAuto,
		PollInterval: watcher.DefaultPollInterval,
		Grace:        DefaultGrace,
		Human:        1,
		LogLevel:     "info",
	}
}

// Each gives the settings of each target by itself.
func (s Settings) Each() []Settings {
	list := make([]Settings, 0, 1+len(s.Also))
	for _, target := range append([]string{s.Target}, s.Also...) {
		one := s
		one.Target, one.Also = target, nil
		if t, err := syncer.ParseTarget(target); err == nil && t.Shell() && one.Rsh == "" {
			one.Rsh = s.ShellEnv
		}
		list = append(list, one)
	}
	return list
}

// config is what the syncer needs of the settings of one target.
func (s *Settings) config(sink syncer.Sink) (syncer.Config, error) {
	target, err := syncer.ParseTarget(s.Target)
	if err != nil {
		return syncer.Config{}, err
	}
	opts := s.Options
	if s.Watch {
		opts.MaxDelete = -1 // each push has a limit of its own
	}
	opts.Filter = s.Filter.Build()
	if s.Watch && target.Remote() {
		if !s.TimeoutGiven {
			opts.Timeout = DefaultWatchTimeout
		}
		if !s.ConGiven {
			opts.ConTimeout = DefaultConTimeout
		}
	}
	return syncer.Config{
		Source:     s.Source,
		Target:     target,
		Port:       s.Port,
		Password:   s.password,
		AllowEmpty: s.AllowEmpty,

		DeleteUnmounted: s.DeleteUnmounted,
		NewSource:       s.NewSource,
		Marker:          s.Marker,
		Protocol:        s.Protocol,
		Keep:            s.Watch,
		Options:         opts,
		Sink:            sink,
	}, nil
}
