package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Error is one thing that is wrong with a config.
type Error struct {
	File         string
	Line, Column int      // from 1; a column counts characters; Line 0: it is the file as a whole
	Text         string   // the line, without what it holds of a password
	Message      string   // with Near
	Near         []string // known names, where an unknown one was written

	value bool // a value is wrong, or what it means: not the form of the file, which a schema knows
}

// Error is one line.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", Printable(e.File), e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", Printable(e.File), e.Line, e.Column, e.Message)
}

// Errors are all that is wrong with a config, in the order of its lines.
type Errors struct {
	List []*Error
	More int // that are not in the list, which is long enough
}

// Error tells all of them, each with its line and a caret below the place.
func (e *Errors) Error() string {
	var b strings.Builder
	for i, one := range e.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(one.Error())
		b.WriteString(one.excerpt())
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "\nand %d more", e.More)
	}
	return b.String()
}

// width is how much of a line is shown.
const width = 100

// excerpt is the line with a caret below the column.
func (e *Error) excerpt() string {
	if e.Line == 0 || strings.TrimSpace(e.Text) == "" {
		return ""
	}
	at, col := len(e.Text), 1
	for i := range e.Text {
		if col == e.Column {
			at = i
			break
		}
		col++
	}
	head, tail := Printable(e.Text[:at]), Printable(e.Text[at:])
	if r := []rune(head); len(r) > width/2 {
		head = "…" + string(r[len(r)-width/2:])
	}
	if r := []rune(tail); len(r) > width/2 {
		tail = string(r[:width/2]) + "…"
	}
	number := strconv.Itoa(e.Line)
	return fmt.Sprintf("\n  %s | %s%s\n  %s | %s^", number, head, tail, strings.Repeat(" ", len(number)), strings.Repeat(" ", len([]rune(head))))
}

// Printable is text without what a terminal would obey.
func Printable(s string) string {
	plain := func(r rune) bool { return r == ' ' || unicode.IsPrint(r) && r != unicode.ReplacementChar }
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case plain(r):
			b.WriteRune(r)
		case r == unicode.ReplacementChar:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

// problems gathers what is wrong. One and the same is told once.
type problems struct {
	list []*Error
	more int
	told map[string]bool
}

// most is how many problems are told: who has more has misunderstood something.
const most = 50

func (p *problems) add(e *Error) *Error {
	e.Message = Printable(strings.ReplaceAll(e.Message, "\n", " "))
	if p.told == nil {
		p.told = map[string]bool{}
	}
	text := e.Error()
	switch {
	case p.told[text]:
	case len(p.list) == most:
		p.more++
	default:
		p.told[text] = true
		p.list = append(p.list, e)
	}
	return e
}

// form complains about the form of the file at n.
func (p *problems) form(n *node, format string, args ...any) *Error {
	return p.add(n.problem(fmt.Sprintf(format, args...)))
}

// value complains about a value, or what it means.
func (p *problems) value(n *node, format string, args ...any) *Error {
	e := n.problem(fmt.Sprintf(format, args...))
	e.value = true
	return p.add(e)
}

// err is all that is wrong, or nil. files are in the order in which they were read.
func (p *problems) err(files []string) error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b *Error) int {
		return cmp.Or(slices.Index(files, a.File)-slices.Index(files, b.File), a.Line-b.Line, a.Column-b.Column)
	})
	return &Errors{List: p.list, More: p.more}
}
