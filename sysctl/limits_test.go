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

// fakeProc plays DefaultProc. An empty value leaves the file out.
func fakeProc(t testing.TB, watches, queue, instances string) string {
	t.Helper()
	proc := t.TempDir()
	for key, value := range map[string]string{
		"fs.inotify.max_user_watches": watches, "fs.inotify.max_queued_events": queue, "fs.inotify.max_user_instances": instances,
	} {
		if value != "" {
			writeKey(t, proc, key, value)
		}
	}
	return proc
}

func writeKey(t testing.TB, proc, key, value string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(keyPath(proc, key)), 0o755))
	must(t, os.WriteFile(keyPath(proc, key), []byte(value), 0o644))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
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
			t.Errorf("%s = %d", l.key, *l.value)
		}
	}
	if got, err := ReadFanotify(""); err != nil || got.MaxUserGroups <= 0 || got.MaxUserMarks <= 0 || got.MaxQueuedEvents <= 0 {
		t.Errorf("ReadFanotify = %+v, %v", got, err)
	}
}

func TestReadNamespace(t *testing.T) {
	proc := fakeProc(t, "8192", "16384", "128")
	writeKey(t, proc, "user.max_inotify_watches", "100\n")
	writeKey(t, proc, "user.max_inotify_instances", "5\n")
	must(t, os.Mkdir(proc+"/self", 0o755))
	for uidMap, want := range map[string]Limits{
		"         0          0 4294967295\n": {},
		"         0       1000          1\n": {MaxUserWatches: 100, MaxUserInstances: 5},
	} {
		must(t, os.WriteFile(proc+"/self/uid_map", []byte(uidMap), 0o644))
		if got, err := ReadNamespace(proc); got != want || err != nil {
			t.Errorf("uid map %q: %v, %v", uidMap, got, err)
		}
	}
	must(t, os.Remove(keyPath(proc, "user.max_inotify_watches")))
	must(t, os.WriteFile(proc+"/self/uid_map", []byte("0 1000 1\n"), 0o644))
	if _, err := ReadNamespace(proc); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a limit is not there: %v", err)
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
