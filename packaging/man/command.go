package main

import (
	"slices"
	"strings"

	"github.com/lockstep-sync/lockstep/packaging/internal/helptext"
)

// about is what the header and the footer of each page say.
type about struct{ date, version string }

// files are what lockstep reads and writes without being told to.
var files = [][2]string{
	{"/etc/lockstep/lockstep.yaml", "the syncs of the agent; see lockstep.yaml(5)"},
	{"/var/lib/lockstep", "what each target was last brought to; see --state-dir"},
	{"/run/lockstep/control.sock", "where a running agent answers"},
	{"/usr/share/doc/lockstep", "documents and examples"},
}

// command is the page of the program, or of a verb.
func command(p *helptext.Page, s *style, a about, also []string) string {
	name := "lockstep"
	if p.Verb != "" {
		name += "-" + p.Verb
	}
	m := newPage(name, "1", a.date, "lockstep "+a.version, "User Commands")
	m.heading("Name")
	m.text([]span{{'R', title(p)}})
	m.heading("Synopsis")
	synopsis(m, p, s)
	if len(p.Paragraphs) > 0 {
		m.heading("Description")
		for _, para := range p.Paragraphs {
			m.para(s.spans(para))
		}
	}
	if p.Verb == "" {
		commands(m, p, s)
	}
	options(m, p, s)
	exitStatus(m, p, s)
	if len(p.Examples) > 0 {
		m.heading("Examples")
		for _, e := range p.Examples {
			m.item([]span{{'B', e.Code}}, s.remark(e.Remark))
		}
	}
	if p.Verb == "" {
		m.heading("Files")
		for _, f := range files {
			m.item([]span{{'I', f[0]}}, s.spans(f[1]))
		}
	}
	m.heading("See also")
	m.para(s.spans(strings.Join(also, ", ")))
	return m.b.String()
}

func (s *style) remark(text string) []span {
	if text == "" {
		return nil
	}
	return s.spans(text)
}

// title is the line that whatis(1) shows.
func title(p *helptext.Page) string {
	if p.Verb == "" {
		return "lockstep - " + p.What()
	}
	return "lockstep-" + strings.Join(p.Names, ", lockstep-") + " - " + p.What()
}

// synopsis has the lines of usage that are not another page's.
func synopsis(m *page, p *helptext.Page, s *style) {
	for _, u := range p.Usage {
		if p.Verb == "" && isVerb(u.Code) {
			continue
		}
		m.item(s.usage(u.Code), s.remark(u.Remark))
	}
}

func isVerb(code string) bool { return len(verbsOf(code)) > 0 }

func verbsOf(code string) []string {
	p := &helptext.Page{Usage: []helptext.Remarked{{Code: code}}}
	return slices.Concat(p.Verbs()...)
}

// usage is a line of usage: what is typed as it is stands in bold.
func (s *style) usage(code string) []span {
	words := strings.SplitN(code, " [", 2)
	if isVerb(code) {
		out := []span{{'B', words[0]}}
		if len(words) == 2 {
			out = append(out, s.spans(" ["+words[1])...)
		}
		return out
	}
	rest := strings.TrimPrefix(code, "lockstep")
	return append([]span{{'B', "lockstep"}}, s.spans(rest)...)
}

func commands(m *page, p *helptext.Page, s *style) {
	m.heading("Commands")
	for _, u := range p.Usage {
		verbs := verbsOf(u.Code)
		if len(verbs) == 0 {
			continue
		}
		page := "lockstep-" + verbs[0] + "(1)"
		text := "See " + page
		if strings.HasSuffix(u.Remark, "?") {
			text = u.Remark + " " + text
		} else if u.Remark != "" {
			text = u.Remark + "; see " + page
		}
		m.item(s.usage(u.Code), s.spans(text))
	}
}

const exitCodes = "Exit codes"

func options(m *page, p *helptext.Page, s *style) {
	begun := false
	for _, sec := range p.Sections {
		if isExit(sec) {
			continue
		}
		if !begun {
			m.heading("Options")
			begun = true
		}
		if sec.Title != "" {
			m.subheading(sec.Title)
		}
		for _, item := range sec.Items {
			if item.Tag == "" {
				m.para(s.spans(item.Text))
				continue
			}
			m.item(s.spans(item.Tag), s.remark(item.Text))
		}
	}
}

// isExit says that a section tells of exit codes, under its title or in a paragraph.
func isExit(sec helptext.Section) bool {
	return strings.HasPrefix(sec.Title, exitCodes) ||
		len(sec.Items) == 1 && strings.HasPrefix(sec.Items[0].Text, exitCodes+": ")
}

func exitStatus(m *page, p *helptext.Page, s *style) {
	for _, sec := range p.Sections {
		if !isExit(sec) {
			continue
		}
		m.heading("Exit status")
		if _, more, ok := strings.Cut(sec.Title, ", "); ok {
			m.para(s.spans(strings.ToUpper(more[:1]) + more[1:] + "."))
		}
		for _, item := range sec.Items {
			if item.Tag == "" {
				m.para(s.spans(strings.TrimPrefix(item.Text, exitCodes+": ")))
				continue
			}
			m.item([]span{{'B', item.Tag}}, s.remark(item.Text))
		}
	}
}
