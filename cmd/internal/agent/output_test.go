package agent

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/syncer"
)

func TestCommas(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567", -1: "-1", -999: "-999",
		-1000: "-1,000", -123456: "-123,456", math.MaxInt64: "9,223,372,036,854,775,807", math.MinInt64: "-9,223,372,036,854,775,808",
	} {
		if got := commas(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for f, want := range map[float64]string{0: "0.00", 0.006: "0.01", 999.994: "999.99", 1234.5: "1,234.50", 1e20: "100000000000000000000.00"} {
		if got := human(1).float(f); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
}

// TestHuman: the levels of rsync's --human-readable, as rsync 3.5.0 prints them.
func TestHuman(t *testing.T) {
	for _, c := range []struct {
		level       human
		size, count string
		rate        string
	}{
		{0, "3359033", "3359033", "1010.50"}, {1, "3,359,033", "3,359,033", "1,010.50"},
		{2, "3.36M", "3,359,033", "1.01K"}, {3, "3.20M", "3,359,033", "1,010.50"}, {7, "3.20M", "3,359,033", "1,010.50"},
	} {
		if got := c.level.size(3359033); got != c.size {
			t.Errorf("level %d: size %s, want %s", c.level, got, c.size)
		}
		if got := c.level.count(3359033); got != c.count {
			t.Errorf("level %d: count %s, want %s", c.level, got, c.count)
		}
		if got := c.level.float(1010.5); got != c.rate {
			t.Errorf("level %d: rate %s, want %s", c.level, got, c.rate)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1.00K", 20976: "20.98K", 1e9: "1.00G", 1e12: "1.00T", math.MaxInt64: "9223.37P"} {
		if got := human(2).size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// TestPrinter: what goes to standard output and what to standard error, in which order.
func TestPrinter(t *testing.T) {
	for name, test := range map[string]struct {
		s            Settings
		out, errText string
	}{
		"plain": {Settings{}, "motd\n", "refused\nlockstep: broken\n"},
		"quiet": {Settings{Quiet: true, Verbose: 1, Stats: true}, "", "refused\nlockstep: broken\n"},
		"verbose": {Settings{Verbose: 1}, `motd

sent 1,000 bytes  received 24 bytes  512.00 bytes/sec
total size is 4,096  speedup is 4.00
`, "refused\nlockstep: broken\n"},
		"dry run": {Settings{Verbose: 1, Options: syncer.Options{DryRun: true}}, `motd

sent 1,000 bytes  received 24 bytes  512.00 bytes/sec
total size is 4,096  speedup is 4.00 (DRY RUN)
`, "refused\nlockstep: broken\n"},
		"stats": {Settings{Stats: true}, `motd

Number of files: 1,010 (reg: 1,000, dir: 7, link: 2, special: 1)
Number of created files: 3 (reg: 1, dir: 2)
Number of deleted files: 0
Number of regular files transferred: 1
Total file size: 4,096 bytes
Total transferred file size: 10 bytes
Literal data: 4 bytes
Matched data: 6 bytes
File list size: 50
Total bytes sent: 1,000
Total bytes received: 24

sent 1,000 bytes  received 24 bytes  512.00 bytes/sec
total size is 4,096  speedup is 4.00
`, "refused\nlockstep: broken\n"},
	} {
		var out, errw strings.Builder
		test.s.Human = 1
		p := newPrinter(&test.s, &out, &errw)
		sink := p.sink()
		sink.Message("motd", false)
		sink.Message("refused", true)
		if !test.s.Quiet && out.String() != "motd\n" {
			t.Errorf("%s: an error overtook what was said before it: %q", name, out.String())
		}
		p.error(errors.New("broken"))
		rep := syncer.Report{Stats: syncer.Stats{Files: 1000, Dirs: 7, Links: 2, Specials: 1, Created: 1, CreatedDirs: 2,
			Transferred: 1, TotalSize: 4096, TransferredSize: 10, Literal: 4, Matched: 6, ListBytes: 50, Sent: 1000, Received: 24}}
		p.end(&rep, nil)
		p.summary(&rep, 2*time.Second)
		if diff := cmp.Diff(test.out, out.String()); diff != "" {
			t.Errorf("%s: output (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(test.errText, errw.String()); diff != "" {
			t.Errorf("%s: errors (-want +got):\n%s", name, diff)
		}
	}
}

// TestPlainProgress: where there is no terminal, at least the end is told, and as much as
// is known of a push that failed.
func TestPlainProgress(t *testing.T) {
	for name, test := range map[string]struct {
		updates []syncer.Progress
		err     error
		want    string
	}{
		"whole":   {[]syncer.Progress{{Files: 1, FilesLeft: 2, Bytes: 10, AllBytes: 4096}}, nil, "1,000 of 1,000 files, 4,096 of 4,096 bytes, "},
		"nothing": {nil, errors.New("no connection"), ""},
		"broken":  {[]syncer.Progress{{Files: 1, FilesLeft: 2, Bytes: 10, AllBytes: 4096}}, errors.New("cut"), "1 of 3 files, 10 of 4,096 bytes, "},
	} {
		var out strings.Builder
		b := newBar(&out, 1)
		for _, p := range test.updates {
			b.update(p)
		}
		b.above("a name")
		b.end(&syncer.Report{Stats: syncer.Stats{Files: 1000, TotalSize: 4096}}, test.err)
		got, ok := strings.CutPrefix(out.String(), "a name\n")
		if !ok || !strings.HasPrefix(got, test.want) || strings.Count(got, "\n") != min(len(test.want), 1) {
			t.Errorf("%s: %q, want a name and %q", name, out.String(), test.want)
		}
	}
}
