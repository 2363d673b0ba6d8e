package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/syncer"
)

// parse reads the command line. done says that it was a question (--help, --version),
// answered on stdout.
func parse(args []string, stdout io.Writer) (s *agent.Settings, done bool, err error) {
	d := agent.Defaults()
	s = &d
	if p, ok := os.LookupEnv("RSYNC_PASSWORD"); ok {
		s.Password, s.HasPassword = p, true
	}
	fs := pflag.NewFlagSet("lockstep", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.SortFlags = false
	help := len(args) == 1 && args[0] == "-h" // with others it would be rsync's --human-readable
	if help {
		args = nil
	}
	version := false
	addFlag(fs, "help", "", func() { help = true })
	addFlag(fs, "version", "V", func() { version = true })
	addFlags(fs, s)
	if err := fs.Parse(args); err != nil {
		return nil, false, explain(err)
	}
	switch {
	case help:
		_, err := io.WriteString(stdout, usage)
		return s, true, err
	case version:
		_, err := fmt.Fprintln(stdout, versionText())
		return s, true, err
	}
	switch fs.NArg() {
	case 0:
		return nil, false, errors.New("a source and a target are needed: lockstep [OPTION…] SRC DST")
	case 1:
		return nil, false, fmt.Errorf("a target is needed after the source %q: lockstep [OPTION…] SRC DST", fs.Arg(0))
	case 2:
	default:
		return nil, false, fmt.Errorf("one source and one target are needed, there are %d arguments: %q", fs.NArg(), fs.Args())
	}
	s.Source, s.Target = fs.Arg(0), fs.Arg(1)
	return s, false, nil
}

// given is what pflag hands to an option that stands without a value. No argument can
// hold a NUL, so a value that was written is told from it.
const given = "\x00"

// nameless begins the long name of an option that has none: nobody can type it.
const nameless = "\x00"

// action is an option without a value that does something where it stands: as in rsync, of
// --perms and --no-perms the later one counts.
type action func()

func (a action) String() string   { return "" }
func (a action) Type() string     { return "bool" }
func (a action) IsBoolFlag() bool { return true }
func (a action) Set(v string) error {
	if v != given {
		return errors.New("it takes no value")
	}
	a()
	return nil
}

// value is an option with a value that is parsed where it stands.
type value struct{ set func(string) error }

func (v value) String() string     { return "" }
func (v value) Type() string       { return "value" }
func (v value) Set(s string) error { return v.set(s) }

// addFlag adds an option without a value.
func addFlag(fs *pflag.FlagSet, long, short string, do func()) {
	fs.VarPF(action(do), long, short, "").NoOptDefVal = given
}

func addFlags(fs *pflag.FlagSet, s *agent.Settings) {
	on := func(long, short string, do func()) { addFlag(fs, long, short, do) }
	// part is an option that -a holds: it comes with a "--no-" form, long and short.
	part := func(long, short string, targets ...*bool) {
		set := func(v bool) func() {
			return func() {
				for _, t := range targets {
					*t = v
				}
			}
		}
		on(long, short, set(true))
		on("no-"+long, "", set(false))
		if short != "" {
			on("no-"+short, "", set(false))
		}
	}
	val := func(long, short string, set func(string) error) { fs.VarP(value{set}, long, short, "") }

	part("archive", "a", &s.Recurse, &s.Links, &s.Perms, &s.Times, &s.Group, &s.Owner, &s.Devices, &s.Specials)
	part("recursive", "r", &s.Recurse)
	part("links", "l", &s.Links)
	part("perms", "p", &s.Perms)
	part("times", "t", &s.Times)
	part("group", "g", &s.Group)
	part("owner", "o", &s.Owner)
	part("devices", "", &s.Devices)
	part("specials", "", &s.Specials)
	on(nameless+"D", "D", func() { s.Devices, s.Specials = true, true })
	on("no-D", "", func() { s.Devices, s.Specials = false, false })

	on("verbose", "v", func() { s.Verbose++ })
	on("quiet", "q", func() { s.Quiet = true })
	on("dry-run", "n", func() { s.DryRun = true })
	on("itemize-changes", "i", func() { s.Itemize = true })
	on("stats", "", func() { s.Stats = true })
	on("progress", "", func() { s.Progress = true })
	on("checksum", "c", func() { s.Checksum = true })
	on("whole-file", "W", func() { s.WholeFile = true })
	on("no-whole-file", "", func() { s.WholeFile = false })
	on("no-W", "", func() { s.WholeFile = false })
	on("one-file-system", "x", func() { s.OneFileSystem = true })
	on("numeric-ids", "", func() { s.NumericIDs = true })
	on("delete", "", func() { s.Delete = true })
	on("del", "", func() { s.Delete = true })
	on("allow-empty", "", func() { s.AllowEmpty = true })
	on("watch", "", func() { s.Watch = true })
	on("no-tune", "", func() { s.NoTune = true })

	val("max-delete", "", func(v string) (err error) {
		s.MaxDelete, err = strconv.ParseInt(v, 10, 32)
		if err != nil {
			return fmt.Errorf("%q is no number", v)
		}
		// To rsync a negative number means no deletion at all (rsync(1), --max-delete);
		// to us it is the default, no limit.
		s.MaxDelete = max(s.MaxDelete, 0)
		return nil
	})
	val("exclude", "", func(v string) error { return s.Filter.Exclude(v) })
	val("include", "", func(v string) error { return s.Filter.Include(v) })
	val("filter", "f", func(v string) error { return s.Filter.Filter(v) })
	val("exclude-from", "", fromFile(s.Filter.ExcludeFrom))
	val("include-from", "", fromFile(s.Filter.IncludeFrom))
	val("password-file", "", func(v string) error { s.PasswordFile = v; return nil })
	val("port", "", func(v string) (err error) {
		s.Port, err = strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("%q is no port", v)
		}
		return nil
	})
	val("timeout", "", seconds(&s.Timeout, &s.TimeoutGiven))
	val("contimeout", "", seconds(&s.ConTimeout, &s.ConGiven))
	val("settle", "", duration(&s.Settle))
	val("max-delay", "", duration(&s.MaxDelay))
	val("grace", "", duration(&s.Grace))
	fs.StringVar(&s.LogLevel, "log-level", s.LogLevel, "")
	fs.StringVar(&s.LogFormat, "log-format", s.LogFormat, "")
}

// seconds reads rsync's times: whole seconds, 0 for none; 1m30s is understood too.
func seconds(d *time.Duration, given *bool) func(string) error {
	return func(v string) error {
		*given = true
		if n, err := strconv.ParseInt(v, 10, 32); err == nil && n >= 0 {
			*d = time.Duration(n) * time.Second
			return nil
		}
		parsed, err := time.ParseDuration(v)
		if err != nil || parsed < 0 {
			return fmt.Errorf("%q is no number of seconds", v)
		}
		*d = parsed
		return nil
	}
}

// duration reads our own times, which are too short for rsync's whole seconds.
func duration(d *time.Duration) func(string) error {
	return func(v string) error {
		parsed, err := time.ParseDuration(v)
		if err != nil || parsed < 0 {
			return fmt.Errorf("%q is no time: write 5ms, 1.5s or 2m", v)
		}
		*d = parsed
		return nil
	}
}

// fromFile reads a file of rules. As in rsync it is not the command line that is at fault
// where there is no such file: the exit code is another (rsync 3.5.0 exclude.c, parse_filter_file).
func fromFile(read func(io.Reader, string) error) func(string) error {
	return func(name string) error {
		if name == "-" {
			return read(os.Stdin, "standard input")
		}
		f, err := os.Open(name)
		if err != nil {
			var pe *fs.PathError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			return &syncer.Failure{Code: syncer.CodeFile, Err: fmt.Errorf("read %q: %w", name, err)}
		}
		defer f.Close()
		return read(f, name)
	}
}

func versionText() string {
	version := "(devel)"
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" {
		version = bi.Main.Version
	}
	return "lockstep " + version + ", rsync protocol versions 30 to 32"
}
