package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/logs"
	"github.com/lockstep-sync/lockstep/cmd/internal/places"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/watcher"
)

// Validate checks the settings as a whole and tells all problems at once.
func (s *Settings) Validate() error {
	c := &checker{}
	s.checkWatch(c)
	s.checkTogether(c)
	s.checkValues(c)
	s.checkConfine(c)
	c.check(isRemote(s.Source), "source %q is on another machine: lockstep pushes, it does not pull (a local name with a colon is written ./NAME)", s.Source)
	c.check(s.Source == "", "the source is empty: give a directory or a file")
	s.checkTargets(c)
	return errors.Join(c.errs...)
}

// Misplaced is an option that is of no use to the targets, as they are of another kind, or beside the other options.
type Misplaced struct {
	Option string // as on a command line, maybe with a value
	why    error
}

func (m *Misplaced) Error() string { return m.why.Error() }

// checkTargets checks each target, and the options that are for one kind of them: each must be of use
// to one target at least.
func (s *Settings) checkTargets(c *checker) {
	list, bad := s.Each(), false
	useless := map[string]int{} // by option
	for _, one := range list {
		t, err := syncer.ParseTarget(one.Target)
		if err != nil {
			c.errs, bad = append(c.errs, err), true
			continue
		}
		kind := &checker{}
		switch {
		case t.Shell():
			one.checkShell(kind)
		case t.Remote():
			one.checkDaemon(kind)
		default:
			one.checkLocal(kind)
		}
		for _, err := range kind.errs { // an option is named first
			option, _, _ := strings.Cut(err.Error(), " ")
			if useless[option]++; useless[option] == len(list) {
				c.errs = append(c.errs, &Misplaced{Option: option, why: err})
			}
		}
	}
	if !bad && s.Source != "" && !isRemote(s.Source) {
		c.errs = append(c.errs, places.Check(s.places()))
	}
}

// checker gathers what is wrong.
type checker struct{ errs []error }

func (c *checker) check(bad bool, format string, args ...any) {
	if bad {
		c.errs = append(c.errs, fmt.Errorf(format, args...))
	}
}

// idle is check for an option, named first, that does nothing beside the others.
func (c *checker) idle(bad bool, format string, args ...any) {
	if bad {
		err := fmt.Errorf(format, args...)
		option, _, _ := strings.Cut(err.Error(), " ")
		c.errs = append(c.errs, &Misplaced{Option: option, why: err})
	}
}

// use is an option, and whether it was given.
type use struct {
	name  string
	given bool
}

// none complains of each of the options that was given.
func (c *checker) none(uses []use, format string, args ...any) {
	for _, u := range uses {
		c.check(u.given, strings.ReplaceAll(u.name, "%", "%%")+" "+format, args...)
	}
}

// checkWatch: what is for --watch, and what is against it.
func (s *Settings) checkWatch(c *checker) {
	d := Defaults()
	if !s.Watch {
		c.none([]use{
			{"--settle", s.Settle != d.Settle}, {"--max-delay", s.MaxDelay != d.MaxDelay},
			{"--grace", s.Grace != d.Grace}, {"--no-tune", s.NoTune}, {"--no-prewarm", s.NoPrewarm},
			{"--quiet=PATTERN=TIME", len(s.Quieter) > 0}, {"--watch-backend", s.WatchBackend != d.WatchBackend},
			{"--poll-interval", s.PollInterval != d.PollInterval}, {"--index=off", s.NoIndex}, {"--delete-unmounted", s.DeleteUnmounted},
			{"--state-dir", s.StateDir != ""}, {"--verify-every", s.VerifyEvery != 0}, {"--verify-checksum", s.VerifyChecksum},
			{"--delete-delay=TIME", s.DeleteDelay != 0}, {"--max-delete=" + s.DeleteLimit.String(), s.DeleteLimit.Percent > 0},
			{"--new-source", s.NewSource}, {"--control", s.Control != ""}, {"--log-file", s.LogFile != ""},
			{"--daemon", s.Daemon}, {"--pid-file", s.PIDFile != ""},
		}, "is for --watch")
	}
	c.check(s.Watch && s.DryRun, "--watch and --dry-run exclude one another: look with -n first, then watch")
	c.check(s.Watch && s.Progress, "--watch and --progress exclude one another: --watch logs a line for each push (of -P, --partial remains)")
	// A partial push cannot see that a name of the source is a symlink on the target, and leads to
	// what it would delete there and not send again.
	c.check(s.Watch && s.KeepDirlinks && s.Delete, "--keep-dirlinks with --watch and --delete is not safe: behind a symlink of the target, what is there under its own name would be deleted")
	c.check(s.Watch && s.Stats, "--watch and --stats exclude one another: --watch logs the figures of each push")
}

// checkTogether: options that exclude one another, as rsync has them (rsync 3.5.0 options.c,
// parse_arguments).
func (s *Settings) checkTogether(c *checker) {
	c.check(s.Delete && !s.Recurse && s.Files == nil, "--delete needs --recursive: without it the content of no directory is known")
	writes := "--inplace"
	if s.Append || s.AppendVerify {
		writes = "--append"
	}
	if s.Inplace || s.Append || s.AppendVerify {
		c.check(s.PartialDir != "", "%s and --partial-dir exclude one another: there is no partial file beside the file itself", writes)
		c.check(s.DelayUpdates, "%s and --delay-updates exclude one another: what is written in place cannot wait", writes)
	}
	c.check(writes == "--append" && s.WholeFile, "--append and --whole-file exclude one another: what is there already is not sent")
}

func (s *Settings) checkValues(c *checker) {
	c.check(s.Settle < 0, "--settle %v is negative", s.Settle)
	c.check(s.MaxDelay < 0, "--max-delay %v is negative", s.MaxDelay)
	c.check(s.PollInterval <= 0, "--poll-interval %v: it is a time above zero, as 10s", s.PollInterval)
	c.idle(s.DeleteUnmounted && !s.Delete, "--delete-unmounted does nothing without --delete")
	c.check(!slices.Contains([]string{watcher.BackendAuto, watcher.BackendInotify, watcher.BackendFanotify}, s.WatchBackend),
		"--watch-backend %q: it is auto, inotify or fanotify", s.WatchBackend)
	c.check(s.VerifyEvery < 0, "--verify-every %v is negative", s.VerifyEvery)
	c.check(s.DeleteDelay < 0, "--delete-delay %v is negative", s.DeleteDelay)
	c.idle(s.DeleteDelay > 0 && !s.Delete, "--delete-delay=%v does nothing without --delete", s.DeleteDelay)
	c.check(s.DeleteDelay > 0 && s.StateDir == NoState, "--delete-delay=%v needs a --state-dir: without one nobody knows what a target had", s.DeleteDelay)
	c.check(s.DeleteLimit.Percent > 0 && s.StateDir == NoState, "--max-delete=%v needs a --state-dir: without one nobody knows how much a target has", s.DeleteLimit)
	c.check(s.Grace < 0, "--grace %v is negative", s.Grace)
	c.check(s.Timeout < 0, "--timeout %v is negative", s.Timeout)
	c.check(s.ConTimeout < 0, "--contimeout %v is negative", s.ConTimeout)
	c.check(s.Port < 0 || s.Port > 65535, "--port %d is no port", s.Port)
	c.check(s.Protocol != 0 && (s.Protocol < 30 || s.Protocol > 32), "--protocol %d: lockstep speaks 30, 31 and 32", s.Protocol)
	c.check(!slices.Contains(logs.Levels(), s.LogLevel), "--log-level %q: it is debug, info, warn or error", s.LogLevel)
	c.check(s.LogFormat != "" && !slices.Contains(logs.Formats(), s.LogFormat), "--log-format %q: it is console, json or journal", s.LogFormat)
	c.check(s.Daemon && s.LogFile == "" && s.LogFormat != logs.Journal, "--daemon: standard error leads nowhere: say where the log goes with --log-file or --log-format=journal")
	c.check(s.LogFile != "" && s.LogFormat == logs.Journal, "--log-file and --log-format=journal exclude one another: the journal keeps its files itself")
}

// checkLocal: rsync takes these for a local target as well, where they do nothing.
func (s *Settings) checkLocal(c *checker) {
	c.none([]use{{"--password-file", s.PasswordFile != ""}, {"--port", s.Port != 0}, {"--sockopts", s.Sockopts != ""}},
		"is for daemons, %q is a local path", s.Target)
	c.none([]use{
		{"--contimeout", s.ConGiven}, {"--rsh", s.Rsh != ""}, {"--rsync-path", s.RsyncPath != ""},
		{"--address", s.Address != ""}, {"-4", s.Family == 4}, {"-6", s.Family == 6}, {"--protocol", s.Protocol != 0}, {"--no-prewarm", s.NoPrewarm},
	}, "is for remote targets, %q is a local path", s.Target)
	for _, o := range s.RemoteOptions {
		// The other side of a local target is this very program.
		c.check(!slices.Contains([]string{"--fake-super", "--munge-links"}, o), "--remote-option=%s is for remote targets, %q is a local path", o, s.Target)
	}
}

func (s *Settings) checkDaemon(c *checker) {
	if s.Rsh == "" {
		c.check(s.RsyncPath != "", "--rsync-path is for a remote shell: %q is a daemon, which runs already (with -e one is started there)", s.Target)
		return
	}
	c.none([]use{{"--port", s.Port != 0}, {"--sockopts", s.Sockopts != ""}, {"--address", s.Address != ""}, {"--no-prewarm", s.NoPrewarm}},
		"and --rsh exclude one another: the daemon of %q is started through the remote shell", s.Target)
}

func (s *Settings) checkShell(c *checker) {
	c.check(s.PasswordFile != "", "--password-file is for daemons, %q is reached by a remote shell", s.Target)
	c.check(s.Port != 0, "--port is for daemons: for %q write -e 'ssh -p %d'", s.Target, s.Port)
	c.check(s.Sockopts != "", "--sockopts is for daemons, %q is reached by a remote shell", s.Target)
	c.check(s.NoPrewarm, "--no-prewarm is for daemons: %q keeps one connection anyway", s.Target)
}
