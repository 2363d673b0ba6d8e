package agent

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
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
	d := Defaults()
	for _, own := range []struct {
		flag  string
		given bool
	}{
		{"--settle", s.Settle != d.Settle}, {"--max-delay", s.MaxDelay != d.MaxDelay},
		{"--grace", s.Grace != d.Grace}, {"--no-tune", s.NoTune},
	} {
		check(own.given && !s.Watch, "%s is for --watch", own.flag)
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
	check(s.Watch && s.Stats, "--watch and --stats exclude one another: --watch logs the figures of each push")
	check(!slices.Contains(logLevels(), s.LogLevel), "--log-level %q: it is debug, info, warn or error", s.LogLevel)
	check(s.LogFormat != "console" && s.LogFormat != "json", "--log-format %q: it is console or json", s.LogFormat)
	check(isRemote(s.Source), "source %q is on another machine: lockstep pushes, it does not pull (a local name with a colon is written ./NAME)", s.Source)
	check(s.Source == "", "the source is empty: give a directory or a file")
	t, err := syncer.ParseTarget(s.Target)
	switch {
	case err != nil:
		errs = append(errs, err)
	case !t.Remote():
		check(s.PasswordFile != "", "--password-file is for daemons, %q is a local path", s.Target)
		check(s.Port != 0, "--port is for daemons, %q is a local path", s.Target)
		check(s.ConGiven, "--contimeout is for daemons, %q is a local path", s.Target)
		if s.Source != "" {
			errs = append(errs, apart(s.Source, t.Path, s.Delete))
		}
	}
	return errors.Join(errs...)
}

// isRemote says whether rsync would take a source for one on another machine.
func isRemote(source string) bool {
	t, err := syncer.ParseTarget(source)
	return err == nil && t.Remote() || errors.Is(err, syncer.ErrRemoteShell)
}

// apart refuses a local target where the source is, also through symlinks.
func apart(source, target string, deletes bool) error {
	src, content := stands(source)
	land := resolved(target)
	if !content {
		land = filepath.Join(land, filepath.Base(src))
	}
	switch {
	case src == land && content:
		return fmt.Errorf("source and target are the same directory %q", src)
	case src == land, src == resolved(target):
		return fmt.Errorf("target %q is where source %q stands already", target, source)
	case within(land, src):
		return fmt.Errorf("target %q is inside the source %q: it would be sent into itself for ever", target, source)
	case within(src, land) && deletes:
		return fmt.Errorf("source %q is inside the target %q: --delete would delete it", source, target)
	}
	return nil
}

// stands is where a source is, and whether its content is sent, not the directory itself.
// Only then a symlink in its place is followed.
func stands(source string) (path string, content bool) {
	base := filepath.Base(source)
	if strings.HasSuffix(source, "/") || base == "." || base == ".." {
		return resolved(source), true
	}
	return filepath.Join(resolved(filepath.Dir(source)), base), false
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
