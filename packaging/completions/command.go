package main

import (
	"os/exec"
	"slices"
	"strings"

	"github.com/lockstep-sync/lockstep/packaging/internal/helptext"
)

// command is the program, or a verb of it.
type command struct {
	name    string // "" is the program itself
	what    string
	options []option
	args    kind
}

// option is one as it is typed: "long" may be "", or "short" may.
type option struct {
	long, short string
	takes       kind
	optional    bool     // it may stand without the value
	words       []string // to choose from, where takes is choice
	what        string
}

// kind is what a value may be.
type kind int

const (
	nothing kind = iota // the option takes no value
	any                 // it takes one, of which nothing is known
	choice
	file
	directory
	program
	user
	place // a local path, or one on another host
)

// kinds are those of placeholders; any other is any.
var kinds = map[string]kind{
	"FILE": file, "F": file, "SOCKET": file, "DIR": directory, "PROG": program, "COMMAND": program, "NAME": user,
	"DST": place,
}

// choices are the values of options that take one of a few words.
var choices = map[string][]string{
	"watch-backend":   {"inotify", "fanotify", "auto"},
	"index":           {"off"},
	"confine":         {"auto", "strict", "off"},
	"log-level":       {"debug", "info", "warn", "error"},
	"log-format":      {"console", "json", "journal"},
	"compress-choice": {"zstd", "lz4", "zlibx", "zlib", "none"},
	"event":           append(single, "close", "move", "all_events"),
	"ascending":       append(single, "total"),
	"descending":      append(single, "total"),
}

// single are the events of inotifywait that do not stand for several.
var single = []string{"access", "modify", "attrib", "close_write", "close_nowrite", "open", "moved_to", "moved_from",
	"move_self", "create", "delete", "delete_self", "unmount"}

// takesAll are the verbs that take the options of a push, too.
var takesAll = map[string]bool{"check-path": true}

// commands are those of the program, which comes first itself; no are the --no- forms of its options.
func commands(lockstep string) (all []command, no []option, err error) {
	pages, err := helptext.Read(lockstep)
	if err != nil {
		return nil, nil, err
	}
	all = []command{{options: options(pages[0], nil), args: place}}
	no = ask(lockstep, all)
	for _, p := range pages[1:] {
		for _, name := range p.Names {
			c := command{name: name, what: about(p, name), options: optionsOf(p, name, all[0].options), args: arguments(p)}
			if takesAll[name] {
				c.options = merged(c.options, slices.DeleteFunc(slices.Clone(all[0].options), func(o option) bool { return o.long == "version" }))
			}
			all = append(all, c)
		}
	}
	return all, no, nil
}

// optionsOf are those of one of the verbs that share a page: what a line of usage shows is for those whose line
// shows it, and the rest is for all of them.
func optionsOf(p *helptext.Page, name string, push []option) []option {
	own, others := map[string]bool{}, map[string]bool{}
	for _, u := range p.Usage {
		shown := others
		if strings.HasPrefix(u.Code+" ", "lockstep "+name+" ") {
			shown = own
		}
		for _, o := range helptext.Options(u.Code) {
			o, _, _ = strings.Cut(o, "=")
			shown[o] = true
		}
	}
	return slices.DeleteFunc(options(p, push), func(o option) bool {
		return others["--"+o.long] && !own["--"+o.long]
	})
}

// about is what a verb does: what the line of usage says of it, or the title.
func about(p *helptext.Page, name string) string {
	for _, u := range p.Usage {
		if strings.HasPrefix(u.Code+" ", "lockstep "+name+" ") && u.Remark != "" {
			return u.Remark
		}
	}
	return p.What()
}

// arguments says what the arguments of a verb are, by the placeholders in its usage.
func arguments(p *helptext.Page) kind {
	for _, u := range p.Usage {
		switch {
		case strings.Contains(u.Code, "PATH"), strings.Contains(u.Code, "FILE"), strings.Contains(u.Code, "SRC"):
			return file
		case strings.Contains(u.Code, "DIR"):
			return directory
		}
	}
	return nothing
}

// options are those of a page. What is told of in an entry of its own counts more than what a text mentions, and
// what a verb's text mentions of those of a push is not the verb's, as "each lockstep --watch".
func options(p *helptext.Page, push []option) []option {
	var own, mentioned []option
	for _, s := range p.Sections {
		if strings.HasPrefix(s.Title, "Exit codes") {
			continue
		}
		for _, whole := range s.Items {
			for _, item := range whole.Apart() {
				own = merged(own, paired(helptext.Options(item.Tag), item.Text))
				if item.Tag != "" {
					mentioned = append(mentioned, paired(helptext.Options(item.Text), item.Text)...)
				}
			}
		}
	}
	mentioned = slices.DeleteFunc(mentioned, func(o option) bool {
		return slices.ContainsFunc(push, func(x option) bool { return x.long == o.long && x.short == o.short })
	})
	return merged(own, mentioned)
}

// paired makes options of names: a short one in front of a long one is the same.
func paired(names []string, what string) []option {
	var all []option
	short := ""
	for _, name := range names {
		long, isLong := strings.CutPrefix(name, "--")
		if !isLong {
			if short != "" {
				all = append(all, option{short: short, what: what})
			}
			short = name[1:]
			continue
		}
		long, value, valued := strings.Cut(long, "=")
		o := option{long: long, short: short, what: what}
		if valued {
			o.takes = any
			if k, ok := kinds[value]; ok {
				o.takes = k
			}
			if o.words = choices[long]; o.words != nil {
				o.takes = choice
			}
		}
		all, short = append(all, o), ""
	}
	if short != "" {
		all = append(all, option{short: short, what: what})
	}
	return all
}

// merged adds the options of more whose names are new. Of one that is told of with a value and without, the value
// counts.
func merged(all, more []option) []option {
	all = slices.Clone(all)
	for _, o := range more {
		i := slices.IndexFunc(all, func(x option) bool { return o.long != "" && x.long == o.long })
		if i >= 0 && all[i].takes == nothing {
			all[i].takes, all[i].words = o.takes, o.words
		}
		if slices.ContainsFunc(all, func(x option) bool { return x.short == o.short }) {
			o.short = ""
		}
		if i < 0 && o.long+o.short != "" {
			all = append(all, o)
		}
	}
	return all
}

// ask finds out about the options of the program what the help leaves out: which of those with a value may stand
// without it, as they do where --help behind them is an option and not their value; and which have a --no- form.
func ask(lockstep string, all []command) (no []option) {
	helped := func(args ...string) bool { return exec.Command(lockstep, append(args, "--help")...).Run() == nil }
	for i, o := range all[0].options {
		if o.takes != nothing {
			all[0].options[i].optional = helped("--" + o.long)
		}
		if o.long != "" && !strings.HasPrefix(o.long, "no-") && helped("--no-"+o.long) {
			no = append(no, option{long: "no-" + o.long, what: "not --" + o.long})
		}
	}
	slices.SortFunc(no, func(a, b option) int { return strings.Compare(a.long, b.long) })
	return no
}

// short is a description that fits beside an option: its first clause, and no more than 60 characters.
func short(what string) string {
	for _, end := range []string{"; ", " (default", ". "} {
		if i := strings.Index(what, end); i > 0 {
			what = what[:i]
		}
	}
	r := []rune(what)
	if len(r) <= 60 {
		return what
	}
	cut := string(r[:60])
	if i := strings.LastIndex(cut, " "); i > 0 {
		cut = cut[:i]
	}
	return strings.TrimRight(cut, " ,:(") + "…"
}
