package follow

import (
	"fmt"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// syncLines are above the targets of a sync: what is watched, and how.
func (m *model) syncLines(s *api.Sync) []line {
	t := m.theme
	left := line{{t.quote(s.Name), strong}}
	if s.Source != s.Name {
		left = append(left, span{"  " + t.quote(s.Source), faint})
	}
	if s.Paused {
		left = append(left, span{"  " + t.states[api.StatePaused] + " paused: lockstep resume", stay})
	}
	lines := []line{m.beside(left, m.watch(s))}
	if s.Error != "" {
		for _, text := range wrap(t.quote(s.Error), m.width-4, 2, t.dots) {
			lines = append(lines, line{{"    " + text, fault}})
		}
	}
	return lines
}

// beside puts as many of the spans to the right as there is room for; the first is the dearest.
func (m *model) beside(left, right line) line {
	var fit line
	for _, s := range right {
		if len(fit) > 0 {
			s.text = " " + m.theme.dot + " " + s.text
		}
		if widthOf(left[:1])+2+widthOf(fit)+widthOf(line{s}) > m.width {
			break
		}
		fit = append(fit, s)
	}
	room := m.width - widthOf(fit) - 2
	var out line
	for i, s := range left {
		w := room - widthOf(out)
		if i > 0 && w < 8 {
			break
		}
		s.text = clip(s.text, w, m.theme.dots)
		out = append(out, s)
	}
	return append(append(out, span{strings.Repeat(" ", max(m.width-widthOf(out)-widthOf(fit), 0)), plain}), fit...)
}

// nearLimit is from where on the number of watches is worth a thought, in percent.
const nearLimit = 80

// watch says how a source is watched, what is odd about it first.
func (m *model) watch(s *api.Sync) (l line) {
	w := &s.Watch
	if w.Backend == "" { // not yet, or by nobody
		return nil
	}
	use := span{m.theme.quote(w.Backend), faint}
	switch {
	case w.Limit > 0:
		use.text += fmt.Sprintf(" %s of %s watches", commas(w.Watches), commas(w.Limit))
		if p := percent(w.Watches, w.Limit); p >= nearLimit {
			use = span{fmt.Sprintf("%s %d%%: %s", m.theme.states[api.StatePartial], p, use.text), doubt}
		}
	case w.Watches > 0:
		use.text += " " + watches(w.Watches)
	}
	l = append(l, use)
	if !w.Ready {
		l = append(l, span{"not all of it yet", busy})
	}
	if w.Overflows > 0 {
		l = append(l, span{count(w.Overflows, "overflow"), doubt})
	}
	if w.Polled > 0 {
		l = append(l, span{commas(w.Polled) + " polled", doubt})
	}
	return l
}

func watches(n int64) string {
	if n == 1 {
		return "1 watch"
	}
	return commas(n) + " watches"
}
