package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/options"
	"github.com/lockstep-sync/lockstep/syncer"
)

const controlUsage = `lockstep status, failed, release, resync: ask a lockstep --watch that is running.

Usage: lockstep status  [--json] [SRC [DST]]       how each target is doing
       lockstep failed  [--json] [SRC [DST]]       which paths could not be brought over, and why
       lockstep release [SRC [DST]]                delete what --max-delete holds back
       lockstep resync  [--checksum] [SRC [DST]]   compare with the target and mend what differs

SRC and DST are written as they were for --watch; without them it is about all whose state is in
the same directory.

      --state-dir=DIR     where their state is kept (default $STATE_DIRECTORY, or
                          /var/lib/lockstep, or $XDG_STATE_HOME/lockstep if not root)
      --json              for programs
      --checksum          compare by content, not by size and time
  -h, --help              this text

Exit codes
   0  all is well (status: in step, or about to be)
   1  usage
   3  no lockstep is running for one of them, or there is none
  23  status, failed: something is not on a target, or cannot be reached
`

// controlled is one target that a verb is about.
type controlled struct {
	control *agent.Control
	status  api.Target
}

// controlVerb is a verb that asks running locksteps.
func controlVerb(name string, do func(c *controlLine, list []controlled) (int, error)) func([]string, io.Writer, io.Writer) int {
	return func(args []string, stdout, stderr io.Writer) int {
		c := &controlLine{out: stdout}
		l := options.NewVerb()
		help := false
		l.On("help", "h", func() { help = true })
		l.Text("state-dir", "", &c.dir)
		if name == "status" || name == "failed" {
			l.Set("json", "", &c.json)
		}
		if name == "resync" {
			l.Set("checksum", "", &c.checksum)
		}
		if err := l.Parse(args); err != nil {
			return misused(stderr, name, err)
		}
		if help {
			io.WriteString(stdout, controlUsage)
			return 0
		}
		if len(l.Args()) > 2 {
			return misused(stderr, name, fmt.Errorf("at most a source and a target are wanted, there are %d arguments: %q", len(l.Args()), l.Args()))
		}
		list, err := c.find(l.Args())
		if err == nil && len(list) == 0 {
			err = fmt.Errorf("no state of a lockstep --watch%s in %q", ofPair(l.Args()), c.dir)
		}
		code := codeStopped
		if err == nil {
			code, err = do(c, list)
		}
		if err != nil {
			fmt.Fprintf(stderr, "lockstep %s: %v (code %d)\n", name, err, code)
		}
		return code
	}
}

// codeStopped is systemctl(1)'s for a unit that is not active.
const codeStopped = 3

func ofPair(args []string) string {
	switch len(args) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(" of source %q", args[0])
	}
	return fmt.Sprintf(" of source %q and target %q", args[0], args[1])
}

// controlLine is the command line of such a verb.
type controlLine struct {
	out            io.Writer
	dir            string
	json, checksum bool
}

// find asks all whose state is kept, or those of a source and a target.
func (c *controlLine) find(args []string) ([]controlled, error) {
	if c.dir == "" {
		c.dir = agent.DefaultStateDir()
	}
	pairs, err := agent.Pairs(c.dir)
	if err != nil {
		return nil, err
	}
	var list []controlled
	for _, p := range pairs {
		if len(args) > 0 && args[0] != p.Source || len(args) > 1 && args[1] != p.Target {
			continue
		}
		one := controlled{control: agent.NewControl(p.Dir)}
		one.status, err = one.control.Status()
		switch {
		case errors.Is(err, agent.ErrNobody):
			one.status = api.Target{Source: p.Source, Target: p.Target, State: api.StateStopped, Text: "no lockstep keeps it in step"}
		case err != nil:
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

// runStatus shows how all are doing.
func runStatus(c *controlLine, list []controlled) (int, error) {
	code := 0
	statuses := make([]api.Target, len(list))
	for i, one := range list {
		statuses[i] = one.status
		switch one.status.State {
		case api.StateStopped:
			code = codeStopped
		case api.StateRetrying, api.StatePartial, api.StateHeld:
			if code == 0 {
				code = int(syncer.CodePartial)
			}
		}
	}
	if c.json {
		return code, printIndented(c.out, statuses)
	}
	for i, s := range statuses {
		if i > 0 {
			fmt.Fprintln(c.out)
		}
		printStatus(c.out, &s)
	}
	return code, nil
}

func printIndented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printStatus writes a few lines for people.
func printStatus(w io.Writer, s *api.Target) {
	fmt.Fprintf(w, "%s → %s\n", syncer.Quote(s.Source), syncer.Quote(s.Target))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", name, syncer.Quote(fmt.Sprintf(format, args...)))
	}
	row("state", "%s: %s", s.State, s.Text)
	if e := s.Error; e != nil {
		row("since", "%s, %d tries, the next in %s", ago(e.Since), e.Tries, max(time.Until(e.Next), 0).Round(time.Second))
		if e.Remedy != "" {
			row("remedy", "%s", e.Remedy)
		}
	}
	if s.PID == 0 {
		return
	}
	if s.Paths > 0 || s.InFlight > 0 {
		row("queue", "%d to be pushed, %d on their way", s.Paths, s.InFlight)
	}
	if !s.Oldest.IsZero() {
		row("behind", "%s", time.Since(s.Oldest).Round(time.Millisecond))
	}
	if !s.LastSuccess.IsZero() {
		row("last push", "%s", ago(s.LastSuccess))
	}
	row("since start", "%s (pid %d): %d pushes, %d files, %d bytes sent for %d, %d deleted, %d failures", ago(s.Since), s.PID,
		s.Totals.Pushes, s.Totals.Files, s.Totals.SentBytes, s.Totals.LiteralBytes+s.Totals.MatchedBytes, s.Totals.Deleted, s.Totals.Failures)
	if v := s.Verify; v != nil {
		row("verified", "%s", verifyText(v))
	}
	for i, f := range s.Failed {
		if i == fewLines {
			row("", "and %d more: lockstep failed", len(s.Failed)-i)
			break
		}
		row("failed", "%s: %s", f.Path, f.Reason)
	}
	for i, h := range s.Held {
		if i == fewLines {
			row("", "and %d more", len(s.Held)-i)
			break
		}
		row("held", "%s", heldText(h))
	}
}

// fewLines is how many of a list a status shows.
const fewLines = 5

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

func ago(t time.Time) string {
	return time.Since(t).Round(time.Second).String() + " ago"
}

// runFailed lists the paths that are not on the targets.
func runFailed(c *controlLine, list []controlled) (int, error) {
	code, stopped := 0, false
	if c.json {
		all := map[string][]syncer.Failed{}
		for _, one := range list {
			all[one.status.Target] = one.status.Failed
			if len(one.status.Failed) > 0 {
				code = int(syncer.CodePartial)
			}
		}
		return code, printIndented(c.out, all)
	}
	for _, one := range list {
		stopped = stopped || one.status.State == api.StateStopped
		for _, f := range one.status.Failed {
			code = int(syncer.CodePartial)
			fmt.Fprintf(c.out, "%s: %s: %s (%s; %d tries since %s, the next in %s)\n", syncer.Quote(one.status.Target), syncer.Quote(f.Path), syncer.Quote(f.Reason),
				f.Class, f.Count, f.First.Format(time.DateTime), max(time.Until(f.Next), 0).Round(time.Second))
		}
	}
	if stopped && code == 0 {
		code = codeStopped
	}
	return code, nil
}

// runRelease lets held deletions go.
func runRelease(c *controlLine, list []controlled) (int, error) {
	return c.each(list, func(one controlled) error {
		held, err := one.control.Release()
		for _, h := range held {
			fmt.Fprintf(c.out, "%s: released %s\n", syncer.Quote(one.status.Target), syncer.Quote(heldText(h)))
		}
		if err == nil && len(held) == 0 {
			fmt.Fprintf(c.out, "%s: nothing is held\n", syncer.Quote(one.status.Target))
		}
		return err
	})
}

// runResync has targets compared.
func runResync(c *controlLine, list []controlled) (int, error) {
	return c.each(list, func(one controlled) error {
		err := one.control.Resync(c.checksum)
		if err == nil {
			fmt.Fprintf(c.out, "%s: is being compared; lockstep status tells how it goes\n", syncer.Quote(one.status.Target))
		}
		return err
	})
}

// each does something with all that are running.
func (c *controlLine) each(list []controlled, do func(controlled) error) (int, error) {
	var stopped []string
	for _, one := range list {
		if one.status.State == api.StateStopped {
			stopped = append(stopped, filepath.Clean(one.status.Source)+" → "+one.status.Target)
			continue
		}
		if err := do(one); err != nil {
			return int(syncer.CodeSocket), err
		}
	}
	if len(stopped) > 0 {
		return codeStopped, fmt.Errorf("no lockstep is running for %s", strings.Join(stopped, ", "))
	}
	return 0, nil
}
