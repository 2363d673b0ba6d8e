package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/hooks"
	"github.com/lockstep-sync/lockstep/syncer"
)

// sync is an item of syncs.
type sync struct {
	name   string
	named  *node // where its name stands, or what it is drawn from
	source *node
	level  *level
	// defaults are the config's, one for all.
	defaults *level
	targets  []*target

	hooks     hooks.Set
	hooksFrom []*hookEntry
}

// target is an item of targets.
type target struct {
	to    *node
	level *level

	entries  []*entry // that hold, the outermost first
	settings agent.Settings
	ok       bool // the settings are whole
}

// syncList reads syncs.
func (l *loader) syncList(n *node) {
	if n.form != isList {
		if n.form != isBad {
			l.form(n, "syncs: this is %v: it is a list, each item with a dash: - source: /srv/www/", n.form)
		}
		return
	}
	for _, item := range n.items {
		if s := l.sync(item); s != nil {
			l.syncs = append(l.syncs, s)
		}
	}
}

// sync reads a sync. It is nil where nothing can be made of it.
func (l *loader) sync(n *node) *sync {
	if n.form != isMap {
		if n.form != isBad {
			l.form(n, "this is %v: a sync is a map with source and targets", n.form)
		}
		return nil
	}
	s := &sync{defaults: &l.defaults, level: l.level(n, inSync, "name", "source", "targets")}
	s.source = l.text(n, "source", "the directory or file that is kept in step, as /srv/www/")
	s.nameOf(l, n)
	if p := n.find("targets"); p != nil {
		l.targetList(s, p.value)
	} else {
		l.form(n, "targets: is missing: a list of what the source is brought to, as [user@host::module/]")
	}
	if s.source == nil {
		return nil
	}
	l.checkSource(s.source)
	return s
}

func (l *loader) checkSource(n *node) {
	t, err := syncer.ParseTarget(n.text)
	if err == nil && t.Remote() {
		return // Validate says more
	}
	l.absolute("source", n, n.text)
}

// text is the value of a key that must be there, a text that is not empty.
func (l *loader) text(n *node, key, wanted string) *node {
	p := n.find(key)
	if p == nil {
		l.form(n, "%s: is missing: %s", key, wanted)
		return nil
	}
	return l.textAt(p.value, key, wanted)
}

func (l *loader) textAt(n *node, key, wanted string) *node {
	switch {
	case n.form == isBad:
	case n.form == isNull, n.form == isText && n.text == "":
		l.form(n, "%s: it is empty: it wants %s", key, wanted)
	case n.form != isText:
		l.form(n, "%s: this is %v: it wants %s", key, n.form, wanted)
	default:
		return n
	}
	return nil
}

const maxName = 100

// nameOf takes the name of a sync, or draws one from its source.
func (s *sync) nameOf(l *loader, n *node) {
	if p := n.find("name"); p != nil {
		if at := l.textAt(p.value, "name", "a word that names this sync in status and logs"); at != nil {
			s.name, s.named = at.text, at
			l.checkName(s, "")
		}
		return
	}
	if s.source == nil {
		return
	}
	s.name, s.named = filepath.Base(s.source.text), s.source
	if s.name == "/" {
		s.name = "root"
	}
	l.checkName(s, " (the last part of the source, as there is no name:)")
}

func (l *loader) checkName(s *sync, drawn string) {
	bad := strings.ContainsFunc(s.name, func(r rune) bool { return r == '/' || r != ' ' && !unicode.IsPrint(r) || r == unicode.ReplacementChar })
	switch {
	case bad, strings.TrimSpace(s.name) != s.name:
		l.value(s.named, "the name %s%s holds what is no letter, digit or sign, a slash, or a blank at an end: give a plain one with name:", quoted(s.name), drawn)
	case len(s.name) > maxName:
		l.value(s.named, "the name %s%s has %d bytes: it may have %d", quoted(s.name), drawn, len(s.name), maxName)
	default:
		l.uniqueName(s, drawn)
	}
}

func (l *loader) uniqueName(s *sync, drawn string) {
	for _, other := range l.syncs {
		if other.name == s.name {
			l.value(s.named, "the name %s%s is that of another sync, at %s: give each a name: of its own", quoted(s.name), drawn, place(other.named))
			return
		}
	}
}

func (l *loader) targetList(s *sync, n *node) {
	switch {
	case n.form == isBad:
		return
	case n.form != isList:
		l.form(n, "targets: this is %v: it is a list, as [%s], or an item a line, each with a dash", n.form, orElse(n, "user@host::module/"))
		return
	case len(n.items) == 0:
		l.form(n, "targets: the list is empty: a sync has one target at least")
		return
	}
	const wanted = "a path, [user@]host:path, [user@]host::module/path or an rsync:// URL"
	for _, item := range n.items {
		t := &target{level: &level{}}
		if item.form == isMap {
			t.level = l.level(item, inTarget, "to")
			t.to = l.text(item, "to", wanted)
		} else {
			t.to = l.textAt(item, "target", wanted+", or a map with to: and options")
		}
		if t.to != nil && l.checkTarget(t.to) {
			s.targets = append(s.targets, t)
		}
	}
}

// orElse is a short text, or where n is none an example.
func orElse(n *node, example string) string {
	if n.form == isText && len(n.text) < 40 {
		return n.text
	}
	return example
}

func (l *loader) checkTarget(n *node) bool {
	t, err := syncer.ParseTarget(n.text)
	if errors.Is(err, syncer.ErrPassword) {
		l.value(n, "the user of a target holds a colon: a password has no place there, write password-file or password")
		return false
	}
	if err != nil {
		l.value(n, "%s", l.inKeys(err.Error()))
		return false
	}
	return t.Remote() || l.absolute("target", n, n.text)
}

// place is what a message says of a place.
func place(n *node) string { return fmt.Sprintf("%s:%d", Printable(n.file.name), n.line) }
