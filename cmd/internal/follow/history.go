package follow

import (
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// A history has a sample a second of the last minute: whether a target catches up is seen at a glance.
const historySeconds = 60

type sample struct {
	lag   float64 // seconds
	queue int     // dirty paths, and those in flight
}

// history is what was seen of each target; under the key "" the worst of all.
type history struct {
	at time.Time // of the last sample
	of map[key][]sample
}

// seen gives the history with what an agent tells now, if a second has passed. It leaves h as it was.
func (h history) seen(now time.Time, a *api.Agent) history {
	if now.Sub(h.at) < time.Second {
		return h
	}
	next := history{now, map[key][]sample{}}
	var all sample
	for i := range a.Syncs {
		for j := range a.Syncs[i].Targets {
			t := &a.Syncs[i].Targets[j]
			s := sample{t.Lag, t.Paths + t.InFlight}
			all = sample{max(all.lag, s.lag), all.queue + s.queue}
			k := key{a.Syncs[i].Name, t.Target}
			next.of[k] = pushed(h.of[k], s)
		}
	}
	next.of[key{}] = pushed(h.of[key{}], all)
	return next
}

func pushed(old []sample, s sample) []sample {
	old = old[max(len(old)-historySeconds+1, 0):]
	return append(append(make([]sample, 0, len(old)+1), old...), s)
}

// spark draws numbers in so many cells at most, the last of them, the greatest being the highest. Nothing is drawn of what was 0 throughout.
func (s *signs) spark(n []float64, cells int) (picture string, most float64) {
	n = n[max(len(n)-max(cells, 0), 0):]
	for _, f := range n {
		most = max(most, f)
	}
	if most <= 0 {
		return "", 0
	}
	var b strings.Builder
	for _, f := range n {
		b.WriteString(s.levels[int(f/most*float64(len(s.levels)-1)+0.5)])
	}
	return b.String(), most
}

func lags(list []sample) []float64 {
	n := make([]float64, len(list))
	for i, s := range list {
		n[i] = s.lag
	}
	return n
}

func queues(list []sample) []float64 {
	n := make([]float64, len(list))
	for i, s := range list {
		n[i] = float64(s.queue)
	}
	return n
}
