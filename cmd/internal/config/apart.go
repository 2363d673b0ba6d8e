package config

import (
	"github.com/lockstep-sync/lockstep/cmd/internal/places"
)

// apart complains about targets that are in one another, and about what would come round to its source again.
func (l *loader) apart() {
	type pair struct {
		s *sync
		t *target
	}
	var all []pair
	var list []places.Sync
	for _, s := range l.syncs {
		for _, t := range s.targets {
			if !t.ok {
				continue
			}
			all = append(all, pair{s, t})
			list = append(list, places.Sync{
				Source: s.source.text, Targets: []string{t.to.text}, Port: t.settings.Port,
				Relative: t.settings.Relative, Listed: t.settings.Files != nil,
			})
		}
	}
	for _, c := range places.Clashes(list) {
		a, b := all[c.A], all[c.B]
		switch {
		case c.Round:
			l.value(b.t.to, "what sync %s sends to %s would come back to its source %s, by way of sync %s: it would go round and round", quoted(b.s.name), quoted(b.t.to.text), quoted(b.s.source.text), quoted(a.s.name))
		case a.s == b.s:
			l.value(b.t.to, "target %s and target %s are one place, or in one another: each is to be a place of its own", quoted(b.t.to.text), quoted(a.t.to.text))
		default:
			l.value(b.t.to, "target %s is where sync %s writes, to %s (%s): each is to be a place of its own", quoted(b.t.to.text), quoted(a.s.name), quoted(a.t.to.text), place(a.t.to))
		}
	}
}
