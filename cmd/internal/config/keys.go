package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/logs"
	"github.com/lockstep-sync/lockstep/cmd/internal/options"
)

// where is a place in a config.
type where int

const (
	inFile where = iota
	inDefaults
	inSync
	inTarget
)

func (w where) String() string {
	return [...]string{"at the top of the file", "in defaults", "in a sync", "in a target"}[w]
}

// DefaultControl is the control socket of a service.
const DefaultControl = "/run/lockstep/control.sock"

// processKey is a key of the process that is no option of the command line.
type processKey struct {
	options.Option
	set func(*agent.Process) *string
	// byDefault is what holds where it is not given.
	byDefault string
	env       bool // it may name environment variables
}

// processKeys are those keys, and those of the log that no sync has. All other keys are options.
var processKeys = []processKey{
	{options.Option{Name: "log-format", Kind: options.Choice, Choices: logs.Formats(), About: "the form of log lines; journal under systemd, else console, if it is missing"},
		func(p *agent.Process) *string { return &p.LogFormat }, "", false},
	{options.Option{Name: "log-file", Kind: options.File, About: "write the log there, not to standard error; SIGUSR1 opens it again"},
		func(p *agent.Process) *string { return &p.LogFile }, "", false},
	{options.Option{Name: "control", Kind: options.File, About: "the socket of lockstep status and the like; none is none"},
		func(p *agent.Process) *string { return &p.Control }, DefaultControl, false},
	{options.Option{Name: "control-group", Kind: options.Text, About: "the group that may use the control socket, beside root"},
		func(p *agent.Process) *string { return &p.ControlGroup }, "", false},
	{options.Option{Name: "listen", Kind: options.Text, About: "HOST:PORT, or the path of a unix socket, for the page, metrics and the HTTP interface"},
		func(p *agent.Process) *string { return &p.Listen }, "", false},
	{options.Option{Name: "listen-cert", Kind: options.File, About: "TLS for listen: a certificate, PEM"},
		func(p *agent.Process) *string { return &p.ListenCert }, "", true},
	{options.Option{Name: "listen-key", Kind: options.File, About: "TLS for listen: its key, PEM"},
		func(p *agent.Process) *string { return &p.ListenKey }, "", true},
	{options.Option{Name: "listen-client-ca", Kind: options.File, About: "clients of listen must have a certificate that one of these has signed"},
		func(p *agent.Process) *string { return &p.ListenClientCA }, "", true},
	{options.Option{Name: "listen-token-file", Kind: options.File, About: "clients of listen must send the token that is this file's first line"},
		func(p *agent.Process) *string { return &p.ListenToken }, "", true},
}

// password is a key beside the options: a command line has no place for a secret.
var password = &options.Option{Name: "password", Kind: options.Text, Group: "password",
	About: "a daemon's password, better a variable as ${NAME}, or password-file"}

// hookKeys are the hooks of a sync.
var hookKeys = []struct{ name, about string }{
	{"on-success", "run when a push brought something over"},
	{"on-failure", "run when a target fails that did not"},
	{"on-recovered", "run when that is over"},
	{"on-delete-held", "run when deletions are held"},
	{"before-push", "run before each push; exit code 1 puts it off"},
}

func isHook(name string) bool {
	return slices.ContainsFunc(hookKeys, func(h struct{ name, about string }) bool { return h.name == name })
}

// processOption is what a key at the top of the file stands for; nil: nothing.
func (l *loader) processOption(name string) *options.Option {
	for i := range processKeys {
		if processKeys[i].Name == name {
			return &processKeys[i].Option
		}
	}
	if o := l.opts.Lookup(name); o != nil && o.Place == options.AtProcess {
		return o
	}
	return nil
}

// option is what a key in defaults, a sync or a target stands for; nil: nothing.
func (l *loader) option(name string, w where) *options.Option {
	if name == password.Name {
		return password
	}
	o := l.opts.Lookup(name)
	if o == nil || o.Place > options.AtSource || o.Place == options.AtSource && w == inTarget {
		return nil
	}
	return o
}

// names are all keys that may stand in a place.
func (l *loader) names(w where) []string {
	var names []string
	switch w {
	case inFile:
		names = append(names, "include", "defaults", "syncs")
		for i := range processKeys {
			names = append(names, processKeys[i].Name)
		}
	case inSync:
		names = append(names, "name", "source", "targets")
	case inTarget:
		names = append(names, "to")
	}
	for _, o := range l.opts.All() {
		if w == inFile && o.Place == options.AtProcess && !slices.Contains(names, o.Name) || w != inFile && l.option(o.Name, w) != nil {
			names = append(names, o.Name)
		}
	}
	if w != inFile {
		names = append(names, password.Name)
	}
	if w == inDefaults || w == inSync {
		for _, h := range hookKeys {
			names = append(names, h.name)
		}
	}
	return names
}

// unknown complains about a key that does not belong where it stands, and says where it does.
func (l *loader) unknown(key *node, w where) {
	why, near := l.whyNot(key.text, w)
	e := l.form(key, "%s", why)
	e.Near = near
}

func (l *loader) whyNot(name string, w where) (why string, near []string) {
	o := l.opts.Lookup(name)
	bare, negated := strings.CutPrefix(name, "no-")
	switch {
	case o != nil && o.Place == options.OnLine:
		return fmt.Sprintf("%s is for the command line alone: %s", name, o.Why), nil
	case l.processOption(name) != nil:
		return fmt.Sprintf("%s is the whole process's: it stands at the top of the file, not %v", name, w), nil
	case o != nil && w == inFile, isHook(name) && w == inFile, name == password.Name && w == inFile:
		return fmt.Sprintf("%s stands in defaults, or in a sync, not %v", name, w), nil
	case o != nil:
		return fmt.Sprintf("%s is the source's, which is one for all targets: it stands in the sync, not %v", name, w), nil
	case isHook(name):
		return fmt.Sprintf("%s is the sync's: it stands in it, or in defaults, not %v", name, w), nil
	case negated && l.meant(bare) != nil:
		bare = l.meant(bare).Name
		return fmt.Sprintf("%s is written %s: false", quoted(name), bare), []string{bare}
	case strings.HasPrefix(name, "-"):
		if o := l.meant(strings.TrimLeft(name, "-")); o != nil {
			return fmt.Sprintf("unknown key %s: a key has no dashes before it: did you mean %s?", quoted(name), o.Name), []string{o.Name}
		}
	case len(name) == 1 && l.meant(name) != nil:
		o := l.meant(name)
		return fmt.Sprintf("unknown key %s: a key is the long name of an option: did you mean %s?", quoted(name), o.Name), []string{o.Name}
	case name == "F":
		return "unknown key \"F\": it is written filter: 'dir-merge /.rsync-filter'", []string{"filter"}
	case name == "D":
		return "unknown key \"D\": it is written devices and specials", []string{"devices", "specials"}
	case slices.Contains([]string{"name", "source", "targets"}, name):
		return fmt.Sprintf("%s stands in a sync, not %v", name, w), nil
	case name == "to":
		return fmt.Sprintf("to stands in a target, not %v", w), nil
	case slices.Contains([]string{"include", "defaults", "syncs"}, name) && w != inFile:
		return fmt.Sprintf("%s stands at the top of the file, not %v", name, w), nil
	}
	if near = options.Nearest(name, l.names(w)); len(near) > 0 {
		return fmt.Sprintf("unknown key %s: did you mean %s?", quoted(name), strings.Join(near, " or ")), near
	}
	if why, ok := options.RsyncOption("--" + name); ok {
		return fmt.Sprintf("option %s of rsync is not supported by this version of lockstep: %s", name, why), nil
	}
	return fmt.Sprintf("unknown key %s: docs/config.md lists those that there are", quoted(name)), nil
}

// meant is the option of a letter or a long name.
func (l *loader) meant(name string) *options.Option {
	o := l.opts.Lookup(name)
	if o == nil && len(name) == 1 {
		o = l.opts.Letter(name)
	}
	if o == nil || o.Name == "" {
		return nil
	}
	return o
}
