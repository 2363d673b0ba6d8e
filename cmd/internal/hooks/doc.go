// Package hooks runs an operator's commands when something happens to a target.
//
// In go events, each of one sync and one target; out come processes, one at a time for each sync. What is pushed never
// waits for a hook, but for BeforePush, which may veto.
package hooks

import "time"

// DefaultTimeout is how long a hook may take that says nothing else: long enough for a mail, short enough for
// what hangs to be seen the same minute.
const DefaultTimeout = 30 * time.Second

// Hook is a command to run. The zero value runs nothing.
type Hook struct {
	Argv    []string      // no shell; with one element of several words the config has asked for one ("sh -c")
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
