package follow

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// TestNews has one line for each change of a state, and none for what else changes.
func TestNews(t *testing.T) {
	one := func(pid int, s api.Sync) api.Agent { return api.Agent{PID: pid, Syncs: []api.Sync{s}} }
	in := api.Target{Target: "host::web", State: api.StateInStep, Text: "everything is on the target"}
	pushing := api.Target{Target: "host::web", State: api.StatePushing, Text: "3 paths to be pushed"}
	pushingMore := api.Target{Target: "host::web", State: api.StatePushing, Text: "4 paths to be pushed"}
	retrying := api.Target{Target: "host::web", State: api.StateRetrying, Text: "x", Error: &api.Error{Class: "socket", Text: "connection\nrefused", Remedy: "start the daemon", Tries: 1}}
	again := api.Target{Target: "host::web", State: api.StateRetrying, Text: "x", Error: &api.Error{Class: "socket", Text: "connection refused by 10.0.0.2", Tries: 2}}
	auth := api.Target{Target: "host::web", State: api.StateRetrying, Text: "x", Error: &api.Error{Class: "auth", Text: "password refused"}}
	of := func(targets ...api.Target) api.Sync { return api.Sync{Name: "we\x1bb", Targets: targets} }
	lossy := of(in)
	lossy.Watch.Overflows = 2
	unmounted := of(in)
	unmounted.Error, unmounted.Watch.Overflows = "/srv/www is not mounted", 2
	reloaded := one(8, of(in))
	reloaded.LoadError = "line 3: unknown key"
	steps := []struct {
		name  string
		agent api.Agent
		err   error
		want  []string
	}{
		{"first", one(7, of(in)), nil, []string{`we\#033b host::web: in step: everything is on the target`}},
		{"same", one(7, of(in)), nil, nil},
		{"pushing", one(7, of(pushing)), nil, []string{`we\#033b host::web: pushing: 3 paths to be pushed`}},
		{"other numbers", one(7, of(pushingMore)), nil, nil},
		{"fails", one(7, of(retrying)), nil, []string{`we\#033b host::web: retrying: connection\#012refused; start the daemon`}},
		{"fails again", one(7, of(again)), nil, nil},
		{"fails otherwise", one(7, of(auth)), nil, []string{`we\#033b host::web: retrying: password refused`}},
		{"in step", one(7, of(in)), nil, []string{`we\#033b host::web: in step: everything is on the target`}},
		{"overflow", one(7, lossy), nil, []string{`we\#033b: 2 overflows of the kernel's queue, 2 in all; what was lost is found by comparing`}},
		{"unmounted", one(7, unmounted), nil, []string{`we\#033b: does not run: /srv/www is not mounted`}},
		{"mounted", one(7, lossy), nil, []string{`we\#033b: runs again`}},
		{"gone", api.Agent{}, errRefused, []string{`lockstep: no answer: dial unix /run/lockstep/control.sock: connect: connection refused`}},
		{"still gone", api.Agent{}, errRefused, nil},
		{"back, another process", one(8, of(in)), nil, []string{`lockstep: started again, pid 8`}},
		{"reload fails", reloaded, nil, []string{`lockstep: the last reload changed nothing: line 3: unknown key`}},
		{"gone again", api.Agent{}, errRefused, []string{`lockstep: no answer: dial unix /run/lockstep/control.sock: connect: connection refused`}},
		{"back, the same", one(8, of(in)), nil, []string{`lockstep: answers, pid 8`}},
		{"removed", one(8, of()), nil, []string{`we\#033b host::web: removed`}},
	}
	var n news
	for i, step := range steps {
		at := noon.Add(time.Duration(i) * time.Second)
		want := slices.Clone(step.want)
		for j := range want {
			want[j] = at.Format(time.RFC3339) + " " + want[j]
		}
		if diff := cmp.Diff(want, n.tell(status{At: at, Agent: step.agent, Err: step.err})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

// TestNewsOfOneSourceTwice has two processes for a source, each with an own count of overflows.
func TestNewsOfOneSourceTwice(t *testing.T) {
	of := func(target string, overflows int64) api.Sync {
		return api.Sync{Name: "src/", Source: "src/", Watch: api.Watch{Overflows: overflows}, Targets: []api.Target{{Target: target, State: api.StateInStep}}}
	}
	var n news
	s := status{At: noon, Agent: api.Agent{PID: 1, Syncs: []api.Sync{of("a/", 5), of("b/", 2)}}}
	if got := n.tell(s); len(got) != 2 {
		t.Errorf("at first: %q", got)
	}
	if got := n.tell(s); len(got) != 0 {
		t.Errorf("nothing changed: %q", got)
	}
}
