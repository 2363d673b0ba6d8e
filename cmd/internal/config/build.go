package config

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/options"
	"github.com/lockstep-sync/lockstep/syncer"
)

// useless is why an entry is of no use to a target.
type useless struct {
	text string
	to   *node
}

// build makes the settings of all targets.
func (l *loader) build() {
	l.tryAlone(l.defaults.entries)
	for _, s := range l.syncs {
		for _, t := range s.targets {
			l.target(s, t)
		}
		s.hooks, s.hooksFrom = hooksOf(l.defaults.hooks, s.level.hooks)
		l.judge(s.level.entries)
	}
	l.judge(l.defaults.entries)
}

// tryAlone does entries without a target, for what is wrong with their values.
func (l *loader) tryAlone(entries []*entry) {
	s := agent.Defaults()
	line := options.New(&s)
	for _, e := range entries {
		l.do(line, e)
	}
}

// judge complains about entries that no target has a use for.
func (l *loader) judge(entries []*entry) {
	for _, e := range entries {
		if e.unused != nil && !e.used {
			l.value(e.key, "%s", e.unused.text)
		}
	}
}

// target makes the settings of one target. An entry of an outer level that is of no use to it is left out: it is for others.
func (l *loader) target(s *sync, t *target) {
	t.entries = over(l.defaults.entries, s.level.entries, t.level.entries)
	for {
		out := l.attempt(s, t)
		if out == nil {
			break
		}
		t.entries = slices.DeleteFunc(slices.Clone(t.entries), func(e *entry) bool { return e == out })
	}
	for _, e := range t.entries {
		e.used = true
	}
}

// attempt makes the settings of the entries that there are. It returns one that is of no use, if that is all.
func (l *loader) attempt(s *sync, t *target) (out *entry) {
	before := len(l.list)
	set := l.ground()
	set.Source, set.Target = s.source.text, t.to.text
	line := options.New(&set)
	for _, e := range t.entries {
		l.do(line, e)
	}
	l.processInto(options.New(&set), &set)
	if l.defaults.unsure || s.level.unsure || t.level.unsure {
		for _, e := range t.entries {
			e.used = true
		}
		return nil
	}
	if err := line.Finish(""); err != nil {
		l.blame(s, t, err)
		return nil
	}
	if out := l.password(t, &set); out != nil {
		return out
	}
	err := set.Validate()
	for _, one := range joined(err) {
		var m *agent.Misplaced
		if errors.As(one, &m) {
			if out := l.misplaced(t, m); out != nil {
				return out
			}
		}
	}
	l.blame(s, t, err)
	t.settings, t.ok = set, len(l.list) == before
	return nil
}

// ground are the settings on which all others stand.
func (l *loader) ground() agent.Settings {
	s := agent.Defaults()
	s.Watch = true
	s.Confine = agent.ConfineDefault
	return s
}

// password takes the password, if there is one, and tells whether the target has a use for it.
func (l *loader) password(t *target, set *agent.Settings) (out *entry) {
	i := slices.IndexFunc(t.entries, func(e *entry) bool { return e.opt == password })
	if i < 0 {
		return nil
	}
	e := t.entries[i]
	to, err := syncer.ParseTarget(t.to.text)
	if err != nil || to.Remote() && !to.Shell() {
		l.secret(e, set)
		return nil
	}
	return l.noUse(t, e, "password is for daemons, "+quoted(t.to.text)+" is none")
}

// misplaced finds the entry that Validate had no use for, if it may be left out.
func (l *loader) misplaced(t *target, m *agent.Misplaced) *entry {
	name, _, _ := strings.Cut(strings.TrimLeft(m.Option, "-"), "=")
	o := l.meant(name)
	if o == nil {
		return nil
	}
	for _, e := range t.entries {
		if e.opt.Key() == o.Key() && e.where != inTarget {
			return l.noUse(t, e, l.inKeys(m.Error()))
		}
	}
	return nil
}

func (l *loader) noUse(t *target, e *entry, why string) *entry {
	if e.where == inTarget {
		l.value(e.key, "%s", why)
		return nil
	}
	if e.unused == nil {
		e.unused = &useless{why, t.to}
	}
	return e
}

// blame complains about settings as a whole, at the key that the complaint names, the innermost if it names several.
func (l *loader) blame(s *sync, t *target, err error) {
	for _, one := range joined(err) {
		text := one.Error()
		at := l.named(text, t.entries)
		switch {
		case at != nil:
		case strings.HasPrefix(text, "source ") || strings.HasPrefix(text, "the source "):
			at = s.source
		default:
			at = t.to
		}
		l.value(at, "%s", l.inKeys(text))
	}
}

// optionIn finds the options that a message names. The letters are those that Validate uses; others may be ssh's.
var optionIn = regexp.MustCompile(`(^|[\s("'])-(?:-([a-z0-9][a-z0-9-]+)|([46e])\b)`)

// named is the key of the last of the entries that a message names.
func (l *loader) named(text string, entries []*entry) *node {
	last := -1
	for _, m := range optionIn.FindAllStringSubmatch(text, -1) {
		o := l.meant(m[2] + m[3])
		if o == nil {
			continue
		}
		for i, e := range entries {
			if e.opt.Key() == o.Key() {
				last = max(last, i)
			}
		}
		if e := l.processEntry(o.Name); e != nil && last < 0 {
			return e.key
		}
	}
	if last < 0 {
		return nil
	}
	return entries[last].key
}

// inKeys says what a message says of options in the words of a config.
func (l *loader) inKeys(text string) string {
	return optionIn.ReplaceAllStringFunc(text, func(m string) string {
		sub := optionIn.FindStringSubmatch(m)
		switch o := l.meant(sub[2] + sub[3]); {
		case o == nil:
			return m
		case o.Name == "watch":
			return sub[1] + "watching"
		default:
			return sub[1] + o.Name
		}
	})
}

// joined are the errors that errors.Join made one of.
func joined(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range j.Unwrap() {
			all = append(all, joined(e)...)
		}
		return all
	}
	return []error{err}
}
