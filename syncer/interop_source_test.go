package syncer_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

func exclude(t *testing.T, pattern string) *filter.List {
	t.Helper()
	var b filter.Builder
	if err := b.Exclude(pattern); err != nil {
		t.Fatal(err)
	}
	return b.Build()
}

// chosenTree is a source with directories, links and modes to choose from.
func chosenTree(t *testing.T, dir string) {
	t.Helper()
	in := func(name string) string { return filepath.Join(dir, "src", name) }
	for _, name := range []string{"a/b/c/f", "a/b/n", "a/m", "top", "d/f", "d/e/h", "d/e/deep/x", "g/x", "../out/f", "../out/sub/g"} {
		write(t, in(name), "content of "+name)
	}
	link(t, "b", in("a/lb"))
	link(t, "../d", in("g/ld"))
	link(t, "../../out", in("g/unsafe dir"))
	link(t, "/etc/hostname", in("d/abs"))
	link(t, "/rsyncd-munged/x", in("d/dangling.munged"))
	link(t, "none", in("d/dangling"))
	chmod(t, in("a"), 0o711)
	chmod(t, in("a/b"), 0o750)
	touchAll(t, dir, old())
}

// beforehand is what stands on each target.
func beforehand(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"extra", "a/extra", "a/b/extra", "a/b/c/extra", "d/extra", "d/e/extra", "d/e/deep/extra", "g/extra", "d/abs"} {
		write(t, filepath.Join(dir, name), "extra")
	}
	touchAll(t, dir, old().Add(-1e9))
}

// settleTimes gives one time to what nobody gave a time of the past.
func settleTimes(t *testing.T, dir string) {
	t.Helper()
	var now []string
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if fi, err := os.Lstat(name); err == nil && fi.ModTime().After(old().AddDate(1, 0, 0)) {
			now = append(now, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range now {
		touch(t, name, old().AddDate(1, 0, 0))
	}
}

// What of a source takes part, and as what, is as with rsync: on a daemon, and on a local directory.
func TestInteropChosen(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args   string // of rsync, "src" being the tree, LIST a list of names
		files  string
		source string // of lockstep, if it is another
		set    func(*syncer.Options)
	}{
		{args: "-aR --delete src/./a/b/c"},
		{args: "-aR --delete src/./a/b/c/"},
		{args: "-aR src/./a/b/c/f"},
		{args: "-aR src/./top"},
		{args: "-aR --delete src/./a/lb/c"},
		{args: "-aR --no-implied-dirs --delete src/./a/b/c", set: func(o *syncer.Options) { o.NoImpliedDirs = true }},
		{args: "-aR --no-implied-dirs src/./a/b/c/f", set: func(o *syncer.Options) { o.NoImpliedDirs = true }},
		{args: "-aR --delete src/./"},
		{args: "-a --files-from=LIST src", files: "a/b/c d/f g/ top"},
		{args: "-a --files-from=LIST --delete src", files: "a/b/c d/f g/ top"},
		{args: "-ar --files-from=LIST --delete src", files: "a/b/c d/e g/x"},
		{args: "-ar --files-from=LIST --no-implied-dirs --delete src", files: "a/b/c d/e g/x", set: func(o *syncer.Options) { o.NoImpliedDirs = true }},
		{args: "-ar --files-from=LIST --delete src", files: "./d ."},
		{args: "-a --files-from=LIST --delete src", files: "./ d/"},
		{args: "-a --files-from=LIST --exclude=e src", files: "d/e/h d/f a/b", set: func(o *syncer.Options) { o.Filter = exclude(t, "e") }},
		{args: "-a --files-from=LIST --exclude=h src", files: "d/e/h d/f", set: func(o *syncer.Options) { o.Filter = exclude(t, "h") }},
		{args: "-aR --exclude=e src/./d/e", set: func(o *syncer.Options) { o.Filter = exclude(t, "e") }},
		{args: "-aL --delete --exclude=dangling* src/", set: func(o *syncer.Options) { o.CopyLinks, o.Filter = true, exclude(t, "dangling*") }},
		{args: "-ak --delete src/", set: func(o *syncer.Options) { o.CopyDirlinks = true }},
		{args: "-a --copy-unsafe-links --delete --exclude=dangling* src/", set: func(o *syncer.Options) {
			o.CopyUnsafeLinks, o.Filter = true, exclude(t, "dangling*")
		}},
		{args: "-a --safe-links --delete src/", set: func(o *syncer.Options) { o.SafeLinks = true }},
		{args: "-a --munge-links --delete src/", set: func(o *syncer.Options) { o.MungeLinks = true }},
		{args: "-aL src/a/lb", set: func(o *syncer.Options) { o.CopyLinks = true }},
		{args: "-ak src/a/lb", set: func(o *syncer.Options) { o.CopyDirlinks = true }},
		{args: "-a src/a/lb"},
	} {
		for _, target := range []string{"daemon", "local"} {
			t.Run(strings.NewReplacer("*", "", "/", "_").Replace(tt.args+" "+tt.files)+" to "+target, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				base := t.TempDir()
				chosenTree(t, base)
				want := filepath.Join(base, "want")
				beforehand(t, want)
				beforehand(t, r.dst)
				list := filepath.Join(base, "list")
				if err := os.WriteFile(list, []byte(strings.ReplaceAll(tt.files, " ", "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				args := strings.Fields(strings.ReplaceAll(tt.args, "LIST", list))
				last := len(args) - 1
				args[last] = base + "/" + args[last]
				if out, code := r.rsync(append(args, want)...); code != 0 {
					t.Fatalf("rsync ends with %d: %s", code, out)
				}
				cfg := r.config()
				cfg.Source = args[last]
				cfg.Delete = strings.Contains(tt.args, "--delete")
				cfg.Relative = strings.HasPrefix(tt.args, "-aR") || tt.files != ""
				if tt.files != "" {
					cfg.Files, cfg.Recurse = strings.Fields(tt.files), strings.HasPrefix(tt.args, "-ar")
				}
				if tt.set != nil {
					tt.set(&cfg.Options)
				}
				if target == "local" {
					cfg.Target = syncer.Target{Path: r.dst}
				}
				r.mustPush(cfg)
				settleTimes(t, want)
				settleTimes(t, r.dst)
				syncertest.RequireEqual(t, want, r.dst, syncertest.CompareOptions{})
			})
		}
	}
}

// A list that names what is not there is a partial transfer, whose other names arrive.
func TestInteropNamedFileMissing(t *testing.T) {
	r := newRig(t)
	write(t, r.in("d/f"), "x")
	cfg := r.config()
	cfg.Files, cfg.Relative, cfg.Recurse = []string{"d/f", "none", "d/f/x"}, true, false
	rep, err := r.push(cfg)
	if code := syncer.ExitCode(rep, err); code != syncer.CodePartial || len(rep.Problems) != 2 {
		t.Errorf("exit code %d, problems %v, error %v", code, rep.Problems, err)
	}
	if !exists(t, r.at("d/f")) {
		t.Error("a file that is there did not arrive")
	}
}

// Changes within a relative source and within a list travel alone, by the names that the watched
// directory gives them.
func TestInteropChosenPartial(t *testing.T) {
	for _, target := range []string{"daemon", "local"} {
		t.Run(target, func(t *testing.T) {
			r := newRig(t)
			chosenTree(t, filepath.Dir(r.src))
			beforehand(t, r.dst)
			cfg := r.config()
			cfg.Source, cfg.Relative, cfg.Delete, cfg.Keep = r.src+"/./a/b", true, true, true
			if target == "local" {
				cfg.Target = syncer.Target{Path: r.dst}
			}
			s := r.syncer(cfg)
			if got, want := s.WatchRoot(), r.src+"/a/b"; got != want {
				t.Errorf("watched is %q, want %q", got, want)
			}
			rep, err := s.Push(t.Context(), syncer.Full())
			r.mustBeWhole(rep, err)
			remove(t, r.in("a/b/n"))
			write(t, r.in("a/b/c/new"), "new")
			write(t, r.in("a/m"), "changed, but outside")
			rep, err = s.Push(t.Context(), syncer.Batch{Paths: changed("n", "c/new", "c")})
			r.mustBeWhole(rep, err)
			if exists(t, r.at("a/b/n")) || exists(t, r.at("a/m")) || !exists(t, r.at("a/b/c/new")) || !exists(t, r.at("a/extra")) {
				t.Errorf("on the target: %q", names(t, r.dst))
			}

			cfg.Source, cfg.Files = r.src, []string{"d/e", "g/x"}
			s = r.syncer(cfg)
			for name, want := range map[string]bool{"d": false, "d/f": true, "d/e/deep": false, "g": false, "g/x": false, "a": true} {
				if got := s.Excluded(name, !strings.ContainsAny(name, "fx")); got != want {
					t.Errorf("%s is excluded: %v, want %v", name, got, want)
				}
			}
			rep, err = s.Push(t.Context(), syncer.Full())
			r.mustBeWhole(rep, err)
			remove(t, r.in("d/e/h"), r.in("g/x"))
			write(t, r.in("d/f"), "changed, but outside")
			rep, err = s.Push(t.Context(), syncer.Batch{Paths: changed("d/e/h", "g/x", "d/f")})
			r.mustBeWhole(rep, err)
			if exists(t, r.at("d/e/h")) || exists(t, r.at("d/f")) || !exists(t, r.at("g/x")) || !exists(t, r.at("d/extra")) {
				t.Errorf("on the target: %q", names(t, r.dst))
			}
		})
	}
}

// Names of one file stay one file, whichever of them a change names.
func TestInteropLinksPartial(t *testing.T) {
	for _, target := range []string{"daemon", "local"} {
		t.Run(target, func(t *testing.T) {
			r := newRig(t)
			write(t, r.in("a"), "one")
			mkdir(t, r.in("d/e"), r.in("other"))
			hardlink(t, r.in("a"), r.in("d/b"))
			hardlink(t, r.in("a"), r.in("d/e/c"))
			write(t, r.in("other/x"), "two")
			touchAll(t, r.src, old())
			cfg := r.config()
			cfg.HardLinks, cfg.Delete, cfg.Keep = true, true, true
			if target == "local" {
				cfg.Target = syncer.Target{Path: r.dst}
			}
			s := r.syncer(cfg)
			push := func(what string, paths []syncer.Path) {
				t.Helper()
				rep, err := s.Push(t.Context(), syncer.Batch{Paths: paths, Oldest: time.Now()})
				r.mustBeWhole(rep, err)
				diffs, err := syncertest.Compare(r.src, r.dst, syncertest.CompareOptions{HardLinks: true, IgnoreOwners: os.Geteuid() != 0})
				if err != nil || len(diffs) > 0 {
					t.Fatalf("%s: %v\n%s", what, err, syncertest.Format(diffs))
				}
			}
			push("full", syncer.Full().Paths)
			write(t, r.in("d/b"), "one, written through another name")
			push("content", changed("d/b"))
			write(t, r.in("d/b"), "ONE, written through another name")
			touch(t, r.in("d/b"), old())
			push("content of the same size", changed("d/b"))
			chmod(t, r.in("a"), 0o600)
			push("mode", []syncer.Path{{Name: "a"}})
			hardlink(t, r.in("other/x"), r.in("new"))
			push("another name of a file that had one", changed("new"))
			mkdir(t, r.in("t"))
			hardlink(t, r.in("a"), r.in("t/y"))
			push("a name in a new directory", tree("t"))
			remove(t, r.in("d/e/c"))
			push("a name is gone", changed("d/e/c"))
			write(t, r.in("tmp"), "a file of its own")
			rename(t, r.in("tmp"), r.in("d/b"))
			push("a name leaves", changed("d/b"))
		})
	}
}

func hardlink(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Link(from, to); err != nil {
		t.Fatal(err)
	}
}
