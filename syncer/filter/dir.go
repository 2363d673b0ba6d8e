package filter

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const (
	// maxDirMerges bounds the per-directory files that are looked for in one directory: each is an
	// open(2) for each directory, and a file may name further ones.
	maxDirMerges = 64
	// maxDirFile bounds a file of rules in a directory, which may be any file of that name.
	maxDirFile = 1 << 20
)

// Side is whose rules decide.
type Side uint8

const (
	Sender   Side = iota // what is sent
	Receiver             // what is kept
)

// counts says whether r is a rule of the side.
func (s Side) counts(r *rule) bool {
	switch {
	case r.anySide:
		return true
	case s == Receiver:
		return r.onReceiver()
	}
	return r.onSender()
}

// Opener opens a file of rules: name is relative to the tree's root, or absolute for what lies
// elsewhere. fs.ErrNotExist says that there is none.
type Opener func(name string) (io.ReadCloser, error)

// Dir is the rules in force for the names in one directory: those of a List with what the
// per-directory files say in their place. It is immutable and safe for concurrent use.
type Dir struct {
	list    *List
	side    Side
	entered bool     // it is of a directory, not what is in force above the first one
	merges  []*merge // looked for in each directory below, in the order in which they were met
	held    [][]*rule
	rules   []*rule // the side's, in the order in which they are asked
}

// base is the rules before any directory was entered.
func base(l *List, side Side) *Dir {
	d := &Dir{list: l, side: side}
	if l == nil {
		d.list = &List{}
	}
	for _, r := range d.list.rules {
		if r.merge != nil { // of either side, as in rsync: that they cannot be read is an error
			d.merges = append(d.merges, r.merge)
		}
	}
	d.held = make([][]*rule, len(d.merges))
	d.rules = d.flatten(nil, d.list.rules)
	return d
}

// flatten appends the side's rules to to, those of per-directory files where their rule stands.
func (d *Dir) flatten(to, rules []*rule) []*rule {
	for _, r := range rules {
		switch {
		case r.merge != nil:
			if i := slices.Index(d.merges, r.merge); i >= 0 {
				to = d.flatten(to, d.held[i])
			}
		case !r.xattr && d.side.counts(r):
			to = append(to, r)
		}
	}
	return to
}

// Excluded reports whether the directory's rules leave out p, a path directly in it.
func (d *Dir) Excluded(p string, isDir bool) bool {
	return firstMatchExcludes(d.rules, d.list.root, p, isDir, false)
}

// Pinned is Excluded without perishable rules; see List.Pinned.
func (d *Dir) Pinned(p string, isDir bool) bool {
	return firstMatchExcludes(d.rules, d.list.root, p, isDir, true)
}

// Decision is which rule decides about a path.
type Decision struct {
	Excluded bool
	Rule     string // as it was written; "": none matches
	Source   string // an option, or a file and line
}

// Decide tells what decides about p, a path directly in the directory.
func (d *Dir) Decide(p string, isDir bool) Decision {
	r := firstMatch(d.rules, d.list.root, p, isDir, false)
	if r == nil {
		return Decision{}
	}
	return Decision{Excluded: !r.include, Rule: r.text, Source: r.from.String()}
}

// looksFor says whether name is what a per-directory file is called here.
func (d *Dir) looksFor(base string) bool {
	return slices.ContainsFunc(d.merges, func(m *merge) bool { return m.base == base })
}

// enter gives the rules for the names in the directory dir, d being those it is itself subject to:
// rsync 3.5.0 exclude.c, push_local_filters. included are the files that were merged by per-directory
// ones, also where it fails.
func (d *Dir) enter(dir string, open Opener) (in *Dir, included []string, err error) {
	e := entering{
		Dir:  &Dir{list: d.list, side: d.side, entered: true, merges: slices.Clone(d.merges), held: slices.Clone(d.held)},
		open: open, path: d.list.root + dir, changed: !d.entered,
	}
	if dir == "." {
		e.path = strings.TrimSuffix(d.list.root, "/")
	}
	for i := 0; i < len(e.merges); i++ { // more may come
		isNew := !d.entered || i >= len(d.merges)
		if err := e.one(i, isNew); err != nil {
			return nil, e.included, err
		}
	}
	if !e.changed {
		return d, e.included, nil
	}
	e.rules = e.flatten(nil, e.list.rules)
	return e.Dir, e.included, nil
}

// entering is a Dir while it is made.
type entering struct {
	*Dir
	open     Opener
	path     string // of the directory: absolute, without slashes at its ends
	changed  bool
	included []string
}

// one looks for the file of the merge i.
func (e *entering) one(i int, isNew bool) error {
	m := e.merges[i]
	if m.noInherit && len(e.held[i]) > 0 {
		e.held[i], e.changed = nil, true
	}
	if isNew && !m.noInherit {
		for _, above := range m.above(e.path) {
			if err := e.read(i, above, true); err != nil {
				return err
			}
		}
	}
	return e.read(i, e.path, false)
}

// above are the directories between the one that a rule's name begins in and dir, that included and
// dir not, if it is a parent of dir: rsync 3.5.0 exclude.c, setup_merge_file.
func (m *merge) above(dir string) []string {
	if !strings.Contains(m.name, "/") {
		return nil
	}
	from := strings.TrimPrefix(path.Dir(path.Clean(joinAbs(dir, m.name))), "/")
	if from == dir || from != "" && !strings.HasPrefix(dir, from+"/") {
		return nil
	}
	dirs := []string{from}
	for i := len(from) + 1; i < len(dir); i++ {
		if dir[i] == '/' {
			dirs = append(dirs, dir[:i])
		}
	}
	return dirs
}

// joinAbs is the absolute path of name, which may be relative to dir.
func joinAbs(dir, name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join("/", dir, name)
}

// read puts what the file of the merge i in dir says before what is held already.
func (e *entering) read(i int, dir string, scan bool) error {
	m := e.merges[i]
	if m.base == "" || m.base == "." || m.base == ".." {
		return nil // directories
	}
	r := dirReading{entering: e, dir: dir, scan: scan}
	name := joinAbs(dir, m.base)
	file, err := e.open(r.relative(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read filter rules from %q: %w", name, err)
	}
	defer file.Close() // opened for reading: nothing can be lost
	b := Builder{Open: func(name string) (io.ReadCloser, error) { return limitedOpen(e.open, name) }, Zeroes: e.list.zeroes, dir: &r}
	t := m.inner
	t.anchor, t.anchors = strings.TrimSuffix("/"+dir, "/"), true
	if err := b.readFile(limited(file), name, t, 0); err != nil {
		return err
	}
	return e.take(i, &b)
}

// take is what b read for the merge i.
func (e *entering) take(i int, b *Builder) error {
	if len(b.rules) == 0 && !b.dir.cleared {
		return nil
	}
	e.changed = true
	own := b.rules
	for j, r := range own {
		if e.list.sendsOnly && !r.self { // rsync 3.5.0 exclude.c, parse_rule_tok: not for what "e" adds
			own[j] = r.sendsOnly()
		}
		if r.merge != nil && e.side.counts(r) {
			e.merges, e.held = append(e.merges, r.merge), append(e.held, nil)
		}
	}
	if len(e.merges) > maxDirMerges {
		return fmt.Errorf("%s: %w", b.rules[len(b.rules)-1].from,
			syntaxf("more than %d per-directory rule files are looked for; do they name one another?", maxDirMerges))
	}
	if !b.dir.cleared {
		own = append(own, e.held[i]...)
	}
	e.held[i] = own
	return nil
}

// dirReading is what a Builder must know while it reads a per-directory file.
type dirReading struct {
	*entering
	dir     string // where the file is: absolute, without slashes at its ends
	scan    bool   // it lies above the first directory of the transfer
	cleared bool   // "!" was read: what is inherited does not count
}

// resolve is the absolute path of a file that the per-directory file names.
func (r *dirReading) resolve(name string) string { return joinAbs(r.dir, name) }

// include notes a file that the per-directory one merges, and returns its name for an Opener. As in
// rsync a name without a slash is one in the transfer's root, unless it is read above the transfer.
func (r *dirReading) include(name string) string {
	if r.scan || strings.Contains(name, "/") {
		name = r.relative(r.resolve(name))
	}
	r.included = append(r.included, name)
	return name
}

// relative is an absolute path relative to the root, if it lies below it.
func (r *dirReading) relative(name string) string {
	if rest, ok := strings.CutPrefix(name, "/"+r.list.root); ok && rest != "" {
		return rest
	}
	return name
}

// absolute is the other way round.
func (r *dirReading) absolute(name string) string { return joinAbs(r.list.root, name) }

func limitedOpen(open Opener, name string) (io.ReadCloser, error) {
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	return limitedFile{limited(file), file}, nil
}

type limitedFile struct {
	io.Reader
	io.Closer
}

// limited reads up to maxDirFile bytes; more are an error.
func limited(r io.Reader) io.Reader { return &limit{r: r, left: maxDirFile} }

type limit struct {
	r    io.Reader
	left int
}

func (l *limit) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	if l.left -= n; l.left < 0 {
		return 0, syntaxf("larger than %d bytes; is this a file of filter rules?", maxDirFile)
	}
	return n, err
}
