package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/options"
)

// DefaultFile is the config of a service where none is named.
const DefaultFile = "/etc/lockstep/lockstep.yaml"

// Config is what a config file says.
type Config struct {
	File     string
	Files    []string // File and what it includes, in the order in which they were read
	Process  agent.Process
	Syncs    []agent.SyncConfig
	Warnings []string // what an operator should know, although it can run
	// Secrets are the environment variables that passwords were taken from: no child should see them.
	Secrets []string

	process []*entry
	syncs   []*sync // as Syncs
	env     func(string) (string, bool)
}

// Load reads a config file. The error is *Errors unless the file cannot be read at all.
func Load(file string) (*Config, error) { return LoadEnv(file, os.LookupEnv) }

// LoadEnv is Load with an environment of its own, for who has wiped that of the process.
func LoadEnv(file string, env func(string) (string, bool)) (*Config, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	l := newLoader(env)
	l.root = abs
	l.file(abs, nil)
	return l.config()
}

// loader is a config while it is read.
type loader struct {
	problems
	env  func(string) (string, bool)
	opts *options.Line // to look options up; it sets nothing that counts

	root     string
	files    []string
	reading  []string // files that are being read, one included by the one before
	process  []*entry
	defaults level
	syncs    []*sync
	warnings []string
	secrets  []string
}

func newLoader(env func(string) (string, bool)) *loader {
	s := agent.Defaults()
	return &loader{env: env, opts: options.New(&s)}
}

// file reads a file. by is where it was included, nil for the first one.
func (l *loader) file(name string, by *node) {
	refuse := func(format string, args ...any) {
		n := by
		if n == nil {
			n = (&file{name: name}).whole()
		}
		l.value(n, format, args...)
	}
	switch {
	case slices.Contains(l.reading, name):
		refuse("%s includes itself: %s", quoted(name), strings.Join(append(l.reading, name), " includes "))
		return
	case slices.Contains(l.files, name):
		refuse("%s is included twice", quoted(name))
		return
	case len(l.files) >= maxFiles:
		refuse("more than %d files are included", maxFiles)
		return
	}
	f, text, err := open(name, by != nil)
	if err != nil {
		if by == nil && errors.Is(err, fs.ErrNotExist) {
			err = errors.New("there is no such file: lockstep agent -c FILE names another, examples/lockstep.yaml is one to begin with")
		}
		refuse("read %s: %v", quoted(name), err)
		return
	}
	l.files = append(l.files, name)
	l.reading = append(l.reading, name)
	defer func() { l.reading = l.reading[:len(l.reading)-1] }()
	if f.mode.IsRegular() && f.mode.Perm()&0o022 != 0 {
		l.warnings = append(l.warnings, fmt.Sprintf("%s: others than its owner can write this file, and with it choose what is run: chmod go-w it", Printable(name)))
	}
	before := len(l.list)
	n := read(f, text, &l.problems)
	switch {
	case n == nil && len(l.list) == before && by == nil:
		l.form(f.at(1, 1), "the file is empty: it wants at least syncs:, a list of what is kept in step with what")
	case n == nil || n.form == isBad:
	case n.form != isMap:
		l.form(n, "this is %v: a config is a map of keys, and wants at least syncs:", n.form)
	default:
		l.top(n, by == nil)
	}
}

// top reads the keys of a file; those of one that is included are few.
func (l *loader) top(n *node, first bool) {
	for _, p := range n.pairs {
		switch key := p.key.text; {
		case key == "include", key == "syncs":
		case !first && l.knownAtTop(key):
			l.form(p.key, "%s stands in %s alone: a file that is included has syncs", key, quoted(l.root))
		case key == "defaults":
			l.defaults = *l.level(p.value, inDefaults)
		case l.processOption(key) != nil:
			if e := l.entry(l.process, p, l.processOption(key)); e != nil {
				l.process = append(l.process, e)
			}
		default:
			l.unknown(p.key, inFile)
		}
	}
	if p := n.find("syncs"); p != nil {
		l.syncList(p.value)
	} else if first && n.find("include") == nil {
		l.form(n.file.at(1, 1), "syncs: is missing: a list of what is kept in step with what, each with source and targets")
	}
	if p := n.find("include"); p != nil {
		l.include(p.value)
	}
}

func (l *loader) knownAtTop(key string) bool {
	return key == "defaults" || l.processOption(key) != nil
}

// include reads the files that patterns name, relative to the file in which they stand.
func (l *loader) include(n *node) {
	for _, item := range l.texts(n, "include", "the name of a file, or a pattern as conf.d/*.yaml") {
		pattern := item.text
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(item.file.name), pattern)
		}
		if !strings.ContainsAny(pattern, `*?[\`) {
			l.file(filepath.Clean(pattern), item)
			continue
		}
		names, err := filepath.Glob(pattern)
		if err != nil {
			l.value(item, "%s is no pattern: %v", quoted(item.text), err)
		}
		for _, name := range names { // in order; of a pattern that matches nothing there are none
			l.file(name, item)
		}
	}
}

// texts are the texts of one or a list of them.
func (l *loader) texts(n *node, key, wanted string) []*node {
	items := []*node{n}
	if n.form == isList {
		items = n.items
	}
	var texts []*node
	for _, item := range items {
		switch {
		case item.form == isBad:
		case item.form == isText && item.text == "":
			l.form(item, "%s: it is empty: it wants %s", key, wanted)
		case item.form != isText && item.form != isNumber:
			l.form(item, "%s: this is %v: it wants %s", key, item.form, wanted)
		default:
			texts = append(texts, item)
		}
	}
	return texts
}
