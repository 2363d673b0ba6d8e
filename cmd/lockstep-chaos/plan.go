package main

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

const (
	kindLocal  = "local"
	kindDaemon = "daemon"
	kindSSH    = "ssh"
)

var targetKinds = []string{kindLocal, kindDaemon, kindSSH}

// config is a run's part of the command line, and what the outer process found out.
type config struct {
	Seed       uint64
	Time       time.Duration
	Limit      time.Duration
	Faults     []string // empty: all
	Targets    []string
	Lockstep   string
	Options    []string
	Out        string            // where logs and the result go
	StateDir   bool              // whether lockstep has --state-dir
	Several    bool              // whether it has --target, for several targets
	Impossible map[string]string // faults that this machine cannot have, and why
}

// plan is all that a seed decides.
type plan struct {
	Bind    bool     // the source is a mount of its own, which can go away and leave an empty directory
	Joint   bool     // one lockstep serves all targets, else each has its own
	Keeps   bool     // lockstep keeps its state from run to run
	NoDAC   bool     // lockstep runs without the right to pass over permissions
	Backend string   // of watching
	Flags   []string // for lockstep
	Targets []targetPlan
	Rounds  []round
}

// fsSick is a file system that fails when it is told to.
const fsSick = "sick"

type targetPlan struct {
	Kind string
	FS   string // tmpfs, ext4, or fsSick
}

// round is one or several faults before the source comes to rest.
type round struct {
	Calm  time.Duration // changes before the first
	Shots []shot
}

// shot is a fault injected once.
type shot struct {
	Fault  string
	Target int // which target; of no meaning where the source is hit
	After  time.Duration
	Hold   time.Duration // until it heals
	Seed   uint64        // of what the fault itself chooses
}

// maxRounds is more than a run has time for, but for one by hand over night.
const maxRounds = 2000

var errNoFaults = errors.New("none of the faults asked for is possible here, or fits the targets")

// newPlan is a pure function: a seed and a command line give the same plan on the same machine.
func newPlan(c config) (plan, error) {
	rng := rand.New(rand.NewPCG(c.Seed, 0))
	p := plan{
		Bind: rng.IntN(2) == 0,
		// -e is for all remote targets of a command line, daemons too.
		Joint:   rng.IntN(2) == 0 && len(c.Targets) > 1 && c.Several && !slices.Contains(c.Targets, kindSSH),
		Keeps:   rng.IntN(4) > 0 && c.StateDir,
		NoDAC:   rng.IntN(4) == 0,
		Backend: []string{"auto", "inotify"}[rng.IntN(2)],
		Flags:   flagSets[rng.IntN(len(flagSets))],
	}
	for _, kind := range c.Targets {
		p.Targets = append(p.Targets, targetPlan{Kind: kind, FS: []string{"tmpfs", "ext4", fsSick}[rng.IntN(3)]})
	}
	if len(c.Faults) > 0 { // what was asked for decides the setting, where it has a say
		p.Bind = p.Bind && !slices.Contains(c.Faults, "move-root") && !slices.Contains(c.Faults, "empty-root") || slices.Contains(c.Faults, "unbind")
		p.NoDAC = slices.Contains(c.Faults, "permission")
	}
	for i := range p.Targets {
		if _, no := c.Impossible["eio"]; no && p.Targets[i].FS == fsSick {
			p.Targets[i].FS = "tmpfs"
		}
	}
	choices := p.choices(c)
	if len(choices) == 0 {
		return p, errNoFaults
	}
	for range maxRounds {
		p.Rounds = append(p.Rounds, newRound(rng, p, choices))
	}
	return p, nil
}

// flagSets are settings of lockstep in which a target still has to be equal.
var flagSets = [][]string{nil, nil, {"-z"}, {"-HAX"}, {"--fsync"}, {"--delay-updates"}, {"--checksum"}, {"--index=off"}, {"--sparse"}}

// choice is a fault on a target.
type choice struct {
	fault  fault
	target int
}

// choices are all that the setting allows, each as often as it has weight.
func (p plan) choices(c config) []choice {
	var all []choice
	for _, f := range faults() {
		if _, no := c.Impossible[f.name]; no || len(c.Faults) > 0 && !slices.Contains(c.Faults, f.name) {
			continue
		}
		for t := range p.Targets {
			if f.fits != nil && !f.fits(p, p.Targets[t]) {
				continue
			}
			for range f.weight {
				all = append(all, choice{f, t})
			}
			if f.on == onSource { // there is one source
				break
			}
		}
	}
	return all
}

// newRound picks faults that do not stand in one another's way: one of a kind for each target.
func newRound(rng *rand.Rand, p plan, choices []choice) round {
	r := round{Calm: 100*time.Millisecond + upTo(rng, 600*time.Millisecond)}
	taken := map[string]bool{}
	for range []int{1, 1, 1, 1, 2, 2, 3}[rng.IntN(7)] {
		c := choices[rng.IntN(len(choices))]
		s := shot{
			Fault: c.fault.name, Target: c.target, After: upTo(rng, 800*time.Millisecond),
			Hold: 50*time.Millisecond + upTo(rng, c.fault.mostHeld()), Seed: rng.Uint64(),
		}
		key := c.fault.on
		if c.fault.on == onDisk || c.fault.on == onLockstep && !p.Joint {
			key = fmt.Sprint(key, c.target)
		}
		if taken[key] {
			continue
		}
		taken[key] = true
		r.Shots = append(r.Shots, s)
	}
	slices.SortFunc(r.Shots, func(a, b shot) int { return cmp.Compare(a.After, b.After) })
	return r
}

func upTo(rng *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(most)))
}

// String names the setting.
func (p plan) String() string {
	words := []string{"backend " + p.Backend, "source plain"}
	if p.Bind {
		words[1] = "source bound"
	}
	if p.Joint {
		words = append(words, "one for all targets")
	}
	if p.Keeps {
		words = append(words, "with state")
	}
	if p.NoDAC {
		words = append(words, "without CAP_DAC_*")
	}
	for _, t := range p.Targets {
		words = append(words, t.Kind+" on "+t.FS)
	}
	return strings.Join(append(words, p.Flags...), ", ")
}
