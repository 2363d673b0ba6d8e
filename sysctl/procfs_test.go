package sysctl

import (
	"strings"
	"testing"
)

func TestMemTotal(t *testing.T) {
	got, err := MemTotal()
	if err != nil || got < 16<<20 {
		t.Errorf("MemTotal = %d, %v", got, err)
	}
}

func TestParseMemTotal(t *testing.T) {
	const meminfo = "MemTotal:       24684096 kB\nMemFree:        22000000 kB\nMemAvailable:   23000000 kB\n"
	tests := []struct {
		in   string
		want int64
		ok   bool
	}{
		{meminfo, 24684096 * 1024, true},
		{"MemFree: 5 kB\nMemTotal: 7 kB", 7 * 1024, true},
		{"MemTotal:\t0 kB\n", 0, true},
		{"MemTotal: 9007199254740991 kB\n", 9007199254740991 * 1024, true},
		{"MemTotal: 9007199254740992 kB\n", 0, false},
		{"MemTotal: 18446744073709551616 kB\n", 0, false},
		{"MemTotal: -7 kB\n", 0, false},
		{"MemTotal: 7 MB\n", 0, false},
		{"MemTotal: kB\n", 0, false},
		{"MemTotal:\n7 kB\n", 0, false},
		{"XMemTotal: 7 kB\n", 0, false},
		{"", 0, false},
	}
	for _, tt := range tests {
		if got, err := parseMemTotal([]byte(tt.in)); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("parseMemTotal(%q) = %d, %v, want %d", tt.in, got, err, tt.want)
		}
	}
}

func FuzzParseMemTotal(f *testing.F) {
	f.Add([]byte("MemTotal:       24684096 kB\nMemFree: 5 kB\n"))
	f.Add([]byte("MemTotal: 9007199254740992 kB"))
	f.Add([]byte("MemTotal:\xff kB\n\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, err := parseMemTotal(text); got < 0 || err != nil && got != 0 {
			t.Errorf("parseMemTotal(%q) = %d, %v", text, got, err)
		}
	})
}

func TestMapsAllUIDs(t *testing.T) {
	tests := []struct {
		in   string
		want bool
	}{
		{"         0          0 4294967295\n", true},
		{"         0       1000          1\n", false},
		{"         0     100000      65536\n", false},
		{"         0          0      65536\n     65536      65536 4294901759\n", false},
		{"         1          0 4294967295\n", false},
		{"", false},
		{strings.Repeat("0 ", 1000), false},
	}
	for _, tt := range tests {
		if got := mapsAllUIDs([]byte(tt.in)); got != tt.want {
			t.Errorf("mapsAllUIDs(%.60q) = %v", tt.in, got)
		}
	}
}
