package config

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/options"
)

// Print writes the settings that hold as a config, each with where it came from: file and line, or default. What follows from
// others, or from the machine, is a comment. name chooses a sync, "" is all of them. Passwords are not shown.
func (c *Config) Print(w io.Writer, name string) error {
	syncs := c.syncs
	if name != "" {
		syncs = nil
		var names []string
		for _, s := range c.syncs {
			names = append(names, s.name)
			if s.name == name {
				syncs = append(syncs, s)
			}
		}
		if len(syncs) == 0 {
			return fmt.Errorf("there is no sync %s: there are %s", quoted(name), Printable(strings.Join(names, ", ")))
		}
	}
	p := &printer{env: c.env}
	p.process(c)
	p.line("", "syncs:", "")
	for _, s := range syncs {
		p.sync(s)
	}
	_, err := w.Write(p.b.Bytes())
	return err
}

// printer writes YAML.
type printer struct {
	b   bytes.Buffer
	env func(string) (string, bool)
}

func (p *printer) line(indent, text, from string) {
	text = indent + text
	if from != "" {
		const column = 44
		text += strings.Repeat(" ", max(column-utf8.RuneCountInString(text), 2)) + "# " + from
	}
	p.b.WriteString(text + "\n")
}

func (p *printer) process(c *Config) {
	given := func(name string) *entry {
		i := slices.IndexFunc(c.process, func(e *entry) bool { return e.opt.Name == name })
		if i < 0 {
			return nil
		}
		return c.process[i]
	}
	for _, e := range c.process {
		p.entry("", e)
	}
	s := agent.Defaults()
	s.Confine = agent.ConfineDefault
	for _, o := range options.New(&s).All() {
		switch {
		case o.Place != options.AtProcess || given(o.Name) != nil:
		case o.Name == "log-format":
			p.line("# ", "log-format: console, or journal under systemd", "default")
		case o.Name == "state-dir":
			p.line("# ", "state-dir: "+scalar(agent.DefaultStateDir()), "default")
		default:
			p.byDefault("", o, o.Now())
		}
	}
	for i := range processKeys {
		if k := &processKeys[i]; k.byDefault != "" && given(k.Name) == nil {
			p.line("", k.Name+": "+scalar(k.byDefault), "default")
		}
	}
}

// byDefault writes an option that nobody gave, unless it is one of the many that do nothing.
func (p *printer) byDefault(indent string, o *options.Option, value string) {
	if !slices.Contains([]string{"", "0", "0s", "false"}, value) {
		p.line(indent, o.Name+": "+asKind(o, value), "default")
	}
}

func (p *printer) sync(s *sync) {
	const in = "    "
	from := place(s.named)
	if s.named == s.source {
		from += ", from the source"
	}
	p.line("  - ", "name: "+scalar(s.name), from)
	p.line(in, "source: "+scalar(s.source.text), place(s.source))
	entries := s.common()
	for _, e := range entries {
		p.entry(in, e)
	}
	p.rest(in, entries)
	for _, h := range s.hooksFrom {
		p.line(in, h.key.text+": "+flow(h.value), place(h.key))
	}
	p.line(in, "targets:", "")
	for _, t := range s.targets {
		p.line(in+"  - ", "to: "+scalar(t.to.text), place(t.to))
		for _, e := range t.entries {
			if e.where == inTarget {
				p.entry(in+in, e)
			}
		}
	}
}

// common are the entries of defaults and the sync that some target has a use for, or replaces.
func (s *sync) common() []*entry {
	return slices.DeleteFunc(over(s.defaults.entries, s.level.entries), func(e *entry) bool {
		return !slices.ContainsFunc(s.targets, func(t *target) bool {
			return slices.Contains(t.entries, e) || slices.ContainsFunc(t.level.entries, func(own *entry) bool { return own.replaces(e) })
		})
	})
}

// rest writes what nobody gave: what follows from the entries, and the defaults.
func (p *printer) rest(indent string, entries []*entry) {
	s, d := agent.Defaults(), agent.Defaults()
	line, defaults := options.New(&s), options.New(&d)
	l := newLoader(p.env)
	for _, e := range entries {
		l.do(line, e) // it was done before, without an error
	}
	if line.Finish("") != nil {
		return
	}
	for _, o := range line.All() {
		if o.Now == nil || o.Same != "" || o.Place > options.AtSource || slices.ContainsFunc(entries, func(e *entry) bool { return e.opt.Key() == o.Name }) {
			continue
		}
		if now := o.Now(); now != defaults.Lookup(o.Name).Now() {
			p.line(indent+"# ", o.Name+": "+asKind(o, now), "follows from the others")
		} else {
			p.byDefault(indent, o, now)
		}
	}
	for _, t := range []struct {
		name string
		is   fmt.Stringer
	}{{"timeout", agent.DefaultWatchTimeout}, {"contimeout", agent.DefaultConTimeout}} {
		if !slices.ContainsFunc(entries, func(e *entry) bool { return e.opt.Key() == t.name }) {
			p.line(indent+"# ", t.name+": "+t.is.String(), "default of targets on other machines")
		}
	}
}

func (p *printer) entry(indent string, e *entry) {
	if e.opt == password && !variable.MatchString(e.value.text) {
		p.line(indent+"# ", "password: not shown", place(e.key))
		return
	}
	p.line(indent, e.key.text+": "+flow(e.value), place(e.key))
}

// asKind is a value of an option as YAML.
func asKind(o *options.Option, value string) string {
	if o.Kind == options.Switch || o.Kind == options.Number {
		return value
	}
	return scalar(value)
}

// flow writes a node in one line.
func flow(n *node) string {
	var parts []string
	switch n.form {
	case isList:
		for _, item := range n.items {
			parts = append(parts, flow(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case isMap:
		for _, p := range n.pairs {
			parts = append(parts, p.key.text+": "+flow(p.value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case isText:
		return scalar(n.text)
	}
	return n.text
}

var (
	// plainText needs no quotes anywhere, as long as it is no other thing.
	plainText = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./@:+=-]*[A-Za-z0-9_./+=-]$|^[A-Za-z]$|^[0-9.]+(ns|us|ms|s|m|h|[kKMGT]|%)$`)
	otherText = regexp.MustCompile(`(?i)^(true|false|null|yes|no|on|off|y|n|[0-9.]*)$`)
)

// scalar writes a text, in quotes where it needs them.
func scalar(s string) string {
	switch {
	case plainText.MatchString(s) && !otherText.MatchString(s):
		return s
	case Printable(s) == s:
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case Printable(string(r)) == string(r) || r > 0xffff:
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
