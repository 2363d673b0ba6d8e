package options

import (
	"errors"
	"io"
	"time"

	"github.com/spf13/pflag"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/syncer"
)

// Line is a command line while it is read, or what a config file says in its place: the settings it makes, and what is
// needed of it to tell what they are when all of it is known.
type Line struct {
	flags   *pflag.FlagSet
	options []*Option // each that was added, also the "--no-" forms
	byName  map[string]*Option
	s       *agent.Settings // nil: its options are a verb's own, not rsync's

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

// New gives a line with all options but --help and --version. They change s, which comes from agent.Defaults.
func New(s *agent.Settings) *Line {
	l := NewVerb()
	l.s = s
	l.addOptions()
	return l
}

// NewVerb gives a line without options.
func NewVerb() *Line {
	fs := pflag.NewFlagSet("lockstep", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.SortFlags = false
	return &Line{flags: fs, byName: map[string]*Option{}}
}

// Parse reads a command line. Errors are in words for its user.
func (l *Line) Parse(args []string) error {
	if err := l.flags.Parse(args); err != nil {
		return l.explain(err)
	}
	return nil
}

// Args is what is no option.
func (l *Line) Args() []string { return l.flags.Args() }

// Targets are those given as options.
func (l *Line) Targets() []string { return l.targets }

// Flags is what Parse reads by, for who has another way to name options.
func (l *Line) Flags() *pflag.FlagSet { return l.flags }

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

func (l *Line) add(v pflag.Value, long, short string, kind Kind) (*Option, *pflag.Flag) {
	o := &Option{Name: long, Short: short, Kind: kind}
	if long == "" {
		long = nameless + short
	}
	l.options = append(l.options, o)
	l.byName[long] = o
	return o, l.flags.VarPF(v, long, short, "")
}

// Try adds an option without a value, which may be wrong where it stands.
func (l *Line) Try(long, short string, do func() error) *Option {
	o, f := l.add(action(do), long, short, Switch)
	f.NoOptDefVal = given
	return o
}

// On adds an option without a value.
func (l *Line) On(long, short string, do func()) *Option {
	return l.Try(long, short, func() error { do(); return nil })
}

// Set adds an option that sets switches.
func (l *Line) Set(long, short string, switches ...*bool) *Option {
	return l.On(long, short, func() { put(true, switches) }).isBool(switches[0])
}

// unset adds an option, and another name of it, that clears switches.
func (l *Line) unset(long, other string, switches ...*bool) {
	for _, name := range []string{long, other} {
		if name != "" {
			l.On("no-"+name, "", func() { put(false, switches) })
		}
	}
}

// toggle adds an option that comes with a "--no-" form, long and short.
func (l *Line) toggle(long, short string, switches ...*bool) *Option {
	o := l.Set(long, short, switches...)
	l.unset(long, short, switches...)
	return o
}

func put(v bool, switches []*bool) {
	for _, s := range switches {
		*s = v
	}
}

// Val adds an option with a value.
func (l *Line) Val(long, short string, set func(string) error) *Option {
	o, _ := l.add(value{set}, long, short, Text)
	return o
}

// bare adds an option with a value that is a switch without one: do is what it does then.
func (l *Line) bare(long, short string, do func() error, set func(string) error) *Option {
	o, f := l.add(value{func(v string) error {
		if v == given {
			return do()
		}
		return set(v)
	}}, long, short, Text)
	f.NoOptDefVal = given
	o.Bare = true
	return o
}

// Text adds an option whose value is taken as it is.
func (l *Line) Text(long, short string, s *string) *Option {
	return l.Val(long, short, func(v string) error { *s = v; return nil }).isText(s)
}

func (l *Line) duration(long string, d *time.Duration) *Option {
	return l.Val(long, "", duration(d)).as(Duration).isTime(d)
}

func (l *Line) number(long, short string, n *int) *Option {
	return l.Val(long, short, number(n)).as(Number).isNumber(n)
}
