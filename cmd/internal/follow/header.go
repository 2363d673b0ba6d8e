package follow

import (
	"fmt"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// header says who is looked at and how it is doing as a whole.
func (m *model) header() []line {
	t, a := m.theme, &m.agent
	left := line{{"lockstep", strong}}
	least := widthOf(left)
	var right []string
	if m.known && a.PID != 0 { // 0: there is what was kept of it, and no process
		if a.Version != "" {
			left = append(left, span{" " + t.quote(a.Version), plain})
			least = min(widthOf(left)+1, m.width/2)
		}
		right = append(right, "up "+long(m.clock().Sub(a.Since)), fmt.Sprintf("pid %d", a.PID))
		if a.Resident > 0 {
			right = append(right, size(a.Resident))
		}
		config := a.Config
		if config == "" {
			config = "--watch"
		}
		left = append(left, span{"  " + t.quote(config), faint})
	}
	lines := []line{m.spread(left, least, right)}
	if m.known {
		lines = append(lines, m.summary())
	}
	lines = append(lines, m.notices()...)
	if m.height < 10 {
		return lines[:min(len(lines), max(m.height-2, 0))]
	}
	lines = append(lines, line{{strings.Repeat(t.rule, m.width), faint}})
	if m.known && m.page == list {
		tab := tableOf(m.width, longestTarget(m, m.rows))
		lines = append(lines, tab.heading())
	}
	return lines
}

// spread puts a line to the left, of which it keeps so many cells, and to the right as much as there is room for, the
// first being dearest.
func (m *model) spread(left line, least int, right []string) line {
	sep := " " + m.theme.dot + " "
	text := ""
	for _, r := range right {
		longer := r
		if text != "" {
			longer = text + sep + r
		}
		if least+2+len([]rune(longer)) > m.width {
			break
		}
		text = longer
	}
	room := m.width - len([]rune(text))
	if text != "" {
		room -= 2
	}
	used := 0
	var out line
	for _, s := range left {
		w := widthOf(line{s})
		if used+w > room {
			s.text = clip(s.text, room-used, m.theme.dots)
			w = widthOf(line{s})
		}
		out = append(out, s)
		used += w
	}
	if text == "" {
		return out
	}
	return append(out, span{strings.Repeat(" ", max(m.width-used-len([]rune(text)), 1)), plain}, span{text, faint})
}

// summary has a chip for each state that occurs.
func (m *model) summary() line {
	list := tallies(&m.agent)
	left := m.chips(list, true)
	if widthOf(left) > m.width {
		left = m.chips(list, false)
	}
	if len(left) == 0 {
		left = line{{"no targets", faint}}
	}
	var right []string
	var rate float64
	for i := range m.agent.Syncs {
		for j := range m.agent.Syncs[i].Targets {
			if tr := m.agent.Syncs[i].Targets[j].Transfer; tr != nil {
				rate += tr.Rate
			}
		}
	}
	if rate > 0 && m.gone == nil {
		right = append(right, size(int64(rate))+"/s")
	}
	if past := lags(m.past.of[key{}]); len(past) > 1 && m.gone == nil {
		if picture, _ := m.theme.spark(past, 20); picture != "" {
			right = append(right, "lag "+picture)
		}
	}
	right = append(right, count(int64(len(m.agent.Syncs)), "sync"))
	return m.spread(left, widthOf(left), right)
}

// chips are a symbol, a number and a word each, or where there is no room for them no words: the rows have them.
func (m *model) chips(list []tally, words bool) (l line) {
	chip := func(state string, n int, what string) {
		if len(l) > 0 {
			l = append(l, span{"  ", plain})
		}
		text := fmt.Sprintf("%s %d", m.theme.states[state], n)
		if words {
			text += " " + what
		}
		l = append(l, span{text, m.ink(stateInk(state))})
	}
	switch down := syncsDown(&m.agent); {
	case down == 1:
		chip(api.StateRetrying, 1, "source down")
	case down > 1:
		chip(api.StateRetrying, down, "sources down")
	}
	for _, x := range list {
		chip(x.state, x.n, word(x.state))
	}
	return l
}

func (l line) and(more ...span) line { return append(l, more...) }

// ink is what a state is written with: what was seen last is not as bright as what is.
func (m *model) ink(i ink) ink {
	if m.gone != nil {
		return faint
	}
	return i
}

// slow is from when on an answer that does not come is worth a word.
const slow = 3 * time.Second

// notices are what is to be known about the agent itself.
func (m *model) notices() (lines []line) {
	t := m.theme
	say := func(state string, i ink, format string, args ...any) {
		for n, text := range wrap(fmt.Sprintf(format, args...), m.width-2, 2, t.dots) {
			head := t.states[state] + " "
			if n > 0 {
				head = "  "
			}
			lines = append(lines, line{{head + text, i}})
		}
	}
	if m.gone != nil && m.known {
		say(api.StateRetrying, bad, "no answer for %s, below is what was seen at %s: %s", long(m.now.Sub(m.since)), m.heard.Format(time.TimeOnly), t.quote(oneLine(m.gone.Error())))
	}
	if silent := m.now.Sub(m.heard); m.known && m.gone == nil && silent >= slow {
		say(api.StatePartial, doubt, "it is slow to answer: what is shown is %s old", long(silent))
	}
	if m.gone == nil && !m.backAt.IsZero() && m.now.Sub(m.backAt) < 10*time.Second {
		again := "it is the same process"
		if m.agent.PID != m.was {
			again = "it was started again"
		}
		say(api.StateInStep, good, "back after %s; %s", long(m.away), again)
	}
	if m.known && m.agent.LoadError != "" {
		say(api.StatePartial, doubt, "the last reload changed nothing: %s", t.quote(oneLine(m.agent.LoadError)))
	}
	if m.known && m.gone == nil && m.agent.PID != 0 && !m.agent.Ready {
		say(api.StateStarting, busy, "it starts: not every source is watched yet")
	}
	return lines
}
