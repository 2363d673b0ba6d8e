package sender

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// clientArguments is what the real client wants of its peer: a remote shell writes it down.
func clientArguments(t *testing.T, options ...string) []string {
	t.Helper()
	dir := t.TempDir()
	shell, out := filepath.Join(dir, "rsh"), filepath.Join(dir, "out")
	script := "shift\nprintf '%s\\n' \"$@\" >" + out + "\nexit 9"
	syncertest.Script(t, shell, script)
	cmd := exec.CommandContext(t.Context(), "rsync", append(options, "-e", shell, dir+"/", "host:to")...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	said, err := cmd.CombinedOutput()
	b, readErr := os.ReadFile(out)
	if readErr != nil {
		t.Fatalf("rsync %q never started a shell: %v\n%s", options, err, said)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// normal brings a vector into one form: letters and options sorted, values in their option's
// word, without capabilities, program and path.
func normal(args []string) (letters string, long []string) {
	at := slices.Index(args, "--server")
	end := slices.Index(args, ".")
	args = args[at+1 : end]
	for i := 0; i < len(args); i++ {
		a := strings.ReplaceAll(args[i], `\`, "")
		switch {
		case strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && strings.Contains(a, "e."):
			short, _, _ := strings.Cut(a[1:], "e.")
			l := strings.Split(short, "")
			slices.Sort(l)
			letters = strings.Join(l, "")
		case slices.Contains([]string{"--backup-dir", "--partial-dir", "--temp-dir"}, a):
			i++
			long = append(long, a+"="+args[i])
		case strings.HasPrefix(a, "-@"):
			long = append(long, "--modify-window="+a[2:])
		default:
			long = append(long, a)
		}
	}
	slices.Sort(long)
	return letters, long
}

func TestArgumentsAsRsync(t *testing.T) {
	type set = option.Set
	for _, tt := range []struct {
		name   string
		theirs []string
		ours   func(*set)
		prune  bool
	}{
		{"archive", nil, func(*set) {}, false},
		{"metadata", []string{"-HAXUOJ"}, func(o *set) {
			o.HardLinks, o.ACLs, o.Xattrs, o.Atimes, o.OmitDirTimes, o.OmitLinkTimes = true, true, true, true, true, true
		}, false},
		{"executability", []string{"--no-p", "-E"}, func(o *set) { o.Perms, o.Executability = false, true }, false},
		{"permissions win over executability", []string{"-E"}, func(o *set) { o.Executability = true }, false},
		{"devices alone", []string{"--no-specials"}, func(o *set) { o.Specials = false }, false},
		{"specials alone", []string{"--no-devices"}, func(o *set) { o.Devices = false }, false},
		{"which files", []string{"-c", "-u", "--existing", "--ignore-existing", "--size-only", "--max-size=1k", "--min-size=10"}, func(o *set) {
			o.Checksum, o.Update, o.Existing, o.IgnoreExisting, o.SizeOnly, o.MaxSize, o.MinSize = true, true, true, true, true, 1024, 10
		}, false},
		{"times", []string{"-I", "--modify-window=3"}, func(o *set) { o.IgnoreTimes, o.ModifyWindow = true, 3 }, false},
		{"whole files", []string{"-W", "-B2000", "-S"}, func(o *set) { o.WholeFile, o.BlockSize, o.Sparse = true, 2000, true }, false},
		{"inplace", []string{"--inplace", "-S"}, func(o *set) { o.Inplace, o.Sparse = true, true }, false},
		{"inplace keeps what is partial anyway", []string{"--inplace", "--partial"}, func(o *set) { o.Inplace, o.Partial = true, true }, false},
		{"append", []string{"--append"}, func(o *set) { o.Append, o.Inplace = true, true }, false},
		{"append-verify", []string{"--append-verify"}, func(o *set) { o.AppendVerify, o.Inplace = true, true }, false},
		{"backup", []string{"-b"}, func(o *set) { o.Backup = true }, false},
		{"backup dir", []string{"-b", "--backup-dir=../old", "--suffix=.was"}, func(o *set) { o.Backup, o.BackupDir, o.Suffix = true, "../old", ".was" }, false},
		{"backup dir alone", []string{"--backup-dir=old"}, func(o *set) { o.BackupDir = "old" }, false},
		{"rsync's own suffix", []string{"-b", "--suffix=~"}, func(o *set) { o.Backup, o.Suffix = true, "~" }, false},
		{"partial", []string{"--partial"}, func(o *set) { o.Partial = true }, false},
		{"partial dir", []string{"--partial-dir=.part"}, func(o *set) { o.Partial, o.PartialDir = true, ".part" }, false},
		{"delay updates", []string{"--delay-updates", "--temp-dir=tmp"}, func(o *set) { o.DelayUpdates, o.TempDir = true, "tmp" }, false},
		{"delay updates in a partial dir", []string{"--delay-updates", "--partial-dir=.part"}, func(o *set) { o.DelayUpdates, o.PartialDir = true, ".part" }, false},
		{"the receiver's own", []string{"-K", "-y", "--fsync", "--mkpath"}, func(o *set) { o.KeepDirlinks, o.Fuzzy, o.Fsync, o.Mkpath = true, true, true, true }, false},
		{"the sender's own", []string{"-L", "-k", "--chmod=g+w", "--munge-links", "--fake-super", "--exclude=x", "--skip-compress=gz"}, func(o *set) {
			o.CopyLinks, o.CopyDirlinks, o.MungeLinks, o.FakeSuper = true, true, true, true
		}, false},
		{"links of both", []string{"--safe-links", "--copy-unsafe-links"}, func(o *set) { o.SafeLinks, o.CopyUnsafeLinks = true, true }, false},
		{"names", []string{"-R", "--no-implied-dirs", "-x"}, func(o *set) { o.Relative, o.NoImpliedDirs, o.OneFileSystem = true, true, true }, false},
		{"owners", []string{"--numeric-ids", "--usermap=0-9:bin,*:nobody", "--groupmap=a*:lp"}, func(o *set) {
			o.NumericIDs, o.Usermap, o.Groupmap = true, "0-9:bin,*:nobody", "a*:lp"
		}, false},
		{"chown", []string{"--chown=bin:lp"}, func(o *set) { o.Usermap, o.Groupmap = "*:bin", "*:lp" }, false},
		{"limits", []string{"--bwlimit=1m", "--timeout=30"}, func(o *set) { o.Bwlimit, o.Timeout = 1<<20, 30*time.Second }, false},
		{"a limit below one", []string{"--bwlimit=0.6"}, func(o *set) { o.Bwlimit = 614 }, false},
		{"remote options", []string{"-M--fake-super", "-M--log-file=/l"}, func(o *set) { o.RemoteOptions = []string{"--fake-super", "--log-file=/l"} }, false},
		{"delete", []string{"--delete-during", "--force", "--ignore-errors", "--max-delete=5"}, func(o *set) {
			o.Force, o.IgnoreErrors, o.MaxDelete = true, true, 5
		}, true},
		{"delete before", []string{"--delete-before", "--delete-excluded"}, func(o *set) { o.DeleteWhen, o.DeleteExcluded = option.Before, true }, true},
		{"delete delay", []string{"--delete-delay"}, func(o *set) { o.DeleteWhen = option.Delay }, true},
		{"delete after", []string{"--delete-after"}, func(o *set) { o.DeleteWhen = option.After }, true},
		{"delete in one directory", []string{"--no-r", "--dirs", "--delete-during"}, func(o *set) { o.Recurse = false }, true},
		{"dry run", []string{"-n"}, func(o *set) { o.DryRun = true }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := Options{Set: option.Archive()}
			o.ModifyWindow = 0 // the client's default; ours is nanoseconds
			tt.ours(&o.Set)
			letters, long := normal(o.arguments(&Job{Prune: tt.prune}, true))
			wantLetters, wantLong := normal(clientArguments(t, append([]string{"-a"}, tt.theirs...)...))
			if diff := cmp.Diff(wantLetters, letters); diff != "" {
				t.Errorf("letters (-rsync +ours):\n%s", diff)
			}
			if diff := cmp.Diff(wantLong, long); diff != "" {
				t.Errorf("options (-rsync +ours):\n%s", diff)
			}
		})
	}
}

// What no real client would send like this, or at all.
func TestArgumentsOfOurs(t *testing.T) {
	var gone Entries
	gone.Add(flist.Entry{Name: "gone"})
	for _, tt := range []struct {
		name  string
		ours  func(*option.Set)
		job   Job
		old   bool
		words []string
	}{
		{"nanoseconds are compared", func(o *option.Set) { o.ModifyWindow = -1 }, Job{}, false, []string{"--modify-window=-1"}},
		{"not with old peers, who take it for nonsense", func(o *option.Set) { o.ModifyWindow = -1 }, Job{}, true, nil},
		{"a window of seconds they know", func(o *option.Set) { o.ModifyWindow = 2 }, Job{}, true, []string{"--modify-window=2"}},
		{"missing names", func(o *option.Set) { o.MaxDelete = 0 }, Job{Delete: true, List: NewList(gone)}, false,
			[]string{"--delete-missing-args", "--force", "--max-delete=0"}},
		{"empty directories are not in the list", func(o *option.Set) { o.PruneEmptyDirs = true }, Job{}, false, nil},
		{"no size is no limit", func(o *option.Set) { o.MaxSize = 0 }, Job{}, false, []string{"--max-size=0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{Set: option.Archive()}
			o.ModifyWindow = 0
			tt.ours(&o.Set)
			if _, long := normal(o.arguments(&tt.job, !tt.old)); !slices.Equal(long, tt.words) {
				t.Errorf("%q, want %q", long, tt.words)
			}
		})
	}
}
