package local

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// way is one setting of the options for writing and deleting, for both programs.
type way struct {
	name  string
	args  []string // rsync's, beside -a
	set   func(o *Options)
	rules []string // those that rsync implies, and those of args
	// place sets what is an absolute path; rsync's argument has {} for root.
	place func(o *Options, root string)
	// prepare changes the source and a target before the push.
	prepare func(t *testing.T, src, dst string)
	// loose are names whose times rsync leaves to chance: backup directories.
	loose func(path string) bool
	again bool // a second push is compared, too
	lines bool // what is itemized is not compared
}

func (w *way) options(t *testing.T) Options {
	o := archive
	o.Delete, o.ModifyWindow, o.MaxSize = false, -1, -1
	w.set(&o)
	var b filter.Builder
	for _, rule := range w.rules {
		must(t, b.Filter(rule))
	}
	o.Filter = b.Build()
	return o
}

func ways() []way {
	deleting := func(when option.When) func(o *Options) {
		return func(o *Options) { o.Delete, o.DeleteWhen = true, when }
	}
	backup := func(o *Options) { o.Backup, o.Delete, o.OmitDirTimes = true, true, true }
	inBackups := func(path string) bool { return strings.Contains(path, "bak") || path == "." }
	inMixed := func(path string) bool { return strings.HasPrefix(path, "dst/mixed") }
	list := []way{
		{name: "inplace", args: []string{"--inplace"}, set: func(o *Options) { o.Inplace = true }, again: true},
		{name: "inplace, sparse", args: []string{"--inplace", "-S"}, set: func(o *Options) { o.Inplace, o.Sparse = true, true }},
		{name: "sparse", args: []string{"-S"}, set: func(o *Options) { o.Sparse = true }, again: true},
		{name: "append", args: []string{"--append"}, set: func(o *Options) { o.Append = true }, again: true},
		{name: "append, checksum", args: []string{"--append", "-c"}, set: func(o *Options) { o.Append, o.Checksum = true, true }},
		{name: "append-verify", args: []string{"--append-verify"}, set: func(o *Options) { o.AppendVerify = true }, again: true, lines: true},
		{name: "backup", args: []string{"-b", "--delete"}, set: backup, rules: []string{"P *~"}, again: true},
		{name: "backup, suffix", args: []string{"-b", "--suffix=.old", "--delete"}, rules: []string{"P *.old"},
			set: func(o *Options) { backup(o); o.Suffix = ".old" }},
		{name: "backup, excluded go", args: []string{"-b", "--delete-excluded"}, again: true,
			set: func(o *Options) { backup(o); o.DeleteExcluded = true }},
		{name: "backup dir beside", args: []string{"--backup-dir=../bak", "--delete"}, loose: inBackups, again: true,
			set: func(o *Options) { o.BackupDir, o.Delete = "../bak", true }},
		{name: "backup dir, deep and with a suffix", args: []string{"--backup-dir=../bak/x/y/", "--suffix=.s", "--delete"}, loose: inBackups, again: true,
			set: func(o *Options) { o.BackupDir, o.Suffix, o.Delete = "../bak/x/y/", ".s", true }},
		{name: "backup dir within", args: []string{"--backup-dir=bak", "--delete"}, loose: inBackups, again: true,
			set: func(o *Options) { o.BackupDir, o.Delete = "bak", true }},
		{name: "backup dir within, deleting after", args: []string{"--backup-dir=bak", "--delete-after"}, loose: inBackups, again: true,
			set: func(o *Options) { o.BackupDir, o.Delete, o.DeleteWhen = "bak", true, option.After }},
		{name: "backup dir has other things", args: []string{"--backup-dir=../bak", "--delete"}, loose: inBackups,
			set: func(o *Options) { o.BackupDir, o.Delete = "../bak", true }, prepare: obstacles, lines: true},
		{name: "backup, inplace", args: []string{"-b", "--inplace"}, set: func(o *Options) { o.Backup, o.Inplace = true, true }},
		{name: "backup, append", args: []string{"-b", "--append"}, set: func(o *Options) { o.Backup, o.Append = true, true }},
		// With "../bak" rsync 3.5.0 fails to stat what it has just written there.
		{name: "backup dir, inplace", args: []string{"--backup-dir=bak", "--inplace", "--delete"}, loose: inBackups,
			set: func(o *Options) { o.BackupDir, o.Inplace, o.Delete = "bak", true, true }},
		{name: "backup, delayed", args: []string{"-b", "--delay-updates", "--delete-after"}, rules: []string{"P *~", "-p .~tmp~/"},
			set: func(o *Options) { backup(o); o.DelayUpdates, o.DeleteWhen = true, option.After }},
		{name: "backup dir, delayed", args: []string{"--backup-dir={}/bak", "--delay-updates"}, rules: []string{"-p .~tmp~/"}, loose: inBackups,
			set:   func(o *Options) { o.DelayUpdates = true },
			place: func(o *Options, root string) { o.BackupDir = root + "/bak" }},
		{name: "delayed", args: []string{"--delay-updates"}, rules: []string{"-p .~tmp~/"}, set: func(o *Options) { o.DelayUpdates = true }, again: true},
		{name: "delayed, hard links", args: []string{"--delay-updates", "-H"}, rules: []string{"-p .~tmp~/"},
			set: func(o *Options) { o.DelayUpdates, o.HardLinks = true, true }, again: true, lines: true},
		{name: "delayed, leftovers", args: []string{"--delay-updates", "--delete-delay"}, rules: []string{"-p .~tmp~/"}, again: true,
			set:     func(o *Options) { o.DelayUpdates, o.Delete, o.DeleteWhen = true, true, option.Delay },
			prepare: leftovers(".~tmp~")},
		{name: "partial dir, leftovers", args: []string{"--partial-dir=.part", "--delete"}, rules: []string{"-p .part/"}, again: true,
			set: func(o *Options) { o.Partial, o.PartialDir, o.Delete = true, ".part", true }, prepare: leftovers(".part"), lines: true},
		// rsync 3.5.0 finds nothing in "../bak", and cannot write to "../tmp".
		{name: "partial dir elsewhere, leftovers", args: []string{"--partial-dir={}/bak", "--delete"}, loose: inBackups,
			set:     func(o *Options) { o.Partial, o.Delete = true, true },
			place:   func(o *Options, root string) { o.PartialDir = root + "/bak" },
			prepare: leftovers("../bak"), lines: true},
		{name: "temp dir", args: []string{"-T", "{}/tmp"}, set: func(o *Options) {}, loose: func(p string) bool { return p == "tmp" },
			place:   func(o *Options, root string) { o.TempDir = root + "/tmp" },
			prepare: func(t *testing.T, _, dst string) { mkdir(t, filepath.Dir(dst), "tmp") }},
		{name: "temp dir on another file system, backup dir, too", args: []string{"-T", "/dev/shm", "--backup-dir=bak"}, loose: inBackups,
			set: func(o *Options) { o.TempDir, o.BackupDir = "/dev/shm", "bak" }},
		{name: "temp dir on another file system, partial dir", args: []string{"-T", "/dev/shm", "--partial-dir=.part"}, rules: []string{"-p .part/"},
			set: func(o *Options) { o.TempDir, o.Partial, o.PartialDir = "/dev/shm", true, ".part" }},
		{name: "temp dir on another file system, delayed", args: []string{"-T", "/dev/shm", "--delay-updates"}, rules: []string{"-p .~tmp~/"},
			set: func(o *Options) { o.TempDir, o.DelayUpdates = "/dev/shm", true }},
		{name: "fsync", args: []string{"--fsync", "--delete"}, set: func(o *Options) { o.Fsync, o.Delete = true, true }},
		{name: "whole files, blocks", args: []string{"-W", "-B", "1000"}, set: func(o *Options) { o.WholeFile, o.BlockSize = true, 1000 }},
		{name: "prune", args: []string{"-m", "--delete"}, set: func(o *Options) { o.PruneEmptyDirs, o.Delete = true, true }, prepare: emptyDirs, again: true},
		{name: "prune, nothing deleted", args: []string{"-m"}, set: func(o *Options) { o.PruneEmptyDirs = true }, prepare: emptyDirs, loose: inMixed},
		{name: "prune, protected", args: []string{"-m", "--delete-after", "--filter=P p2/"}, rules: []string{"P p2/"},
			set: func(o *Options) { o.PruneEmptyDirs, o.Delete, o.DeleteWhen = true, true, option.After }, prepare: emptyDirs, loose: inMixed},
		{name: "prune, excluded", args: []string{"-m", "--delete-before", "--filter=- only", "--filter=-p p2"}, rules: []string{"- only", "-p p2"},
			set: func(o *Options) { o.PruneEmptyDirs, o.Delete, o.DeleteWhen = true, true, option.Before }, prepare: emptyDirs, loose: inMixed},
		{name: "force", args: []string{"--force"}, set: func(o *Options) { o.Force = true }, again: true},
		{name: "delete excluded", args: []string{"--delete-excluded", "--filter=- d*", "--filter=P gone"}, rules: []string{"- d*", "P gone"},
			set: func(o *Options) { o.Delete, o.DeleteExcluded = true, true }},
	}
	for when, name := range map[option.When]string{option.During: "during", option.Before: "before", option.Delay: "delay", option.After: "after"} {
		set := deleting(when)
		list = append(list,
			way{name: "delete " + name, args: []string{"--delete-" + name}, set: set, again: true},
			way{name: "protected, " + name, args: []string{"--delete-" + name, "--filter=P E/f", "--filter=R gone", "--filter=P g*"},
				rules: []string{"P E/f", "R gone", "P g*"}, set: set},
			way{name: "max-delete, " + name, args: []string{"--delete-" + name, "--max-delete=3"},
				set: func(o *Options) { set(o); o.MaxDelete = 3 }},
			way{name: "max-delete 0, " + name, args: []string{"--delete-" + name, "--max-delete=0"},
				set: func(o *Options) { set(o); o.MaxDelete = 0 }},
			way{name: "delayed and delete " + name, args: []string{"--delay-updates", "--delete-" + name}, rules: []string{"-p .~tmp~/"},
				set: func(o *Options) { set(o); o.DelayUpdates = true }},
		)
	}
	slices.SortFunc(list, func(a, b way) int { return strings.Compare(a.name, b.name) })
	return list
}

// TestWaysLikeRsync writes and deletes in every way, and expects what rsync leaves behind,
// beside the target too.
func TestWaysLikeRsync(t *testing.T) {
	syncertest.SkipUnderRace(t, "the same goroutines as in TestLikeRsync")
	syncertest.NeedRsync(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) { w.compare(t) })
	}
}

func (w *way) compare(t *testing.T) {
	base := t.TempDir()
	src, ours, theirs := mkdir(t, base, "src"), filepath.Join(base, "ours"), filepath.Join(base, "theirs")
	dst := mkdir(t, ours, "dst")
	changes(t, src, dst)
	if o := w.options(t); (o.Delete || o.Force) && o.MaxDelete < 0 && (!o.Backup || o.BackupDir != "") {
		write(t, filepath.Join(dst, "full-to-file", "deep", "f"), "f")
	}
	if w.prepare != nil {
		w.prepare(t, src, dst)
	}
	copyTree(t, ours, theirs)
	if w.again {
		w.push(t, src, ours, theirs)
	}
	w.push(t, src, ours, theirs)
}

func (w *way) push(t *testing.T, src, ours, theirs string) {
	t.Helper()
	o := w.options(t)
	args := slices.Clone(w.args)
	if w.place != nil {
		w.place(&o, ours)
		for i := range args {
			args[i] = strings.Replace(args[i], "{}", theirs, 1)
		}
	}
	dry := o
	dry.DryRun = true
	_, announced := full(t, src, filepath.Join(ours, "dst"), dry)
	want := rsyncMayStop(t, src+"/", filepath.Join(theirs, "dst")+"/", args...)
	res, lines := full(t, src, filepath.Join(ours, "dst"), o)
	for _, p := range res.Problems {
		t.Errorf("problem: %v", p)
	}
	if !w.lines {
		requireSameLines(t, want, lines)
	}
	// What is moved to where it is looked for is another matter, and deleting before the walk
	// changes the times that it sees.
	if o.BackupDir != "bak" && (!o.Backup || o.BackupDir != "") && (!o.Delete || o.DeleteWhen != option.Before) {
		requireSameLines(t, lines, announced)
	}
	for _, root := range []string{ours, theirs} {
		evenTimes(t, root, func(path string) bool {
			rel, inside := strings.CutPrefix(path, "dst/")
			return implied(o).OmitDirTimes || path == "." || inside && !exists(filepath.Join(src, rel)) || strings.HasSuffix(path, "~tmp~") || strings.HasSuffix(path, ".part") || w.loose != nil && w.loose(path)
		})
	}
	syncertest.RequireEqual(t, theirs, ours, syncertest.CompareOptions{IgnoreOwners: os.Geteuid() != 0, HardLinks: true})
	requireSameBlocks(t, theirs, ours)
}

// rsyncMayStop is rsyncLines of a run that --max-delete may have stopped.
func rsyncMayStop(t *testing.T, src, dst string, args ...string) []string {
	t.Helper()
	cmd := exec.Command("rsync", append(append([]string{"-ai", "--modify-window=-1"}, args...), src, dst)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState.ExitCode() != 25 {
		t.Fatalf("rsync: %v\n%s", err, &stderr)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if len(line) > 11 && line[11] == ' ' && (strings.HasPrefix(line, "*deleting") || strings.IndexByte("<>ch.", line[0]) >= 0) {
			lines = append(lines, line)
		}
	}
	return lines
}

// evenTimes gives directories below root that are loose one time.
func evenTimes(t *testing.T, root string, loose func(path string) bool) {
	t.Helper()
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		if err == nil && d.IsDir() && loose(rel) {
			setTime(t, path, time.Unix(1_100_000_000, 0))
		}
		return err
	}))
}

// requireSameBlocks expects the same holes.
func requireSameBlocks(t *testing.T, a, b string) {
	t.Helper()
	must(t, filepath.WalkDir(a, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, _ := filepath.Rel(a, path)
		var one, two unix.Stat_t
		must(t, unix.Lstat(path, &one))
		must(t, unix.Lstat(filepath.Join(b, rel), &two))
		if one.Blocks != two.Blocks {
			t.Errorf("%s: rsync has %d blocks, we have %d", rel, one.Blocks, two.Blocks)
		}
		return nil
	}))
}

// changes makes a source, and a target that differs in all that matters to how it is written.
func changes(t *testing.T, src, dst string) {
	t.Helper()
	for path, data := range map[string]string{
		"new": "new", "same": "same", "changed": "changed to this", "shorter": "short", "log": "line 1\nline 2\n",
		"rewritten": "XXXX 1\nline 2\n", "sub/deep/new": "deep", "sub/changed": "again",
		"link-to-file": "a file now", "fifo-to-file": "a file now", "dir/f": "in a directory now", "full-to-file": "now",
	} {
		write(t, filepath.Join(src, path), data)
	}
	for path, data := range map[string]string{
		"same": "same", "changed": "old", "changed~": "older", "shorter": "was much longer before", "log": "line 1\n",
		"rewritten": "line 1\n", "sub/changed": "old", "sub/extra": "x", "gone": "gone", "gone~": "a backup", "D/E/f": "f",
		"D/g": "g", "dir": "a file", "file-to-link": "a file",
	} {
		write(t, filepath.Join(dst, path), data)
	}
	must(t, os.Symlink("new", filepath.Join(src, "link")))
	must(t, os.Symlink("new", filepath.Join(src, "file-to-link")))
	must(t, os.Symlink("old", filepath.Join(dst, "link")))
	must(t, os.Symlink("old", filepath.Join(dst, "link-to-file")))
	must(t, unix.Mkfifo(filepath.Join(dst, "fifo-to-file"), 0o644))
	must(t, os.Link(filepath.Join(dst, "changed"), filepath.Join(dst, "D", "changed")))
	must(t, os.Link(filepath.Join(src, "new"), filepath.Join(src, "sub", "new's twin")))
	holes := make([]byte, 300_000)
	copy(holes[100_000:], "in the middle")
	write(t, filepath.Join(src, "holes"), string(holes))
	copy(holes[5_000:], strings.Repeat("x", 20_000))
	write(t, filepath.Join(dst, "holes"), string(holes))
	must(t, os.Truncate(filepath.Join(src, "holes"), 500_000))
	age(t, src)
	age(t, dst)
	for _, root := range []string{src, dst} {
		setTime(t, filepath.Join(root, "same"), time.Unix(1_300_000_000, 7))
	}
}

// leftovers are partial files of some names, in a directory beside each.
func leftovers(name string) func(t *testing.T, src, dst string) {
	return func(t *testing.T, _, dst string) {
		for _, f := range []string{"new", "same", "changed", "nothing's", "sub/changed"} {
			write(t, filepath.Join(dst, filepath.Dir(f), name, filepath.Base(f)), "partial")
		}
		write(t, filepath.Join(dst, "D", name, "f"), "partial")
		evenTimes(t, filepath.Dir(dst), func(string) bool { return true })
	}
}

// obstacles are things in a backup directory that is elsewhere.
func obstacles(t *testing.T, _, dst string) {
	bak := filepath.Join(filepath.Dir(dst), "bak")
	write(t, filepath.Join(bak, "D"), "a file where a directory is to be")
	write(t, filepath.Join(bak, "changed", "f"), "a directory where a file is to be")
	write(t, filepath.Join(bak, "gone", "sub", "f"), "a directory where a file is to be")
	write(t, filepath.Join(bak, "shorter"), "an older backup")
	must(t, os.Symlink("../dst", filepath.Join(bak, "sub")))
}

// emptyDirs are directories with nothing but directories, here and there.
func emptyDirs(t *testing.T, src, dst string) {
	for _, root := range []string{src, dst} {
		mkdir(t, root, "e1", "e2", "e3")
		mkdir(t, root, "p1", "p2", "p3")
		mkdir(t, root, "mixed", "empty")
		write(t, filepath.Join(root, "mixed", "full", "only"), "x")
	}
	mkdir(t, src, "n1", "n2")
	write(t, filepath.Join(dst, "e1", "e2", "f"), "x")
	write(t, filepath.Join(dst, "p1", "p2", "f"), "x")
	age(t, src)
	age(t, dst)
	for _, root := range []string{src, dst} {
		setTime(t, filepath.Join(root, "same"), time.Unix(1_300_000_000, 7))
		setTime(t, filepath.Join(root, "mixed", "full", "only"), time.Unix(1_300_000_000, 7))
	}
}
