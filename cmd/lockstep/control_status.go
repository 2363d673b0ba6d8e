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
	fmt.Fprintf(w, "%s: %s: %s\n", label(t), t.State, syncer.Quote(sentence(t)))
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
