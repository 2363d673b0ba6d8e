package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// A row is one line of the table. Values that were not measured are nil.
type row struct {
	Measurement string   `json:"measurement"`
	Case        string   `json:"case"`
	Value       string   `json:"value"` // what was measured: "median"
	Unit        string   `json:"unit"`
	Samples     int      `json:"samples"`
	Lockstep    *float64 `json:"lockstep,omitempty"`
	Rsync       *float64 `json:"rsync,omitempty"`
	Ratio       *float64 `json:"ratio,omitempty"`
	Target      *target  `json:"target,omitempty"`
}

// target is what a row should not exceed: lockstep's value, or the ratio.
type target struct {
	Max     float64 `json:"max"`
	OfRatio bool    `json:"of_ratio"`
	Met     bool    `json:"met"`
}

// number is a value for a row; what is not finite has no place in JSON.
func number(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// atMost judges lockstep's value.
func (r row) atMost(limit float64) row {
	r.Target = &target{Max: limit, Met: r.Lockstep != nil && *r.Lockstep <= limit}
	return r
}

// ratioAtMost judges the ratio.
func (r row) ratioAtMost(limit float64) row {
	r.Target = &target{Max: limit, OfRatio: true, Met: r.Ratio != nil && *r.Ratio <= limit}
	return r
}

// pairsRow is the row of measurements that were taken in turn.
func pairsRow(measurement, of, value, unit string, p *pairs) row {
	return row{
		Measurement: measurement, Case: of, Value: value, Unit: unit, Samples: len(p.ours),
		Lockstep: number(median(p.ours)), Rsync: number(median(p.theirs)), Ratio: number(p.ratio()),
	}
}

// results is all that a run has to tell.
type results struct {
	Host    host    `json:"host"`
	Short   bool    `json:"short"`
	Seconds float64 `json:"seconds"`
	Rows    []row   `json:"rows"`
	// Soak is the curve, oldest first.
	Soak []sample `json:"soak,omitempty"`
}

// host is where it was measured.
type host struct {
	Kernel string `json:"kernel"`
	CPUs   int    `json:"cpus"`
	Rsync  string `json:"rsync"`
	Load   string `json:"load"` // proc_loadavg(5), when the run began
	// Filesystem holds the trees.
	Filesystem string `json:"filesystem"`
}

func (r *results) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func (r *results) writeText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "measurement\tcase\tvalue\tn\tlockstep\trsync\tratio\ttarget\t")
	last := ""
	for _, row := range r.Rows {
		name := row.Measurement
		if name == last {
			name = ""
		}
		last = row.Measurement
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t\n", name, row.Case, row.Value, row.Samples,
			quantity(row.Lockstep, row.Unit), quantity(row.Rsync, row.Unit), quantity(row.Ratio, ""), row.Target)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s, Linux %s, %d CPUs, %s, load before %s, %.0f s; %s\n",
		r.Host.Rsync, r.Host.Kernel, r.Host.CPUs, r.Host.Filesystem, r.Host.Load, r.Seconds, r.verdict())
	return err
}

// verdict counts; it decides nothing.
func (r *results) verdict() string {
	all, missed := 0, 0
	for _, row := range r.Rows {
		if row.Target != nil {
			all++
			if !row.Target.Met {
				missed++
			}
		}
	}
	return fmt.Sprintf("%d of %d targets met", all-missed, all)
}

// String is empty where there is no target.
func (t *target) String() string {
	if t == nil {
		return ""
	}
	text := "≤ " + strconv.FormatFloat(t.Max, 'g', -1, 64)
	if t.OfRatio {
		text = "ratio " + text
	}
	if t.Met {
		return text + "  met"
	}
	return text + "  MISSED"
}

// quantity has three digits that tell something; bytes are exact.
func quantity(v *float64, unit string) string {
	if v == nil {
		return ""
	}
	digits := 2
	switch {
	case unit == "bytes":
		digits = 0
	case *v >= 100:
		digits = 0
	case *v >= 10:
		digits = 1
	}
	return strings.TrimSpace(strconv.FormatFloat(*v, 'f', digits, 64) + " " + unit)
}
