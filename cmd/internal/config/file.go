package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The bounds of what is read: far above what people write.
const (
	maxFile  = 256 << 10 // bytes of a file
	maxLine  = 16 << 10  // bytes of a line
	maxFiles = 1000
	maxDepth = 20     // of what is in one another; a config needs 7
	maxItems = 10_000 // keys and items of lists: the parser takes a time that grows with the square of their number
)

// file is the text of a config file.
type file struct {
	name   string
	lines  []string
	hidden map[int]int // by line: the byte from which on it may hold a password
	mode   fs.FileMode
	uid    int
}

// open reads a file. One that is included is no pipe or the like: who wrote its name may have meant another.
func open(name string, included bool) (*file, string, error) {
	st, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, "", withoutName(err)
	case st.IsDir():
		return nil, "", errors.New("it is a directory, not a config file")
	case included && !st.Mode().IsRegular():
		return nil, "", errors.New("it is no regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, "", withoutName(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, "", withoutName(err)
	case len(b) > maxFile:
		return nil, "", fmt.Errorf("it is larger than %d KiB: that is no config", maxFile>>10)
	}
	c, text := newFile(name, b)
	c.mode, c.uid = st.Mode(), owner(st)
	return c, text, nil
}

func newFile(name string, b []byte) (*file, string) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) // a byte order mark
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	c := &file{name: name, lines: strings.Split(text, "\n")}
	c.hide()
	return c, text
}

// whole is a place that stands for the whole of the file.
func (f *file) whole() *node { return &node{file: f, form: isBad} }

func (f *file) at(line, col int) *node {
	return &node{file: f, line: line, col: max(col, 1), form: isBad}
}

// unclean finds the first character that no config holds.
func (f *file) unclean() (n *node, what string) {
	for i, line := range f.lines {
		if len(line) > maxLine {
			return f.at(i+1, 1), fmt.Sprintf("a line of %d bytes is too long: break it, as a list with an item a line", len(line))
		}
		col := 0
		for k, r := range line {
			col++
			switch {
			case r == utf8.RuneError && !strings.HasPrefix(line[k:], "\uFFFD"):
				return f.at(i+1, col), fmt.Sprintf("the byte \\x%02x is no UTF-8: save the file as UTF-8", line[k])
			case r < ' ' && r != '\t' || r == 0x7f:
				return f.at(i+1, col), fmt.Sprintf("the control character %U has no place in a config: delete it", r)
			}
		}
	}
	return nil, ""
}

// shown is a line as it may be shown.
func (f *file) shown(line int) string {
	if line < 1 || line > len(f.lines) {
		return ""
	}
	text := f.lines[line-1]
	if from, ok := f.hidden[line]; ok && from < len(text) {
		return text[:from] + "…"
	}
	return text
}

// secretKey finds keys that may stand before a password, also where they are misspelt. A file that holds one is none.
var secretKey = regexp.MustCompile(`(?i)[\w-]*(?:pas+w|paswo|passph|secret|token|pwd|pass\b)[\w-]*["']?[ \t]*:?`)

// urlPassword finds what may be a password in a URL.
var urlPassword = regexp.MustCompile(`://[^@/\s:]*:[^@/\s]*@`)

// hide finds what must not be shown: a password's line from its key on, and the lines below it that are indented deeper. It
// goes by the text, as a file that is no YAML is shown too.
func (f *file) hide() {
	f.hidden = map[int]int{}
	below := -1
	for i, line := range f.lines {
		indent := len(line) - len(strings.TrimLeft(line, " \t"))
		if below >= 0 && (indent > below || strings.TrimSpace(line) == "") {
			f.hidden[i+1] = 0
			continue
		}
		below = -1
		if m := urlPassword.FindStringIndex(line); m != nil {
			f.hidden[i+1] = m[0] + len("://")
		}
		for _, m := range secretKey.FindAllStringIndex(line, -1) {
			key := strings.ToLower(strings.TrimRight(line[m[0]:m[1]], "\"' \t:"))
			if strings.HasSuffix(key, "file") {
				continue
			}
			if from, ok := f.hidden[i+1]; !ok || m[1] < from {
				f.hidden[i+1] = m[1]
			}
			below = indent
			break
		}
	}
}

// withoutName is why a file cannot be read, without its name, which is told anyway.
func withoutName(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
