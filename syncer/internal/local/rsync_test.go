package local

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// rsyncLines runs the real rsync and returns what it itemizes. The quick check is told to
// compare nanoseconds, as this package does.
func rsyncLines(t *testing.T, src, dst string, args ...string) []string {
	t.Helper()
	cmd := exec.Command("rsync", append(append([]string{"-ai", "--modify-window=-1"}, args...), src, dst)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("rsync: %v\n%s", err, &stderr)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "created directory ") && !strings.HasPrefix(line, "cannot delete non-empty directory") {
			lines = append(lines, line)
		}
	}
	return lines
}

// copyTree makes an exact copy with cp, the judge's third opinion.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	requireEqual(t, from, to)
}

// TestLikeRsync pushes the same trees as the real rsync and expects the same lines and
// the same result.
func TestLikeRsync(t *testing.T) {
	syncertest.NeedRsync(t)
	plain := archive
	plain.Delete = false
	noTimes := plain
	noTimes.Times = false
	noPerms := archive
	noPerms.Perms = false
	checksum := archive
	checksum.Checksum = true
	noOwner := archive
	noOwner.Owner, noOwner.Group = false, false
	for _, test := range []struct {
		name string
		o    Options
		args []string
	}{
		{"delete", archive, []string{"--delete"}},
		{"plain", plain, []string{"--force"}},
		{"no times", noTimes, []string{"--force", "--no-t"}},
		{"no perms", noPerms, []string{"--delete", "--no-p"}},
		{"no owner", noOwner, []string{"--delete", "--no-o", "--no-g"}},
		{"checksum", checksum, []string{"--delete", "-c"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			src, dst := dirs(t)
			test.o.Force = true
			differing(t, src, dst)
			theirs := dst + ".rsync"
			copyTree(t, dst, theirs)

			dry := test.o
			dry.DryRun = true
			res, announced := full(t, src, dst, dry)
			requireClean(t, res)
			want := rsyncLines(t, src+"/", theirs+"/", test.args...)
			res, lines := full(t, src, dst, test.o)
			requireClean(t, res)
			requireSameLines(t, want, lines)
			requireSameLines(t, want, announced)
			if !test.o.Times {
				age(t, theirs)
				age(t, dst)
			}
			syncertest.RequireEqual(t, theirs, dst, syncertest.CompareOptions{
				IgnoreOwners: os.Geteuid() != 0,
				Ignore:       func(path string) bool { return !test.o.Perms && tookMode(path) },
			})

			if test.o.Times { // without -t every push sends everything again
				requireSameLines(t, rsyncLines(t, src+"/", theirs+"/", test.args...), nil)
				_, lines = full(t, src, dst, test.o)
				requireSameLines(t, nil, lines)
			}
		})
	}
}

// tookMode says whether path is a device or special file that replaced something of another
// kind. Without -p rsync gives it the mode of what it replaced, 0777 of a symlink too; here
// it is a new name like any other.
func tookMode(path string) bool {
	kind, was, ok := strings.Cut(path, ".")
	return ok && was != "none" && slices.Contains([]string{"block", "char", "fifo", "socket"}, kind)
}

// TestNewTargetLikeRsync lets both make the target, and names the top in both ways.
func TestNewTargetLikeRsync(t *testing.T) {
	src, dst := dirs(t)
	differing(t, src, dst)
	must(t, os.RemoveAll(dst))
	theirs := dst + ".rsync"
	want := rsyncLines(t, src+"/", theirs)
	_, lines := full(t, src, dst, archive)
	requireSameLines(t, want, lines)
	requireEqual(t, theirs, dst)

	want = rsyncLines(t, src, theirs)
	so := sourceOptions(archive)
	so.Prefix = "src"
	o := archive
	got := record(&o)
	_, err := openTarget(t, dst, o).Full(t.Context(), openSource(t, filepath.Dir(src), so), time.Time{})
	must(t, err)
	requireSameLines(t, want, *got)
}

// differing makes a source and a target that differ in every way that is itemized.
func differing(t *testing.T, src, dst string) {
	t.Helper()
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if (kind == "char" || kind == "block") && os.Geteuid() != 0 {
			continue
		}
		for other := range kinds {
			if (other == "char" || other == "block") && os.Geteuid() != 0 {
				continue
			}
			kinds[kind](t, filepath.Join(src, kind+"."+other))
			kinds[other](t, filepath.Join(dst, kind+"."+other))
		}
	}
	for i, name := range []string{"x\ny", "esc\x1b", "bad\xff", "utf-ä", `b\#012`, `b\#1`, "sp ace"} {
		write(t, filepath.Join(src, "names", name), "x")
		write(t, filepath.Join(dst, "names", "gone"+name), "x")
		must(t, os.Symlink(name, filepath.Join(src, "names", "l"+string(rune('0'+i)))))
	}
	must(t, unix.Mkdir(filepath.Join(src, "modes"), 0o711))
	must(t, unix.Mkdir(filepath.Join(dst, "modes"), 0o777))
	age(t, src)
	age(t, dst)

	base := time.Unix(1_500_000_000, 5)
	for i, change := range []func(string){
		func(string) {},
		func(p string) { must(t, os.Chmod(p, 0o600)) },
		func(p string) { setTime(t, p, base.Add(time.Hour)) },
		func(p string) { setTime(t, p, base.Add(time.Nanosecond)) },
		func(p string) { must(t, os.WriteFile(p, []byte("longer"), 0)); setTime(t, p, base) },
		func(p string) { must(t, os.WriteFile(p, []byte("SAME"), 0)); setTime(t, p, base.Add(time.Minute)) },
		func(p string) {
			if os.Geteuid() == 0 {
				must(t, os.Chown(p, 7, 8))
			}
		},
	} {
		name := "change" + string(rune('0'+i))
		for _, root := range []string{src, dst} {
			p := filepath.Join(root, name)
			write(t, p, "same")
			setTime(t, p, base)
		}
		change(filepath.Join(dst, name))
	}
	setTime(t, src, base)
	setTime(t, dst, base)
}

// TestPartialEqualsFull: a tree in the plan does what a full push does.
func TestPartialEqualsFull(t *testing.T) {
	src, dst := dirs(t)
	differing(t, src, dst)
	other := dst + ".full"
	copyTree(t, dst, other)
	_, want := full(t, src, other, archive)
	o := archive
	lines := record(&o)
	s := openSource(t, src, sourceOptions(o))
	plan, err := s.Plan(t.Context(), []source.Path{{Name: ".", Tree: true}})
	must(t, err)
	_, err = openTarget(t, dst, o).Partial(t.Context(), s, plan, time.Time{})
	must(t, err)
	requireSameLines(t, want, *lines)
	requireEqual(t, src, dst)
}
