package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/lockstep-sync/lockstep/cmd/internal/options"
	"github.com/lockstep-sync/lockstep/watcher"
)

// eventsOptions is the command line of lockstep events.
type eventsOptions struct {
	paths, without []string // to watch, and those given with @ before them

	monitor, recursive, noDereference bool
	quiet                             int
	ops                               watcher.Op // 0: all
	timeout                           time.Duration
	filter                            eventFilter

	format, timefmt       string
	hasFormat, hasTimefmt bool
	noNewline, json, csv  bool
	outfile               string

	summary, zero, verbose, ascending bool
	sortBy                            string // "" for total

	help bool
}

const opsAll = watcher.OpOverflow - 1

// eventNames are the words for -e, in the order of inotifywatch's columns.
var eventNames = []struct {
	name string
	op   watcher.Op
}{
	{"access", watcher.OpAccess}, {"modify", watcher.OpModify}, {"attrib", watcher.OpAttrib},
	{"close_write", watcher.OpCloseWrite}, {"close_nowrite", watcher.OpCloseNoWrite}, {"open", watcher.OpOpen},
	{"moved_from", watcher.OpMovedFrom}, {"moved_to", watcher.OpMovedTo}, {"move_self", watcher.OpMoveSelf},
	{"create", watcher.OpCreate}, {"delete", watcher.OpDelete}, {"delete_self", watcher.OpDeleteSelf},
	{"unmount", watcher.OpUnmount},
	// Not columns:
	{"close", watcher.OpCloseWrite | watcher.OpCloseNoWrite}, {"move", watcher.OpMovedFrom | watcher.OpMovedTo},
	{"all_events", opsAll},
}

const eventColumns = 13

func eventNamed(name string) (watcher.Op, error) {
	for _, e := range eventNames {
		if strings.EqualFold(e.name, name) {
			return e.op, nil
		}
	}
	return 0, fmt.Errorf("%q is no event", name)
}

func (o *eventsOptions) wanted() watcher.Op {
	if o.ops == 0 {
		return opsAll
	}
	return o.ops
}

// saysSummary looks ahead: -d is another option then.
func saysSummary(args []string) bool {
	end := slices.Index(args, "--")
	if end < 0 {
		end = len(args)
	}
	return slices.Contains(args[:end], "--summary")
}

func (o *eventsOptions) parse(args []string) error {
	l := options.NewVerb()
	o.summary = saysSummary(args)
	o.addTo(l)
	abbreviate(l.Flags())
	if err := l.Parse(args); err != nil {
		return err
	}
	if o.help {
		return nil
	}
	for _, arg := range l.Args() {
		o.path(arg)
	}
	return errors.Join(append(o.conflicts(), o.none())...)
}

// path takes a PATH or @PATH.
func (o *eventsOptions) path(arg string) {
	if without, ok := strings.CutPrefix(arg, "@"); ok {
		o.without = append(o.without, without)
		return
	}
	o.paths = append(o.paths, arg)
}

func (o *eventsOptions) none() error {
	if len(o.paths) == 0 {
		return errors.New("a directory or a file is needed: lockstep events [OPTION…] PATH…")
	}
	return nil
}

func (o *eventsOptions) addTo(l *options.Line) {
	l.Set("help", "h", &o.help)
	l.On("summary", "", func() {})
	l.Set("recursive", "r", &o.recursive)
	l.Set("no-dereference", "P", &o.noDereference)
	l.On("quiet", "q", func() { o.quiet++ })
	l.Val("event", "e", o.addEvents)
	l.Val("timeout", "t", o.setTimeout)
	l.Val("fromfile", "", o.fromFile)
	for _, kind := range []string{"exclude", "excludei", "include", "includei"} {
		l.Val(kind, "", func(v string) error { return o.filter.set(kind, v) })
	}
	if o.summary {
		l.Set("zero", "z", &o.zero)
		l.Set("verbose", "v", &o.verbose)
		l.Val("ascending", "a", func(v string) error { return o.sort(v, true) })
		l.Val("descending", "d", func(v string) error { return o.sort(v, false) })
		return
	}
	l.Set("monitor", "m", &o.monitor)
	l.Set("csv", "c", &o.csv)
	l.Set("json", "", &o.json)
	l.Set("no-newline", "", &o.noNewline)
	l.Val("format", "", func(v string) error { o.format, o.hasFormat = v, true; return nil })
	l.Val("timefmt", "", func(v string) error { o.timefmt, o.hasTimefmt = v, true; return nil })
	l.Text("outfile", "o", &o.outfile)
	l.Try("daemon", "d", func() error {
		return errors.New("lockstep does not go into the background by itself: write & behind the line, or let systemd run it")
	})
	l.Try("syslog", "s", func() error { return errors.New("there is no such thing here: write 2>&1 | logger behind the line") })
}

// abbreviate lets long options be cut short where that leaves no doubt, as getopt_long(3) does.
func abbreviate(fs *pflag.FlagSet) {
	var names []string
	fs.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	fs.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		var hits []string
		for _, n := range names {
			if n == name {
				return pflag.NormalizedName(name)
			}
			if strings.HasPrefix(n, name) {
				hits = append(hits, n)
			}
		}
		if len(hits) == 1 {
			name = hits[0]
		}
		return pflag.NormalizedName(name)
	})
}

func (o *eventsOptions) addEvents(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		if name == "" {
			continue // as for inotifywait: -e "$EVENTS" with none is all
		}
		op, err := eventNamed(name)
		if err != nil {
			return err
		}
		o.ops |= op
	}
	return nil
}

func (o *eventsOptions) setTimeout(v string) error {
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return fmt.Errorf("%q is no number of seconds", v)
	}
	o.timeout = time.Duration(max(n, 0)) * time.Second // inotifywait takes a negative one for none
	return nil
}

func (o *eventsOptions) sort(event string, ascending bool) error {
	if o.sortBy != "" {
		return errors.New("the table can be sorted once: give one of --ascending and --descending")
	}
	o.sortBy, o.ascending = strings.ToLower(event), ascending
	if o.sortBy == "total" {
		return nil
	}
	op, err := eventNamed(event)
	if err == nil && op&(op-1) != 0 {
		return fmt.Errorf("%q is more than one event", event)
	}
	return err
}

// fromFile reads a list of paths.
func (o *eventsOptions) fromFile(name string) error {
	in := io.Reader(os.Stdin)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return options.Unreadable(name, err)
		}
		defer f.Close()
		in = f
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if text := lines.Text(); text != "" {
			o.path(text)
		}
	}
	if err := lines.Err(); err != nil {
		return options.Unreadable(name, err)
	}
	return nil
}

func (o *eventsOptions) conflicts() (errs []error) {
	check := func(wrong bool, text string) {
		if wrong {
			errs = append(errs, errors.New(text))
		}
	}
	check(o.csv && o.hasFormat, "--csv and --format exclude one another")
	check(o.json && (o.csv || o.hasFormat), "--json excludes --csv and --format")
	check(o.noNewline && !o.hasFormat, "--no-newline needs --format")
	check(o.hasTimefmt && !o.hasFormat, "--timefmt needs --format")
	check(o.hasFormat && !o.hasTimefmt && formatHasTime(o.format), "%T in --format needs --timefmt")
	check(slices.Contains(o.paths, ""), "a path is empty")
	if o.hasTimefmt {
		if err := checkTime(o.timefmt); err != nil {
			errs = append(errs, fmt.Errorf("--timefmt: %w", err))
		}
	}
	if op, err := eventNamed(o.sortBy); err == nil && op&o.wanted() == 0 {
		errs = append(errs, fmt.Errorf("the table cannot be sorted by %s, which --event does not ask for", o.sortBy))
	}
	return errs
}

// eventFilter is --exclude or --include.
type eventFilter struct {
	kind    string // the option, "" for none
	re      *regexp.Regexp
	include bool
	prefix  bool // what matches a directory matches all below it
}

func (f *eventFilter) set(kind, text string) error {
	include := strings.HasPrefix(kind, "include")
	if f.kind != "" && f.kind != kind {
		return fmt.Errorf("--%s was given before: there is one such expression", f.kind)
	}
	if strings.Contains(text, "{,") {
		return errors.New(`write {0,n} for {,n}`) // which Go takes literally
	}
	flags := syntax.ClassNL | syntax.DotNL | syntax.OneLine
	if strings.HasSuffix(kind, "i") {
		flags |= syntax.FoldCase
	}
	tree, err := syntax.Parse(text, flags)
	if err != nil {
		tree, err = syntax.Parse(text, flags|syntax.PerlX) // \w, \s and \b are GNU's too
	}
	if err != nil {
		return fmt.Errorf("regular expression: %w", err)
	}
	re, err := regexp.Compile(tree.String())
	if err != nil {
		return fmt.Errorf("regular expression: %w", err)
	}
	*f = eventFilter{kind, re, include, !include && !looksAhead(tree)}
	return nil
}

// looksAhead reports that whether a match ends somewhere depends on what follows.
func looksAhead(tree *syntax.Regexp) bool {
	switch tree.Op {
	case syntax.OpEndLine, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return slices.ContainsFunc(tree.Sub, looksAhead)
}

func (f *eventFilter) wants(path string) bool {
	return f.re == nil || f.re.MatchString(path) == f.include
}

// wantsNoneBelow reports that a directory needs no watch.
func (f *eventFilter) wantsNoneBelow(dir string) bool {
	return f.prefix && f.re.MatchString(dir)
}
