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
	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// setACL gives names an access ACL, directories a default ACL as well.
func setACL(t *testing.T, mode uint32, a meta.ACL, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := meta.SetAccess(name, &a, mode); err != nil {
			t.Fatal(err)
		}
	}
}

func setDefault(t *testing.T, dir string, a *meta.ACL) {
	t.Helper()
	if err := meta.SetDefault(dir, a); err != nil {
		t.Fatal(err)
	}
}

func setXattr(t *testing.T, name, attr, value string) {
	t.Helper()
	if err := meta.Set(name, attr, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func hardLink(t *testing.T, old string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Link(old, name); err != nil {
			t.Fatal(err)
		}
	}
}

// metaTree is a tree with all that -H, -A, -X and -U keep.
func metaTree(t *testing.T, dir string) {
	t.Helper()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"acl/named", "acl/mask", "acl/group", "acl/same", "acl/again", "acl/plain", "acl/d/in", "hl/a/one", "hl/lone",
		"x/empty", "x/short", "x/long", "x/same", "x/many", "x/none"} {
		write(t, in(name), "content of "+name)
	}
	named := meta.ACL{UserObj: 6, GroupObj: 4, Mask: 6, Named: []meta.Named{{ID: 1, User: true, Perm: 7}, {ID: 12345, User: true, Perm: 4}, {ID: 2, Perm: 1}}}
	setACL(t, 0o640, named, in("acl/named"), in("acl/again"))
	setACL(t, 0o604, meta.ACL{UserObj: 6, GroupObj: 7, Mask: 0}, in("acl/mask"))
	setACL(t, 0o664, meta.ACL{UserObj: 6, GroupObj: 2, Mask: 6, Other: 4, Named: []meta.Named{{ID: 65534, Perm: 6}}}, in("acl/group"))
	setACL(t, 0o660, meta.ACL{UserObj: 6, GroupObj: 6, Mask: 6, Named: []meta.Named{{ID: 2, User: true, Perm: 6}}}, in("acl/same"))
	setACL(t, 0o2751, named, in("acl/d"))
	mkdir(t, in("acl/defaults"), in("acl/minimal default"))
	setDefault(t, in("acl/d"), &named)
	setDefault(t, in("acl/defaults"), &meta.ACL{UserObj: 7, GroupObj: 5, Mask: 5, Other: 5, Named: []meta.Named{{ID: 3, User: true, Perm: 7}}})
	setDefault(t, in("acl/minimal default"), &meta.ACL{UserObj: 7, GroupObj: 0, Mask: meta.Absent})

	setXattr(t, in("x/empty"), "user.empty", "")
	setXattr(t, in("x/short"), "user.32", strings.Repeat("s", 32))
	setXattr(t, in("x/long"), "user.33", strings.Repeat("l", 33))
	setXattr(t, in("x/same"), "user.33", strings.Repeat("l", 33))
	setXattr(t, in("x/many"), "user.a", noise(1, 1024))
	setXattr(t, in("x/many"), "user.b", "between")
	setXattr(t, in("x/many"), "user.c", noise(2, 60<<10)[:1500])
	setXattr(t, in("x"), "user.of.dir", noise(3, 500))
	link(t, "long", in("x/link"))
	fifo(t, in("x/fifo"))
	if os.Geteuid() == 0 {
		setXattr(t, in("x/link"), "trusted.of.link", noise(4, 100))
		setXattr(t, in("x/fifo"), "trusted.of.fifo", "short")
		setXattr(t, in("x/long"), "trusted.of.file", noise(5, 40))
	}

	mkdir(t, in("hl/b"))
	hardLink(t, in("hl/a/one"), in("hl/a/two"), in("hl/b/three"), in("hl/0"))
	link(t, "target", in("hl/link"))
	hardLink(t, in("hl/link"), in("hl/b/link"))
	fifo(t, in("hl/fifo"))
	hardLink(t, in("hl/fifo"), in("hl/b/fifo"))
	setACL(t, 0o640, named, in("hl/a/one"))
	setXattr(t, in("hl/a/one"), "user.long", noise(6, 70))
	touchAll(t, dir, time.Unix(1_500_000_000, 7))
	futureAtimes(t, dir)
}

// xattrHome skips where the test's directory has no extended attributes or ACLs.
func xattrHome(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"user.test"} {
		if err := meta.Set(dir, name, nil); err != nil {
			t.Skipf("no extended attributes here: %v", err)
		}
	}
}

// What is kept beside modes and times is the same on both targets, and so is what is said.
func TestInteropMeta(t *testing.T) {
	xattrHome(t)
	for _, tt := range []struct {
		name string
		args []string
		set  func(*syncer.Config)
		all  bool // the target is as the source
	}{
		{"hard links", []string{"-H"}, func(c *syncer.Config) { c.HardLinks = true }, false},
		{"ACLs", []string{"-A"}, func(c *syncer.Config) { c.ACLs = true }, false},
		{"ACLs, numeric ids", []string{"-A", "--numeric-ids"}, func(c *syncer.Config) { c.ACLs, c.NumericIDs = true, true }, false},
		{"ACLs without owners", []string{"-A", "--no-o", "--no-g"}, func(c *syncer.Config) { c.ACLs, c.Owner, c.Group = true, false, false }, false},
		{"xattrs", []string{"-X"}, func(c *syncer.Config) { c.Xattrs = true }, false},
		{"xattrs, without links and specials", []string{"-X", "--no-l", "--no-specials"}, func(c *syncer.Config) {
			c.Xattrs, c.Links, c.Specials = true, false, false
		}, false},
		{"access times", []string{"-U"}, func(c *syncer.Config) { c.Atimes = true }, false},
		{"all", []string{"-HAXU", "--delete"}, func(c *syncer.Config) {
			c.HardLinks, c.ACLs, c.Xattrs, c.Atimes, c.Delete = true, true, true, true, true
		}, true},
		{"all by checksum", []string{"-HAXc"}, func(c *syncer.Config) { c.HardLinks, c.ACLs, c.Xattrs, c.Checksum = true, true, true, true }, true},
		{"all with protocol 30", []string{"-HAX", "--protocol=30"}, func(c *syncer.Config) {
			c.HardLinks, c.ACLs, c.Xattrs, c.Protocol = true, true, true, 30
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			theirs := filepath.Join(t.TempDir(), "theirs")
			r := newRig(t, func(c *syncertest.DaemonConfig) {
				c.Modules = append(c.Modules, syncertest.Module{Name: "theirs", Path: theirs})
			})
			mkdir(t, theirs)
			metaTree(t, r.src)
			cfg := r.config()
			tt.set(&cfg)
			args := append([]string{"-a", "-i", "--no-i-r", "--modify-window=-1", r.src + "/", r.daemon.URL("theirs")}, tt.args...)
			both := func(step string) {
				t.Helper()
				out, wantCode := r.rsync(args...)
				rep, err := r.push(cfg)
				if code := syncer.ExitCode(rep, err); int(code) != wantCode {
					t.Fatalf("%s: exit code %d, rsync's is %d; error %v, problems %v, messages %q, rsync says\n%s", step, code, wantCode, err, rep.Problems, r.messages, out)
				}
				if diff := cmp.Diff(sorted(itemLines(out)), sorted(slices.Clone(r.items))); diff != "" {
					t.Errorf("%s: items (-rsync +ours):\n%s", step, diff)
				}
				syncertest.RequireEqual(t, theirs, r.dst, syncertest.CompareOptions{HardLinks: true, Xattrs: true})
				if tt.all {
					syncertest.RequireEqual(t, r.src, r.dst, syncertest.CompareOptions{HardLinks: true, Xattrs: true})
				}
			}
			both("first push")
			both("nothing to do")
			change(t, r.src)
			both("after changes")
		})
	}
}

// change changes everything of metaTree that is beside content.
func change(t *testing.T, dir string) {
	t.Helper()
	in := func(name string) string { return filepath.Join(dir, name) }
	setACL(t, 0o600, meta.ACL{UserObj: 6, GroupObj: 4, Mask: 0, Named: []meta.Named{{ID: 9, User: true, Perm: 7}}}, in("acl/named"))
	setACL(t, 0o644, meta.ACL{}, in("acl/plain"))
	for _, name := range []string{"acl/mask", "acl/d"} {
		if err := meta.SetAccess(in(name), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	setDefault(t, in("acl/d"), nil)
	setDefault(t, in("acl"), &meta.ACL{UserObj: 7, GroupObj: 7, Mask: 7, Named: []meta.Named{{ID: 3, User: true, Perm: 7}}})
	for _, name := range []string{"x/empty", "x/none", "x"} {
		setXattr(t, in(name), "user.new", noise(7, 90))
	}
	setXattr(t, in("x/many"), "user.a", noise(8, 1024))
	setXattr(t, in("x/long"), "user.33", "now short")
	if err := meta.Remove(in("x/same"), "user.33"); err != nil {
		t.Fatal(err)
	}
	setXattr(t, in("hl/b/three"), "user.long", noise(9, 70))
	remove(t, in("hl/0"))
	hardLink(t, in("hl/lone"), in("hl/b/lone"), in("hl/0"))
	write(t, in("hl/a/one"), strings.Repeat("new content, ", 99))
	at := time.Unix(1_600_000_000, 9)
	for _, name := range []string{"hl/a/one", "hl", "hl/b", "x", "acl"} {
		touch(t, in(name), at)
	}
	futureAtimes(t, dir)
}

// futureAtimes gives all below dir access times that reading does not change (mount(8), relatime).
func futureAtimes(t *testing.T, dir string) {
	t.Helper()
	at := int64(2_500_000_000)
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at += int64(len(name))
		return unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{{Sec: at}, {Nsec: unix.UTIME_OMIT}}, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Values of each length around what travels in the list arrive, and are not sent twice for
// the same set.
func TestInteropXattrLengths(t *testing.T) {
	xattrHome(t)
	home := "/dev/shm" // where values may be longer than a block
	if _, err := os.Stat(home); err != nil {
		t.Skip("no /dev/shm")
	}
	dir, err := os.MkdirTemp(home, "lockstep-xattr-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := newRig(t)
	r.src = filepath.Join(dir, "src")
	dst := filepath.Join(dir, "dst")
	mkdir(t, r.src, dst)
	d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{{Name: "m", Path: dst}}})
	r.daemon, r.dst = d, dst
	const attr = "user.v"
	for _, n := range []int{0, 1, 32, 33, 1 << 10, 60 << 10} {
		name := r.in(fmt.Sprint("f", n))
		write(t, name, "x")
		if err := meta.Set(name, attr, []byte(noise(uint64(n), n))); err != nil {
			t.Skipf("%s takes no value of %d bytes: %v", home, n, err)
		}
	}
	for i := range 20 {
		name := r.in(fmt.Sprint("same", i))
		write(t, name, "x")
		setXattr(t, name, attr, noise(1, 60<<10))
	}
	cfg := r.config()
	cfg.Xattrs = true
	rep := r.mustPush(cfg)
	syncertest.RequireEqual(t, r.src, dst, syncertest.CompareOptions{Xattrs: true})
	if rep.Stats.Sent > 150<<10 {
		t.Errorf("%d bytes were sent: the value that 20 files share travelled more than once", rep.Stats.Sent)
	}
	if rep = r.mustPush(cfg); rep.Stats.Sent > 5<<10 || len(r.items) > 0 {
		t.Errorf("the second push sent %d bytes, %q", rep.Stats.Sent, r.items)
	}
}

// Growing files: what is sent is their end, and a file that is not what it was is sent in full.
func TestInteropAppend(t *testing.T) {
	for _, tt := range []struct {
		name   string
		set    func(*syncer.Config)
		args   string
		damage bool // the target's beginning is another
		keeps  bool // and stays so
	}{
		{"append", func(c *syncer.Config) { c.Append, c.Inplace = true, true }, "--append", false, false},
		{"append, another beginning", func(c *syncer.Config) { c.Append, c.Inplace = true, true }, "--append", true, true},
		{"append-verify", func(c *syncer.Config) { c.AppendVerify, c.Inplace = true, true }, "--append-verify", false, false},
		{"append-verify, another beginning", func(c *syncer.Config) { c.AppendVerify, c.Inplace = true, true }, "--append-verify", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			theirs := filepath.Join(t.TempDir(), "theirs")
			r := newRig(t, func(c *syncertest.DaemonConfig) {
				c.Modules = append(c.Modules, syncertest.Module{Name: "theirs", Path: theirs})
			})
			whole := noise(1, 300_000)
			begin := whole[:200_001]
			if tt.damage {
				begin = "DAMAGE" + begin[6:]
			}
			for _, dir := range []string{r.dst, theirs} {
				write(t, filepath.Join(dir, "log"), begin)
				write(t, filepath.Join(dir, "longer"), whole+"and more")
				write(t, filepath.Join(dir, "empty"), "")
				touchAll(t, dir, old())
			}
			for _, name := range []string{"log", "longer", "empty", "new"} {
				write(t, r.in(name), whole)
			}
			touchAll(t, r.src, time.Unix(1_600_000_000, 9))
			cfg := r.config()
			tt.set(&cfg)
			out, wantCode := r.rsync("-ai", "--no-i-r", "--modify-window=-1", tt.args, r.src+"/", r.daemon.URL("theirs"))
			rep, err := r.push(cfg)
			if code := syncer.ExitCode(rep, err); int(code) != wantCode {
				t.Errorf("exit code %d, rsync's is %d; error %v, messages %q, rsync says\n%s", code, wantCode, err, r.messages, out)
			}
			syncertest.RequireEqual(t, theirs, r.dst, syncertest.CompareOptions{})
			if kept := read(t, r.at("log")) != whole; kept != tt.keeps {
				t.Errorf("the old beginning stays: %v", kept)
			}
			// Of log the end, of empty and new everything; of a damaged one everything once more.
			want := int64(2*len(whole) + len(whole) - len(begin))
			if tt.damage && !tt.keeps {
				want += 6
				if rep.Stats.Literal < want || rep.Stats.Literal > want+int64(len(whole)) {
					t.Errorf("%d literal bytes", rep.Stats.Literal)
				}
			} else if rep.Stats.Literal != want {
				t.Errorf("%d literal bytes, want %d", rep.Stats.Literal, want)
			}
		})
	}
}

// In place a block is taken only where it still stands; both clients leave the same file.
func TestInteropInplace(t *testing.T) {
	blocks := func(order ...int) string {
		var b strings.Builder
		for _, i := range order {
			b.WriteString(noise(uint64(i), 1000))
		}
		return b.String()
	}
	upTo := func(n int) (order []int) {
		for i := range n {
			order = append(order, i)
		}
		return order
	}
	shifted := append([]int{99}, upTo(40)...)
	backwards := upTo(40)
	slices.Reverse(backwards)
	files := map[string][2]string{ // what the target has, what the source has
		"same":      {blocks(upTo(40)...), blocks(upTo(40)...)},
		"shifted":   {blocks(upTo(40)...), blocks(shifted...)},
		"cut":       {blocks(upTo(40)...), blocks(upTo(40)[3:]...)},
		"backwards": {blocks(upTo(40)...), blocks(backwards...)},
		"repeated":  {strings.Repeat("a", 70_000), strings.Repeat("a", 90_001)},
		"edited":    {blocks(upTo(40)...), blocks(append(upTo(20), append([]int{77}, upTo(40)[21:]...)...)...)},
	}
	for _, tt := range []struct {
		name string
		set  func(*syncer.Config)
		args []string
	}{
		{"inplace", func(c *syncer.Config) { c.Inplace = true }, []string{"--inplace"}},
		{"inplace with blocks of 1000 bytes", func(c *syncer.Config) { c.Inplace, c.BlockSize = true, 1000 }, []string{"--inplace", "-B1000"}},
		{"inplace with backups", func(c *syncer.Config) { c.Inplace, c.Backup, c.BackupDir = true, true, "old" }, []string{"--inplace", "-b", "--backup-dir=old"}},
		{"sparse", func(c *syncer.Config) { c.Inplace, c.Sparse = true, true }, []string{"--inplace", "-S"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			theirs := filepath.Join(t.TempDir(), "theirs")
			r := newRig(t, func(c *syncertest.DaemonConfig) {
				c.Modules = append(c.Modules, syncertest.Module{Name: "theirs", Path: theirs})
			})
			for name, f := range files {
				write(t, filepath.Join(theirs, name), f[0])
				write(t, r.at(name), f[0])
				write(t, r.in(name), f[1])
			}
			touchAll(t, theirs, old())
			touchAll(t, r.dst, old())
			touchAll(t, r.src, time.Unix(1_600_000_000, 9))
			inode := inodeOf(t, r.at("shifted"))
			cfg := r.config()
			tt.set(&cfg)
			args := append([]string{"-a", "--no-i-r", "--no-W", "--modify-window=-1", "--stats", r.src + "/", r.daemon.URL("theirs")}, tt.args...)
			if out, code := r.rsync(args...); code != 0 {
				t.Fatalf("rsync: %d %s", code, out)
			}
			rep := r.mustPush(cfg)
			syncertest.RequireEqual(t, theirs, r.dst, syncertest.CompareOptions{Ignore: func(p string) bool { return p == "old" }})
			if inodeOf(t, r.at("shifted")) != inode {
				t.Error("the file was not written in place")
			}
			if rep.Stats.Matched == 0 {
				t.Error("nothing was matched")
			}
		})
	}
}

// What a receiver starts from need not be the file itself: both clients leave the same.
func TestInteropBasis(t *testing.T) {
	content := noise(1, 40_000)
	shifted := content[:20_000] + "x" + content[25_000:] + content[3000:4000]
	for _, tt := range []struct {
		name  string
		set   func(*syncer.Config)
		args  []string
		there string // where the target has content already
		keeps bool   // and still has it afterwards
	}{
		{"partial dir", func(c *syncer.Config) { c.Partial, c.PartialDir = true, ".part" }, []string{"--partial-dir=.part"}, ".part/f-2026.txt", false},
		{"partial dir, delay updates, delete", func(c *syncer.Config) { c.PartialDir, c.DelayUpdates, c.Delete = ".part", true, true },
			[]string{"--partial-dir=.part", "--delay-updates", "--delete"}, ".part/f-2026.txt", false},
		{"delay updates, delete after", func(c *syncer.Config) { c.DelayUpdates, c.Delete, c.DeleteWhen = true, true, option.After },
			[]string{"--delay-updates", "--delete-after"}, "f-2026.txt", true},
		{"fuzzy", func(c *syncer.Config) { c.Fuzzy = true }, []string{"-y"}, "f-2025.txt", true},
		{"fuzzy, delete delay", func(c *syncer.Config) { c.Fuzzy, c.Delete, c.DeleteWhen = true, true, option.Delay }, []string{"-y", "--delete-delay"}, "f-2025.txt", false},
		{"backup", func(c *syncer.Config) { c.Backup, c.Suffix = true, ".was" }, []string{"-b", "--suffix=.was"}, "f-2026.txt", true},
		{"temporary directory", func(c *syncer.Config) { c.TempDir, c.Fsync = "/tmp", true }, []string{"--temp-dir=/tmp", "--fsync"}, "f-2026.txt", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			theirs := filepath.Join(t.TempDir(), "theirs")
			r := newRig(t, func(c *syncertest.DaemonConfig) {
				c.Modules = append(c.Modules, syncertest.Module{Name: "theirs", Path: theirs})
			})
			for _, dir := range []string{theirs, r.dst} {
				write(t, filepath.Join(dir, tt.there), content)
				write(t, filepath.Join(dir, "gone"), "x")
				mkdir(t, filepath.Join(dir, "tmp"))
				touchAll(t, dir, old())
			}
			write(t, r.in("f-2026.txt"), shifted)
			mkdir(t, r.in("tmp"))
			touchAll(t, r.src, time.Unix(1_600_000_000, 9))
			cfg := r.config()
			tt.set(&cfg)
			args := append([]string{"-ai", "--no-i-r", "--modify-window=-1", r.src + "/", r.daemon.URL("theirs")}, tt.args...)
			out, code := r.rsync(args...)
			if code != 0 {
				t.Fatalf("rsync: %d %s", code, out)
			}
			rep := r.mustPush(cfg)
			syncertest.RequireEqual(t, theirs, r.dst, syncertest.CompareOptions{IgnoreTopTimes: cfg.Backup})
			if diff := cmp.Diff(sorted(itemLines(out)), sorted(slices.Clone(r.items))); diff != "" {
				t.Errorf("items (-rsync +ours):\n%s", diff)
			}
			if read(t, r.at("f-2026.txt")) != shifted || exists(t, r.at(tt.there)) != tt.keeps {
				t.Errorf("f is right: %v; %s is there: %v", read(t, r.at("f-2026.txt")) == shifted, tt.there, exists(t, r.at(tt.there)))
			}
			if rep.Stats.Matched < 30_000 {
				t.Errorf("%d bytes were matched", rep.Stats.Matched)
			}
		})
	}
}

// With --one-file-system a partial push deletes what a full one would.
func TestInteropOneFileSystemPartial(t *testing.T) {
	r := newRig(t)
	write(t, r.in("d/sub/stays"), "x")
	write(t, r.at("d/sub/stays"), "x")
	write(t, r.at("d/sub/gone"), "x")
	cfg := r.config()
	cfg.OneFileSystem, cfg.Delete = true, true
	rep, err := r.syncer(cfg).Push(t.Context(), syncer.Batch{Paths: []syncer.Path{{Name: "d/sub", Tree: true}}})
	r.mustBeWhole(rep, err)
	if exists(t, r.at("d/sub/gone")) {
		t.Errorf("d/sub/gone is there still; %q", r.messages)
	}
}

// Empty directories are left out, in full and in partial pushes; what is not listed because it
// did not change is not empty.
func TestInteropPruneEmptyDirs(t *testing.T) {
	theirs := filepath.Join(t.TempDir(), "theirs")
	r := newRig(t, func(c *syncertest.DaemonConfig) {
		c.Modules = append(c.Modules, syncertest.Module{Name: "theirs", Path: theirs})
	})
	mkdir(t, theirs)
	for _, name := range []string{"a/f", "a/b/c/f", "emptied/f", "emptied/sub/f", "d/e/f"} {
		write(t, r.in(name), name)
	}
	mkdir(t, r.in("empty"), r.in("a/empty/sub"), r.in("a.empty"), r.in("nothing/but/dirs"), r.in("excluded"))
	write(t, r.in("excluded/x.o"), "left out")
	cfg := r.config()
	cfg.PruneEmptyDirs, cfg.Delete, cfg.Filter = true, true, excluding(t, "*.o")
	alike := func(step string) {
		t.Helper()
		touchAll(t, r.src, old())
		if out, code := r.rsync("-am", "--delete", "--exclude=*.o", r.src+"/", r.daemon.URL("theirs")); code != 0 {
			t.Fatalf("%s: rsync: %s", step, out)
		}
	}
	alike("first push")
	s := r.syncer(cfg)
	r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
	syncertest.RequireEqual(t, theirs, r.dst, syncertest.CompareOptions{})
	remove(t, r.in("emptied/f"), r.in("emptied/sub/f"))
	write(t, r.in("empty/now not"), "x")
	mkdir(t, r.in("new/sub"))
	alike("partial push")
	var paths []syncer.Path
	for _, name := range []string{"emptied", "empty", "new", "d"} {
		paths = append(paths, syncer.Path{Name: name, Tree: true})
	}
	r.mustBeWhole(s.Push(t.Context(), syncer.Batch{Paths: append(paths, syncer.Path{Name: "."})}))
	syncertest.RequireEqual(t, theirs, r.dst, syncertest.CompareOptions{})
}

func inodeOf(t *testing.T, name string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}
