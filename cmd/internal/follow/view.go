package follow

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// View is the screen: as many lines as it has, none wider.
func (m Model) View() string {
	top := m.header()
	var body []string
	switch {
	case m.page != list:
		text := m.text()
		body = m.paintAll(text[min(m.scroll, len(text)):])
	case !m.known:
		body = m.paintAll(m.nobodyLines())
	default:
		body = m.listBody()
	}
	lines := m.paintAll(top)
	room := m.bodyHeight()
	lines = append(lines, body[:min(len(body), room)]...)
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	lines = append(lines, m.theme.paint(m.footer(), m.width, false))
	return strings.Join(lines[max(len(lines)-m.height, 0):], "\n")
}

// text is what the pages but the list show.
func (m *Model) text() []line {
	switch m.page {
	case details:
		return m.details()
	case help:
		return m.helpLines()
	}
	return nil
}

func (m *Model) paintAll(lines []line) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = m.theme.paint(l, m.width, false)
	}
	return out
}

// bodyHeight is what the header and the footer leave.
func (m *Model) bodyHeight() int {
	return max(m.height-len(m.header())-1, 1)
}

// clock is the time that what is shown is true for: it stands still while nobody answers.
func (m *Model) clock() time.Time {
	if m.gone != nil {
		return m.since
	}
	return m.now
}

// header says who is looked at and how it is doing as a whole.
func (m *Model) header() []line {
	t, a := m.theme, &m.agent
	left := line{{"lockstep", strong}}
	var right []string
	if m.known && a.PID != 0 { // 0: there is what was kept of it, and no process
		if a.Version != "" {
			left = append(left, span{" " + t.quote(a.Version), plain})
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
	lines := []line{m.spread(left, right)}
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

// spread puts a line to the left, and to the right as much as there is room for, the first being dearest.
func (m *Model) spread(left line, right []string) line {
	sep := " " + m.theme.dot + " "
	text := ""
	for _, r := range right {
		longer := r
		if text != "" {
			longer = text + sep + r
		}
		if widthOf(left[:min(len(left), 2)])+3+len([]rune(longer)) > m.width {
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
func (m *Model) summary() line {
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
	room := m.width - widthOf(left)
	for len(right) > 0 && lipgloss.Width(strings.Join(right, "   "))+2 > room {
		right = right[:len(right)-1]
	}
	return m.spread(line{{"", plain}, {"", plain}}.and(left...), right)
}

// chips are a symbol, a number and a word each, or where there is no room for them no words: the rows have them.
func (m *Model) chips(list []tally, words bool) (l line) {
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
func (m *Model) ink(i ink) ink {
	if m.gone != nil {
		return faint
	}
	return i
}

// slow is from when on an answer that does not come is worth a word.
const slow = 3 * time.Second

// notices are what is to be known about the agent itself.
func (m *Model) notices() (lines []line) {
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
		say(api.StatePartial, doubt, "the last reload changed nothing: %s", t.quote(m.agent.LoadError))
	}
	if m.known && m.gone == nil && m.agent.PID != 0 && !m.agent.Ready {
		say(api.StateStarting, busy, "it starts: not every source is watched yet")
	}
	return lines
}

// nobodyLines stand where there is nothing to show.
func (m *Model) nobodyLines() []line {
	if !m.asked {
		return []line{{}, {{"  asking" + m.theme.dots, faint}}}
	}
	lines := []line{{}, {{"  " + m.theme.states[api.StateRetrying] + " No lockstep answers, for " + long(m.now.Sub(m.since)) + ".", bad}}}
	for _, text := range wrap(m.theme.quote(oneLine(m.gone.Error())), m.width-4, 6, m.theme.dots) {
		lines = append(lines, line{{"    " + text, plain}})
	}
	for _, text := range wrap("It is asked again and again: what it has to tell is shown here as soon as it runs.", m.width-4, 4, m.theme.dots) {
		lines = append(lines, line{{"    " + text, faint}})
	}
	return lines
}

// footer has the keys, or the filter that is being typed.
func (m *Model) footer() line {
	if m.typing {
		return line{{"filter: ", strong}, {m.theme.quote(m.filter), plain}, {m.theme.full, faint}, {"  enter", strong}, {" keep ", faint}, {" esc", strong}, {" as before", faint}}
	}
	var keys [][2]string
	switch m.page {
	case help:
		keys = [][2]string{{"any key", "back"}, {"up down", "scroll"}, {"q", "quit"}}
	case details:
		keys = [][2]string{{"esc", "back"}, {"tab", "next target"}, {"up down", "scroll"}, {"?", "help"}, {"q", "quit"}}
	default:
		keys = [][2]string{{"q", "quit"}, {"enter", "details"}, {"/", "filter"}, {"s", "sort: " + m.order.String()}, {"?", "help"}, {"up down", "select"}}
		if m.filter != "" {
			keys[2][1] = "filter: " + clip(m.theme.quote(m.filter), 20, m.theme.dots)
			keys = slices.Insert(keys, 3, [2]string{"esc", "all"})
		}
	}
	var l line
	right := m.position()
	for _, k := range keys {
		if widthOf(l)+len(k[0])+lipgloss.Width(k[1])+3+len(right) > m.width {
			break
		}
		if len(l) > 0 {
			l = append(l, span{"  ", plain})
		}
		l = append(l, span{k[0], strong}, span{" " + k[1], faint})
	}
	return append(l, span{strings.Repeat(" ", max(m.width-widthOf(l)-len(right), 0)) + right, faint})
}

// position is where in a list that does not fit.
func (m *Model) position() string {
	switch {
	case m.page != list:
		if n, room := len(m.text()), m.bodyHeight(); n > room {
			return fmt.Sprintf("%d/%d", min(m.scroll+room, n), n)
		}
	case m.page == list && m.filter != "":
		return fmt.Sprintf("%d/%d of %d", m.at()+1, len(m.rows), len(rowsOf(&m.agent, m.order, "")))
	case m.page == list && len(m.rows) > 1:
		return fmt.Sprintf("%d/%d", m.at()+1, len(m.rows))
	}
	return ""
}

var helpText = []struct{ keys, means string }{
	{"up down j k", "select a target"},
	{"pgup pgdown", "a screen further; home, end: the first, the last"},
	{"enter", "all about it: failed and held paths, verification, totals; esc: back"},
	{"/", "show only what has these words in sync, source, target or state"},
	{"s", "sort: trouble first, as in the config, by lag, by name"},
	{"esc", "all again; then back to what is worst off"},
	{"q ctrl-c", "quit; ctrl-z: stop, and fg goes on"},
}

// helpLines explain keys, symbols and numbers. Nothing is done to the agent here: that is for the verbs.
func (m *Model) helpLines() []line {
	lines := []line{{}}
	const label = 16
	row := func(head span, means string) {
		for _, text := range wrap(means, max(m.width-label, 10), 3, m.theme.dots) {
			lines = append(lines, line{{pad("  "+head.text, label), head.ink}, {text, plain}})
			head.text = ""
		}
	}
	for _, h := range helpText {
		row(span{h.keys, strong}, h.means)
	}
	lines = append(lines, line{})
	for _, s := range []struct{ state, means string }{
		{api.StateInStep, "nothing is dirty"},
		{api.StateVerifying, "in step as far as is known, and being compared"},
		{api.StatePushing, "something is on its way, or about to be"},
		{api.StateStarting, "nothing was pushed yet"},
		{api.StatePaused, "changes are gathered, none are pushed: lockstep resume"},
		{api.StateHeld, "deletions wait for you: lockstep release"},
		{api.StatePartial, "some paths cannot be brought over: lockstep failed"},
		{api.StateRetrying, "the target cannot be reached, or fails"},
		{api.StateStopped, "nobody keeps it in step"},
	} {
		row(span{m.stateText(s.state), stateInk(s.state)}, s.means)
	}
	lines = append(lines, line{})
	row(span{"lag", strong}, "how long the oldest change waits that is not on the target")
	row(span{"queue flight", strong}, "paths to be pushed, and on their way")
	row(span{"last ok", strong}, "the last push without an error")
	row(span{"saved", strong}, "what is in step and did not have to travel: delta and compression")
	return lines
}
