package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/syncer"
)

// printTarget writes all that is known of a target, a line for each thing.
func printTarget(w io.Writer, sync *api.Sync, s *api.Target) {
	fmt.Fprintln(w, label(s))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", name, syncer.Quote(fmt.Sprintf(format, args...)))
	}
	row("state", "%s: %s", s.State, sentence(s))
	if sync.Error != "" {
		row("source", "%s", sync.Error)
	}
	if e := s.Error; e != nil {
		row("since", "%s, %d tries, the next in %s", ago(e.Since), e.Tries, max(time.Until(e.Next), 0).Round(time.Second))
	}
	if remedy := remedyOf(s); remedy != "" {
		row("remedy", "%s", remedy)
	}
	if s.Since.IsZero() { // nobody runs it, or it never ran
		return
	}
	if s.Paths > 0 || s.InFlight > 0 {
		row("queue", "%d to be pushed, %d on their way", s.Paths, s.InFlight)
	}
	if x := s.Transfer; x != nil && x.Path != "" {
		row("sending", "%s", transferText(x))
	}
	if behind := behind(s); behind != "-" {
		row("behind", "%s", behind)
	}
	if !s.LastSuccess.IsZero() {
		row("last push", "%s", ago(s.LastSuccess))
	}
	row("since start", "%s (pid %d): %d pushes, %d files, %d bytes sent for %d, %d deleted, %d failures", ago(s.Since), s.PID,
		s.Totals.Pushes, s.Totals.Files, s.Totals.SentBytes, s.Totals.LiteralBytes+s.Totals.MatchedBytes, s.Totals.Deleted, s.Totals.Failures)
	if sync.Watch.Backend != "" {
		row("watching", "%s", watchText(&sync.Watch))
	}
	if v := s.Verify; v != nil {
		row("verified", "%s", verifyText(v))
	}
	printLists(s, row)
}

// sentence is a target's text, which may begin with the word that stands before it already.
func sentence(t *api.Target) string { return strings.TrimPrefix(t.Text, t.State+": ") }

// printLists is the beginning of what failed and of what is held.
func printLists(s *api.Target, row func(name, format string, args ...any)) {
	const few = 5
	for i, f := range s.Failed {
		if i == few {
			row("", "and %d more: lockstep failed", len(s.Failed)-i)
			break
		}
		row("failed", "%s: %s", f.Path, f.Reason)
	}
	for i, h := range s.Held {
		if i == few {
			row("", "and %d more", len(s.Held)-i)
			break
		}
		row("held", "%s", heldText(h))
	}
}

func transferText(x *api.Transfer) string {
	s := fmt.Sprintf("%s: %d of %d bytes", x.Path, x.Sent, x.Size)
	if x.Rate > 0 {
		s += fmt.Sprintf(", %.0f bytes a second", x.Rate)
	}
	if x.Left > 0 {
		s += ", about " + round(time.Duration(x.Left*float64(time.Second))) + " left"
	}
	return s
}

func watchText(x *api.Watch) string {
	s := fmt.Sprintf("%s: %d directories", x.Backend, x.Watches)
	switch {
	case x.Backend == "fanotify":
		s = "fanotify: one mark"
	case x.Limit > 0:
		s += fmt.Sprintf(" of %d", x.Limit)
	}
	if !x.Ready {
		s += ", not all yet"
	}
	if x.Polled > 0 {
		s += fmt.Sprintf("; %d compared at intervals", x.Polled)
	}
	if x.Overflows > 0 {
		s += fmt.Sprintf("; %d overflows", x.Overflows)
	}
	return s
}

func verifyText(v *api.Verify) string {
	when := "ended " + ago(v.Ended)
	if v.Ended.IsZero() {
		when = "goes on since " + v.Began.Format(time.TimeOnly)
	}
	return fmt.Sprintf("%s: %d names, %d mended, %d deleted", when, v.Names, v.Mended, v.Deleted)
}

func heldText(h api.Held) string {
	if h.Names == 0 {
		return fmt.Sprintf("%s: what the target has beyond the source there", h.Path)
	}
	return fmt.Sprintf("%s: %d names, since %s", h.Path, h.Names, h.Since.Format(time.DateTime))
}

func ago(t time.Time) string { return age(t) + " ago" }

func age(t time.Time) string { return round(time.Since(t)) }

// round is a time as people say it.
func round(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
