package filter

import "strings"

// maxPattern is the length from which rsync 3.5.0 drops a pattern with a warning, on either side
// (exclude.c, parse_filter_str: MAXPATHLEN). It also bounds the work of matching.
const maxPattern = 4096

// dialect is how much of a rule's syntax a source may use.
type dialect uint8

const (
	dialectRules    dialect = iota // a rule name, modifiers, then the pattern: --filter and merge files
	dialectPatterns                // a pattern, perhaps after "+ " or "- ", or "!": --exclude and the like
	dialectBare                    // patterns and nothing else: merge files with "-", "+" or "C"
)

// template is what a source gives to each rule read from it.
type template struct {
	dialect dialect
	words   bool // rules end at white space
	clears  bool // in dialectBare, "!" clears, as in .cvsignore
	flags        // defaults

	// anchor is set for a per-directory file: the absolute path of its directory, without the slash at
	// its end, which patterns that begin with a slash are below of.
	anchor  string
	anchors bool // anchor counts: it is "" for "/"
}

// statement is a rule as parsed: one of clear, cvs, merge or a pattern with its flags.
type statement struct {
	flags
	clear       bool
	cvs         bool // all the CVS excludes, in the place of the rule
	merge       bool
	perDir      bool     // merge: the file is looked for in each directory
	noInherit   bool     // perDir: what is read does not count in subdirectories
	excludeSelf bool     // merge: also exclude the file's name
	inner       template // merge: for the rules of the file; its flags come from statement.flags
	text        string   // the pattern or file name
}

// parse takes the first statement off text, which is not empty. rest is empty unless t splits at white
// space. Source: rsync(1) and rsync 3.5.0 exclude.c, parse_rule_tok.
func parse(text string, t template) (s statement, rest string, f *fault) {
	s.include, s.absolute, s.perishable = t.include, t.absolute, t.perishable
	body := text
	switch t.dialect {
	case dialectRules:
		body, f = s.prefix(text, t.words)
	case dialectPatterns:
		body = s.oldPrefix(text)
	}
	if f != nil {
		return s, "", f
	}
	if t.sided() {
		if s.sided() {
			return s, "", syntaxf("names a side, but the merge rule of its file names one already; name it in one place")
		}
		s.sender, s.receiver = t.sender, t.receiver
	}
	s.text = body
	if i := strings.IndexAny(body, space); t.words && i >= 0 {
		s.text, rest = body[:i], body[i:]
	}
	return s, rest, s.finish(t, len(body) == len(text))
}

// finish checks what parse found; untouched says that no prefix was taken off the text.
func (s *statement) finish(t template, untouched bool) *fault {
	switch {
	case s.clear && s.text != "":
		return syntaxf("\"!\" takes no pattern; write \"!\" alone to clear the list")
	case s.clear:
		return nil
	case s.text == "!" && untouched && (t.dialect == dialectPatterns || t.clears):
		s.clear = true
		return nil
	case s.cvs && s.text != "":
		return syntaxf("the CVS excludes take no pattern; write the rule without one")
	case s.cvs:
		return nil
	case s.text == "" && s.merge && s.inner.clears:
		s.text = ".cvsignore"
	case s.text == "":
		return syntaxf("the pattern is missing; write it behind the rule's name and one space")
	}
	if len(s.text) >= maxPattern {
		return syntaxf("longer than %d bytes; shorten it with wildcards", maxPattern-1)
	}
	if strings.IndexByte(s.text, 0) >= 0 {
		return syntaxf("holds a NUL byte, which no file name can; remove it")
	}
	return nil
}

// space is what isspace(3) accepts in the C locale.
const space = " \t\n\v\f\r"

// oldPrefix takes off the "+ " or "- " that --include and --exclude allow.
func (s *statement) oldPrefix(text string) string {
	switch {
	case strings.HasPrefix(text, "- "):
		s.include = false
	case strings.HasPrefix(text, "+ "):
		s.include = true
	default:
		return text
	}
	return text[2:]
}

// prefix takes off a rule's name, its modifiers and the one separator.
func (s *statement) prefix(text string, words bool) (string, *fault) {
	name, rest := cutName(text)
	sideInName := false
	switch name {
	case '!':
		s.clear = true
		return rest, nil
	case '.', ':':
		s.merge, s.perDir = true, name == ':'
	case '-':
	case '+':
		s.include = true
	case 'H', 'S':
		s.sender, sideInName = true, true
		s.include = name == 'S'
	case 'P', 'R':
		s.receiver, sideInName = true, true
		s.include = name == 'R'
	default:
		return "", syntaxf("does not begin with the name of a rule; write \"- PATTERN\" to exclude or \"+ PATTERN\" to include")
	}
	for i := range len(rest) {
		switch c := rest[i]; {
		case c == ' ' || c == '_':
			return rest[i+1:], nil
		case words && strings.IndexByte(space, c) >= 0:
			return rest[i:], nil
		default:
			if f := s.modifier(c, sideInName); f != nil {
				return "", f
			}
		}
	}
	return "", nil
}

// cutName returns a rule's name in its short form, 0 if there is none, and what follows with the comma
// between name and modifiers removed.
func cutName(text string) (byte, string) {
	for _, n := range []struct {
		long  string
		short byte
	}{
		{"clear", '!'}, {"dir-merge", ':'}, {"exclude", '-'}, {"hide", 'H'}, {"include", '+'},
		{"merge", '.'}, {"protect", 'P'}, {"risk", 'R'}, {"show", 'S'},
	} {
		rest, found := strings.CutPrefix(text, n.long)
		if !found {
			continue
		}
		if rest != "" && rest[0] != ',' && rest[0] != '_' && strings.IndexByte(space, rest[0]) < 0 {
			return 0, ""
		}
		return n.short, strings.TrimPrefix(rest, ",")
	}
	if text == "" {
		return 0, ""
	}
	return text[0], strings.TrimPrefix(text[1:], ",")
}

func (s *statement) modifier(c byte, sideInName bool) *fault {
	allowed := true
	switch c {
	case '/':
		s.absolute = true
	case '!':
		allowed = !s.merge
		s.negate = true
	case 'p':
		s.perishable = true
	case 'x':
		s.xattr = true
	case 's':
		allowed = !sideInName
		s.sender = true
	case 'r':
		allowed = !sideInName
		s.receiver = true
	case 'C':
		allowed = s.bare() && !sideInName
		s.inner.words, s.inner.clears = true, true
		s.cvs, s.noInherit = !s.merge, true
	case '-', '+':
		allowed = s.merge && s.bare()
		s.include = c == '+'
	case 'e':
		allowed = s.merge
		s.excludeSelf = true
	case 'n': // means nothing for a file that is read once
		allowed = s.merge
		s.noInherit = true
	case 'w':
		allowed = s.merge
		s.inner.words = true
	default:
		return syntaxf("unknown modifier %s; between a rule's name and its pattern stands one space or \"_\"", quote(string([]byte{c})))
	}
	if !allowed {
		return syntaxf("modifier %q does not go with this rule; remove it", c)
	}
	return nil
}

// bare makes the merge file one of bare patterns, and reports whether it was not one before.
func (s *statement) bare() bool {
	was := s.inner.dialect == dialectBare
	s.inner.dialect = dialectBare
	return !was
}
