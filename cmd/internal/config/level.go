package config

import (
	"slices"

	"github.com/lockstep-sync/lockstep/cmd/internal/options"
)

// entry is a key with its value.
type entry struct {
	key, value *node
	opt        *options.Option
	where      where

	used   bool     // some target could use it, or it is not known
	unused *useless // the first one that could not
}

// level is what stands in defaults, in a sync or in a target: options in the order of the file, and hooks.
type level struct {
	entries []*entry
	hooks   []*hookEntry
	unsure  bool // something in it was not understood: what the whole would mean is not known
}

// level reads the options of n. own are the keys that are no options.
func (l *loader) level(n *node, w where, own ...string) *level {
	v := &level{}
	if n.form != isMap {
		if n.form != isBad {
			l.form(n, "this is %v: %v stand keys with values", n.form, w)
		}
		v.unsure = true
		return v
	}
	for _, p := range n.pairs {
		switch o := l.option(p.key.text, w); {
		case slices.Contains(own, p.key.text):
		case o != nil:
			e := l.entry(v.entries, p, o)
			if e == nil {
				v.unsure = true
				continue
			}
			e.where = w
			v.entries = append(v.entries, e)
		case isHook(p.key.text) && w != inTarget:
			if h := l.hook(p); h != nil {
				v.hooks = append(v.hooks, h)
			}
		default:
			l.unknown(p.key, w)
			v.unsure = true
		}
	}
	return v
}

// entry makes one beside those that are there. It is nil if its form is wrong, or it stands against one of them.
func (l *loader) entry(beside []*entry, p pair, o *options.Option) *entry {
	e := &entry{key: p.key, value: p.value, opt: o}
	if !l.wellFormed(e) {
		return nil
	}
	for _, other := range beside {
		switch {
		case other.opt.Key() == o.Key():
			l.value(p.key, "%s and %s are two names of one option: the first one is in line %d", other.key.text, p.key.text, other.key.line)
			return nil
		case e.excludes(other):
			l.value(p.key, "%s excludes %s of line %d: they are two answers to one question", p.key.text, other.key.text, other.key.line)
			return nil
		}
	}
	return e
}

// group is the question that the entry answers, "" for one of its own.
func (e *entry) group() string {
	switch {
	case e.opt.Name == "password-file":
		return password.Group
	case e.opt.Kind == options.Switch && e.value.text == "false", e.opt.Bare && e.value.form != isBool:
		return ""
	}
	return e.opt.Group
}

func (e *entry) excludes(o *entry) bool { return e.group() != "" && e.group() == o.group() }

// replaces says that e, of an inner level, stands in the place of o.
func (e *entry) replaces(o *entry) bool {
	return e.opt.Key() == o.opt.Key() || e.excludes(o)
}

// over lays the entries of levels over one another, the outermost first.
func over(levels ...[]*entry) []*entry {
	var all []*entry
	for _, v := range levels {
		all = slices.DeleteFunc(all, func(o *entry) bool {
			return slices.ContainsFunc(v, func(e *entry) bool { return e.replaces(o) })
		})
		all = append(all, v...)
	}
	return all
}
