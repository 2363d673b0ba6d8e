package follow

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// column is one of the table's. Those that have no room are left out, the last of this list first; state and target stay.
type column struct {
	title string
	width int
	right bool
	text  func(m *model, t *api.Target) span
}

const (
	stateWidth  = 14 // pointer, symbol and the longest word, a space behind each
	leastTarget = 19 // for the first two columns; below that they are left out, too
	roomyTarget = 30 // for the others, if it is that long
	nowWidth    = 36 // from there on, what goes on is beside the target, not below it
)

var columns = []column{
	{"LAG", 7, true, func(m *model, t *api.Target) span {
		d := seconds(t.Lag)
		if d <= 0 {
			return span{m.theme.none, faint}
		}
		return span{short(d), plain}
	}},
	{"QUEUE", 7, true, func(m *model, t *api.Target) span { return number(m, int64(t.Paths), 7) }},
	{"FLIGHT", 7, true, func(m *model, t *api.Target) span { return number(m, int64(t.InFlight), 7) }},
	{"LAST OK", 8, true, func(m *model, t *api.Target) span {
		if t.LastSuccess.IsZero() {
			return span{"never", faint}
		}
		return span{ago(m.clock(), t.LastSuccess), plain}
	}},
	{"SAVED", 6, true, func(m *model, t *api.Target) span {
		part, ok := saving(&t.Totals)
		if !ok {
			return span{m.theme.none, faint}
		}
		return span{fmt.Sprintf("%d%%", part), plain}
	}},
	{"SENT", 9, true, func(m *model, t *api.Target) span {
		if t.Totals.SentBytes == 0 {
			return span{m.theme.none, faint}
		}
		return span{size(t.Totals.SentBytes), plain}
	}},
	{"FILES", 8, true, func(m *model, t *api.Target) span { return number(m, t.Totals.Files, 8) }},
	{"DELETED", 8, true, func(m *model, t *api.Target) span { return number(m, t.Totals.Deleted, 8) }},
	{"FAILED", 7, true, func(m *model, t *api.Target) span {
		s := number(m, int64(failedPaths(t)), 7)
		if len(t.Failed) > 0 {
			s.ink = doubt
		}
		return s
	}},
}

// ago is how long something is past, in whole seconds: what happens all the time does not flicker.
func ago(now, t time.Time) string {
	return short(max(now.Sub(t), 0).Truncate(time.Second))
}

// number writes how many, nothing as a dash, and what has no room in thousands.
func number(m *model, n int64, width int) span {
	if n == 0 {
		return span{m.theme.none, faint}
	}
	text := commas(n)
	for unit := 0; len(text) > width-1 && unit < len("kMGTPE"); unit++ {
		n /= 1000
		text = commas(n) + "kMGTPE"[unit:unit+1]
	}
	return span{text, plain}
}

// saving is which part of what is in step did not have to travel, in percent.
func saving(t *api.Totals) (part int, ok bool) {
	whole := t.LiteralBytes + t.MatchedBytes
	if whole <= 0 {
		return 0, false
	}
	return percent(whole-t.SentBytes, whole), true
}

// failedPaths is for how many paths the ledger stands.
func failedPaths(t *api.Target) int {
	n := 0
	for i := range t.Failed {
		n += max(t.Failed[i].Paths, 1)
	}
	return n
}

// table is how a width is shared out.
type table struct {
	state   int
	target  int
	columns []column
	now     int // what goes on, beside the target; 0: it goes below
}

// tableOf gives the columns of a width; longest is the longest target's.
func tableOf(width, longest int) table {
	t := table{state: stateWidth}
	if width < stateWidth+leastTarget {
		t.state = 3 // the symbol; the word is in the line below
	}
	left := width - t.state
	for i, c := range columns {
		least := leastTarget
		if i > 1 {
			least = max(least, min(longest+1, roomyTarget))
		}
		if left-c.width < least {
			break
		}
		left -= c.width
		t.columns = append(t.columns, c)
	}
	t.target = left
	longest = max(longest+1, leastTarget)
	if left-longest >= nowWidth {
		t.target, t.now = longest, left-longest
	}
	return t
}

func longestTarget(m *model, rows []row) int {
	n := 0
	for i := range rows {
		if t := rows[i].target; t != nil {
			n = max(n, lipgloss.Width(m.theme.quote(t.Target)))
		}
	}
	return n
}

// heading names the columns.
func (t *table) heading() line {
	var b strings.Builder
	if t.state == stateWidth {
		b.WriteString(pad("    STATE", t.state))
	} else {
		b.WriteString(pad("", t.state))
	}
	b.WriteString(pad("TARGET", t.target))
	for _, c := range t.columns {
		b.WriteString(c.cell(c.title))
	}
	if t.now > 0 {
		b.WriteString("  NOW")
	}
	return line{{b.String(), faint}}
}

func (c *column) cell(text string) string {
	if c.right {
		return strings.Repeat(" ", max(c.width-lipgloss.Width(text), 0)) + text
	}
	return pad(text, c.width)
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(width-lipgloss.Width(text), 0))
}
