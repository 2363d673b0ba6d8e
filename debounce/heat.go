package debounce

import "time"

const (
	// freeReturns is how often a path may come back at once before it waits longer: an editor that
	// saves twice, or a few quick changes after one another, are not a growing log.
	freeReturns = 4
	// quickShare of HotMax is how long after its taking a path counts as back at once: 250 ms of 2 s.
	// A log that is written ten times a second is sent every two seconds, not a thousand times.
	quickShare = 8
	// maxHeat bounds the paths whose last taking is remembered. Hot files are few; in a crowd larger
	// than this the batches are long anyway.
	maxHeat = 1 << 14
)

// heat remembers for a short while which paths were taken, to tell those that come back at once. A
// path's window is the measure of everything, its wait or an eighth of HotMax, whichever is longer: back
// within one window it gets hotter, within two cooler by a step, later it is as new. So a file written
// every 300 ms stays at Settle for ever, and one written every 100 ms does not.
type heat struct {
	cfg    Config
	taken  map[string]taking
	coolAt time.Duration // by then everything remembered is cool
}

type taking struct {
	at     time.Duration
	streak uint8 // quick returns in a row up to then
}

func (h *heat) on() bool { return h.cfg.HotMax > h.cfg.Settle }

// wait is the settle time after so many quick returns.
func (c Config) wait(streak uint8) time.Duration {
	if streak <= freeReturns {
		return c.Settle
	}
	d := c.heatUnit()
	for ; streak > freeReturns; streak-- {
		if d >= c.HotMax/2 {
			return c.HotMax
		}
		d *= 2
	}
	return d
}

// heatUnit is the time that heat doubles and is measured in: Settle, but something where there is none.
func (c Config) heatUnit() time.Duration {
	if c.Settle == 0 {
		return DefaultSettle
	}
	return c.Settle
}

func (c Config) window(streak uint8) time.Duration {
	return max(c.wait(streak), c.heatUnit(), c.HotMax/quickShare)
}

// returned gives the streak of a path that is added while no fresh entry of it is queued.
func (h *heat) returned(p string, now time.Duration) uint8 {
	if now > h.coolAt {
		h.taken = nil
	}
	last, ok := h.taken[p]
	if !ok {
		return 0
	}
	window := h.cfg.window(last.streak)
	switch away := now - last.at; {
	case away > later(window, window):
		delete(h.taken, p)
		return 0
	case away > window:
		return max(last.streak, 1) - 1
	case h.cfg.wait(last.streak) == h.cfg.HotMax: // more would only make it cool later
		return last.streak
	default:
		return last.streak + 1
	}
}

// took remembers that n leaves.
func (h *heat) took(n *node, now time.Duration) {
	streak := n.streak
	if n.is(isDeferred) { // a second try tells nothing new about the path
		streak = h.stillWarm(n.path, now)
	}
	if _, known := h.taken[n.path]; !known && len(h.taken) >= maxHeat {
		h.sweep(now)
	}
	if h.taken == nil {
		h.taken = make(map[string]taking)
	}
	h.taken[n.path] = taking{now, streak}
	h.coolAt = max(h.coolAt, h.coolTime(h.taken[n.path]))
}

func (h *heat) stillWarm(p string, now time.Duration) uint8 {
	if last, ok := h.taken[p]; ok && now <= h.coolTime(last) {
		return last.streak
	}
	return 0
}

func (h *heat) coolTime(t taking) time.Duration {
	window := h.cfg.window(t.streak)
	return later(t.at, later(window, window))
}

// sweep frees at least half of the memory, so that its cost spreads over as many takings: what is cool,
// then what is not hot yet, then everything.
func (h *heat) sweep(now time.Duration) {
	for _, drop := range []func(taking) bool{
		func(t taking) bool { return now > h.coolTime(t) },
		func(t taking) bool { return t.streak <= freeReturns },
		func(taking) bool { return true },
	} {
		for p, t := range h.taken {
			if drop(t) {
				delete(h.taken, p)
			}
		}
		if len(h.taken) <= maxHeat/2 {
			return
		}
	}
}
