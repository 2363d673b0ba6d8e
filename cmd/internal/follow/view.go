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
func (m model) View() string {
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
func (m *model) text() []line {
	switch m.page {
	case details:
		return m.details()
	case help:
		return m.helpLines()
	}
	return nil
}

func (m *model) paintAll(lines []line) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = m.theme.paint(l, m.width, false)
	}
	return out
}

// bodyHeight is what the header and the footer leave.
func (m *model) bodyHeight() int {
	return max(m.height-len(m.header())-1, 1)
}

// clock is the time that what is shown is true for: it stands still while nobody answers.
func (m *model) clock() time.Time {
	if m.gone != nil {
		return m.since
	}
	return m.now
}

// nobodyLines stand where there is nothing to show.
func (m *model) nobodyLines() []line {
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
func (m *model) footer() line {
	if m.typing {
		return line{{"filter: ", strong}, {clipFront(m.theme.quote(m.filter), max(m.width-36, 20), m.theme.dots), plain}, {m.theme.full, faint}, {"  enter", strong}, {" keep ", faint}, {" esc", strong}, {" as before", faint}}
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
func (m *model) position() string {
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
