package main

import (
	"strings"
	"testing"
)

func TestGrown(t *testing.T) {
	first := sample{Target: "local", Descriptors: 18, Goroutines: 20, Threads: 10, Resident: 10}
	for _, tt := range []struct {
		name string
		last sample
		want []string
	}{
		{"the same", first, nil},
		{"less", sample{Descriptors: 10, Goroutines: 12}, nil},
		{"memory and threads are not judged", sample{Descriptors: 18, Goroutines: 20, Threads: 40, Resident: 100}, nil},
		{"at the bound", sample{Descriptors: 18 + soakGrowth, Goroutines: 20 + soakGrowth}, nil},
		{"descriptors", sample{Descriptors: 19 + soakGrowth}, []string{"18 descriptors", "and 27 after"}},
		{"goroutines", sample{Goroutines: 21 + soakGrowth}, []string{"20 goroutines", "and 29 after"}},
	} {
		err := grown(&first, &tt.last)
		if (err != nil) != (tt.want != nil) {
			t.Errorf("%s: %v", tt.name, err)
		}
		for _, want := range tt.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q in it", tt.name, err, want)
			}
		}
	}
}

func TestWanted(t *testing.T) {
	usual, asked := measurement{name: "memory"}, measurement{name: "soak", asked: true}
	for _, tt := range []struct {
		only        string
		usual, soak bool
	}{
		{"", true, false}, {"soak", false, true}, {"memory,soak", true, true}, {"idle", false, false},
	} {
		if usual.wanted(tt.only) != tt.usual || asked.wanted(tt.only) != tt.soak {
			t.Errorf("-only %q: memory %v, soak %v", tt.only, usual.wanted(tt.only), asked.wanted(tt.only))
		}
	}
}
