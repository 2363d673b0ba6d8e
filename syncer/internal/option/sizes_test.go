package option

import (
	"os/exec"
	"testing"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// TestParseSize: the sizes of rsync(1); what it refuses is refused, which TestSizesOfRsync holds.
func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "1": 1, "700": 700, "1b": 1, "1B": 1, "1k": 1024, "1K": 1024, "1KiB": 1024, "1kib": 1024, "1KB": 1000, "1kB": 1000,
		"1.5k": 1536, ".5k": 512, "5.k": 5120, "1.9": 1, "1.5mb-1": 1499999, "2g+1": 2147483649, "1m": 1 << 20, "1t": 1 << 40,
		"1P": 1 << 50, "3TB": 3e12, "8191P": 8191 << 50, "1+1": 2, "1k-1": 1023, "00012": 12,
		"9007199254740993": 9007199254740993, // more than a float64 holds
	} {
		if got, err := ParseSize(s, 'B'); got != want || err != nil {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
	for s, want := range map[string]int64{
		"0": 0, "1": 1024, "1.5m": 3 << 19, "20m": 20 << 20, "0.5": 1024, "512B": 1024, "1KB": 1024, "1535B": 1024, "1536B": 2048, "2MB": 2000 * 1000 / 1024 * 1024,
	} {
		if got, err := ParseRate(s); got != want || err != nil {
			t.Errorf("--bwlimit=%s: %d, %v; want %d", s, got, err, want)
		}
	}
}

// TestSizesOfRsync: what is a size to rsync is one to us.
func TestSizesOfRsync(t *testing.T) {
	syncertest.SkipUnderRace(t, "a parser has no goroutines")
	syncertest.NeedRsync(t)
	dir := t.TempDir()
	for option, parse := range map[string]func(string) error{
		"--max-size":   func(s string) error { _, err := ParseSize(s, 'B'); return err },
		"--bwlimit":    func(s string) error { _, err := ParseRate(s); return err },
		"--block-size": func(s string) error { _, err := ParseBlockSize(s); return err },
	} {
		for _, s := range []string{
			"1", "1k", "1KB", "1KiB", "1iB", "1ki", "1k+1", "1k-1", "1k+2", "1k+1x", "1.5", "1.2.3k", "1 k", "1E", "1P", "8191P", "8192P",
			"8192P-1", "99999999999999999999", "9223372036854775807", "9e3", "0x10", "1e3", "-1", "+", "0-1", "0.4", "0.49", "0.5", "511B",
			"512B", "0", "131072", "131073", "128k", "129k", "x", "1kx", "1kib1", "ï",
		} {
			out, rsyncErr := exec.Command("rsync", "-n", option+"="+s, dir+"/none", dir).CombinedOutput()
			exit, ok := rsyncErr.(*exec.ExitError)
			if !ok {
				t.Fatal(rsyncErr)
			}
			// 23: there is no such source. It is what comes after the options.
			if err := parse(s); (err == nil) != (exit.ExitCode() == 23) {
				t.Errorf("%s=%s: error %v, rsync's: %s", option, s, err, out)
			}
		}
		// An empty size is 0 to rsync; nobody means that.
		if err := parse(""); err == nil {
			t.Errorf("%s with nothing is taken", option)
		}
	}
}
