package main

import (
	"regexp"
	"strings"

	"github.com/lockstep-sync/lockstep/packaging/internal/helptext"
)

// style knows which words of a help text are placeholders, and which are verbs.
type style struct {
	placeholders map[string]bool
	verbs        map[string]bool
}

var (
	capitals = regexp.MustCompile(`[A-Z]+`)
	// what is set in a font of its own: a document, an option, "lockstep VERB", a page of the manual, a word of capitals
	special = regexp.MustCompile(`docs/[a-z-]+\.md|--[a-z][a-z0-9-]*|-[A-Za-z0-9@]\b|-@|lockstep [a-z][a-z-]*|[a-z][a-z_.-]*\([1-8]\)|[A-Z]+`)
)

// documents is where the packages put the documents, by their names in the repository.
const documents = "/usr/share/doc/lockstep/"

// newStyle takes the placeholders from lines of usage and values of options.
func newStyle(pages []*helptext.Page) *style {
	s := &style{map[string]bool{}, map[string]bool{}}
	for _, p := range pages {
		for _, group := range p.Verbs() {
			for _, v := range group {
				s.verbs[v] = true
			}
		}
		for _, u := range p.Usage {
			s.learn(u.Code)
		}
		for _, sec := range p.Sections {
			for _, item := range sec.Items {
				for _, name := range helptext.Options(item.Tag + " " + item.Text) {
					_, value, _ := strings.Cut(name, "=")
					s.learn(value)
				}
				if _, value, ok := strings.Cut(item.Tag, "="); ok || strings.HasPrefix(item.Tag, "@") {
					s.learn(value + item.Tag[:1])
				}
			}
		}
	}
	return s
}

func (s *style) learn(text string) {
	for _, word := range capitals.FindAllString(text, -1) {
		s.placeholders[word] = true
	}
}

// spans sets a help text in fonts.
func (s *style) spans(text string) []span {
	var out []span
	last := 0
	for _, m := range special.FindAllStringIndex(text, -1) {
		f := s.font(text, m[0], m[1])
		if f == 'R' {
			continue
		}
		end := m[1]
		if f == 'M' { // only the name of a page is bold
			f, end = 'B', m[0]+strings.IndexByte(text[m[0]:], '(')
		}
		out = append(out, span{'R', text[last:m[0]]}, span{f, text[m[0]:end]})
		if strings.HasPrefix(text[m[0]:end], "docs/") {
			out[len(out)-1].text = documents + text[m[0]:end]
		}
		last = end
	}
	return append(out, span{'R', text[last:]})
}

// font is that of text[from:to], which special found; 'M' is a page of the manual.
func (s *style) font(text string, from, to int) rune {
	word, before, after := text[from:to], byte(' '), byte(' ')
	if from > 0 {
		before = text[from-1]
	}
	if to < len(text) {
		after = text[to]
	}
	switch {
	case strings.HasPrefix(word, "docs/"):
		return 'I'
	case strings.HasPrefix(word, "-"):
		if strings.IndexByte(" [(,", before) >= 0 {
			return 'B'
		}
	case strings.HasPrefix(word, "lockstep "):
		if s.verbs[strings.TrimPrefix(word, "lockstep ")] {
			return 'B'
		}
	case strings.HasSuffix(word, ")"):
		return 'M'
	case s.placeholders[word] && !wordy(before) && strings.IndexByte("%$-.{", before) < 0 && !wordy(after):
		return 'I'
	}
	return 'R'
}

func wordy(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}
