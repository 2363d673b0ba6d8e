package follow

import (
	"cmp"
	"slices"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// order is how rows are sorted. Syncs stay together: they stand where the first of their targets would.
type order int

const (
	byTrouble order = iota // what is worst off first
	byConfig
	byLag
	byName
	orders
)

func (o order) String() string { return [...]string{"trouble", "config", "lag", "name"}[o] }

// trouble ranks a state. What comes and goes while all is well has one rank, so that rows stand still.
func trouble(state string) int {
	switch state {
	case api.StateRetrying:
		return 0
	case api.StatePartial:
		return 1
	case api.StateHeld:
		return 2
	case api.StateStopped:
		return 3
	case api.StatePaused:
		return 4
	case api.StateStarting:
		return 5
	}
	return 6
}

// broken says that somebody has to look at it.
func broken(t *api.Target) bool {
	return t.Error != nil || len(t.Held) > 0 || len(t.Failed) > 0 || trouble(t.State) < trouble(api.StateStopped)
}

// key names a row. A sync without a target has a row too: it says why.
type key struct{ sync, target string }

type row struct {
	key
	of     *api.Sync
	target *api.Target // nil: the sync has none to show
}

// worst ranks a row, and a sync that does not run before all else.
func (r *row) worst() int {
	rank := trouble(api.StateStopped)
	if r.target != nil {
		rank = trouble(r.target.State)
	}
	if r.of.Error != "" {
		return -1
	}
	if r.of.Paused {
		rank = min(rank, trouble(api.StatePaused))
	}
	return rank
}

func (r *row) lag() float64 {
	if r.target == nil {
		return 0
	}
	return r.target.Lag
}

// rowsOf are the rows of an agent that match, in their order; those of one sync stand together.
func rowsOf(a *api.Agent, by order, filter string) []row {
	var groups [][]row
	for i := range a.Syncs {
		s := &a.Syncs[i]
		var g []row
		for j := range s.Targets {
			t := &s.Targets[j]
			if matches(filter, s.Name, s.Source, t.Target, t.State, word(t.State)) {
				g = append(g, row{key{s.Name, t.Target}, s, t})
			}
		}
		if len(s.Targets) == 0 && matches(filter, s.Name, s.Source, s.State, word(s.State)) {
			g = append(g, row{key{s.Name, ""}, s, nil})
		}
		if len(g) > 0 {
			slices.SortStableFunc(g, func(a, b row) int { return compare(by, &a, &b) })
			groups = append(groups, g)
		}
	}
	slices.SortStableFunc(groups, func(a, b []row) int {
		if by == byName {
			return cmp.Compare(strings.ToLower(a[0].sync), strings.ToLower(b[0].sync))
		}
		return compare(by, &a[0], &b[0])
	})
	return slices.Concat(groups...)
}

func compare(by order, a, b *row) int {
	switch by {
	case byTrouble:
		return cmp.Compare(a.worst(), b.worst())
	case byLag:
		return cmp.Compare(b.lag(), a.lag())
	case byName:
		return cmp.Compare(strings.ToLower(a.key.target), strings.ToLower(b.key.target))
	}
	return 0
}

// matches says whether each word of a filter is in one of the texts.
func matches(filter string, texts ...string) bool {
	all := strings.ToLower(strings.Join(texts, "\x00"))
	for _, w := range strings.Fields(strings.ToLower(filter)) {
		if !strings.Contains(all, w) {
			return false
		}
	}
	return true
}

// word is a state as people write it.
func word(state string) string {
	if state == api.StateInStep {
		return "in step"
	}
	return state
}

func stateInk(state string) ink {
	switch state {
	case api.StateInStep:
		return good
	case api.StatePushing, api.StateVerifying, api.StateStarting:
		return busy
	case api.StatePaused:
		return stay
	case api.StateHeld, api.StatePartial:
		return doubt
	case api.StateRetrying:
		return bad
	}
	return faint
}

// tally counts the targets in each state, the worst first.
type tally struct {
	state string
	n     int
}

func tallies(a *api.Agent) (list []tally) {
	of := map[string]int{}
	for i := range a.Syncs {
		for j := range a.Syncs[i].Targets {
			of[a.Syncs[i].Targets[j].State]++
		}
	}
	for _, state := range []string{api.StateRetrying, api.StatePartial, api.StateHeld, api.StatePaused, api.StateStarting, api.StatePushing, api.StateVerifying, api.StateInStep, api.StateStopped} {
		if of[state] > 0 {
			list = append(list, tally{state, of[state]})
		}
	}
	return list
}

// syncsDown counts the syncs that do not run.
func syncsDown(a *api.Agent) (n int) {
	for i := range a.Syncs {
		if a.Syncs[i].Error != "" {
			n++
		}
	}
	return n
}
