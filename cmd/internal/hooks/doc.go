// Package hooks runs an operator's commands when something happens to a target.
//
// In go events, each of one sync and one target; out come processes, one at a time for each sync. What is pushed never
// waits for a hook, but for BeforePush, which may veto.
//
//  1. Tell puts an event into a queue and returns. What waits there of one kind and target is one event, with the paths of all.
//  2. Run takes events from it in the order in which they came, and runs the hook of each.
//  3. Before runs BeforePush in its caller's place, as soon as the hook that runs is done: before what waits.
//  4. A hook is a process group of its own. At its timeout, or when the context ends, the group gets SIGTERM, and
//     SIGKILL a little later. What it says is logged, shortened in the middle.
//  5. Facts are in its environment, paths on its standard input, each with a NUL behind it. That is a file in memory: who does
//     not read it blocks nobody.
//
// A hook has the user and the rights of its parent, so what confines that one confines it. Secrets of the parent's environment
// are kept from it, and so are descriptors.
package hooks

import "time"

// DefaultTimeout is how long a hook may take that says nothing else: long enough for a mail, short enough for
// what hangs to be seen the same minute.
const DefaultTimeout = 30 * time.Second

// Hook is a command to run. The zero value runs nothing.
type Hook struct {
	Argv    []string      // no shell: who wants one writes sh -c TEXT. A name without a slash is searched for in PATH
	Timeout time.Duration // 0: DefaultTimeout
}

// Set is the hooks of a sync.
type Set struct {
	OnSuccess    Hook // a push brought something over
	OnFailure    Hook // a target fails that did not, or a path does; once until it is over
	OnRecovered  Hook // that is over
	OnDeleteHeld Hook // deletions are held
	BeforePush   Hook // before each push: exit code 1 puts it off
}

// Any says whether there is a hook to run.
func (s Set) Any() bool {
	for kind := range kinds {
		if s.of(Kind(kind)).is() {
			return true
		}
	}
	return false
}

func (s *Set) of(k Kind) Hook {
	switch k {
	case Success:
		return s.OnSuccess
	case Failure:
		return s.OnFailure
	case Recovered:
		return s.OnRecovered
	case DeleteHeld:
		return s.OnDeleteHeld
	case BeforePush:
		return s.BeforePush
	}
	return Hook{}
}

func (h Hook) is() bool { return len(h.Argv) > 0 }
