package main

import (
	"math"
	"slices"
	"time"
)

// median is the middle value, or the mean of the two in the middle; of nothing it is NaN.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// percentile is the smallest value that p of 100 values do not exceed (nearest rank).
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// pairs are measurements of the two programs, taken in turn.
type pairs struct {
	ours, theirs []float64
}

// ratio is the median of the pairs' ratios, ours to theirs. What slows the machine for a while
// slows both of a pair, so that this is steadier than the ratio of the two medians.
func (p *pairs) ratio() float64 {
	ratios := make([]float64, min(len(p.ours), len(p.theirs)))
	for i := range ratios {
		ratios[i] = p.ours[i] / p.theirs[i]
	}
	return median(ratios)
}

// inTurn runs pair i. Who is first changes from pair to pair: the second one finds warmer caches.
func inTurn(i int, ours, theirs func() error) error {
	first, second := ours, theirs
	if i%2 == 1 {
		first, second = theirs, ours
	}
	if err := first(); err != nil {
		return err
	}
	return second()
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }
