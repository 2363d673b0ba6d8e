package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sampleResults() results {
	timed := pairsRow("burst", "local, 10 files", "time", "s", &pairs{ours: []float64{1, 3}, theirs: []float64{1, 1}})
	return results{
		Host: host{Kernel: "6.18", CPUs: 2, Rsync: "rsync version 3.5.0", Load: "0.1 0.2 0.3", Filesystem: "ext4"}, Seconds: 12.4,
		Rows: []row{
			timed.ratioAtMost(2),
			timed.ratioAtMost(1.9),
			row{Measurement: "memory", Case: "local", Value: "resident", Unit: "MiB", Samples: 1, Lockstep: number(59.96)}.atMost(60),
			{Measurement: "delta", Case: "daemon", Value: "on the wire", Unit: "bytes", Samples: 1, Lockstep: number(393597), Ratio: number(math.NaN())},
		},
	}
}

func TestText(t *testing.T) {
	r := sampleResults()
	var out strings.Builder
	if err := r.writeText(&out); err != nil {
		t.Fatal(err)
	}
	const want = `
measurement case value n lockstep rsync ratio target
burst local, 10 files time 2 2.00 s 1.00 s 2.00 ratio ≤ 2 met
local, 10 files time 2 2.00 s 1.00 s 2.00 ratio ≤ 1.9 MISSED
memory local resident 1 60.0 MiB ≤ 60 met
delta daemon on the wire 1 393597 bytes

rsync version 3.5.0, Linux 6.18, 2 CPUs, ext4, load before 0.1 0.2 0.3, 12 s; 2 of 3 targets met
`
	var got strings.Builder
	for line := range strings.Lines(out.String()) {
		got.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), got.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestJSON(t *testing.T) {
	want := sampleResults()
	var out strings.Builder
	if err := want.writeJSON(&out); err != nil {
		t.Fatal(err)
	}
	var got results
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatalf("%v:\n%s", err, out.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after a round trip (-want +got):\n%s", diff)
	}
}

// TestUnmeasuredMisses: what could not be computed meets no target.
func TestUnmeasuredMisses(t *testing.T) {
	if (row{}).atMost(1).Target.Met || (row{Ratio: number(math.Inf(1))}).ratioAtMost(1).Target.Met {
		t.Error("a row without a value meets its target")
	}
}

func TestQuantity(t *testing.T) {
	for _, tt := range []struct {
		v    float64
		unit string
		want string
	}{
		{0.1234, "s", "0.12 s"}, {9.994, "ms", "9.99 ms"}, {12.34, "ms", "12.3 ms"}, {1234.5, "ms", "1234 ms"},
		{98664, "bytes", "98664 bytes"}, {7, "bytes", "7 bytes"}, {1, "", "1.00"},
	} {
		if got := quantity(&tt.v, tt.unit); got != tt.want {
			t.Errorf("quantity(%v, %q) = %q, want %q", tt.v, tt.unit, got, tt.want)
		}
	}
	if got := quantity(nil, "s"); got != "" {
		t.Errorf("quantity of nothing = %q", got)
	}
}
