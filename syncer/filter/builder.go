package filter

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

const (
	// maxMergeDepth is how deep merge files may nest: rsync 3.5.0 exclude.c, MAX_MERGE_DEPTH.
	maxMergeDepth = 32
	// maxMergeFiles bounds what files that merge one another can add up to.
	maxMergeFiles = 1000
	// maxLine bounds one line of a rule file. A file of words may be a single long line.
	maxLine = 1 << 20
)

// Builder reads rules in the order of the command line. The zero value is ready to use. After an error
// it is as it was before the call. It is not safe for concurrent use.
type Builder struct {
	// Open opens a merge file. If it is nil, names are those of the file system, relative ones to the
	// working directory, and "-" is standard input.
	Open func(name string) (io.ReadCloser, error)
	// Zeroes says that rules in files end at a NUL, not at a line's end (rsync(1), --from0). It
	// counts for the files that are read while it is set.
	Zeroes bool

	rules      []*rule
	looked     []string // what the dir-merge rules among them look for: as rules, appended to or dropped
	mergeFiles int
	dir        *dirReading // set where a per-directory file is read
}

// Exclude adds the pattern of one --exclude, which as in rsync may also be "- PATTERN", "+ PATTERN", or
// "!" to clear the list. An empty pattern adds nothing.
func (b *Builder) Exclude(pattern string) error {
	return b.addArg("--exclude", pattern, template{dialect: dialectPatterns})
}

// Include adds the pattern of one --include; see Exclude.
func (b *Builder) Include(pattern string) error {
	return b.addArg("--include", pattern, template{dialect: dialectPatterns, flags: flags{include: true}})
}

// Filter adds one rule of --filter. A merge rule reads its file at once.
func (b *Builder) Filter(rule string) error {
	return b.addArg("--filter", rule, template{})
}

// ExcludeFrom adds what --exclude-from reads: a pattern a line as Exclude takes it, without empty lines
// and those that begin with ";" or "#". name is for messages.
func (b *Builder) ExcludeFrom(r io.Reader, name string) error {
	return b.addFile(r, name, template{dialect: dialectPatterns})
}

// IncludeFrom adds what --include-from reads; see ExcludeFrom.
func (b *Builder) IncludeFrom(r io.Reader, name string) error {
	return b.addFile(r, name, template{dialect: dialectPatterns, flags: flags{include: true}})
}

// With returns the rules with further ones behind them, each as Builder.Filter takes it.
func (l *List) With(rules ...string) (*List, error) {
	if len(rules) == 0 {
		return l, nil
	}
	var b Builder
	root := ""
	if l != nil {
		b.rules, root, b.Zeroes = slices.Clone(l.rules), l.root, l.zeroes
		for _, r := range l.rules {
			if r.merge != nil {
				b.looked = append(b.looked, r.merge.base)
			}
		}
	}
	for _, r := range rules {
		if err := b.Filter(r); err != nil {
			return nil, err
		}
	}
	return b.list(b.rules, root), nil
}

// Behind returns the rules behind others, each as Builder.Filter takes it: those have the first word.
func (l *List) Behind(rules ...string) (*List, error) {
	if len(rules) == 0 {
		return l, nil
	}
	var b Builder
	for _, r := range rules {
		if err := b.Filter(r); err != nil {
			return nil, err
		}
	}
	if l == nil {
		return b.list(b.rules, ""), nil
	}
	b.Zeroes = l.zeroes
	return b.list(append(b.rules, l.rules...), l.root), nil
}

// Literal is a pattern that matches name alone, wherever the pattern's other parts put it: wildcards in it
// are none. As in rsync a backslash escapes only where there are wildcards.
func Literal(name string) string {
	if !strings.ContainsAny(name, "*?[") {
		return name
	}
	return strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`).Replace(name)
}

// Build returns the rules read so far. The Builder can go on.
func (b *Builder) Build() *List { return b.list(slices.Clone(b.rules), "") }

func (b *Builder) list(rules []*rule, root string) *List {
	l := newList(rules, root)
	l.zeroes = b.Zeroes
	return l
}

func (b *Builder) addArg(option, text string, t template) error {
	return b.undoable(func() error { return b.addText(text, t, origin{name: option}, 0) })
}

func (b *Builder) addFile(r io.Reader, name string, t template) error {
	return b.undoable(func() error { return b.readFile(r, name, t, 0) })
}

// undoable takes back what add did if it fails. Rules are only appended or dropped, so the old slice
// still holds the old rules.
func (b *Builder) undoable(add func() error) error {
	rules, looked := b.rules, b.looked
	b.mergeFiles = 0
	err := add()
	if err != nil {
		b.rules, b.looked = rules, looked
	}
	return err
}

// addText adds the rules of one argument or line.
func (b *Builder) addText(text string, t template, from origin, depth int) error {
	for {
		if t.words {
			text = strings.TrimLeft(text, space)
		}
		if text == "" {
			return nil
		}
		s, rest, f := parse(text, t)
		written := text[:len(text)-len(rest)]
		if f != nil {
			return &Error{Source: from.String(), Rule: written, Reason: f.reason, Err: f.err}
		}
		if t.anchors && !s.merge && !s.absolute && strings.HasPrefix(s.text, "/") {
			s.absolute, s.text = true, t.anchor+s.text
		}
		if err := b.apply(s, written, from, depth); err != nil {
			return err
		}
		text = rest
	}
}

// add takes in a rule that was read from there, as written.
func (b *Builder) add(r *rule, written string, from origin, depth int) {
	r.from, r.text = from, strings.Trim(written, space)
	r.anySide = b.dir != nil && depth > 0
	b.rules = append(b.rules, r)
}

func (b *Builder) apply(s statement, written string, from origin, depth int) error {
	switch {
	case s.clear:
		b.rules, b.looked = nil, nil
		if b.dir != nil {
			b.dir.cleared = true
		}
		return nil
	case s.cvs:
		return b.addCVS(s, depth)
	case !s.merge:
		b.add(newRule(s.flags, s.text), written, from, depth)
		return nil
	}
	if name := baseOf(s.text); s.excludeSelf && name != "" {
		self := newRule(flags{}, name)
		self.self = true
		b.add(self, written, from, depth)
	}
	if s.perDir {
		if b.dir != nil && b.dir.scan {
			s.text = b.dir.resolve(s.text)
		}
		return b.addDirMerge(newMerge(&s), written, from, depth)
	}
	if err := b.merge(s, depth); err != nil {
		var inside *Error
		if errors.As(err, &inside) {
			return err // names the line that is to blame
		}
		return &Error{Source: from.String(), Rule: written, Reason: err.Error(), Err: err}
	}
	return nil
}

// merge reads a merge rule's file into the list.
func (b *Builder) merge(s statement, depth int) error {
	if depth == maxMergeDepth {
		return syntaxf("merge files nest deeper than %d; does one merge itself?", maxMergeDepth)
	}
	if b.mergeFiles++; b.mergeFiles > maxMergeFiles {
		return syntaxf("more than %d merge files; do they merge one another?", maxMergeFiles)
	}
	name := s.text
	if b.dir != nil {
		name = b.dir.include(name)
	}
	file, err := b.open(name)
	if err != nil {
		return fmt.Errorf("read merge file: %w", err)
	}
	defer file.Close() // opened for reading: nothing can be lost
	t := s.inner
	t.flags = s.flags
	if b.dir != nil {
		name = b.dir.absolute(name)
	}
	return b.readFile(file, name, t, depth+1)
}

// addDirMerge adds a dir-merge rule, unless its file is looked for already: as in rsync, the first counts.
func (b *Builder) addDirMerge(r *rule, written string, from origin, depth int) error {
	base := r.merge.base
	switch {
	case slices.Contains(b.looked, base) || b.dir != nil && b.dir.looksFor(base):
		return nil
	case len(b.looked) == maxDirMerges:
		return &Error{Source: from.String(), Rule: written, Err: ErrSyntax,
			Reason: fmt.Sprintf("more than %d per-directory rule files are looked for", maxDirMerges)}
	}
	b.looked = append(b.looked, base)
	b.add(r, written, from, depth)
	return nil
}

func (b *Builder) open(name string) (io.ReadCloser, error) {
	if b.Open != nil {
		return b.Open(name)
	}
	if name == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	return os.Open(name)
}

// readFile adds the rules of a file: rsync 3.5.0 exclude.c, parse_filter_file.
func (b *Builder) readFile(r io.Reader, name string, t template, depth int) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	if b.Zeroes {
		lines.Split(splitZeroes)
	}
	from := origin{name: name, line: 1}
	for ; lines.Scan(); from.line++ {
		// To rsync a carriage return ends a line as well.
		end := "\r"
		if b.Zeroes {
			end = "\x00" // of which there are none left
		}
		for text := range strings.SplitSeq(lines.Text(), end) {
			if !t.words && text != "" && (text[0] == ';' || text[0] == '#') {
				continue
			}
			if err := b.addText(text, t, from, depth); err != nil {
				return err
			}
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("%s: %w", from, syntaxf("line longer than %d bytes; is this a file of filter rules?", maxLine))
	}
	if lines.Err() != nil {
		return fmt.Errorf("read filter rules from %q: %w", name, lines.Err())
	}
	return nil
}

// splitZeroes is a bufio.SplitFunc.
func splitZeroes(data []byte, end bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return i + 1, data[:i], nil
	}
	if end && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
