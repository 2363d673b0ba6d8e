package helptext

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var (
	entry       = regexp.MustCompile(`^(?: {2,6}[-@]|\s{1,3}\d{1,3} {2})`)
	verbs       = regexp.MustCompile(`^[a-z][a-z-]*,?$`)
	placeholder = regexp.MustCompile(`^[A-Z]+…?$`)
	gap         = regexp.MustCompile(`\s{2,}`)
	optional    = `(?:--[a-z][a-z0-9-]*(?:=[A-Z]+)?|-[A-Za-z0-9@])`
	further     = regexp.MustCompile(`;\s+(` + optional + `(?:, ` + optional + `)*)(?::\s+|\s{2,})`) // with a colon or spaces behind it
)

// Parse reads a help text.
func Parse(text string) (*Page, error) {
	blocks := split(text)
	if len(blocks) == 0 {
		return nil, errors.New("an empty help text")
	}
	p := &Page{Title: strings.TrimSuffix(join(blocks[0]), ".")}
	if !strings.HasPrefix(p.Title, "lockstep ") {
		return nil, fmt.Errorf("a help text begins with %q, not with what lockstep does", p.Title)
	}
	column := textColumn(text)
	for _, b := range blocks[1:] {
		p.add(b, column)
	}
	if len(p.Usage) == 0 {
		return nil, errors.New(`a help text without "Usage: "`)
	}
	return p, nil
}

// split gives the blocks of lines between empty ones.
func split(text string) [][]string {
	var blocks [][]string
	var b []string
	for line := range strings.Lines(text + "\n\n") {
		line = strings.TrimRight(line, " \n")
		if line != "" {
			b = append(b, line)
		} else if len(b) > 0 {
			blocks, b = append(blocks, b), nil
		}
	}
	return blocks
}

func (p *Page) add(b []string, column int) {
	indented := strings.HasPrefix(b[0], " ")
	switch {
	case strings.HasPrefix(b[0], "Usage: "):
		for _, line := range whole(b) {
			p.Usage = append(p.Usage, usage(line))
		}
	case indented && len(p.Usage) == 0:
		for _, line := range b {
			e := remarked(line)
			if e.Remark == "" {
				e.Remark = strings.TrimSuffix(p.introduced, ":")
			}
			p.Examples, p.introduced = append(p.Examples, e), ""
		}
	case !indented && len(b) > 1 && strings.HasPrefix(b[1], " "):
		p.Sections = append(p.Sections, Section{b[0], items(b[1:], column)})
	case indented: // more of a section, or the options of a verb, which need no title
		if len(p.Sections) == 0 {
			p.Sections = append(p.Sections, Section{})
		}
		s := &p.Sections[len(p.Sections)-1]
		s.Items = append(s.Items, items(b, column)...)
	case len(p.Sections) > 0:
		p.Sections = append(p.Sections, Section{"", []Item{{Text: join(b)}}})
	case len(p.Usage) == 0:
		p.introduced = join(b)
	default:
		p.Paragraphs = append(p.Paragraphs, join(b))
	}
}

// whole joins the lines of usage that go on in the next one: the verbs after a comma, or else the remark.
func whole(b []string) []string {
	var all []string
	for _, line := range b {
		line = strings.TrimSpace(strings.TrimPrefix(line, "Usage: "))
		last := len(all) - 1
		switch {
		case strings.HasPrefix(line, "lockstep"):
			all = append(all, line)
		case last >= 0 && strings.HasSuffix(all[last], ","):
			all[last] += " " + line
		case last >= 0:
			all[last] += "    " + line
		}
	}
	return all
}

// usage cuts a line of usage: what is typed is lockstep, a verb or several, placeholders, and what stands in
// brackets.
func usage(line string) Remarked {
	words := strings.Fields(line)
	depth := 0
	for i, w := range words {
		typed := i == 0 || i == 1 && verbs.MatchString(w) || i > 1 && strings.HasSuffix(words[i-1], ",") ||
			depth > 0 || w[0] == '[' || placeholder.MatchString(w)
		if !typed {
			return Remarked{strings.Join(words[:i], " "), strings.Join(words[i:], " ")}
		}
		depth += strings.Count(w, "[") - strings.Count(w, "]")
	}
	return Remarked{strings.Join(words, " "), ""}
}

// remarked cuts an example.
func remarked(line string) Remarked {
	line = strings.TrimSpace(line)
	if i := gap.FindStringIndex(line); i != nil {
		return Remarked{line[:i[0]], line[i[1]:]}
	}
	return Remarked{line, ""}
}

// items reads the lines of a section.
func items(lines []string, column int) []Item {
	var all []Item
	for _, line := range lines {
		if entry.MatchString(line) {
			tag, text := tagAndText(line, column)
			all = append(all, Item{tag, text})
			continue
		}
		if len(all) == 0 {
			all = append(all, Item{})
		}
		last := &all[len(all)-1]
		last.Text += " " + line
	}
	for i := range all {
		all[i].Text = oneSpaced(further.ReplaceAllString(all[i].Text, "; $1: "))
	}
	return all
}

// tagAndText splits the first line of an entry.
func tagAndText(line string, column int) (tag, text string) {
	if r := []rune(line); isOption(line) && len(r) > column && column > 0 && r[column-1] == ' ' && r[column] != ' ' {
		tag := strings.TrimSpace(string(r[:column]))
		if !strings.HasSuffix(tag, ",") && !strings.HasSuffix(tag, ";") {
			return oneSpaced(tag), string(r[column:])
		}
	}
	line = strings.TrimSpace(line)
	if i := gap.FindStringIndex(line); i != nil {
		return line[:i[0]], line[i[1]:]
	}
	return line, ""
}

// Apart gives the item with an item for each further option that its text tells of behind a semicolon.
func (i Item) Apart() []Item {
	var all []Item
	for {
		m := further.FindStringSubmatchIndex(i.Text)
		if m == nil {
			return append(all, i)
		}
		all = append(all, Item{i.Tag, i.Text[:m[0]]})
		i = Item{i.Text[m[2]:m[3]], i.Text[m[1]:]}
	}
}

// textColumn is where the texts of most entries begin.
func textColumn(text string) int {
	count, best := map[int]int{}, 0
	for line := range strings.Lines(text) {
		if !entry.MatchString(line) || !isOption(line) {
			continue
		}
		start := len(line) - len(strings.TrimLeft(line, " "))
		i := gap.FindStringIndex(strings.TrimSpace(line))
		if i == nil {
			continue
		}
		column := start + len([]rune(strings.TrimSpace(line)[:i[1]]))
		if count[column]++; count[column] > count[best] {
			best = column
		}
	}
	return best
}

func isOption(line string) bool { return strings.HasPrefix(strings.TrimLeft(line, " "), "-") }

func join(lines []string) string { return oneSpaced(strings.Join(lines, " ")) }

func oneSpaced(s string) string { return strings.Join(strings.Fields(s), " ") }
