package logs

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// obeyed are the characters that a terminal acts on, or that turn a line around.
func obeyed(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}

// plainText makes the lines of a log plain text. The encoder escapes what is below a space, and leaves
// other characters that terminals obey. They come in names and in what peers say, so
// within JSON's strings, where \uXXXX means the same.
func plainText(lines []byte) []byte {
	return escaped(lines, "\n\t", func(out []byte, r rune, _ []byte) []byte { return fmt.Appendf(out, `\u%04x`, r) })
}

// ForTerminal escapes what terminals obey where w is one, as -i does. To anything else each byte goes
// as it is: scripts read names from there.
func ForTerminal(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return terminalText{w}
	}
	return w
}

type terminalText struct{ w io.Writer }

func (t terminalText) Write(text []byte) (int, error) {
	out := escaped(text, "\n\t\x00", func(out []byte, _ rune, bytes []byte) []byte {
		for _, b := range bytes {
			out = fmt.Appendf(out, `\#%03o`, b)
		}
		return out
	})
	if _, err := t.w.Write(out); err != nil {
		return 0, err
	}
	return len(text), nil
}

// escaped is text with what is obeyed in it, but for keep, and what is no UTF-8, escaped.
func escaped(text []byte, keep string, escape func(out []byte, r rune, bytes []byte) []byte) []byte {
	out := make([]byte, 0, len(text))
	for rest := text; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if invalid := r == utf8.RuneError && n == 1; invalid || obeyed(r) && !strings.ContainsRune(keep, r) {
			out = escape(out, r, rest[:n])
		} else {
			out = append(out, rest[:n]...)
		}
		rest = rest[n:]
	}
	return out
}
