package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/control"
	"github.com/lockstep-sync/lockstep/syncer"
)

// errNone says that there is nothing that the arguments name.
var errNone = errors.New("nothing is known")

// find asks all that the command line is about, and keeps of what they tell what its arguments name.
func (c *controlLine) find() ([]asked, error) {
	all, err := c.everyone()
	if err != nil {
		return nil, err
	}
	var list []asked
	var names []string
	for _, a := range all {
		for _, s := range a.agent.Syncs {
			names = append(names, s.Name)
		}
		a.agent.Syncs = c.chosen(a.agent.Syncs)
		if len(a.agent.Syncs) > 0 || len(c.args) == 0 {
			list = append(list, a)
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: no agent serves %q, and no lockstep --watch keeps its state in %q", errNone, c.process().Path(), c.stateDir())
	}
	slices.Sort(names)
	return nil, fmt.Errorf("%w of %s; there %s", errNone, ofPair(c.args), listed(slices.Compact(names)))
}

func ofPair(args []string) string {
	if len(args) == 1 {
		return fmt.Sprintf("a sync or source %q", args[0])
	}
	return fmt.Sprintf("a sync or source %q with a target %q", args[0], args[1])
}

func listed(names []string) string {
	const few = 8
	verb := "are"
	if len(names) == 1 {
		verb = "is"
	}
	more := ""
	if len(names) > few {
		more, names = fmt.Sprintf(" and %d more", len(names)-few), names[:few]
	}
	for i := range names {
		names[i] = syncer.Quote(names[i])
	}
	return verb + " " + strings.Join(names, ", ") + more
}

func (c *controlLine) stateDir() string { return cmp.Or(c.dir, agent.DefaultStateDir()) }

// everyone asks the agent, and each pair that it has not told of. Beside an agent a pair that nobody runs is one
// that was taken out of its config: it counts where it is named.
func (c *controlLine) everyone() ([]asked, error) {
	var list []asked
	if c.socket != "" || c.dir == "" {
		client := c.process()
		switch a, err := client.Fetch(); {
		case err == nil:
			list = append(list, asked{client, a})
		case c.socket != "" || !errors.Is(err, control.ErrNobody):
			return nil, c.nobodyThere(err)
		}
	}
	if c.socket != "" && c.dir == "" {
		return list, nil
	}
	pairs, err := agent.Pairs(c.stateDir())
	if err != nil {
		return nil, err
	}
	told := map[[2]string]bool{}
	note := func(a api.Agent) {
		for _, s := range a.Syncs {
			for _, t := range s.Targets {
				told[[2]string{t.Source, t.Target}] = true
			}
		}
	}
	for _, a := range list {
		note(a.agent)
	}
	besideAgent := len(list) > 0 && len(c.args) == 0
	for _, p := range pairs {
		if told[[2]string{p.Source, p.Target}] {
			continue
		}
		client := control.Dial(p.Socket())
		switch a, err := client.Fetch(); {
		case err == nil:
			list = append(list, asked{client, a})
			note(a)
		case !errors.Is(err, control.ErrNobody): // one that hangs keeps no other from being seen
			list = append(list, asked{agent: stopped(p, err.Error())})
		case !besideAgent:
			list = append(list, asked{agent: stopped(p, "no lockstep keeps it in step")})
		}
	}
	return list, nil
}

// stopped is what can be said of a pair that nobody runs for, or answers for.
func stopped(p agent.Pair, why string) api.Agent {
	t := api.Target{Sync: p.Source, Source: p.Source, Target: p.Target, State: api.StateStopped, Text: why}
	return api.Agent{Syncs: []api.Sync{{Name: p.Source, Source: p.Source, State: t.State, Text: t.Text, Targets: []api.Target{t}}}}
}

// chosen are those of syncs that the arguments name, with the targets that they name.
func (c *controlLine) chosen(syncs []api.Sync) []api.Sync {
	if len(c.args) == 0 {
		return syncs
	}
	var list []api.Sync
	for _, s := range syncs {
		if c.args[0] != s.Name && c.args[0] != s.Source {
			continue
		}
		if len(c.args) > 1 {
			s.Targets = slices.DeleteFunc(slices.Clone(s.Targets), func(t api.Target) bool { return t.Target != c.args[1] })
			if len(s.Targets) == 0 {
				continue
			}
		}
		list = append(list, s)
	}
	return list
}

// target is the one that the arguments name; "" is all.
func (c *controlLine) target() string {
	if len(c.args) > 1 {
		return c.args[1]
	}
	return ""
}
