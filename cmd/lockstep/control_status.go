package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/control"
	"github.com/lockstep-sync/lockstep/syncer"
)

// runStatus shows how all are doing.
func runStatus(c *controlLine) (int, error) {
	if c.follow {
		return 0, followStatus(func(context.Context) (api.Agent, error) { return c.fetchAll() }, c.out, c.plain)
	}
	list, err := c.find()
	if err != nil {
		return 0, err
	}
	code := statusCode(list)
	if c.json {
		agents := make([]api.Agent, len(list))
		for i, a := range list {
			agents[i] = a.agent
		}
		return code, printIndented(c.out, agents)
	}
	printStatus(c.out, list, len(c.args) > 0)
	return code, nil
}

// fetchAll is what all that are meant tell, as if they were one.
func (c *controlLine) fetchAll() (api.Agent, error) {
	list, err := c.find()
	if err != nil {
		if errors.Is(err, errNone) {
			err = fmt.Errorf("%w: %w", control.ErrNobody, err)
		}
		return api.Agent{}, err
	}
	whole := list[0].agent
	whole.Syncs = nil
	for _, a := range list {
		whole.Syncs = append(whole.Syncs, a.agent.Syncs...)
	}
	return whole, nil
}

// statusCode says whether somebody should look.
func statusCode(list []asked) int {
	code := 0
	for _, a := range list {
		for _, s := range a.agent.Syncs {
			if s.Error != "" && code == 0 {
				code = int(syncer.CodePartial)
			}
			for _, t := range s.Targets {
				switch t.State {
				case api.StateStopped:
					code = codeStopped
				case api.StateRetrying, api.StatePartial, api.StateHeld:
					if code == 0 {
						code = int(syncer.CodePartial)
					}
				}
			}
		}
	}
	return code
}

// fewTargets is up to how many are each shown with all that is known of them.
const fewTargets = 3

// printStatus is for people: few targets, or those that were named, with all that is known of them; many as a table, and
// below it what needs somebody.
func printStatus(w io.Writer, list []asked, named bool) {
	targets := 0
	for _, a := range list {
		printAgent(w, &a.agent)
		for _, s := range a.agent.Syncs {
			targets += len(s.Targets)
		}
	}
	if targets > fewTargets && !named {
		printTable(w, list)
		return
	}
	first := true
	for _, a := range list {
		for _, s := range a.agent.Syncs {
			for i := range s.Targets {
				if !first {
					fmt.Fprintln(w)
				}
				first = false
				printTarget(w, &s, &s.Targets[i])
			}
			if len(s.Targets) == 0 {
				fmt.Fprintf(w, "%s: %s\n", syncer.Quote(s.Name), syncer.Quote(cmp.Or(s.Error, s.Text)))
			}
		}
	}
}

// printAgent is the line of a process that has a config.
func printAgent(w io.Writer, a *api.Agent) {
	if a.Config == "" {
		return
	}
	ready := ""
	if !a.Ready {
		ready = ", starting"
	}
	fmt.Fprintf(w, "lockstep %s, pid %d, running for %s%s; config %s, read %s\n", a.Version, a.PID, age(a.Since), ready, syncer.Quote(a.Config), ago(a.Loaded))
	if a.LoadError != "" {
		fmt.Fprintf(w, "  the config on the disk has errors, what was read before holds:\n")
		for line := range strings.Lines(a.LoadError) {
			fmt.Fprintf(w, "    %s\n", syncer.Quote(strings.TrimRight(line, "\n")))
		}
	}
	fmt.Fprintln(w)
}

// printTable has a line for each target.
func printTable(w io.Writer, list []asked) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STATE\tSYNC\tTARGET\tQUEUE\tBEHIND\tLAST PUSH")
	counts := map[string]int{}
	var troubled []func()
	for _, a := range list {
		for _, s := range a.agent.Syncs {
			if s.Error != "" {
				troubled = append(troubled, func() {
					fmt.Fprintf(w, "%s: %s\n", syncer.Quote(s.Name), syncer.Quote(s.Error))
				})
			}
			for _, one := range s.Targets {
				counts[one.State]++
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", one.State, syncer.Quote(s.Name), syncer.Quote(one.Target), queueText(&one), behind(&one), lastText(&one))
				if needsSomebody(&one) {
					troubled = append(troubled, func() { printTrouble(w, &one) })
				}
			}
		}
	}
	t.Flush()
	fmt.Fprintln(w)
	fmt.Fprintln(w, countsText(counts))
	const most = 20
	for i, print := range troubled {
		if i == 0 {
			fmt.Fprintln(w)
		}
		if i == most {
			fmt.Fprintf(w, "and %d more that need somebody; lockstep status SYNC shows one\n", len(troubled)-most)
			break
		}
		print()
	}
}

// needsSomebody says whether a target's state is nothing that passes by itself unseen.
func needsSomebody(t *api.Target) bool {
	switch t.State {
	case api.StateRetrying, api.StatePartial, api.StateHeld, api.StateStopped:
		return true
	}
	return false
}

// printTrouble is what is wrong, and what to do.
func printTrouble(w io.Writer, t *api.Target) {
	fmt.Fprintf(w, "%s: %s: %s\n", label(t), t.State, syncer.Quote(t.Text))
	if remedy := remedyOf(t); remedy != "" {
		fmt.Fprintf(w, "  remedy: %s\n", syncer.Quote(remedy))
	}
}

// remedyOf is what somebody can do, or "".
func remedyOf(t *api.Target) string {
	which := " " + syncer.Quote(t.Sync)
	switch {
	case t.Error != nil && t.Error.Remedy != "":
		return t.Error.Remedy
	case t.State == api.StateHeld:
		return "look at what is held, and let it go with lockstep release" + which + ", or bring the files back"
	case t.State == api.StatePartial:
		return "lockstep failed" + which + " names the paths and why"
	case t.State == api.StatePaused:
		return "lockstep resume" + which
	}
	return ""
}

func countsText(counts map[string]int) string {
	var parts []string
	for _, s := range []string{api.StateInStep, api.StateVerifying, api.StatePushing, api.StateStarting, api.StatePaused, api.StateHeld, api.StatePartial, api.StateRetrying, api.StateStopped} {
		if n := counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(parts, ", ")
}

func queueText(t *api.Target) string {
	if t.Paths+t.InFlight == 0 {
		return "-"
	}
	return fmt.Sprint(t.Paths + t.InFlight)
}

func behind(t *api.Target) string {
	if t.Lag <= 0 && t.Oldest.IsZero() {
		return "-"
	}
	return round(lagOf(t))
}

// lagOf is how long the target lags behind.
func lagOf(t *api.Target) time.Duration {
	d := time.Duration(t.Lag * float64(time.Second))
	if !t.Oldest.IsZero() {
		d = max(d, time.Since(t.Oldest))
	}
	return d
}

func lastText(t *api.Target) string {
	if t.LastSuccess.IsZero() {
		return "never"
	}
	return ago(t.LastSuccess)
}

// printTarget writes all that is known of a target, a line for each thing.
func printTarget(w io.Writer, sync *api.Sync, s *api.Target) {
	fmt.Fprintln(w, label(s))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", name, syncer.Quote(fmt.Sprintf(format, args...)))
	}
	row("state", "%s: %s", s.State, s.Text)
	if sync.Error != "" {
		row("source", "%s", sync.Error)
	}
	if e := s.Error; e != nil {
		row("since", "%s, %d tries, the next in %s", ago(e.Since), e.Tries, max(time.Until(e.Next), 0).Round(time.Second))
	}
	if remedy := remedyOf(s); remedy != "" {
		row("remedy", "%s", remedy)
	}
	if s.PID == 0 && s.Since.IsZero() {
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
	if x.Backend == "fanotify" {
		s = "fanotify: one mark"
	}
	if x.Limit > 0 && x.Backend != "fanotify" {
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
