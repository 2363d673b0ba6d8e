package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

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
	help := len(args) == 1 && args[0] == "-h" // with others it is rsync's --human-readable
	if help {
		args = nil
	}
	version := false
	l := newLine(s)
	l.on("help", "", func() { help = true })
	l.on("version", "V", func() { version = true })
	l.addOptions()
	if err := l.flags.Parse(args); err != nil {
		return nil, false, l.explain(err)
	}
	switch {
	case help:
		_, err := io.WriteString(stdout, usage)
		return s, true, err
	case version:
		_, err := fmt.Fprintln(stdout, versionText())
		return s, true, err
	}
	if err := l.finish(); err != nil {
		return nil, false, err
	}
	return s, false, l.places()
}

// places takes the source and the targets: DST and each --target are one.
func (l *line) places() error {
	s, args := l.s, l.flags.Args()
	s.ShellEnv = os.Getenv("RSYNC_RSH")
	switch {
	case len(args) == 0:
		return errors.New("a source and a target are needed: lockstep [OPTION…] SRC DST")
	case len(args) == 1 && len(l.targets) == 0:
		return fmt.Errorf("a target is needed after the source %q: lockstep [OPTION…] SRC DST", args[0])
	case len(args) > 2:
		return fmt.Errorf("one source and one target are needed, there are %d arguments: %q (a further target is --target=DST)", len(args), args)
	}
	targets := append(args[1:len(args):len(args)], l.targets...)
	s.Source, s.Target, s.Also = args[0], targets[0], targets[1:]
	return nil
}

// line is a command line while it is read: the settings it makes, and what is needed of it
// to tell what they are when all of it is known.
type line struct {
	flags *pflag.FlagSet
	s     *agent.Settings
	verb  bool // its options are a verb's own, not rsync's

	recurse, relative    bool   // said in words, not by -a or --files-from
	when                 string // the option that said when to delete
	whenGroup            syncer.When
	usermap, groupmap    string // the option that mapped users, groups
	filesFrom            string
	hasFilesFrom, zeroes bool // --files-from, --from0
	hasSuffix, cvs       bool // --suffix, --cvs-exclude
	compressed, perDir   int  // -z, -F: counted
	targets              []string
}

func newLine(s *agent.Settings) *line {
	fs := pflag.NewFlagSet("lockstep", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.SortFlags = false
	return &line{flags: fs, s: s}
}

// given is what pflag hands to an option that stands without a value. No argument can
// hold a NUL, so a value that was written is told from it.
const given = "\x00"

// nameless begins the long name of an option that has none: nobody can type it.
const nameless = "\x00"

// action is an option without a value that does something where it stands: as in rsync, of
// --perms and --no-perms the later one counts.
type action func() error

func (a action) String() string   { return "" }
func (a action) Type() string     { return "bool" }
func (a action) IsBoolFlag() bool { return true }
func (a action) Set(v string) error {
	if v != given {
		return errors.New("it takes no value")
	}
	return a()
}

// value is an option with a value that is parsed where it stands.
type value struct{ set func(string) error }

func (v value) String() string     { return "" }
func (v value) Type() string       { return "value" }
func (v value) Set(s string) error { return v.set(s) }

// try adds an option without a value, which may be wrong where it stands.
func (l *line) try(long, short string, do func() error) {
	if long == "" {
		long = nameless + short
	}
	l.flags.VarPF(action(do), long, short, "").NoOptDefVal = given
}

// on adds an option without a value.
func (l *line) on(long, short string, do func()) {
	l.try(long, short, func() error { do(); return nil })
}

// set adds an option that sets switches.
func (l *line) set(long, short string, switches ...*bool) {
	l.on(long, short, func() { put(true, switches) })
}

// unset adds an option, and another name of it, that clears switches.
func (l *line) unset(long, other string, switches ...*bool) {
	for _, name := range []string{long, other} {
		if name != "" {
			l.on("no-"+name, "", func() { put(false, switches) })
		}
	}
}

// toggle adds an option that comes with a "--no-" form, long and short.
func (l *line) toggle(long, short string, switches ...*bool) {
	l.set(long, short, switches...)
	l.unset(long, short, switches...)
}

func put(v bool, switches []*bool) {
	for _, s := range switches {
		*s = v
	}
}

// val adds an option with a value.
func (l *line) val(long, short string, set func(string) error) {
	l.flags.VarP(value{set}, long, short, "")
}

// text adds an option whose value is taken as it is.
func (l *line) text(long, short string, s *string) {
	l.val(long, short, func(v string) error { *s = v; return nil })
}

func versionText() string {
	version := "(devel)"
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" {
		version = bi.Main.Version
	}
	return "lockstep " + version + ", rsync protocol versions 30 to 32"
}
