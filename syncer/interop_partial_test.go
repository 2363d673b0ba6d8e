package syncer_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

func changed(names ...string) []syncer.Path {
	var paths []syncer.Path
	for _, n := range names {
		paths = append(paths, syncer.Path{Name: n, Content: true})
	}
	return paths
}

func tree(names ...string) []syncer.Path {
	var paths []syncer.Path
	for _, n := range names {
		paths = append(paths, syncer.Path{Name: n, Tree: true})
	}
	return paths
}

// Changed paths alone are brought over: what was named is equal then, and what stands on the
// target beside it is still there.
func TestInteropPartial(t *testing.T) {
	deep := "a/b/c/d"
	for _, tt := range []struct {
		name   string
		change func(r *rig)
		paths  []syncer.Path
		sent   int64 // files
		gone   int64 // names deleted
		off    bool  // --delete is off
	}{
		{name: "file changed", paths: changed("a/f"), sent: 1,
			change: func(r *rig) { write(r.t, r.in("a/f"), "other") }},
		{name: "file at the top changed", paths: changed("top"), sent: 1,
			change: func(r *rig) { write(r.t, r.in("top"), "other") }},
		{name: "new file, deep", paths: changed(deep + "/new"), sent: 1,
			change: func(r *rig) { write(r.t, r.in(deep+"/new"), "new") }},
		{name: "new file in new directories, by its own path", paths: changed("x/y/z/new"), sent: 1,
			change: func(r *rig) { write(r.t, r.in("x/y/z/new"), "new") }},
		{name: "file gone at the top", paths: changed("top"), gone: 1,
			change: func(r *rig) { remove(r.t, r.in("top")) }},
		{name: "file gone, deep", paths: changed(deep + "/f"), gone: 1,
			change: func(r *rig) { remove(r.t, r.in(deep+"/f")) }},
		{name: "file gone, deleting off", paths: changed(deep+"/f", "top"), off: true, sent: 1,
			change: func(r *rig) { remove(r.t, r.in(deep+"/f")); write(r.t, r.in("top"), "new") }},
		{name: "directory gone", paths: changed("a"), gone: 9,
			change: func(r *rig) { remove(r.t, r.in("a")) }},
		{name: "directory gone, deep", paths: tree(deep), gone: 2,
			change: func(r *rig) { remove(r.t, r.in(deep)) }},
		{name: "gone with its parents", paths: changed(deep+"/f", deep, "a/b/c", "a/b"), gone: 7,
			change: func(r *rig) { remove(r.t, r.in("a/b")) }},
		{name: "gone with its parents, named by the file alone", paths: changed(deep + "/f"), gone: 7,
			change: func(r *rig) { remove(r.t, r.in("a/b")) }},
		{name: "all of these at once", paths: changed("top", deep+"/f", "new", "x/new"), sent: 2, gone: 2,
			change: func(r *rig) {
				remove(r.t, r.in("top"), r.in(deep+"/f"))
				write(r.t, r.in("new"), "1")
				write(r.t, r.in("x/new"), "2")
			}},
		{name: "permissions", paths: []syncer.Path{{Name: "a/f"}, {Name: "a/b"}},
			change: func(r *rig) { chmod(r.t, r.in("a/f"), 0o600); chmod(r.t, r.in("a/b"), 0o711) }},
		{name: "permissions, content in doubt", paths: changed("a/f"), sent: 1, // -I sends it by its sums
			change: func(r *rig) { chmod(r.t, r.in("a/f"), 0o600) }},
		{name: "times of directory and root", paths: []syncer.Path{{Name: "a/b"}, {Name: "."}},
			change: func(r *rig) { touch(r.t, r.in("a/b"), old()); touch(r.t, r.src, old()) }},
		{name: "directory becomes file", paths: changed("a/b"), sent: 1, gone: 6,
			change: func(r *rig) { remove(r.t, r.in("a/b")); write(r.t, r.in("a/b"), "file now") }},
		{name: "directory becomes file, its old content named too", paths: changed("a/b", deep+"/f", "a/b/c"), sent: 1, gone: 6,
			change: func(r *rig) { remove(r.t, r.in("a/b")); write(r.t, r.in("a/b"), "file now") }},
		{name: "directory becomes symlink", paths: changed("a/b"), gone: 6,
			change: func(r *rig) { remove(r.t, r.in("a/b")); link(r.t, "elsewhere", r.in("a/b")) }},
		{name: "file becomes directory", paths: tree("top"), sent: 1,
			change: func(r *rig) { remove(r.t, r.in("top")); write(r.t, r.in("top/in/side"), "x") }},
		{name: "file becomes directory, named by what is in it", paths: changed("a/f/in/side"), sent: 1,
			change: func(r *rig) { remove(r.t, r.in("a/f")); write(r.t, r.in("a/f/in/side"), "x") }},
		{name: "file becomes FIFO", paths: changed("top"),
			change: func(r *rig) { remove(r.t, r.in("top")); fifo(r.t, r.in("top")) }},
		{name: "symlink becomes file", paths: changed("link"), sent: 1,
			change: func(r *rig) { remove(r.t, r.in("link")); write(r.t, r.in("link"), "x") }},
		{name: "symlink swapped", paths: changed("link"),
			change: func(r *rig) { remove(r.t, r.in("link")); link(r.t, "other", r.in("link")) }},
		{name: "new directory", paths: tree("n"), sent: 4,
			change: func(r *rig) {
				for _, n := range []string{"n/1", "n/a/2", "n/a/b/3", "n/c/4"} {
					write(r.t, r.in(n), n)
				}
				mkdir(r.t, r.in("n/empty"))
				link(r.t, "x", r.in("n/link"))
			}},
		{name: "directory said to differ is pruned", paths: tree("a/b"), sent: 1, gone: 2,
			change: func(r *rig) {
				remove(r.t, r.in(deep+"/f"))
				write(r.t, r.in("a/b/new"), "x")
				write(r.t, r.at("a/b/c/extra"), "x") // no part of what must survive here
			}},
		{name: "renamed", paths: append(changed("a/f"), tree("a/g")...), sent: 1, gone: 1,
			change: func(r *rig) { rename(r.t, r.in("a/f"), r.in("a/g")) }},
		{name: "directory renamed", paths: append(changed("a/b"), tree("moved")...), sent: 4, gone: 7,
			change: func(r *rig) { rename(r.t, r.in("a/b"), r.in("moved")) }},
		{name: "names", paths: slices.Concat(changed("new\nline", "\xff", "-dash", "[x]*?", " ", "gone\n"), tree("dir\n\xfe*")), sent: 6, gone: 1,
			change: func(r *rig) {
				for _, n := range []string{"new\nline", "\xff", "-dash", "[x]*?", " ", "dir\n\xfe*/f"} {
					write(r.t, r.in(n), n)
				}
				write(r.t, r.at("gone\n"), "x")
			}},
		{name: "what never was", paths: changed("no", "no/such/path", "a/none")},
		{name: "nothing changed", paths: []syncer.Path{{Name: "top"}, {Name: "a"}, {Name: deep + "/f"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for _, n := range []string{"top", "a/f", "a/b/f", "a/b/2", "a/b/c/f", deep + "/f"} {
				write(t, r.in(n), n)
			}
			link(t, "top", r.in("link"))
			touchAll(t, r.src, time.Unix(1_500_000_000, 1))
			cfg := r.config()
			cfg.Delete = true
			r.mustPush(cfg)
			r.equal()

			if tt.change != nil {
				tt.change(r)
			}
			extra := []string{"extra", "a/extra", "a/extra dir/x"}
			if !exists(t, r.in("a")) {
				extra = extra[:1]
			}
			for _, n := range extra {
				write(t, r.at(n), "unrelated")
			}
			for _, n := range []string{"a", "."} {
				if exists(t, r.in(n)) {
					touch(t, r.at(n), time.Unix(1_500_000_000, 1))
				}
			}
			cfg.Delete = !tt.off
			s := r.syncer(cfg)
			rep, err := s.Push(t.Context(), syncer.Batch{Paths: tt.paths})
			r.mustBeWhole(rep, err)
			for _, n := range extra {
				if read(t, r.at(n)) != "unrelated" {
					t.Errorf("%q on the target was changed", n)
				}
			}
			ignore := func(p string) bool { return strings.HasPrefix(filepath.Base(p), "extra") || tt.off && p == deep+"/f" }
			syncertest.RequireEqual(t, r.src, r.dst, syncertest.CompareOptions{Ignore: ignore, IgnoreOwners: os.Geteuid() != 0})
			if rep.Stats.Transferred != tt.sent || rep.Stats.Deleted != tt.gone {
				t.Errorf("%d files were sent, want %d; %d names deleted, want %d: %q", rep.Stats.Transferred, tt.sent, rep.Stats.Deleted, tt.gone, r.items)
			}
		})
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// A file rewritten with the same size and the same time: the quick check of every rsync passes
// it over. What is said to have changed is compared by content.
func TestInteropContentIsBelieved(t *testing.T) {
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprintf("full %v", full), func(t *testing.T) {
			r := newRig(t)
			big := noise(1, 1_000_000)
			write(t, r.in("d/sub/f"), big)
			write(t, r.in("d/other"), "x")
			touchAll(t, r.src, old())
			s := r.syncer(r.config())
			rep, err := s.Push(t.Context(), syncer.Full())
			r.mustBeWhole(rep, err)
			r.equal()

			begin := time.Now()
			write(t, r.in("d/sub/f"), "X"+big[1:])
			touchAll(t, r.src, old())
			b := syncer.Full()
			b.Oldest = begin
			if !full {
				b.Paths = changed("d/sub/f")
			}
			rep, err = s.Push(t.Context(), b)
			r.mustBeWhole(rep, err)
			r.equal()
			if rep.Stats.Literal > 5_000 || rep.Stats.Matched < 900_000 {
				t.Errorf("literal %d, matched %d: not a delta", rep.Stats.Literal, rep.Stats.Matched)
			}
		})
	}
}

// What a rule protects survives everywhere: in a directory that is pruned, in one that is deleted,
// by name and with its parents.
func TestInteropFilterProtects(t *testing.T) {
	for _, tt := range []struct {
		name  string
		batch []syncer.Path
	}{{"full", syncer.Full().Paths}, {"partial", changed("gone", "dir", "keep.top")}, {"partial, tree", tree("gone", "dir", "keep.top")}} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			write(t, r.in("stays"), "x")
			write(t, r.in("keep.source"), "is not sent")
			for _, n := range []string{"gone", "dir/keep.me", "dir/goes", "dir/keep dir/x", "dir/deep/keep.me", "dir/deep/goes", "keep.top"} {
				write(t, r.at(n), "on the target")
			}
			cfg := r.config()
			cfg.Delete = true
			cfg.Filter = excluding(t, "keep*")
			s := r.syncer(cfg)
			rep, err := s.Push(t.Context(), syncer.Batch{Paths: append(changed("stays"), tt.batch...)})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("exit code %d, messages %q", syncer.ExitCode(rep, err), r.messages)
			want := []string{"dir", "dir/deep", "dir/deep/keep.me", "dir/keep dir", "dir/keep dir/x", "dir/keep.me", "keep.top", "stays"}
			if diff := cmp.Diff(want, names(t, r.dst)); diff != "" {
				t.Errorf("on the target (-want +got):\n%s", diff)
			}
		})
	}
}

// names are all paths below dir.
func names(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if rel, rerr := filepath.Rel(dir, name); err == nil && rerr == nil && rel != "." {
			all = append(all, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// A single file as the source, under its own name and another; a directory without a slash.
func TestInteropSources(t *testing.T) {
	for _, tt := range []struct {
		name, source, path string
		want               []string
	}{
		{"file into directory", "f", "", []string{"f"}},
		{"file under another name", "f", "g", []string{"g"}},
		{"file into a new directory", "f", "d/", []string{"d", "d/f"}},
		{"directory without slash", "dir", "", []string{"dir", "dir/sub", "dir/sub/x"}},
		{"directory without slash into a new one", "dir", "n", []string{"n", "n/dir", "n/dir/sub", "n/dir/sub/x"}},
		{"content into a new directory", "dir/", "n", []string{"n", "n/sub", "n/sub/x"}},
		{"backslashes in the path", "dir/", `a\b/c\`, nil},
		{"backslashes in the last component", "dir/", `a\b\\c`, []string{`a\b\\c`, `a\b\\c/sub`, `a\b\\c/sub/x`}},
		{"file into a new directory with wildcards", "f", "we[i]rd*? \\x/", []string{"we[i]rd*? \\x", "we[i]rd*? \\x/f"}},
		{"file under a new name with wildcards", "f", "we[i]rd", nil},
		{"wildcards in the path, parent missing", "dir/", "no[pe]/we[i]rd", nil},
		{"wildcards in the path", "dir/", "we[i]rd*? \\x", []string{"we[i]rd*? \\x", "we[i]rd*? \\x/sub", "we[i]rd*? \\x/sub/x"}},
		{"the module's name in the path", "dir/", "a m", []string{"a m", "a m/sub", "a m/sub/x"}},
		{"the module's name in the path, with a slash", "dir/", "a m/", []string{"a m", "a m/sub", "a m/sub/x"}},
		{"a dash", "dir/", "-n", []string{"-n", "-n/sub", "-n/sub/x"}},
		{"an option", "dir/", "--remove-source-files/", []string{"--remove-source-files", "--remove-source-files/sub", "--remove-source-files/sub/x"}},
		{"a dash and wildcards", "dir/", "-[x]*", []string{"-[x]*", "-[x]*/sub", "-[x]*/sub/x"}},
		{"slashes", "dir/", "/a//", []string{"a", "a/sub", "a/sub/x"}},
		{"spaces and a dash", "dir/", "- -x y", []string{"- -x y", "- -x y/sub", "- -x y/sub/x"}},
		{"a line feed and no UTF-8", "dir/", "new\nline\xff", []string{"new\nline\xff", "new\nline\xff/sub", "new\nline\xff/sub/x"}},
		{"empty", "empty", "", []string{"empty"}},
	} {
		for _, chroot := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, chroot %v", tt.name, chroot), func(t *testing.T) {
				t.Parallel()
				if chroot {
					needRoot(t)
				}
				r := newRig(t, func(c *syncertest.DaemonConfig) { c.Chroot = chroot })
				write(t, r.in("f"), "x")
				write(t, r.in("dir/sub/x"), "x")
				mkdir(t, r.in("empty"))
				cfg := r.config()
				cfg.Source = r.src + "/" + tt.source
				cfg.Target.Path = tt.path
				if tt.want == nil {
					rep, err := r.push(cfg)
					if code := syncer.ExitCode(rep, err); code != syncer.CodeFile && code != syncer.CodeUsage {
						t.Errorf("exit code %d, error %v", code, err)
					}
				} else {
					r.mustPush(cfg)
				}
				if diff := cmp.Diff(tt.want, names(t, r.dst)); diff != "" {
					t.Errorf("on the target (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// A decoy that a wildcard would match must stay as it is.
func TestInteropPathIsNoPattern(t *testing.T) {
	for _, path := range []string{"st*r/", "we[i]rd/", "a?c", "x m/y", "m m/m m/"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			write(t, r.in("f"), "x")
			mkdir(t, r.at(path), r.at("stXr"), r.at("weird"), r.at("abc"), r.at("y"), r.at("x"))
			cfg := r.config()
			cfg.Target.Path = path
			r.mustPush(cfg)
			var got []string
			for _, n := range names(t, r.dst) {
				if filepath.Base(n) == "f" {
					got = append(got, n)
				}
			}
			if diff := cmp.Diff([]string{filepath.Join(path, "f")}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A directory that is there already keeps its own attributes, wildcards in its name or not: the
// source is put into it.
func TestInteropPathKeepsAttributes(t *testing.T) {
	for _, path := range []string{"plain/", "we[i]rd/", "star*"} {
		t.Run(path, func(t *testing.T) {
			r := newRig(t)
			write(t, r.in("dir/f"), "x")
			mkdir(t, r.at(path))
			chmod(t, r.at(path), 0o711)
			cfg := r.config()
			cfg.Source, cfg.Target.Path = r.in("dir"), path
			r.mustPush(cfg)
			if got := read(t, r.at(path+"/dir/f")); got != "x" {
				t.Errorf("what arrived is %q", got)
			}
			if fi, err := os.Stat(r.at(path)); err != nil || fi.Mode().Perm() != 0o711 {
				t.Errorf("mode %v, %v", fi.Mode(), err)
			}
		})
	}
}

// -x: what is mounted in the source stays out, its mount point comes, and on the target nothing is
// pruned below it.
func TestInteropOneFileSystem(t *testing.T) {
	needRoot(t)
	r := newRig(t)
	write(t, r.in("f"), "x")
	mkdir(t, r.in("mnt"))
	if err := unix.Mount("tmpfs", r.in("mnt"), "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(r.in("mnt"), unix.MNT_DETACH) })
	write(t, r.in("mnt/inside"), "x")
	write(t, r.at("mnt/old"), "x")
	cfg := r.config()
	cfg.Delete, cfg.OneFileSystem = true, true
	r.mustPush(cfg)
	if diff := cmp.Diff([]string{"f", "mnt", "mnt/old"}, names(t, r.dst)); diff != "" {
		t.Errorf("with -x (-want +got):\n%s", diff)
	}
	cfg.OneFileSystem = false
	r.mustPush(cfg)
	if diff := cmp.Diff([]string{"f", "mnt", "mnt/inside"}, names(t, r.dst)); diff != "" {
		t.Errorf("without -x (-want +got):\n%s", diff)
	}
}

// A hint for a file that the target is known to have is for the directory it is in, too: the file may
// have been made between the looks at both.
func TestInteropKnownFile(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cfg := r.config()
	cfg.Keep = true
	s := r.syncer(cfg)
	write(t, r.in("d/f"), "x")
	for made := time.Now(); time.Since(made) < 50*time.Millisecond; {
		time.Sleep(time.Millisecond) // the file is older than a step of its ctime
	}
	r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
	touch(t, r.in("d"), old())
	r.mustBeWhole(s.Push(t.Context(), batch("d/f")))
	r.equal()
}
