package follow

import (
	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

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
func (m *model) helpLines() []line {
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
