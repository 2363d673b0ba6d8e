package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// TestOutputOfOptions compares what is printed with the options of the matrix with what rsync
// prints. In which order is each one's affair.
func TestOutputOfOptions(t *testing.T) {
	syncertest.NeedRsync(t)
	if os.Geteuid() != 0 {
		t.Skip("owners and devices need root")
	}
	syncertest.SkipUnderRace(t, "what runs beside one another is the same for all options")
	for _, args := range []string{
		"-aHi", "-aHv", "-aHn -i", "-aAi", "-aXi", "-aAXvn", "-aHAXi --delete", "-aH --stats", "-aHX --stats --delete -h", "-a --no-h --stats -v",
		"-abi", "-aiu", "-ai --existing", "-ai --ignore-existing", "-aiS", "-ai --inplace", "-ai --append", "-ai --max-size=1K", "-aR -i", "-aim",
		"-aic --size-only", "-aiI", "-aiO", "-aiL", "-ai --chmod=go-w", "-ai --chown=daemon:bin", "-ai -E --no-p", "-ai --files-from=list", "-aiU",
		"-aiz", "-ai --safe-links", "-av --safe-links", "-ai --delete-excluded --exclude=*.tmp", "-ai --delete-after", "-ai --backup-dir=.bak --delete",
	} {
		for _, kind := range []string{"local", "daemon"} {
			t.Run(kind+" "+args, func(t *testing.T) {
				t.Parallel()
				top := t.TempDir()
				to := func(path string) string { return path }
				if kind == "daemon" {
					d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{{Name: "m", Path: top}}})
					to = func(path string) string {
						return strings.TrimSuffix(d.URL("m"), "/") + strings.TrimPrefix(path, top)
					}
				}
				want := row{}.push(t, filepath.Join(top, "rsync"), "rsync", args, place{to: to})
				got := row{}.push(t, filepath.Join(top, "lockstep"), "lockstep", args, place{to: to})
				if diff := cmp.Diff(sortedLines(want.stdout, kind), sortedLines(got.stdout, kind)); diff != "" || want.code != got.code {
					t.Errorf("code %d, rsync's is %d; output (-rsync +lockstep):\n%s\n%s", got.code, want.code, diff, got.stderr)
				}
			})
		}
	}
}

// ownWay are lines about what a local target does in a way of its own; see the matrix for why.
var ownWay = regexp.MustCompile(`hard/(one|two|apart-.|kept-.|data-b)\b|dir/three\b|kept-dir/file|` +
	`^(Number of regular files transferred|Literal data|Total transferred file size): `)

// sortedLines are the lines of an output that can be compared.
func sortedLines(out, kind string) []string {
	all := lines(out)
	if kind == "local" {
		all = slices.DeleteFunc(all, ownWay.MatchString)
	}
	slices.Sort(all)
	return all
}
