package follow

import (
	"fmt"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/syncer"
)

// news turns what an agent says into lines: one for each target at first, then one for each change of a state.
type news struct {
	last map[key]string // of each target, and of each sync with the target ""
	over map[key]int64  // the overflows of each sync
	load string         // the last reload's error
	pid  int
	gone bool
}

// tell returns the lines of what differs from the last time.
func (n *news) tell(s status) (lines []string) {
	say := func(format string, args ...any) {
		lines = append(lines, s.At.Format(time.RFC3339)+" "+fmt.Sprintf(format, args...))
	}
	a := &s.Agent
	if s.Err != nil {
		if !n.gone {
			say("lockstep: no answer: %s", syncer.Quote(oneLine(s.Err.Error())))
		}
		n.gone = true
		return lines
	}
	switch {
	case n.pid != 0 && a.PID != 0 && n.pid != a.PID:
		say("lockstep: started again, pid %d", a.PID)
		n.over = nil
	case n.gone:
		say("lockstep: answers, pid %d", a.PID)
	}
	n.gone, n.pid = false, a.PID
	if a.LoadError != n.load && a.LoadError != "" {
		say("lockstep: the last reload changed nothing: %s", syncer.Quote(oneLine(a.LoadError)))
	}
	n.load = a.LoadError
	now, over := map[key]string{}, map[key]int64{}
	for i := range a.Syncs {
		n.sync(&a.Syncs[i], now, over, say)
	}
	for k := range n.last {
		if _, ok := now[k]; !ok && k.target != "" {
			say("%s %s: removed", syncer.Quote(k.sync), syncer.Quote(k.target))
		}
	}
	n.last, n.over = now, over
	return lines
}

func (n *news) sync(s *api.Sync, now map[key]string, over map[key]int64, say func(string, ...any)) {
	name := syncer.Quote(s.Name)
	self := key{s.Name, ""}
	if len(s.Targets) > 0 { // a source may have several processes, with a target each
		self.sync += "\x00" + s.Targets[0].Target
	}
	now[self], over[self] = s.Error, s.Watch.Overflows
	if s.Error != "" && s.Error != n.last[self] {
		say("%s: does not run: %s", name, syncer.Quote(s.Error))
	}
	if s.Error == "" && n.last[self] != "" {
		say("%s: runs again", name)
	}
	if was, ok := n.over[self]; ok && s.Watch.Overflows > was {
		say("%s: %d overflows of the kernel's queue, %d in all; what was lost is found by comparing", name, s.Watch.Overflows-was, s.Watch.Overflows)
	}
	for i := range s.Targets {
		t := &s.Targets[i]
		k := key{s.Name, t.Target}
		now[k] = t.State
		text := t.Text
		if e := t.Error; e != nil {
			now[k] += " " + e.Class
			text = e.Text
			if e.Remedy != "" {
				text += "; " + e.Remedy
			}
		}
		if now[k] != n.last[k] {
			say("%s %s: %s: %s", name, syncer.Quote(t.Target), word(t.State), syncer.Quote(text))
		}
	}
}
