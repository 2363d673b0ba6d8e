package agent

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/debounce"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/filter"
)

const (
	// DefaultGrace is how long a stop may take: enough for a push of what just changed,
	// well within the 90 s that systemd waits.
	DefaultGrace = 10 * time.Second
	// DefaultWatchTimeout is --timeout in --watch where none is given: a peer that went
	// silent must not hold a push for ever.
	DefaultWatchTimeout = time.Minute
	// DefaultConTimeout is --contimeout in --watch where none is given.
	DefaultConTimeout = 20 * time.Second
)

// Settings are everything that can be set. Start from Defaults.
type Settings struct {
	Source, Target string
	syncer.Options
	Filter filter.Builder // in the order of the command line

	Port         int
	PasswordFile string
	Password     string // RSYNC_PASSWORD
	HasPassword  bool   // it was set, maybe to nothing
	AllowEmpty   bool

	Verbose                int
	Quiet, Itemize, Stats  bool
	Progress               bool
	Watch, NoTune          bool
	Settle, MaxDelay       time.Duration
	Grace                  time.Duration
	LogLevel, LogFormat    string
	TimeoutGiven, ConGiven bool
}

// Defaults are the settings of an empty command line.
func Defaults() Settings {
	return Settings{
		Options:   syncer.Archive(),
		Settle:    debounce.DefaultSettle,
		MaxDelay:  debounce.DefaultMaxDelay,
		Grace:     DefaultGrace,
		LogLevel:  "info",
		LogFormat: "console",
	}
}

// Validate checks the settings as a whole and tells all problems at once.
func (s *Settings) Validate() error {
	var errs []error
	check := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(s.Watch && s.DryRun, "--watch and --dry-run exclude one another: look with -n first, then watch")
	check(s.Watch && s.Progress, "--watch and --progress exclude one another: --watch logs a line for each push")
	check(s.Delete && !s.Recurse, "--delete needs --recursive: without it the content of no directory is known")
	check(s.Settle < 0, "--settle %v is negative", s.Settle)
	check(s.MaxDelay < 0, "--max-delay %v is negative", s.MaxDelay)
	check(s.Grace < 0, "--grace %v is negative", s.Grace)
	check(s.Timeout < 0, "--timeout %v is negative", s.Timeout)
	check(s.ConTimeout < 0, "--contimeout %v is negative", s.ConTimeout)
	check(s.Port < 0 || s.Port > 65535, "--port %d is no port", s.Port)
	check(s.LogFormat != "console" && s.LogFormat != "json", "--log-format %q: it is console or json", s.LogFormat)
	t, err := syncer.ParseTarget(s.Target)
	if err != nil {
		errs = append(errs, err)
	} else {
		check(s.PasswordFile != "" && !t.Remote(), "--password-file is for daemons, %q is a local path", s.Target)
		if !t.Remote() {
			errs = append(errs, apart(s.Source, t.Path))
		}
	}
	if strings.Contains(s.Source, "::") && !strings.Contains(strings.SplitN(s.Source, "::", 2)[0], "/") || strings.HasPrefix(s.Source, "rsync://") {
		errs = append(errs, fmt.Errorf("source %q: the source is a local directory; lockstep pushes, it does not pull", s.Source))
	}
	return errors.Join(errs...)
}

// apart refuses a local target within its source and the reverse, also through symlinks.
func apart(source, target string) error {
	src, dst := resolved(source), resolved(target)
	if base := filepath.Base(src); !strings.HasSuffix(source, "/") && base != "." && base != "/" {
		// The directory itself is sent: it lands at target/base.
		if src == filepath.Join(dst, base) {
			return fmt.Errorf("target %q is where source %q stands already", target, source)
		}
	}
	switch {
	case src == dst:
		return fmt.Errorf("source and target are the same directory %q", src)
	case within(dst, src):
		return fmt.Errorf("target %q is inside the source %q: it would be sent into itself for ever", target, source)
	case within(src, dst):
		return fmt.Errorf("source %q is inside the target %q: a deletion there would delete the source", source, target)
	}
	return nil
}

func within(path, dir string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// resolved is path, absolute, with the symlinks resolved of as much of it as exists.
func resolved(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return filepath.Clean(path)
	}
	rest := ""
	for p := abs; ; p = filepath.Dir(p) {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			return filepath.Join(real, rest)
		}
		if p == "/" {
			return abs
		}
		rest = filepath.Join(filepath.Base(p), rest)
	}
}

// config is what the syncer needs of the settings.
func (s *Settings) config(sink syncer.Sink) (syncer.Config, error) {
	target, err := syncer.ParseTarget(s.Target)
	if err != nil {
		return syncer.Config{}, err
	}
	opts := s.Options
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
		Keep:       s.Watch,
		Options:    opts,
		Sink:       sink,
	}, nil
}
