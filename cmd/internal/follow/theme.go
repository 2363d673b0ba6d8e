package follow

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/syncer"
)

// ink is what a text is written with.
type ink int

const (
	plain ink = iota
	faint
	strong
	good  // as it should be
	busy  // at work
	stay  // on purpose not at work
	doubt // somebody should look at it
	bad   // it does not work
	fault // what is said about that
	inks
)

// span is a text in one ink, line a line of them.
type span struct {
	text string
	ink  ink
}

type line []span

// signs are the characters that a picture is drawn with.
type signs struct {
	states                     map[string]string
	full, empty, rule, pointer string
	dots, dot, arrow, none     string
	parts                      []string // of a cell of a bar, rising
	levels                     []string // of a cell of a spark, rising
	ascii                      bool     // and nothing else may be written
}

var unicodeSigns = signs{
	states: map[string]string{api.StateInStep: "✓", api.StateVerifying: "≈", api.StatePushing: "▸", api.StateStarting: "○", api.StatePaused: "‖",
		api.StateHeld: "◆", api.StatePartial: "▲", api.StateRetrying: "✗", api.StateStopped: "□"},
	full: "█", empty: "░", rule: "─", pointer: "▌", dots: "…", dot: "·", arrow: "→", none: "–",
	parts:  []string{"▏", "▎", "▍", "▌", "▋", "▊", "▉"},
	levels: []string{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
}

var asciiSigns = signs{
	states: map[string]string{api.StateInStep: "=", api.StateVerifying: "~", api.StatePushing: ">", api.StateStarting: "o", api.StatePaused: "|",
		api.StateHeld: "#", api.StatePartial: "!", api.StateRetrying: "x", api.StateStopped: "_"},
	full: "#", empty: ".", rule: "-", pointer: ">", dots: "..", dot: "-", arrow: "->", none: "-", ascii: true,
	levels: []string{"_", ".", ":", "-", "=", "+", "*", "#"},
}

// quote makes a text of others fit for the screen. What is quoted already, in a message, stays as it is.
func (s *signs) quote(text string) string {
	text = strings.ReplaceAll(syncer.Quote(text), `\#134#`, `\#`)
	if !s.ascii {
		return strings.ReplaceAll(text, "\t", `\#011`)
	}
	var b strings.Builder
	for _, c := range []byte(text) {
		if c >= ' ' && c < 0x7f {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\#%03o`, c)
		}
	}
	return b.String()
}

// theme says what inks look like.
type theme struct {
	signs
	styles [2][inks]lipgloss.Style // of rows, and of the one that is selected
	colour bool
}

// newTheme asks the environment what the terminal can show. It does not ask the terminal.
func newTheme(out io.Writer, getenv func(string) string) *theme {
	profile := termenv.NewOutput(out).EnvColorProfile()
	if name, _, _ := strings.Cut(getenv("TERM"), "-"); profile == termenv.Ascii && getenv("NO_COLOR") == "" && (name == "screen" || name == "tmux" || name == "rxvt") {
		profile = termenv.ANSI // termenv knows them by "color" in the name
	}
	return themeOf(profile, utf8Terminal(getenv))
}

func themeOf(profile termenv.Profile, unicode bool) *theme {
	t := &theme{signs: asciiSigns, colour: profile != termenv.Ascii}
	if unicode {
		t.signs = unicodeSigns
	}
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(profile)
	style := func() lipgloss.Style { return r.NewStyle().Inline(true) }
	// The sixteen colours are the terminal's own: they fit whatever background its owner chose.
	ordinary := [inks]lipgloss.Style{
		plain: style(), faint: style().Faint(true), strong: style().Bold(true),
		good: style().Foreground(lipgloss.Color("2")), busy: style().Foreground(lipgloss.Color("6")), stay: style().Foreground(lipgloss.Color("5")),
		doubt: style().Foreground(lipgloss.Color("3")), bad: style().Foreground(lipgloss.Color("1")).Bold(true), fault: style().Foreground(lipgloss.Color("1")),
	}
	t.styles[0], t.styles[1] = ordinary, ordinary
	t.styles[1][plain], t.styles[1][faint] = style().Bold(true), style()
	return t
}

// utf8Terminal says whether the locale's characters are UTF-8, as setlocale(3) finds it, and the
// terminal has glyphs: the console of Linux has 256 or 512.
func utf8Terminal(getenv func(string) string) bool {
	if getenv("TERM") == "linux" {
		return false
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// paint writes a line in exactly so many cells.
func (t *theme) paint(l line, width int, selected bool) string {
	styles := &t.styles[0]
	if selected {
		styles = &t.styles[1]
	}
	var b strings.Builder
	left := width
	for _, s := range l {
		if left <= 0 {
			break
		}
		text := s.text
		if w := lipgloss.Width(text); w > left {
			text = clip(text, left, t.dots)
			left = 0
		} else {
			left -= w
		}
		if !t.colour || s.ink == plain && !selected || strings.TrimSpace(text) == "" {
			b.WriteString(text)
			continue
		}
		b.WriteString(styles[s.ink].Render(text))
	}
	return strings.TrimRight(b.String(), " ")
}

// bar draws how much of something is done.
func (s *signs) bar(part, whole int64, width int) line {
	done := 0.0
	if whole > 0 {
		done = min(max(float64(part)/float64(whole), 0), 1) * float64(width)
	}
	full := int(done)
	head := strings.Repeat(s.full, full)
	if n := int((done - float64(full)) * float64(len(s.parts)+1)); n > 0 && full < width {
		head += s.parts[n-1]
		full++
	}
	return line{{head, busy}, {strings.Repeat(s.empty, width-full), faint}}
}

// widthOf is of a line, in cells.
func widthOf(l line) int {
	n := 0
	for _, s := range l {
		n += lipgloss.Width(s.text)
	}
	return n
}
