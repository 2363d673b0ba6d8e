package follow

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/syncer"
)

// sheet gathers what is known of one thing: labels to the left, texts to the right.
type sheet struct {
	m     *model
	lines []line
}

const labelWidth = 13

func (s *sheet) row(label string, i ink, format string, args ...any) {
	width := max(s.m.width-labelWidth-2, 10)
	for _, text := range wrap(fmt.Sprintf(format, args...), width, 100, s.m.theme.dots) {
		s.lines = append(s.lines, line{{pad("  "+label, labelWidth+2), faint}, {text, i}})
		label = ""
	}
}

// item is one of a list, cut to the width.
func (s *sheet) item(i ink, text string) {
	s.lines = append(s.lines, line{{strings.Repeat(" ", labelWidth+2), plain}, {clip(text, max(s.m.width-labelWidth-2, 10), s.m.theme.dots), i}})
}

// details is all about the selected target.
func (m *model) details() []line {
	at := m.at()
	if at < 0 {
		return nil
	}
	r := &m.rows[at]
	s := &sheet{m: m}
	th := m.theme
	if r.target == nil {
		s.lines = append(s.lines, line{{th.quote(r.of.Name), strong}}, line{})
		s.state(r.of.State, r.of.Text)
		s.watched(r.of)
		return s.dim()
	}
	t := r.target
	s.lines = append(s.lines, line{{clip(fmt.Sprintf("%s %s %s", th.quote(r.of.Source), th.arrow, th.quote(t.Target)), m.width, th.dots), strong}}, line{})
	s.row("sync", plain, "%s", th.quote(r.of.Name))
	text := t.Text
	if t.Error != nil {
		text = "" // the same, below
	}
	s.state(t.State, text)
	if r.of.Paused {
		s.row("paused", stay, "changes are gathered, none are pushed; lockstep resume ends it")
	}
	s.trouble(t)
	s.queue(t)
	s.totals(&t.Totals)
	s.verified(t.Verify)
	s.held(t.Held)
	s.failed(t)
	s.watched(r.of)
	return s.dim()
}

func (s *sheet) dim() []line {
	for i := range s.lines {
		s.lines[i] = s.m.dimmed(s.lines[i])
	}
	return s.lines
}

func (s *sheet) state(state, text string) {
	if text != "" {
		text = ": " + s.m.theme.quote(text)
	}
	s.row("state", stateInk(state), "%s%s", s.m.stateText(state), text)
}

func (s *sheet) trouble(t *api.Target) {
	e, th := t.Error, s.m.theme
	if e == nil {
		return
	}
	s.row("error", fault, "%s (%s)", th.quote(e.Text), th.quote(e.Class))
	if e.Remedy != "" {
		s.row("remedy", strong, "%s", th.quote(e.Remedy))
	}
	s.row("tries", plain, "%s, since %s", s.m.nextTry(e), e.Since.Format(time.DateTime))
}

func (s *sheet) queue(t *api.Target) {
	m := s.m
	text := fmt.Sprintf("%s to be pushed, %s in flight", count(int64(t.Paths), "path"), commas(int64(t.InFlight)))
	if t.Lag > 0 {
		text += "; lag " + short(seconds(t.Lag))
	}
	s.row("queue", plain, "%s", text)
	if tr := t.Transfer; tr != nil {
		l := line{{pad("  in flight", labelWidth+2), faint}}
		s.lines = append(s.lines, l.and(m.transferLine(tr, m.width-labelWidth-2)...))
		s.row("", plain, "%s, %s in this push, which began %s ago", count(tr.Files, "file"), size(tr.Bytes), ago(m.clock(), tr.Since))
	}
	past := m.past.of[key{t.Sync, t.Target}]
	s.spark("lag trend", lags(past), func(f float64) string { return short(seconds(f)) })
	s.spark("queue trend", queues(past), func(f float64) string { return commas(int64(f)) })
	last := "none since the start"
	if !t.LastSuccess.IsZero() {
		last = fmt.Sprintf("%s, %s ago", t.LastSuccess.Format(time.DateTime), long(m.clock().Sub(t.LastSuccess)))
	}
	s.row("last success", plain, "%s", last)
	known := "what the target has is known: a restart sends what differs"
	if !t.Known {
		known = "what the target has is not known: a restart compares everything"
	}
	s.row("state kept", plain, "%s", known)
}

// spark shows how a number went while it was looked at.
func (s *sheet) spark(what string, n []float64, text func(float64) string) {
	room := s.m.width - labelWidth - 2
	picture, most := s.m.theme.spark(n, min(room, historySeconds))
	if len(n) < 2 || picture == "" || room < 10 {
		return
	}
	l := line{{pad("  "+what, labelWidth+2), faint}, {picture, busy}}
	if say := fmt.Sprintf("  %ds, most %s", len(n), text(most)); widthOf(l)+len(say) <= s.m.width {
		l = append(l, span{say, faint})
	}
	s.lines = append(s.lines, l)
}

func (s *sheet) totals(t *api.Totals) {
	s.row("pushes", plain, "%s, %s; %s, %s deleted", commas(t.Pushes), count(t.Failures, "failure"), count(t.Files, "file"), commas(t.Deleted))
	whole := t.LiteralBytes + t.MatchedBytes
	text := fmt.Sprintf("%s sent for %s in step", size(t.SentBytes), size(whole))
	if part, ok := saving(t); ok {
		text += fmt.Sprintf(": %d%% did not have to travel", part)
	}
	s.row("bytes", plain, "%s", text)
	if t.Retries > 0 {
		s.row("retries", plain, "%s of paths that had failed", commas(t.Retries))
	}
	var classes []string
	for _, c := range slices.Sorted(maps.Keys(t.ByClass)) {
		classes = append(classes, fmt.Sprintf("%s %s", commas(t.ByClass[c]), s.m.theme.quote(c)))
	}
	if len(classes) > 0 {
		s.row("failures", plain, "%s", strings.Join(classes, ", "))
	}
}

func (s *sheet) verified(v *api.Verify) {
	if v == nil {
		return
	}
	when := fmt.Sprintf("ended %s ago", long(s.m.clock().Sub(v.Ended)))
	if v.Ended.IsZero() {
		when = fmt.Sprintf("goes on, for %s", long(s.m.clock().Sub(v.Began)))
	}
	how := ""
	if v.Checksum {
		how = " by content"
	}
	s.row("verify", plain, "%s: %s compared%s, %s mended, %s deleted", when, count(v.Names, "name"), how, commas(v.Mended), commas(v.Deleted))
}

// shown is how many of a list are shown; the verbs have them all.
const shown = 200

func (s *sheet) held(held []api.Held) {
	if len(held) == 0 {
		return
	}
	s.row("held", doubt, "%s; lockstep release lets them go", heldText(held))
	for i := range held {
		if i == shown {
			s.item(faint, fmt.Sprintf("and %s more", commas(int64(len(held)-i))))
			break
		}
		h := &held[i]
		what := count(h.Names, "name")
		if h.Names == 0 {
			what = "what is beyond the source there"
		}
		s.item(plain, fmt.Sprintf("%s (%s, for %s)", s.m.theme.quote(h.Path), what, ago(s.m.clock(), h.Since)))
	}
}

func (s *sheet) failed(t *api.Target) {
	if len(t.Failed) == 0 {
		return
	}
	s.row("failed", doubt, "%s not brought over; lockstep failed lists them", count(int64(failedPaths(t)), "path"))
	for i := range t.Failed {
		if i == shown {
			s.item(faint, fmt.Sprintf("and %s more: lockstep failed", commas(int64(len(t.Failed)-i))))
			break
		}
		s.failedItem(&t.Failed[i])
	}
}

func (s *sheet) failedItem(f *syncer.Failed) {
	th := s.m.theme
	next := "tried when it changes"
	if d := f.Next.Sub(s.m.clock()); d > 0 {
		next = "next try in " + long(d+time.Second-1)
	} else if !f.Next.IsZero() {
		next = "trying now"
	}
	tries := count(int64(f.Count), "failure")
	if f.Tree {
		tries = "with all below, " + tries
	}
	s.item(plain, th.quote(f.Path))
	s.item(faint, fmt.Sprintf("  %s (%s, %s)", th.quote(f.Reason), tries, next))
}

func (s *sheet) watched(y *api.Sync) {
	if y.Error != "" {
		s.row("source", fault, "%s", s.m.theme.quote(y.Error))
	}
	w := &y.Watch
	if w.Backend == "" {
		return
	}
	backend := s.m.theme.quote(w.Backend)
	text := fmt.Sprintf("%s, %s", backend, watches(w.Watches))
	i := plain
	if w.Limit > 0 {
		p := percent(w.Watches, w.Limit)
		text = fmt.Sprintf("%s, %s of %s watches (%d%%)", backend, commas(w.Watches), commas(w.Limit), p)
		if p >= nearLimit {
			i = doubt
			text += "; lockstep sysctl raises the limit"
		}
	}
	if !w.Ready {
		text += ", not all of it yet"
	}
	s.row("watch", i, "%s", text)
	s.row("", plain, "%s, %s, %s made anew, %s", count(w.Events, "event"), count(w.Overflows, "overflow"), timesText(w.Rebuilds), count(w.Polled, "subtree")+" polled")
}

func timesText(n int64) string {
	if n == 1 {
		return "once"
	}
	return commas(n) + " times"
}
