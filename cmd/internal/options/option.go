package options

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is what the value of an option looks like.
type Kind int

// The kinds.
const (
	Switch   Kind = iota // it has no value
	Text                 // anything
	File                 // the name of a file that is read on this machine
	Number               // a whole number, which may be negative
	Duration             // a time with its unit, as 5ms
	Seconds              // whole seconds, or a Duration
	Size                 // a number, maybe with a unit
	Limit                // a whole number, or a part as 5%
	Choice               // one of Choices
)

// Place is where in a config file an option may stand.
type Place int

// The places.
const (
	AtTarget  Place = iota // in defaults, in a sync, and in a target
	AtSource               // in defaults and in a sync: it is the source's, or its watching's
	AtProcess              // at the top: it is the process's
	OnLine                 // nowhere: it makes sense on a command line alone
)

// Option is one option.
type Option struct {
	Name    string // long, without dashes; "" where there is only the letter
	Short   string // its letter, or ""
	Kind    Kind
	Choices []string // of a Choice
	// Bare says that it may stand without its value, and then is a switch.
	Bare bool
	// BareWhy is why a config has no use for it without a value, or "".
	BareWhy string
	// List says that each further one adds to those before it. Of others the last one counts.
	List bool
	// Negated says that there is --no-NAME.
	Negated bool
	// Same is the option that this one is another name of, or "".
	Same string
	// Group is set of switches that exclude one another: there is one such decision.
	Group string
	Place Place
	Why   string // for OnLine: why it is not for a config
	About string // a few words
	// Now is the value that holds now, as a config would have it; nil: that cannot be told.
	Now func() string
}

// Key is the name under which the option is known, whichever of its names this is.
func (o *Option) Key() string {
	if o.Same != "" {
		return o.Same
	}
	return o.Name
}

// What follows completes a description where the option is added.

func (o *Option) about(text string) *Option     { o.About = text; return o }
func (o *Option) list() *Option                 { o.List = true; return o }
func (o *Option) as(k Kind) *Option             { o.Kind = k; return o }
func (o *Option) source() *Option               { o.Place = AtSource; return o }
func (o *Option) process() *Option              { o.Place = AtProcess; return o }
func (o *Option) onLine(why string) *Option     { o.Place, o.Why = OnLine, why; return o }
func (o *Option) same(name string) *Option      { o.Same = name; return o }
func (o *Option) isMany() *Option               { o.Now = nil; return o }
func (o *Option) bareOnLine(why string) *Option { o.BareWhy = why; return o }
func (o *Option) inGroup(g string) *Option      { o.Group = g; return o }

// alias names the option that this one is another name of, unless it is that one itself.
func (o *Option) alias(of string) *Option {
	if o.Name != of {
		o.Same = of
	}
	return o
}

func (o *Option) choice(of ...string) *Option {
	o.Kind, o.Choices = Choice, of
	return o
}

func (o *Option) isBool(b *bool) *Option {
	o.Now = func() string { return strconv.FormatBool(*b) }
	return o
}

// isSwitched is for what is off where the setting is true.
func (o *Option) isSwitched(off *bool) *Option {
	o.Now = func() string {
		if *off {
			return "off"
		}
		return "on"
	}
	return o
}

func (o *Option) isText(s *string) *Option {
	o.Now = func() string { return *s }
	return o
}

func (o *Option) isTime(d *time.Duration) *Option {
	o.Now = func() string { return d.String() }
	return o
}

func (o *Option) isNumber(n *int) *Option {
	o.Now = func() string { return strconv.Itoa(*n) }
	return o
}

// All are the options in the order of their description, but those that have only a letter, and the "--no-" forms of others.
func (l *Line) All() []*Option {
	var list []*Option
	for _, o := range l.options {
		if o.Name == "" || l.negates(o.Name) != nil {
			continue
		}
		o.Negated = l.byName["no-"+o.Name] != nil
		list = append(list, o)
	}
	return list
}

// Lookup finds an option by its long name; nil: there is none, or it is the "--no-" form of one.
func (l *Line) Lookup(name string) *Option {
	if l.negates(name) != nil {
		return nil
	}
	o := l.byName[name]
	if o != nil {
		o.Negated = l.byName["no-"+name] != nil
	}
	return o
}

// Letter finds an option by its letter.
func (l *Line) Letter(letter string) *Option {
	i := slices.IndexFunc(l.options, func(o *Option) bool { return letter != "" && o.Short == letter })
	if i < 0 {
		return nil
	}
	return l.options[i]
}

// negates gives the option of which name is the "--no-" form.
func (l *Line) negates(name string) *Option {
	rest, ok := strings.CutPrefix(name, "no-")
	if !ok {
		return nil
	}
	if o := l.byName[rest]; o != nil {
		return o
	}
	return l.Letter(rest)
}

// Apply does what the option of that long name does, with a value.
func (l *Line) Apply(name, value string) error { return l.flags.Lookup(name).Value.Set(value) }

// Turn does what a switch does; off, what its "--no-" form does, or nothing where there is none.
func (l *Line) Turn(name string, on bool) error {
	if on {
		return l.Apply(name, given)
	}
	if f := l.flags.Lookup("no-" + name); f != nil {
		return f.Value.Set(given)
	}
	return nil
}
