package local

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// linking is -aH --delete.
func linking() Options {
	o := archive
	o.HardLinks = true
	return o
}

// layout makes files: each word is "name=data" or "name:first", a hard link to first.
func layout(t *testing.T, root, words string) {
	t.Helper()
	for _, word := range strings.Fields(words) {
		if name, data, ok := strings.Cut(word, "="); ok {
			put(t, filepath.Join(root, name), data, early)
			continue
		}
		name, first, _ := strings.Cut(word, ":")
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		must(t, os.Link(filepath.Join(root, first), filepath.Join(root, name)))
	}
}

// TestLinksLikeRsync expects the same link groups as the real rsync makes, whatever stood there.
func TestLinksLikeRsync(t *testing.T) {
	syncertest.NeedRsync(t)
	for _, tt := range []struct{ name, src, dst, args string }{
		{name: "new", src: "a=1 b:a d/c:a d/e/f:a z=1"},
		{name: "the same", src: "a=1 b:a d/c:a", dst: "a=1 b:a d/c:a"},
		{name: "separate on the target", src: "a=1 b:a d/c:a", dst: "a=1 b=1 d/c=1"},
		{name: "separate and different on the target", src: "a=1 b:a d/c:a", dst: "a=00 b=111 d/c=1"},
		{name: "first missing", src: "a=1 b:a d/c:a", dst: "b=1 d/c:b"},
		{name: "only the last there", src: "a=1 b:a d/c:a", dst: "d/c=1"},
		{name: "new content", src: "a=2 b:a d/c:a", dst: "a=11 b:a d/c:a"},
		{name: "split on the source", src: "a=1 b=22 c=333", dst: "a=1 b:a c:a"},
		{name: "another group on the target", src: "a=1 b:a c=22 d:c", dst: "a=1 c:a b=22 d:b"},
		{name: "linked to something to be deleted", src: "a=1 b:a", dst: "a=1 x:a y:a"},
		{name: "skipped names", src: "a=12345 b:a c=1 d:c", args: "--max-size=4"},
		{name: "only what is there", src: "a=12 b:a c:a", dst: "b=1", args: "--existing"},
		{name: "only what is not there", src: "a=12 b:a c:a", dst: "a=1", args: "--ignore-existing"},
	} {
		for _, plan := range []string{"full", "partial", "tree"} {
			t.Run(tt.name+"/"+plan, func(t *testing.T) {
				src, dst := dirs(t)
				layout(t, src, tt.src)
				layout(t, dst, tt.dst)
				theirs := dst + ".rsync"
				if out, err := exec.Command("cp", "-a", dst, theirs).CombinedOutput(); err != nil {
					t.Fatalf("cp: %v\n%s", err, out)
				}
				rsyncLines(t, src+"/", theirs+"/", append(strings.Fields("-H --delete "+tt.args), "--force")...)
				o := linking()
				switch tt.args {
				case "--max-size=4":
					o.MaxSize = 4
				case "--existing":
					o.Existing = true
				case "--ignore-existing":
					o.IgnoreExisting = true
				}
				pushLinks(t, src, dst, o, plan)
				syncertest.RequireEqual(t, theirs, dst, syncertest.CompareOptions{HardLinks: true})
				_, lines := full(t, src, dst, o)
				requireSameLines(t, nil, lines)
			})
		}
	}
}

// pushLinks pushes all of src: as a full push, as a plan of all its names, or as one subtree.
func pushLinks(t *testing.T, src, dst string, o Options, how string) {
	t.Helper()
	var res Result
	switch how {
	case "full":
		res, _ = full(t, src, dst, o)
	case "tree":
		res, _ = partial(t, src, dst, o, source.Path{Name: ".", Tree: true})
	default:
		names := map[string]bool{}
		for _, root := range []string{src, dst} {
			must(t, filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
				rel, _ := filepath.Rel(root, path)
				names[rel] = true
				return err
			}))
		}
		var paths []source.Path
		for _, name := range slices.Sorted(maps.Keys(names)) {
			paths = append(paths, source.Path{Name: name, Content: true})
		}
		res, _ = partial(t, src, dst, o, paths...)
	}
	requireClean(t, res)
}

// TestLinkLines: the first name travels, the others are links to it; a dry run says the same.
func TestLinkLines(t *testing.T) {
	for _, tt := range []struct {
		name, src, dst string
		want           []string
	}{
		{"new", "a=1 b:a d/c:a", "", []string{">f+++++++++ a", "cd+++++++++ d/", "hf+++++++++ b => a", "hf+++++++++ d/c => a"}},
		{"one there", "a=1 b:a d/c:a", "b=1 d/=", []string{"hf+++++++++ a => b", "hf+++++++++ d/c => b"}},
		{"separate", "a=1 b:a", "a=1 b=1", []string{"hf          b => a"}},
		{"other data", "a=1 b:a", "a=1 b=22", []string{"hf.s....... b => a"}},
		{"the same", "a=1 b:a", "a=1 b:a", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src, dst := dirs(t)
			layout(t, src, tt.src)
			layout(t, dst, strings.ReplaceAll(tt.dst, "d/=", ""))
			if strings.Contains(tt.dst, "d/=") {
				mkdir(t, dst, "d")
				setTime(t, filepath.Join(src, "d"), early)
				setTime(t, filepath.Join(dst, "d"), early)
			}
			setTime(t, src, early)
			setTime(t, dst, early)
			dry := linking()
			dry.DryRun = true
			_, lines := full(t, src, dst, dry)
			requireSameLines(t, tt.want, lines)
			_, lines = full(t, src, dst, linking())
			requireSameLines(t, tt.want, lines)
		})
	}
}

// TestLinkedNodes: what is no regular file has groups as well.
func TestLinkedNodes(t *testing.T) {
	requireRoot(t)
	src, dst := dirs(t)
	must(t, os.Symlink("to", filepath.Join(src, "l1")))
	must(t, unix.Mkfifo(filepath.Join(src, "p1"), 0o640))
	must(t, unix.Mknod(filepath.Join(src, "c1"), unix.S_IFCHR|0o600, int(unix.Mkdev(10, 200))))
	for _, kind := range []string{"l", "p", "c"} {
		must(t, os.Link(filepath.Join(src, kind+"1"), filepath.Join(src, kind+"2")))
		mkdir(t, src, "d")
		must(t, os.Link(filepath.Join(src, kind+"1"), filepath.Join(src, "d", kind+"3")))
	}
	must(t, os.Symlink("elsewhere", filepath.Join(dst, "l2")))
	must(t, unix.Mkfifo(filepath.Join(dst, "p2"), 0o600))
	mkdir(t, dst, "c2", "full")
	res, lines := full(t, src, dst, linking())
	requireClean(t, res)
	syncertest.RequireEqual(t, src, dst, syncertest.CompareOptions{HardLinks: true})
	if !slices.Contains(lines, "hL+++++++++ d/l3 => l2") {
		t.Errorf("lines %q", lines)
	}
	_, lines = full(t, src, dst, linking())
	requireSameLines(t, nil, lines)
}

// TestManyLinks has the workers busy with many groups at once.
func TestManyLinks(t *testing.T) {
	src, dst := dirs(t)
	for i := range 200 {
		first := filepath.Join(src, fmt.Sprintf("d%d", i%7), fmt.Sprint("f", i))
		write(t, first, strings.Repeat(fmt.Sprint(i), 1000+i))
		for j := range i % 5 {
			dir := mkdir(t, src, fmt.Sprintf("d%d", (i+j)%11))
			must(t, os.Link(first, filepath.Join(dir, fmt.Sprintf("g%d.%d", i, j))))
		}
	}
	age(t, src)
	for range 2 {
		res, _ := full(t, src, dst, linking())
		requireClean(t, res)
		syncertest.RequireEqual(t, src, dst, syncertest.CompareOptions{HardLinks: true, IgnoreOwners: os.Geteuid() != 0})
		must(t, os.RemoveAll(filepath.Join(dst, "d3")))
	}
}

// TestLeaderFails: the names of a file whose first name cannot be written are brought over all
// the same, and are still one file.
func TestLeaderFails(t *testing.T) {
	src, dst := dirs(t)
	layout(t, src, "a=1 b:a c:a")
	r := openTarget(t, dst, linking()).newRun(openSource(t, src, source.Options{Set: option.Archive()}), time.Time{})
	g := &group{leader: "a", place: "a", failed: true}
	s := openSource(t, src, sourceOptions(linking()))
	w := &twin{dir: r.t.root}
	for _, name := range []string{"b", "c"} {
		e, err := s.Lstat(name)
		must(t, err)
		r.link(t.Context(), g, w, &e, name)
	}
	if len(r.res.Problems) > 0 || g.failed || g.place != "b" {
		t.Errorf("%+v, %v", g, r.res.Problems)
	}
	var b, c unix.Stat_t
	must(t, unix.Stat(filepath.Join(dst, "b"), &b))
	must(t, unix.Stat(filepath.Join(dst, "c"), &c))
	if b.Ino != c.Ino || exists(filepath.Join(dst, "a")) {
		t.Errorf("inodes %d and %d", b.Ino, c.Ino)
	}
}

// TestSplit: names that are separate on the source and one file on the target take no turns in
// being wrong.
func TestSplit(t *testing.T) {
	for _, o := range []Options{archive, linking()} {
		src, dst := dirs(t)
		layout(t, src, "a=1 b=1 c=1")
		layout(t, dst, "a=1 b:a c:a")
		must(t, os.Chmod(filepath.Join(src, "b"), 0o600))
		full(t, src, dst, o)
		requireEqual(t, src, dst)
		_, lines := full(t, src, dst, o)
		requireSameLines(t, nil, lines)
	}
}
