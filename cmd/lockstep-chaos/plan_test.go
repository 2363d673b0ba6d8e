package main

import (
	"reflect"
	"slices"
	"testing"
)

func testConfig(seed uint64) config {
	return config{Seed: seed, Targets: []string{kindLocal, kindDaemon}, Several: true, Impossible: map[string]string{"lossy": "no netem"}}
}

// A seed decides everything, and different seeds decide differently.
func TestPlanIsItsSeed(t *testing.T) {
	settings := map[string]bool{}
	for seed := range uint64(40) {
		a, err := newPlan(testConfig(seed))
		if err != nil {
			t.Fatal(err)
		}
		b, err := newPlan(testConfig(seed))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d: two plans", seed)
		}
		settings[a.String()] = true
	}
	if len(settings) < 30 {
		t.Errorf("40 seeds have %d settings", len(settings))
	}
}

// Each fault comes up, fits its setting and target, and no two of a round are on the same thing.
func TestPlanRounds(t *testing.T) {
	count := map[string]int{}
	for seed := range uint64(60) {
		p, err := newPlan(testConfig(seed))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Rounds[:50] {
			if len(r.Shots) == 0 {
				t.Fatalf("seed %d: a round without a fault", seed)
			}
			on := map[string]bool{}
			for _, s := range r.Shots {
				f := faultNamed(s.Fault)
				count[s.Fault]++
				if f.fits != nil && !f.fits(p, p.Targets[s.Target]) {
					t.Errorf("seed %d: %s does not fit %s and %+v", seed, s.Fault, p, p.Targets[s.Target])
				}
				if key := f.on; (key == onSource || key == onLink || key == onLockstep && p.Joint) && on[key] {
					t.Errorf("seed %d: two faults of a round on the %s: %+v", seed, key, r)
				}
				on[f.on] = true
			}
			if !slices.IsSortedFunc(r.Shots, func(a, b shot) int { return int(a.After - b.After) }) {
				t.Errorf("seed %d: not in order: %+v", seed, r)
			}
		}
	}
	for _, f := range faults() {
		if n := count[f.name]; (n == 0) != (f.name == "lossy") {
			t.Errorf("%s was chosen %d times", f.name, n)
		}
	}
}

// What is asked for is what is injected, and the setting is one in which it can be.
func TestPlanOfFaults(t *testing.T) {
	for _, f := range faults() {
		c := testConfig(3)
		c.Faults, c.Impossible = []string{f.name}, nil
		p, err := newPlan(c)
		for seed := uint64(4); err != nil && seed < 20; seed++ { // the file systems are the seed's
			c.Seed = seed
			p, err = newPlan(c)
		}
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
			continue
		}
		for _, r := range p.Rounds[:20] {
			for _, s := range r.Shots {
				if s.Fault != f.name {
					t.Errorf("asked for %s, got %s", f.name, s.Fault)
				}
			}
		}
	}
}

func TestPlanWithoutFaults(t *testing.T) {
	c := testConfig(1)
	c.Faults, c.Targets = []string{"link"}, []string{kindLocal}
	if _, err := newPlan(c); err != errNoFaults {
		t.Errorf("a cut link to a local target: %v", err)
	}
}
