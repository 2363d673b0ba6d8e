package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// configPage is the page of the configuration file: a document in Markdown, whose first heading gives the title, as
// "# lockstep.yaml: what it is", and all keys.
func configPage(document string, keys schema, a about) (string, error) {
	text, err := os.ReadFile(document)
	if err != nil {
		return "", err
	}
	m := newPage("lockstep.yaml", "5", a.date, "lockstep "+a.version, "File Formats")
	lines := strings.Split(string(text), "\n")
	first, ok := strings.CutPrefix(lines[0], "# ")
	if !ok {
		return "", fmt.Errorf("%s begins with %q, not with a heading", document, lines[0])
	}
	m.heading("Name")
	if _, what, ok := strings.Cut(first, ": "); ok {
		first = what
	}
	m.text(markdownSpans("lockstep.yaml - " + strings.ToLower(first[:1]) + first[1:]))
	m.heading("Description")
	if err := blocks(m, lines[1:]); err != nil {
		return "", fmt.Errorf("%s:%w", document, err)
	}
	keys.keys(m)
	m.heading("See also")
	m.para(markdownSpans("**lockstep**(1), **lockstep-check**(1), **lockstep-config**(1), **rsync**(1)"))
	return m.b.String(), nil
}

var (
	bulletLine   = regexp.MustCompile(`^(\s*)(?:[-*]|\d+\.)\s+(.*)`)
	tableRule    = regexp.MustCompile(`^\|[\s|:-]+\|$`)
	unescapedBar = regexp.MustCompile(`(^|[^\\])\|`)
)

// blocks writes the blocks of a document: headings, paragraphs, lists of one level, code between fences or
// indented by four, tables.
func blocks(m *page, lines []string) error {
	for i := 0; i < len(lines); {
		line := lines[i]
		n := 1
		switch {
		case strings.TrimSpace(line) == "":
		case strings.HasPrefix(line, "<!--"):
			n = until(lines[i:], func(s string) bool { return strings.Contains(s, "-->") }) + 1
		case strings.HasPrefix(line, "```"):
			n = until(lines[i+1:], func(s string) bool { return strings.HasPrefix(s, "```") }) + 2
			if i+n > len(lines) {
				return fmt.Errorf("%d: code that does not end", i+2)
			}
			m.code(lines[i+1 : i+n-1])
		case strings.HasPrefix(line, "    "):
			n = until(lines[i:], func(s string) bool { return s != "" && !strings.HasPrefix(s, "    ") })
			m.code(unindented(lines[i : i+n]))
		case strings.HasPrefix(line, "### "):
			m.subheading(plain(line[4:]))
		case strings.HasPrefix(line, "#"):
			m.heading(plain(strings.TrimLeft(line, "# ")))
		case strings.HasPrefix(line, "|"):
			n = until(lines[i:], func(s string) bool { return !strings.HasPrefix(s, "|") })
			table(m, lines[i:i+n])
		case bulletLine.MatchString(line):
			n = 1 + until(lines[i+1:], func(s string) bool { return s == "" || bulletLine.MatchString(s) })
			text := bulletLine.FindStringSubmatch(line)[2]
			m.bullet(markdownSpans(text + " " + strings.Join(lines[i+1:i+n], " ")))
		default:
			n = until(lines[i:], blockBegins)
			if n == 0 {
				n = 1
			}
			m.para(markdownSpans(strings.Join(lines[i:i+n], " ")))
		}
		i += n
	}
	return nil
}

// until counts the lines before the first one that is.
func until(lines []string, is func(string) bool) int {
	for i, line := range lines {
		if is(line) {
			return i
		}
	}
	return len(lines)
}

func blockBegins(line string) bool {
	return line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "|") || strings.HasPrefix(line, "```") ||
		bulletLine.MatchString(line)
}

func unindented(lines []string) []string {
	var out []string
	for _, line := range lines {
		out = append(out, strings.TrimPrefix(line, "    "))
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// table writes a row as an item: the first cell is its tag, of those between the heading is said too.
func table(m *page, lines []string) {
	if len(lines) < 2 || !tableRule.MatchString(lines[1]) {
		return
	}
	head := cells(lines[0])
	for _, line := range lines[2:] {
		row := cells(line)
		var text []string
		for i := 1; i < len(row); i++ {
			switch {
			case row[i] == "":
			case i == len(row)-1 || i >= len(head) || len(row) == 2:
				text = append([]string{row[i]}, text...)
			default:
				text = append(text, fmt.Sprintf("(%s: %s)", head[i], row[i]))
			}
		}
		tag := markdownSpans(row[0])
		if !strings.ContainsAny(row[0], "`*") {
			tag = []span{{'B', row[0]}}
		}
		var body []span
		if len(text) > 0 {
			body = markdownSpans(strings.Join(text, " "))
		}
		m.item(tag, body)
	}
}

func cells(line string) []string {
	line = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "|"), "|")
	line = unescapedBar.ReplaceAllString(line, "$1\x00")
	var out []string
	for _, c := range strings.Split(line, "\x00") {
		out = append(out, strings.TrimSpace(strings.ReplaceAll(c, `\|`, "|")))
	}
	return out
}

// markup is code, a link, or what is between asterisks.
var markup = regexp.MustCompile("``.+?``|`[^`]+`|\\[([^\\]]+)\\]\\(([^)]*)\\)|\\*\\*(.+?)\\*\\*|\\*([^*\\s][^*]*)\\*")

// markdownSpans sets a paragraph in fonts. Of a link within the repository the text is left.
func markdownSpans(s string) []span {
	var out []span
	last := 0
	for _, m := range markup.FindAllStringSubmatchIndex(s, -1) {
		out = append(out, span{'R', s[last:m[0]]})
		last = m[1]
		switch whole := s[m[0]:m[1]]; {
		case whole[0] == '`':
			out = append(out, span{'B', strings.TrimSpace(strings.Trim(whole, "`"))})
		case m[2] >= 0:
			out = append(out, span{'R', plain(s[m[2]:m[3]])})
			if url := s[m[4]:m[5]]; strings.Contains(url, "://") {
				out = append(out, span{'R', " <" + url + ">"})
			}
		case m[6] >= 0:
			out = append(out, span{'B', plain(s[m[6]:m[7]])})
		default:
			out = append(out, span{'I', plain(s[m[8]:m[9]])})
		}
	}
	return append(out, span{'R', s[last:]})
}

// plain is a text without its markup.
func plain(s string) string { return strings.NewReplacer("`", "", "**", "").Replace(s) }
