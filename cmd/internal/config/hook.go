package config

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/hooks"
	"github.com/lockstep-sync/lockstep/cmd/internal/options"
)

// hookEntry is a hook with its place.
type hookEntry struct {
	key, value *node
	hook       hooks.Hook
}

// hook reads a hook: the words of a command, or a map with run or shell, and timeout. nil: it is wrong.
func (l *loader) hook(p pair) *hookEntry {
	h := &hookEntry{key: p.key, value: p.value}
	ok := false
	switch name := p.key.text; p.value.form {
	case isBad:
	case isList:
		h.hook.Argv, ok = l.words(name, p.value)
	case isMap:
		ok = l.hookMap(name, p.value, h)
	case isText:
		l.form(p.value, "%s: no shell takes a command apart here: write its words as a list, as [mail, -s, 'lockstep', root], or {shell: %s}", name, quoted(p.value.text))
	default:
		l.form(p.value, "%s: this is %v: it wants the words of a command as a list, as [logger, done], or a map with run or shell", name, p.value.form)
	}
	if !ok {
		return nil
	}
	return h
}

// words are a command. None of them is no command.
func (l *loader) words(name string, n *node) (argv []string, ok bool) {
	if n.form != isList {
		return nil, l.wants(n, false, name, "a list of words")
	}
	ok = true
	for _, item := range n.items {
		if item.form != isText && item.form != isNumber {
			ok = l.wants(item, false, name, "a word")
			continue
		}
		argv = append(argv, item.text)
	}
	if !ok || len(argv) == 0 {
		return nil, ok
	}
	switch program := argv[0]; {
	case program == "":
		l.value(n.items[0], "%s: the program has no name", name)
		return nil, false
	case strings.Contains(program, "/") && !filepath.IsAbs(program):
		return nil, l.absolute(name, n.items[0], program)
	}
	return argv, true
}

func (l *loader) hookMap(name string, n *node, h *hookEntry) bool {
	ok := true
	for _, p := range n.pairs {
		switch p.key.text {
		case "run":
			var fine bool
			h.hook.Argv, fine = l.words(name, p.value)
			ok = ok && fine
		case "shell":
			if p.value.form != isText {
				ok = l.wants(p.value, false, name, "the text of a script for sh")
				continue
			}
			if strings.TrimSpace(p.value.text) == "" {
				l.value(p.value, "%s: the script for sh is empty", name)
				ok = false
				continue
			}
			h.hook.Argv = []string{"/bin/sh", "-c", p.value.text}
		case "timeout":
			if p.value.form != isText && p.value.form != isNumber {
				ok = l.wants(p.value, false, "timeout", kindWords[options.Duration])
				continue
			}
			d, err := time.ParseDuration(p.value.text)
			if err != nil || d <= 0 {
				l.value(p.value, "timeout: %s is no time above zero: write 30s or 2m", quoted(p.value.text))
				ok = false
				continue
			}
			h.hook.Timeout = d
		default:
			e := l.form(p.key, "unknown key %s: a hook has run or shell, and timeout", quoted(p.key.text))
			e.Near = options.Nearest(p.key.text, []string{"run", "shell", "timeout"})
			ok = false
		}
	}
	run, shell := n.find("run"), n.find("shell")
	switch {
	case !ok:
	case run != nil && shell != nil:
		l.form(shell.key, "%s: run and shell exclude one another: a hook is one command", name)
		ok = false
	case run == nil && shell == nil:
		l.form(n, "%s: the command is missing: run, a list of words, or shell, a text", name)
		ok = false
	}
	return ok
}

// hooksOf lays hooks over one another, the outermost first.
func hooksOf(levels ...[]*hookEntry) (set hooks.Set, from []*hookEntry) {
	last := map[string]*hookEntry{}
	for _, v := range levels {
		for _, h := range v {
			last[h.key.text] = h
		}
	}
	for _, k := range hookKeys {
		h := last[k.name]
		if h == nil {
			continue
		}
		from = append(from, h)
		*hookIn(&set, k.name) = h.hook
	}
	return set, from
}

func hookIn(set *hooks.Set, name string) *hooks.Hook {
	switch name {
	case "on-success":
		return &set.OnSuccess
	case "on-failure":
		return &set.OnFailure
	case "on-recovered":
		return &set.OnRecovered
	case "on-delete-held":
		return &set.OnDeleteHeld
	}
	return &set.BeforePush
}
