package config

import (
	"path/filepath"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/options"
)

// wellFormed says that a value has the form that its option wants; what it says is seen when it is done.
func (l *loader) wellFormed(e *entry) bool {
	n, name := e.value, e.key.text
	switch {
	case n.form == isBad:
		return false
	case n.form == isNull:
		l.form(n, "%s: a value is missing%s", name, emptyAs(e.opt))
		return false
	case e.opt.Kind == options.Switch:
		return l.wants(n, n.form == isBool, name, "true or false")
	case e.opt.Bare && n.form == isBool:
		if e.opt.BareWhy != "" {
			l.form(n, "%s wants a value here; as a switch it is for the command line alone: %s", name, e.opt.BareWhy)
			return false
		}
		return true
	case n.form == isList && e.opt.List:
		ok := true
		for _, item := range n.items {
			ok = l.scalarOf(e, item) && ok
		}
		return ok
	case n.form == isList:
		l.form(n, "%s wants one value, not a list", name)
		return false
	}
	return l.scalarOf(e, n)
}

func emptyAs(o *options.Option) string {
	switch {
	case o.List:
		return " (nothing of it is written [])"
	case o.Kind == options.Text || o.Kind == options.File:
		return " (nothing of it is written '')"
	}
	return ""
}

func (l *loader) wants(n *node, ok bool, name, wanted string) bool {
	if !ok && n.form != isBad {
		what := n.form.String()
		if n.form == isText || n.form == isNumber {
			what = quoted(n.text)
		}
		l.form(n, "%s: it is %s, not %s", name, wanted, what)
	}
	return ok
}

// scalarOf checks one value of an option.
func (l *loader) scalarOf(e *entry, n *node) bool {
	name := e.key.text
	switch {
	case n.form == isBad:
		return false
	case e.opt.Kind == options.Choice:
		return l.choice(e, n)
	case n.form == isBool && (e.opt.Kind == options.Text || e.opt.Kind == options.File):
		l.form(n, "%s: %s is true or false to YAML, here a text is wanted: put it into quotes", name, n.text)
		return false
	case n.form != isText && n.form != isNumber:
		return l.wants(n, false, name, kindWords[e.opt.Kind])
	case len(n.text) > 64<<10:
		l.form(n, "%s: a value of %d bytes is too long", name, len(n.text))
		return false
	}
	return true
}

// kindWords says what a value is.
var kindWords = map[options.Kind]string{
	options.Switch: "true or false", options.Text: "a text", options.File: "the name of a file", options.Number: "a whole number",
	options.Duration: "a time as 5ms, 1.5s or 2m", options.Seconds: "a number of seconds, or a time as 1m30s",
	options.Size: "a size as 20m", options.Limit: "a number, or a part as 5%",
}

func (l *loader) choice(e *entry, n *node) bool {
	text := choiceText(e.opt, n)
	for _, c := range e.opt.Choices {
		if c == text {
			return true
		}
	}
	e2 := l.form(n, "%s: it is %s, not %s", e.key.text, orList(e.opt.Choices), quoted(n.text))
	e2.Near = options.Nearest(n.text, e.opt.Choices)
	return false
}

// choiceText is a choice as the command line has it. on and off are true and false to some readers of YAML.
func choiceText(o *options.Option, n *node) string {
	if n.form == isBool && len(o.Choices) == 2 && o.Choices[0] == "on" {
		return map[bool]string{true: "on", false: "off"}[n.text == "true"]
	}
	if n.scalar() && n.form != isBool {
		return n.text
	}
	return ""
}

func orList(of []string) string {
	if len(of) < 2 {
		return strings.Join(of, "")
	}
	return strings.Join(of[:len(of)-1], ", ") + " or " + of[len(of)-1]
}

// do does what an entry says on a command line, and complains about what it says. It is false if it could not.
func (l *loader) do(line *options.Line, e *entry) bool {
	switch n := e.value; {
	case e.opt == password:
		return true // it is no option
	case n.form == isBool && (e.opt.Kind == options.Switch || e.opt.Bare):
		return l.done(e.key, e, line.Turn(e.opt.Name, n.text == "true"))
	case n.form == isList:
		ok := true
		for _, item := range n.items {
			ok = l.one(line, e, item) && ok
		}
		return ok
	}
	return l.one(line, e, e.value)
}

func (l *loader) one(line *options.Line, e *entry, n *node) bool {
	text := n.text
	switch e.opt.Kind {
	case options.Choice:
		text = choiceText(e.opt, n)
	case options.File:
		var ok bool
		if text, ok = l.fileName(e.key.text, n, e.opt.Name == "password-file"); !ok {
			return false
		}
	}
	return l.done(n, e, line.Apply(e.opt.Name, text))
}

// done complains about what an option said of its value.
func (l *loader) done(n *node, e *entry, err error) bool {
	if err == nil {
		return true
	}
	text := err.Error()
	for _, own := range []string{"--" + e.opt.Name + ": ", e.key.text + ": "} {
		text = strings.TrimPrefix(text, own)
	}
	l.value(n, "%s: %s", e.key.text, l.inKeys(text))
	return false
}

// fileName is the name of a file on this machine: a service has no directory of its own that a name could be relative to. "" is
// none. Where env is set it may name environment variables.
func (l *loader) fileName(key string, n *node, env bool) (string, bool) {
	name, ok := n.text, true
	switch {
	case name == "-":
		l.value(n, "%s: a service has no standard input: name a file", key)
		return "", false
	case env:
		if name, ok = l.expand(key, n); !ok {
			return "", false
		}
	}
	return name, name == "" || l.absolute(key, n, name)
}

// absolute complains about a name that is relative.
func (l *loader) absolute(key string, n *node, name string) bool {
	switch {
	case filepath.IsAbs(name):
		return true
	case strings.HasPrefix(name, "~"):
		l.value(n, "%s: ~ is a shell's: write the whole path, from / on", key)
	case strings.HasPrefix(name, "${"):
		l.value(n, "%s: environment variables are read in password, password-file and the files of listen alone: write the whole path", key)
	default:
		whole := filepath.Join(filepath.Dir(n.file.name), name)
		if strings.HasSuffix(name, "/") {
			whole += "/" // it counts
		}
		l.value(n, "%s: %s is relative, and a service is in no directory of its own: write the whole path, as %s", key, quoted(name), quoted(whole))
	}
	return false
}
