package main

import (
	"fmt"
	"strings"
	"unicode"
)

// page is a man page while it is written, in man(7).
type page struct {
	b     strings.Builder
	begun bool // a section has begun, with no text yet: its first paragraph needs no macro
}

// span is a piece of text in a font: 'R', 'B' or 'I'.
type span struct {
	font rune
	text string
}

// newPage begins a page. Lines are ragged and words are not hyphenated: options and paths stay whole.
func newPage(name, section, date, source, manual string) *page {
	p := &page{}
	fmt.Fprintf(&p.b, ".TH %s %s \"%s\" \"%s\" \"%s\"\n.nh\n.ad l\n", strings.ToUpper(name), section, date, source, manual)
	return p
}

func (p *page) heading(title string) { p.begin("SH", strings.ToUpper(title)) }

func (p *page) subheading(title string) { p.begin("SS", title) }

func (p *page) begin(macro, title string) {
	fmt.Fprintf(&p.b, ".%s %s\n", macro, quoted(title))
	p.begun = true
}

func (p *page) para(s []span) {
	if !p.begun {
		p.b.WriteString(".PP\n")
	}
	p.text(s)
}

// item is a tag with its text below it, indented, or beside it.
func (p *page) item(tag, text []span) {
	p.b.WriteString(".TP\n" + guarded(unbroken(tag)) + "\n")
	p.text(text)
}

func (p *page) bullet(s []span) {
	p.b.WriteString(".IP \\(bu 3\n")
	p.text(s)
}

// code is lines that stand as they are.
func (p *page) code(lines []string) {
	if !p.begun {
		p.b.WriteString(".PP\n")
	}
	p.begun = false
	p.b.WriteString(".RS 4\n.nf\n")
	for _, line := range lines {
		p.b.WriteString(guarded(escaped(line)) + "\n")
	}
	p.b.WriteString(".fi\n.RE\n")
}

// text writes spans as lines of up to 76 columns.
func (p *page) text(s []span) {
	p.begun = false
	line := ""
	for _, word := range strings.Fields(unbroken(s)) {
		if line != "" && len(line)+1+len(word) > 76 {
			p.b.WriteString(guarded(line) + "\n")
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line == "" {
		line = `\&` // an item without a text
	}
	p.b.WriteString(guarded(line) + "\n")
}

// unbroken is spans on one line.
func unbroken(s []span) string {
	var b strings.Builder
	font := 'R'
	for _, x := range s {
		if x.text == "" {
			continue
		}
		if x.font != font {
			fmt.Fprintf(&b, "\\f%c", x.font)
			font = x.font
		}
		b.WriteString(escaped(x.text))
	}
	if font != 'R' {
		b.WriteString("\\fR")
	}
	return b.String()
}

// guarded keeps a line of text from being read as a request.
func guarded(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return "\\&" + line
	}
	return line
}

func quoted(s string) string { return `"` + strings.ReplaceAll(escaped(s), `"`, `\(dq`) + `"` }

// escaped is text whose characters come out as they are: roff makes typographic ones of some. An apostrophe
// between letters may be one; a hyphen between letters stays a hyphen, any other is a minus, as on the keyboard.
func escaped(s string) string {
	var b strings.Builder
	r := []rune(s)
	letter := func(i int) bool { return i >= 0 && i < len(r) && unicode.IsLetter(r[i]) }
	for i, c := range r {
		switch {
		case c == '\\':
			b.WriteString(`\e`)
		case c == '-' && !(letter(i-1) && letter(i+1) && prose(r, i)):
			b.WriteString(`\-`)
		case c == '\'' && !(letter(i-1) && letter(i+1)):
			b.WriteString(`\(aq`)
		case c == '`':
			b.WriteString(`\(ga`)
		case c == '^':
			b.WriteString(`\(ha`)
		case c == '~':
			b.WriteString(`\(ti`)
		case c > 126:
			fmt.Fprintf(&b, `\[u%04X]`, c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// prose says that the word around i is one of a language, not an option, a path or a key: it holds nothing
// but letters and hyphens, and begins with a letter.
func prose(r []rune, i int) bool {
	for j := i; j >= 0 && !unicode.IsSpace(r[j]); j-- {
		if c := r[j]; !unicode.IsLetter(c) && (c != '-' || j == 0 || unicode.IsSpace(r[j-1])) && !strings.ContainsRune(`("`, c) {
			return false
		}
	}
	for j := i; j < len(r) && !unicode.IsSpace(r[j]); j++ {
		if c := r[j]; !unicode.IsLetter(c) && c != '-' && !strings.ContainsRune(`.,;:)"'`, c) {
			return false
		}
	}
	return true
}
