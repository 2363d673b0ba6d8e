package main

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want float64
	}{
		{[]float64{7}, 7},
		{[]float64{3, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
		{[]float64{1000, 1, 1, 1, 1}, 1},
	} {
		in := slices.Clone(tt.in)
		if got := median(in); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.in, got, tt.want)
		}
		if diff := cmp.Diff(tt.in, in); diff != "" {
			t.Errorf("median changed its argument:\n%s", diff)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v, want NaN", got)
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for _, tt := range []struct {
		in   []float64
		p    float64
		want float64
	}{
		// The worked example of the nearest-rank method in Wikipedia, "Percentile".
		{[]float64{15, 20, 35, 40, 50}, 5, 15},
		{[]float64{15, 20, 35, 40, 50}, 30, 20},
		{[]float64{15, 20, 35, 40, 50}, 40, 20},
		{[]float64{15, 20, 35, 40, 50}, 50, 35},
		{[]float64{15, 20, 35, 40, 50}, 100, 50},
		{hundred, 95, 95},
		{hundred, 0, 1},
		{[]float64{7}, 95, 7},
	} {
		if got := percentile(tt.in, tt.p); got != tt.want {
			t.Errorf("percentile(%v, %v) = %v, want %v", tt.in, tt.p, got, tt.want)
		}
	}
	if got := percentile(nil, 95); !math.IsNaN(got) {
		t.Errorf("percentile of nothing = %v, want NaN", got)
	}
}

// TestPercentileModel holds percentile against its definition: the smallest value with at
// least p of 100 values not above it.
func TestPercentileModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 50).Draw(t, "values")
		p := rapid.IntRange(1, 100).Draw(t, "p")
		want := math.Inf(1)
		for _, v := range values {
			below := 0
			for _, w := range values {
				if w <= v {
					below++
				}
			}
			if below*100 >= p*len(values) {
				want = min(want, v)
			}
		}
		if got := percentile(values, float64(p)); got != want {
			t.Fatalf("percentile(%v, %d) = %v, want %v", values, p, got, want)
		}
	})
}

func TestRatioIsOfPairs(t *testing.T) {
	// The machine was ten times slower during the second pair: the ratio does not see it.
	p := pairs{ours: []float64{1, 10, 1}, theirs: []float64{2, 20, 2}}
	if got := p.ratio(); got != 0.5 {
		t.Errorf("ratio = %v, want 0.5", got)
	}
	if got := (&pairs{}).ratio(); !math.IsNaN(got) {
		t.Errorf("ratio of no pairs = %v, want NaN", got)
	}
}

func TestInTurn(t *testing.T) {
	var got []string
	note := func(s string, err error) func() error {
		return func() error { got = append(got, s); return err }
	}
	for i := range 3 {
		if err := inTurn(i, note("ours", nil), note("theirs", nil)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"ours", "theirs", "theirs", "ours", "ours", "theirs"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	broken := errors.New("broken")
	got = nil
	if err := inTurn(0, note("ours", broken), note("theirs", nil)); !errors.Is(err, broken) || len(got) != 1 {
		t.Errorf("after an error: %v, ran %v", err, got)
	}
}

func TestMilliseconds(t *testing.T) {
	if got := milliseconds(1500 * time.Microsecond); got != 1.5 {
		t.Errorf("1500 µs are %v ms", got)
	}
}
