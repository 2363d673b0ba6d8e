package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeProc plays DefaultDir. An empty value leaves the file out.
func fakeProc(t testing.TB, watches, queue, instances string) string {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]string{
		"max_user_watches": watches, "max_queued_events": queue, "max_user_instances": instances,
	} {
		if value == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRead(t *testing.T) {
	got, err := Read(fakeProc(t, "192536\n", "16384\n", "128\n"))
	if diff := cmp.Diff(Limits{192536, 16384, 128}, got); diff != "" || err != nil {
		t.Errorf("Read: %v; limits (-want +got):\n%s", err, diff)
	}
}

func TestReadErrors(t *testing.T) {
	_, err := Read(fakeProc(t, "", "many\n", "128\n"))
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, strconv.ErrSyntax) {
		t.Errorf("Read = %v, want both causes", err)
	}
	for _, name := range []string{"max_user_watches", "max_queued_events"} {
		if !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("Read = %v, does not name %s", err, name)
		}
	}
}

func TestReadKernel(t *testing.T) {
	got, err := Read("")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range got.each() {
		if *l.value <= 0 || *l.value > math.MaxInt32 {
			t.Errorf("%s = %d", l.name, *l.value)
		}
	}
}

func TestParseValue(t *testing.T) {
	tests := []struct {
		in   string
		want int
		ok   bool
	}{
		{"128\n", 128, true},
		{"0\n", 0, true},
		{" 16384\t\n", 16384, true},
		{"2147483647\n", math.MaxInt32, true},
		{"2147483648\n", 0, false},
		{"-1\n", 0, false},
		{"", 0, false},
		{"\n", 0, false},
		{"1 2\n", 0, false},
		{"0x10\n", 0, false},
		{"1_000\n", 0, false},
		{strings.Repeat("1", 1<<16), 0, false},
	}
	for _, tt := range tests {
		got, err := parseValue([]byte(tt.in))
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("parseValue(%.20q) = %d, %v, want %d", tt.in, got, err, tt.want)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("parseValue(%.20q): an error of %d bytes", tt.in, len(err.Error()))
		}
	}
}

func FuzzParseValue(f *testing.F) {
	for _, s := range []string{"128\n", "2147483648", "-5", " 7 ", "\x00", "9999999999999999999999"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := parseValue(text)
		if err != nil {
			return
		}
		if v < 0 || v > math.MaxInt32 {
			t.Errorf("parseValue(%q) = %d", text, v)
		}
		if again, err := parseValue(fmt.Appendf(nil, "%d\n", v)); again != v || err != nil {
			t.Errorf("%d reads back as %d, %v", v, again, err)
		}
	})
}
