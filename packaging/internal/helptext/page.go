package helptext

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// Page is one help text.
type Page struct {
	Verb       string   // "" is the program itself
	Names      []string // the verbs that share the text, Verb among them
	Title      string   // what it does, with its name in front and no period
	Examples   []Remarked
	Usage      []Remarked
	Paragraphs []string
	Sections   []Section

	introduced string // what stands in front of an example
}

// Remarked is a line of code, and what is said about it: "" is nothing.
type Remarked struct{ Code, Remark string }

// Section is a part of the text. The options of a verb may stand in one without a title.
type Section struct {
	Title string
	Items []Item
}

// Item is an option or an exit code with its text, or, if Tag is "", a paragraph.
type Item struct {
	Tag  string // as "-L, --copy-links", "--target=DST", "23"
	Text string // "": the tag says it
}

// Options are the names in a tag or a text, as "-L", "--copy-links", "--target=DST".
func Options(s string) []string {
	var names []string
	for {
		m := option.FindStringSubmatchIndex(s)
		if m == nil {
			return names
		}
		names = append(names, s[m[2]:m[3]])
		s = s[m[3]:] // what ends one option may be what another stands behind
	}
}

var (
	// An option stands at the beginning or behind a space or a bracket, and ends before punctuation. Of digits
	// only these are options: "-1" is a number.
	option = regexp.MustCompile(`(?:^|[\s\[(])(--[a-z][a-z0-9-]*(?:=[A-Z]+|=[a-z]+|=…)?|-[A-Za-z046@])(?:[^A-Za-z0-9=-]|=|$)`)
	verb   = regexp.MustCompile(`^lockstep ([a-z][a-z-]*(?:, [a-z][a-z-]*)*)`)
	// a verb that has no line of its own
	verbBesides = regexp.MustCompile(`; lockstep ([a-z][a-z-]*)`)
)

// Verbs are the verbs in the lines of usage: those that share a line, and so a help text, together. A remark may
// name one more, as "; lockstep schema, for editors".
func (p *Page) Verbs() [][]string {
	var all [][]string
	for _, u := range p.Usage {
		if m := verb.FindStringSubmatch(u.Code); m != nil {
			all = append(all, strings.Split(m[1], ", "))
		}
		for _, m := range verbBesides.FindAllStringSubmatch(u.Remark, -1) {
			all = append(all, []string{m[1]})
		}
	}
	return all
}

// What is what the program or the verb does, without its name.
func (p *Page) What() string {
	what := strings.TrimPrefix(p.Title, "lockstep ")
	what = strings.TrimPrefix(what, p.Verb)
	if strings.HasPrefix(what, ",") { // several verbs: "lockstep status, failed: ask …"
		_, what, _ = strings.Cut(what, ":")
	}
	return strings.TrimSpace(what)
}

// Read gives the help texts of the program: its own, and one for each group of verbs that share one.
func Read(program string) ([]*Page, error) {
	main, err := read(program, nil)
	if err != nil {
		return nil, err
	}
	pages := []*Page{main}
	for _, names := range main.Verbs() {
		p, err := read(program, names)
		if err != nil {
			return nil, err
		}
		pages = append(pages, p)
	}
	return pages, nil
}

func read(program string, names []string) (*Page, error) {
	args := []string{"--help"}
	if len(names) > 0 {
		args = []string{names[0], "--help"}
	}
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err)
	}
	p, err := Parse(string(out))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err)
	}
	p.Names = names
	if len(names) > 0 {
		p.Verb = names[0]
	}
	return p, nil
}
