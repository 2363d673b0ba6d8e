package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseSchedstat(t *testing.T) {
	if got, err := parseSchedstat([]byte("1234567 54411 12\n")); err != nil || got != 1234567 {
		t.Errorf("parseSchedstat = %v, %v", got, err)
	}
	for _, text := range []string{"", "1 2", "x 2 3", "-1 2 3"} {
		if got, err := parseSchedstat([]byte(text)); err == nil {
			t.Errorf("parseSchedstat(%q) = %v, want an error", text, got)
		}
	}
}

func TestParseSwitches(t *testing.T) {
	if got, err := parseSwitches([]byte("Name:\tx\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n")); err != nil || got != 150 {
		t.Errorf("parseSwitches = %v, %v", got, err)
	}
	for _, text := range []string{"", "voluntary_ctxt_switches:\tx\n"} {
		if got, err := parseSwitches([]byte(text)); err == nil {
			t.Errorf("parseSwitches(%q) = %v, want an error", text, got)
		}
	}
}

func TestWorkOfItself(t *testing.T) {
	before, err := workOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < 20*time.Millisecond; {
	}
	after, err := workOf(os.Getpid())
	if did := after.since(before); err != nil || did.cpu <= 0 || did.wakeups < 0 {
		t.Errorf("it did %+v, %v", did, err)
	}
	if _, err := workOf(1 << 30); err == nil {
		t.Error("a process that cannot be is at work")
	}
}

func TestRoles(t *testing.T) {
	for _, args := range [][]string{
		{"sing"}, {"watch"}, {"write", "made", "."}, {"write", "nothing", ".", "1", "1s"}, {"write", "made", ".", "x", "1s"},
	} {
		var stderr strings.Builder
		if code := play(args[0], args[1:], strings.NewReader(""), &stderr, &stderr); code != codeWrong || stderr.Len() == 0 {
			t.Errorf("play(%q) = %d, and says %q", args, code, stderr.String())
		}
	}
}

// TestWrite: the writers keep to their rate.
func TestWrite(t *testing.T) {
	for _, w := range eventWorks() {
		root := t.TempDir()
		if err := makeWriterDirs(root); err != nil {
			t.Fatal(err)
		}
		did, err := write(w, root, 20_000, 100*time.Millisecond)
		if err != nil || did.Events == 0 || did.Events%w.events != 0 || float64(did.Events) > 20_000*did.Seconds {
			t.Errorf("%s: %+v, %v", w.name, did, err)
		}
	}
}
