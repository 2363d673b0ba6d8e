package follow

import (
	"fmt"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// block is a row with what stands below it, and the line of its sync above the first one.
type block struct {
	lines []line
	row   int // which of them is the row itself
}

// fewTroubles is up to how many broken targets are all told in full; of more it is the selected one.
const fewTroubles = 4

// blocks are one for each of the rows.
func (m *model) blocks() []block {
	tab := tableOf(m.width, longestTarget(m, m.rows))
	troubles, syncs := 0, 0
	for i := range m.rows {
		if i == 0 || m.rows[i-1].of != m.rows[i].of {
			syncs++
		}
		if t := m.rows[i].target; t != nil && broken(t) {
			troubles++
		}
	}
	list := make([]block, len(m.rows))
	for i := range m.rows {
		r, b := &m.rows[i], &list[i]
		if i == 0 || m.rows[i-1].of != r.of {
			b.lines = m.syncLines(r.of)
		}
		b.row = len(b.lines)
		if r.target == nil {
			b.lines = append(b.lines, m.stateCell(r, &tab).and(span{"no target", faint}))
			continue
		}
		b.lines = append(b.lines, m.rowLine(r, &tab))
		b.lines = append(b.lines, m.below(r.target, &tab, r.key == m.selected || troubles <= fewTroubles)...)
	}
	if m.airy(list, syncs) {
		for i := range list {
			if b := &list[i]; i > 0 && b.row > 0 {
				b.lines, b.row = append([]line{nil}, b.lines...), b.row+1
			}
		}
	}
	return list
}

// airy says whether there is room for an empty line between syncs, and for a line below each row besides: so what is
// on its way and ends moves nothing.
func (m *model) airy(list []block, syncs int) bool {
	lines := syncs - 1
	for i := range list {
		lines += len(list[i].lines)
	}
	return max(lines, 2*(len(list)+syncs)) <= m.bodyHeight()
}

// listBody is the part of the blocks that is on the screen.
func (m *model) listBody() []string {
	if len(m.rows) == 0 {
		text := "  The config has no syncs."
		if m.filter != "" {
			text = "  Nothing matches: esc shows all."
		}
		return m.paintAll([]line{{}, {{text, faint}}})
	}
	var out []string
	n, bottom := 0, m.top+m.bodyHeight()
	for i, b := range m.blocks() {
		for j, l := range b.lines {
			if n >= m.top && n < bottom {
				out = append(out, m.theme.paint(m.dimmed(l), m.width, j == b.row && m.rows[i].key == m.selected))
			}
			n++
		}
	}
	return out
}

func (m *model) dimmed(l line) line {
	if m.gone == nil {
		return l
	}
	dim := make(line, len(l))
	for i, s := range l {
		dim[i] = span{s.text, faint}
	}
	return dim
}

// scrolled is the first line to show so that the selected row is on the screen, moved as little as can be.
func (m *model) scrolled() int {
	height := m.bodyHeight()
	begin, end, n := 0, 0, 0
	for i, b := range m.blocks() {
		if m.rows[i].key == m.selected {
			begin, end = n, n+len(b.lines)
			if b.row >= height {
				begin += b.row
			}
		}
		n += len(b.lines)
	}
	top := max(m.top, end-height)
	return max(min(top, begin, n-height), 0)
}

// stateText is the symbol and the word.
func (m *model) stateText(state string) string {
	symbol := m.theme.states[state]
	if symbol == "" {
		symbol = "?" // of a newer agent
	}
	return symbol + " " + m.theme.quote(word(state))
}

// stateCell is the pointer, the symbol and the word.
func (m *model) stateCell(r *row, tab *table) line {
	state := api.StateStopped
	if r.target != nil {
		state = r.target.State
	} else if r.of.State != "" {
		state = r.of.State
	}
	pointer := span{"  ", plain}
	if r.key == m.selected {
		pointer = span{m.theme.pointer + " ", busy}
	}
	return line{pointer, {pad(clip(m.stateText(state), tab.state-3, ""), tab.state-3) + " ", stateInk(state)}}
}

// rowLine is a target in the table.
func (m *model) rowLine(r *row, tab *table) line {
	name := clip(m.theme.quote(r.target.Target), tab.target-1, m.theme.dots)
	l := m.stateCell(r, tab).and(span{pad(name, tab.target), plain})
	for i := range tab.columns {
		c := &tab.columns[i]
		s := c.text(m, r.target)
		s.text = c.cell(s.text)
		l = append(l, s)
	}
	if tab.now > 0 {
		l = append(append(l, span{"  ", plain}), m.nowCell(r.target, tab.now-2)...)
	}
	return l
}

// nowCell is what goes on, in one cell.
func (m *model) nowCell(t *api.Target, width int) line {
	switch {
	case t.Error != nil:
		return line{{clip(m.nextTry(t.Error), width, m.theme.dots), plain}}
	case t.Transfer != nil:
		return m.transferLine(t.Transfer, width)
	case t.State == api.StateVerifying && t.Verify != nil && t.Verify.Ended.IsZero():
		return line{{clip(fmt.Sprintf("%s compared so far, %s mended", count(t.Verify.Names, "name"), commas(t.Verify.Mended)), width, m.theme.dots), plain}}
	case len(t.Held) > 0 || len(t.Failed) > 0: // below it is said better
		return nil
	}
	return line{{clip(m.theme.quote(t.Text), width, m.theme.dots), faint}}
}

func (m *model) nextTry(e *api.Error) string {
	next := "trying now"
	if d := e.Next.Sub(m.clock()); d > 0 {
		next = "next try in " + long(d+time.Second-1)
	}
	if e.Tries == 0 {
		return next
	}
	tries := count(int64(e.Tries), "try")
	if e.Tries != 1 {
		tries = commas(int64(e.Tries)) + " tries"
	}
	return fmt.Sprintf("%s, %s in %s", next, tries, long(m.clock().Sub(e.Since)))
}

// below is what the row of a target has no room for: what is on its way, and what is broken, in full or in one line.
func (m *model) below(t *api.Target, tab *table, full bool) (lines []line) {
	th := m.theme
	indent := span{"    ", plain}
	width := m.width - len(indent.text)
	say := func(i ink, most int, mark, text string) {
		for n, part := range wrap(text, width-len([]rune(mark)), most, th.dots) {
			head := mark
			if n > 0 {
				head = strings.Repeat(" ", len([]rune(mark)))
			}
			lines = append(lines, line{indent, {head + part, i}})
		}
	}
	if tab.state < stateWidth && t.State != api.StateInStep {
		say(stateInk(t.State), 1, "", th.quote(word(t.State)))
	}
	if t.Transfer != nil && tab.now == 0 && t.Error == nil {
		lines = append(lines, line{indent}.and(m.transferLine(t.Transfer, width)...))
	}
	if e := t.Error; e != nil {
		if !full {
			say(fault, 1, "", th.quote(e.Text))
		} else {
			say(fault, 2, "", th.quote(e.Text))
			if e.Remedy != "" {
				say(plain, 3, th.arrow+" ", th.quote(e.Remedy))
			}
			if tab.now == 0 {
				say(faint, 1, "", m.nextTry(e))
			}
		}
	}
	if len(t.Held) > 0 {
		say(doubt, 1, "", heldText(t.Held)+": lockstep release")
	}
	if n := failedPaths(t); n > 0 {
		f := &t.Failed[0]
		text := count(int64(n), "path") + " not brought over: lockstep failed"
		if full {
			text = fmt.Sprintf("%s not brought over (lockstep failed), %s: %s", count(int64(n), "path"), th.quote(f.Path), th.quote(f.Reason))
		}
		say(doubt, 2, "", text)
	}
	return lines
}

// heldText is how many deletions wait. A directory of which the target has more than the source counts as none.
func heldText(held []api.Held) string {
	var names int64
	for i := range held {
		names += held[i].Names
	}
	text := "1 deletion waits"
	if len(held) != 1 {
		text = commas(int64(len(held))) + " deletions wait"
	}
	if names > int64(len(held)) {
		text += " (" + count(names, "name") + ")"
	}
	return text
}

// transferLine is what is on its way: the more room there is, the more of it.
func (m *model) transferLine(tr *api.Transfer, width int) line {
	th := m.theme
	rate := ""
	if tr.Rate > 0 {
		rate = "  " + size(int64(tr.Rate)) + "/s"
	}
	name := th.quote(tr.Path)
	if tr.Size <= 0 || name == "" {
		text := fmt.Sprintf("%s, %s so far", count(tr.Files, "file"), size(tr.Bytes))
		if name != "" {
			text += "  " + clipFront(name, max(width-len(text)-len(rate)-2, 8), th.dots)
		}
		return line{{clip(text+rate, width, th.dots), plain}}
	}
	cells := 10
	if width > 60 {
		cells = 20
	}
	l := th.bar(tr.Sent, tr.Size, cells).and(span{fmt.Sprintf(" %3d%%", percent(tr.Sent, tr.Size)), strong})
	add := func(text string, least int) {
		if widthOf(l)+len(text)+least+2 <= width {
			l = append(l, span{text, plain})
		}
	}
	const leastName = 12
	add(rate, leastName)
	if tr.Left > 0 {
		add("  "+short(seconds(tr.Left).Round(time.Second))+" left", leastName)
	}
	add(fmt.Sprintf("  %s of %s", size(tr.Sent), size(tr.Size)), 24)
	return append(l, span{"  " + clipFront(name, max(width-widthOf(l)-2, 3), th.dots), plain})
}
