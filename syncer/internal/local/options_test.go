package local

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// TestOptionsLikeRsync pushes with one option after the other, as the real rsync does, onto
// targets that are equal before, and expects the same lines and equal targets after.
func TestOptionsLikeRsync(t *testing.T) {
	syncertest.SkipUnderRace(t, "the same goroutines as in TestLikeRsync")
	requireRoot(t)
	syncertest.NeedRsync(t)
	for _, tt := range []struct {
		name string
		args string
		set  func(*option.Set)
		make func(t *testing.T, src, dst string)
	}{
		{"size only", "--size-only", func(s *option.Set) { s.SizeOnly = true }, timesAndSizes},
		{"ignore times", "-I", func(s *option.Set) { s.IgnoreTimes = true }, timesAndSizes},
		{"whole seconds", "--modify-window=0", func(s *option.Set) { s.ModifyWindow = 0 }, timesAndSizes},
		{"window", "--modify-window=2", func(s *option.Set) { s.ModifyWindow = 2 }, timesAndSizes},
		{"update in seconds", "-u --modify-window=0", func(s *option.Set) { s.Update, s.ModifyWindow = true, 0 }, timesAndSizes},
		{"update with a window", "-u --modify-window=2", func(s *option.Set) { s.Update, s.ModifyWindow = true, 2 }, timesAndSizes},
		{"existing", "--existing", func(s *option.Set) { s.Existing = true }, someThere},
		{"ignore existing", "--ignore-existing", func(s *option.Set) { s.IgnoreExisting = true }, someThere},
		{"existing and ignore existing", "--existing --ignore-existing --delete", func(s *option.Set) { s.Existing, s.IgnoreExisting, s.Delete = true, true, true }, someThere},
		{"max size", "--max-size=4 --delete", func(s *option.Set) { s.MaxSize, s.Delete = 4, true }, timesAndSizes},
		{"min size", "--min-size=5", func(s *option.Set) { s.MinSize = 5 }, timesAndSizes},
		{"checksum and update", "-c -u --modify-window=0", func(s *option.Set) { s.Checksum, s.Update, s.ModifyWindow = true, true, 0 }, timesAndSizes},
		{"checksum and size only", "-c --size-only", func(s *option.Set) { s.Checksum, s.SizeOnly = true, true }, timesAndSizes},
		{"executability", "--no-p -E", func(s *option.Set) { s.Perms, s.Executability = false, true }, executables},
		{"omit directory times", "-O", func(s *option.Set) { s.OmitDirTimes = true }, timesAndSizes},
		{"omit link times", "-J", func(s *option.Set) { s.OmitLinkTimes = true }, timesAndSizes},
		{"xattrs", "-X", func(s *option.Set) { s.Xattrs = true }, both(xattrs, trusted)},
		{"xattrs and checksum", "-Xc", func(s *option.Set) { s.Xattrs, s.Checksum = true, true }, xattrs},
		{"acls", "-A", func(s *option.Set) { s.ACLs = true }, acls},
		{"acls and xattrs", "-AX", func(s *option.Set) { s.ACLs, s.Xattrs = true, true }, both(acls, xattrs)},
		{"acls of the target alone", "-a", func(*option.Set) {}, acls},
		{"default acl of the target", "--no-p", func(s *option.Set) { s.Perms = false }, defaultACL},
		{"default acl of the target, executability", "--no-p -E", func(s *option.Set) { s.Perms, s.Executability = false, true }, both(defaultACL, executables)},
		{"atimes", "-U", func(s *option.Set) { s.Atimes = true }, atimes},
		{"usermap", "--usermap=0:7,daemon:root,*:8 --groupmap=1-3:games", func(s *option.Set) { s.Usermap, s.Groupmap = "0:7,daemon:root,*:8", "1-3:games" }, ownersOf},
		{"chown", "--chown=daemon:games --numeric-ids", func(s *option.Set) { s.Usermap, s.Groupmap, s.NumericIDs = "*:daemon", "*:games", true }, ownersOf},
		{"munge links", "-M--munge-links", func(s *option.Set) { s.RemoteOptions = []string{"--munge-links"} }, someThere},
		{"munge links of the source", "--munge-links", func(s *option.Set) { s.MungeLinks = true }, someThere},
		{"fake super on the target alone", "-M--fake-super -AX", func(s *option.Set) {
			s.RemoteOptions, s.ACLs, s.Xattrs = []string{"--fake-super"}, true, true
		}, both(everyKind, acls, xattrs)},
		{"fake super", "--fake-super", func(s *option.Set) { s.FakeSuper = true }, everyKind},
		{"fake super, acls, xattrs", "--fake-super -AX", func(s *option.Set) { s.FakeSuper, s.ACLs, s.Xattrs = true, true, true }, both(everyKind, acls, xattrs)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src, dst := dirs(t)
			tt.make(t, src, dst)
			theirs := dst + ".rsync"
			stamps := atimesOf(t, dst)
			if out, err := exec.Command("cp", "-a", dst, theirs).CombinedOutput(); err != nil {
				t.Fatalf("cp: %v\n%s", err, out)
			}
			setAtimes(t, dst, stamps)
			o := archive
			o.Delete, o.Force = false, true
			tt.set(&o.Set)
			args := append(strings.Fields(tt.args), "--force")
			requireAlike(t, src, dst, theirs, o, args)
			if t.Failed() {
				return
			}
			everythingAgain(t, src, dst, theirs)
			requireAlike(t, src, dst, theirs, o, args)
		})
	}
}

// requireAlike pushes both ways, dry first, and compares lines and trees.
func requireAlike(t *testing.T, src, dst, theirs string, o Options, args []string) {
	t.Helper()
	dry := o
	dry.DryRun = true
	_, announced := full(t, src, dst, dry)
	stamps := atimesOf(t, src)
	want := rsyncLines(t, src+"/", theirs+"/", args...)
	setAtimes(t, src, stamps)
	res, lines := full(t, src, dst, o)
	requireClean(t, res)
	requireSameLines(t, want, lines)
	requireSameLines(t, want, announced)
	if o.Atimes {
		requireSameAtimes(t, theirs, dst)
	}
	syncertest.RequireEqual(t, theirs, dst, syncertest.CompareOptions{HardLinks: true, Xattrs: true, IgnoreTopTimes: o.OmitDirTimes})
}

// everythingAgain changes attributes on the source, so that the next push has to follow.
func everythingAgain(t *testing.T, src, _, _ string) {
	t.Helper()
	must(t, filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 || !d.Type().IsRegular() {
			return err
		}
		if strings.Contains(path, "again") {
			return os.Chmod(path, 0o640)
		}
		return nil
	}))
}

var early = time.Unix(1_400_000_000, 500)

// put makes a file with a time.
func put(t *testing.T, path, data string, at time.Time) {
	t.Helper()
	write(t, path, data)
	setTime(t, path, at)
}

func timesAndSizes(t *testing.T, src, dst string) {
	put(t, filepath.Join(src, "new.again"), "new", early)
	for name, by := range map[string]time.Duration{
		"same": 0, "newer.ns": 1, "older.ns": -1, "newer.s": time.Second, "older.s": -time.Second,
		"newer.2s": 2 * time.Second, "older.2s": -2 * time.Second, "newer.h": time.Hour, "older.h": -time.Hour,
	} {
		put(t, filepath.Join(src, name), "data", early)
		put(t, filepath.Join(dst, name), "data", early.Add(by))
		put(t, filepath.Join(src, name+".content"), "data", early)
		put(t, filepath.Join(dst, name+".content"), "DATA", early.Add(by))
		put(t, filepath.Join(src, name+".size"), "larger", early)
		put(t, filepath.Join(dst, name+".size"), "small", early.Add(by))
		put(t, filepath.Join(src, "d", name), "data", early)
		put(t, filepath.Join(dst, "d", name), "data", early)
		must(t, os.Symlink("to", filepath.Join(src, name+".link")))
		setTime(t, filepath.Join(src, name+".link"), early)
		must(t, os.Symlink("to", filepath.Join(dst, name+".link")))
		setTime(t, filepath.Join(dst, name+".link"), early.Add(by))
		must(t, os.Chmod(filepath.Join(dst, name), 0o600))
	}
	for _, root := range []string{src, dst} {
		setTime(t, filepath.Join(root, "d"), early)
		setTime(t, root, early)
	}
	setTime(t, filepath.Join(dst, "d"), early.Add(time.Hour))
}

func someThere(t *testing.T, src, dst string) {
	for _, root := range []string{src, dst} {
		put(t, filepath.Join(root, "there"), root, early)
		put(t, filepath.Join(root, "dir", "there"), root, early)
		must(t, os.Symlink(root, filepath.Join(root, "link")))
		must(t, unix.Mkfifo(filepath.Join(root, "fifo"), 0o600))
	}
	must(t, os.Symlink("/rsyncd-munged/x", filepath.Join(dst, "munged")))
	must(t, os.Symlink("x", filepath.Join(src, "munged")))
	must(t, os.Symlink("/rsyncd-munged/y", filepath.Join(src, "munged.again")))
	put(t, filepath.Join(src, "new"), "new", early)
	put(t, filepath.Join(src, "dir", "new"), "new", early)
	put(t, filepath.Join(src, "newdir", "sub", "new"), "new", early)
	must(t, os.Symlink("to", filepath.Join(src, "newlink")))
	must(t, unix.Mkfifo(filepath.Join(src, "newfifo"), 0o600))
	put(t, filepath.Join(src, "filedir"), "a file", early)
	mkdir(t, dst, "filedir")
	must(t, os.Symlink("x", filepath.Join(dst, "linkfile")))
	put(t, filepath.Join(src, "linkfile"), "a file", early)
	put(t, filepath.Join(dst, "extra"), "extra", early)
	for _, root := range []string{src, dst} {
		must(t, os.Chmod(filepath.Join(src, "dir"), 0o711))
		setTime(t, filepath.Join(root, "dir"), early)
		setTime(t, root, early)
	}
}

func executables(t *testing.T, src, dst string) {
	for i, from := range []os.FileMode{0o644, 0o755, 0o711, 0o600} {
		for j, to := range []os.FileMode{0o644, 0o755, 0o710, 0o440, 0o600} {
			name := "f" + string(rune('0'+i)) + string(rune('0'+j))
			put(t, filepath.Join(src, name), "x", early)
			put(t, filepath.Join(dst, name), "x", early)
			must(t, os.Chmod(filepath.Join(src, name), from))
			must(t, os.Chmod(filepath.Join(dst, name), to))
		}
		name := "new" + string(rune('0'+i))
		put(t, filepath.Join(src, name), "x", early)
		must(t, os.Chmod(filepath.Join(src, name), from|os.ModeSetuid))
	}
	setTime(t, src, early)
	setTime(t, dst, early)
}

func xattrs(t *testing.T, src, dst string) {
	long := strings.Repeat("v", 1000)
	set := func(path string, pairs ...string) {
		for i := 0; i < len(pairs); i += 2 {
			must(t, meta.Set(path, pairs[i], []byte(pairs[i+1])))
		}
	}
	for i, pair := range [][2][]string{
		{{"user.a", "1"}, {}},
		{{"user.a", "1"}, {"user.a", "1"}},
		{{"user.a", "1"}, {"user.a", "2"}},
		{{"user.a", "1"}, {"user.b", "1"}},
		{{}, {"user.b", long}},
		{{"user.a", long}, {"user.a", long}},
		{{"user.a", long}, {"user.a", long[1:] + "w"}},
		{{"user.a", long, "user.b", "", "trusted.t", "\x00"}, {"user.b", "x"}},
		{{"user.rsync.mine", "kept"}, {"user.c", "x"}},
		{{"security.other", "kept"}, {"user.c", "x"}},
	} {
		name := "x" + string(rune('0'+i))
		for _, suffix := range []string{".data", ".again", ".dir"} {
			for side, root := range []string{src, dst} {
				path := filepath.Join(root, name+suffix)
				switch suffix {
				case ".dir":
					mkdir(t, path)
				case ".data":
					put(t, path, root, early)
				default:
					put(t, path, "same", early)
				}
				set(path, pair[side]...)
				setTime(t, path, early)
			}
		}
		path := filepath.Join(src, name+".new")
		put(t, path, "new", early)
		set(path, pair[0]...)
	}
	must(t, os.Symlink("to", filepath.Join(src, "xlink")))
	set(filepath.Join(src, "xlink"), "trusted.t", "1")
	must(t, os.Symlink("to", filepath.Join(dst, "xlink")))
	must(t, unix.Mkfifo(filepath.Join(src, "xfifo"), 0o600))
	set(filepath.Join(src, "xfifo"), "trusted.t", "1")
	for _, root := range []string{src, dst} {
		setTime(t, root, early)
	}
}

// trusted has the target differ in what only root sees. With --fake-super rsync finds that each
// time, and takes it away never.
func trusted(t *testing.T, src, dst string) {
	for side, root := range []string{src, dst} {
		path := filepath.Join(root, "trusted")
		put(t, path, "same", early)
		must(t, meta.Set(path, []string{"trusted.a", "trusted.b"}[side], []byte("1")))
	}
}

func acls(t *testing.T, src, dst string) {
	named := func(perm uint8, ids ...uint32) *meta.ACL {
		a := &meta.ACL{UserObj: 7, GroupObj: 5, Mask: 7, Other: 0}
		for _, id := range ids {
			a.Named = append(a.Named, meta.Named{ID: id, User: true, Perm: perm})
		}
		a.Named = append(a.Named, meta.Named{ID: 3, Perm: 4})
		return a
	}
	for i, pair := range [][2]*meta.ACL{
		{nil, nil}, {named(7, 1000), nil}, {nil, named(7, 1000)}, {named(5, 1, 2), named(5, 1, 2)},
		{named(5, 1, 2), named(5, 1)}, {named(5, 1), named(4, 1)},
	} {
		for _, suffix := range []string{".data", ".again", ".dir"} {
			for side, root := range []string{src, dst} {
				path := filepath.Join(root, "a"+string(rune('0'+i))+suffix)
				switch suffix {
				case ".dir":
					mkdir(t, path)
					must(t, meta.SetDefault(path, pair[side]))
				case ".data":
					put(t, path, root, early)
				default:
					put(t, path, "same", early)
				}
				must(t, os.Chmod(path, 0o750))
				must(t, meta.SetAccess(path, pair[side], 0o750))
				put(t, filepath.Join(src, "a"+string(rune('0'+i))+".dir", "new"+string(rune('0'+side))), "new", early)
				setTime(t, path, early)
			}
			setTime(t, filepath.Join(src, "a"+string(rune('0'+i))+".dir"), early)
		}
		path := filepath.Join(src, "a"+string(rune('0'+i))+".new")
		put(t, path, "new", early)
		must(t, meta.SetAccess(path, pair[0], 0o640))
		must(t, os.Chmod(path, 0o640|os.ModeSetuid))
		mkdir(t, path+"dir")
		must(t, meta.SetDefault(path+"dir", pair[0]))
		setTime(t, path+"dir", early)
	}
	for _, root := range []string{src, dst} {
		setTime(t, root, early)
	}
}

// defaultACL has the target's directories say what new names in them may be.
func defaultACL(t *testing.T, src, dst string) {
	for _, root := range []string{src, dst} {
		mkdir(t, root, "acl")
	}
	must(t, meta.SetDefault(filepath.Join(dst, "acl"), &meta.ACL{UserObj: 7, GroupObj: 7, Mask: 6, Other: 1, Named: []meta.Named{{ID: 5, User: true, Perm: 7}}}))
	mkdir(t, src, "acl", "sub")
	for _, name := range []string{"f", "g.again", "sub/f"} {
		put(t, filepath.Join(src, "acl", name), "x", early)
		must(t, os.Chmod(filepath.Join(src, "acl", name), 0o777))
	}
	must(t, unix.Mkfifo(filepath.Join(src, "acl", "fifo"), 0o666))
	for _, root := range []string{src, dst} {
		setTime(t, filepath.Join(root, "acl"), early)
		setTime(t, root, early)
	}
}

func atimes(t *testing.T, src, dst string) {
	stamp := func(path string, atime, mtime time.Time) {
		ts := []unix.Timespec{unix.NsecToTimespec(atime.UnixNano()), unix.NsecToTimespec(mtime.UnixNano())}
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW))
	}
	for i, by := range []time.Duration{0, time.Nanosecond, time.Second, time.Hour, -time.Hour} {
		name := "t" + string(rune('0'+i))
		for _, suffix := range []string{"", ".again", ".data"} {
			write(t, filepath.Join(src, name+suffix), "same")
			write(t, filepath.Join(dst, name+suffix), "same")
			stamp(filepath.Join(src, name+suffix), early, early)
			stamp(filepath.Join(dst, name+suffix), early.Add(by), early)
			if suffix == ".data" {
				stamp(filepath.Join(dst, name+suffix), early.Add(by), early.Add(by+time.Hour))
			}
		}
		must(t, os.Symlink("to", filepath.Join(src, name+".link")))
		stamp(filepath.Join(src, name+".link"), early, early.Add(by))
		must(t, os.Symlink("to", filepath.Join(dst, name+".link")))
		stamp(filepath.Join(dst, name+".link"), early.Add(by), early)
		put(t, filepath.Join(src, name+".new"), "new", early)
		stamp(filepath.Join(src, name+".new"), early.Add(-by), early)
		mkdir(t, src, name+".dir")
		stamp(filepath.Join(src, name+".dir"), early, early)
	}
	for _, root := range []string{src, dst} {
		stamp(root, early, early)
	}
}

func ownersOf(t *testing.T, src, dst string) {
	for uid := range 5 {
		for _, gid := range []int{0, 1, 3, 1000} {
			name := "o" + string(rune('0'+uid)) + "." + string(rune('a'+gid%26))
			put(t, filepath.Join(src, name), "x", early)
			must(t, os.Chown(filepath.Join(src, name), uid, gid))
			put(t, filepath.Join(dst, name), "x", early)
			must(t, os.Symlink("to", filepath.Join(src, name+".link")))
			must(t, os.Lchown(filepath.Join(src, name+".link"), uid, gid))
		}
	}
	for _, root := range []string{src, dst} {
		setTime(t, root, early)
	}
}

// everyKind makes what --fake-super has to write down.
func everyKind(t *testing.T, src, dst string) {
	mode := func(path string, mode uint32, uid, gid int) {
		must(t, os.Lchown(path, uid, gid))
		must(t, unix.Chmod(path, mode))
	}
	put(t, filepath.Join(src, "plain.again"), "x", early)
	put(t, filepath.Join(dst, "plain.again"), "y", early)
	put(t, filepath.Join(src, "suid"), "x", early)
	mode(filepath.Join(src, "suid"), 0o4755, 0, 0)
	put(t, filepath.Join(src, "theirs"), "x", early)
	mode(filepath.Join(src, "theirs"), 0o444, 5, 6)
	put(t, filepath.Join(dst, "theirs"), "x", early)
	mkdir(t, src, "dir", "sub")
	mode(filepath.Join(src, "dir"), 0o1555, 5, 6)
	put(t, filepath.Join(src, "dir", "file"), "x", early)
	must(t, os.Symlink("some/where", filepath.Join(src, "link")))
	must(t, os.Lchown(filepath.Join(src, "link"), 5, 6))
	must(t, unix.Mkfifo(filepath.Join(src, "fifo"), 0o640))
	must(t, unix.Mknod(filepath.Join(src, "char"), unix.S_IFCHR|0o600, int(unix.Mkdev(10, 300))))
	must(t, unix.Mknod(filepath.Join(src, "block"), unix.S_IFBLK|0o660, int(unix.Mkdev(259, 3))))
	must(t, filepath.WalkDir(src, func(path string, _ fs.DirEntry, err error) error { setTime(t, path, early); return err }))
	setTime(t, dst, early)
}

func both(makers ...func(*testing.T, string, string)) func(*testing.T, string, string) {
	return func(t *testing.T, src, dst string) {
		for _, make := range makers {
			make(t, src, dst)
		}
		setTime(t, src, early)
		setTime(t, dst, early)
	}
}

// atimesOf are the times of reading below root.
func atimesOf(t *testing.T, root string) map[string]unix.Timespec {
	t.Helper()
	all := map[string]unix.Timespec{}
	must(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		must(t, unix.Lstat(path, &st))
		rel, _ := filepath.Rel(root, path)
		all[rel] = st.Atim
		return err
	}))
	return all
}

// setAtimes undoes what reading did.
func setAtimes(t *testing.T, root string, all map[string]unix.Timespec) {
	t.Helper()
	for name, at := range all {
		ts := []unix.Timespec{at, {Nsec: unix.UTIME_OMIT}}
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(root, name), ts, unix.AT_SYMLINK_NOFOLLOW))
	}
}

func requireSameAtimes(t *testing.T, a, b string) {
	t.Helper()
	of := atimesOf(t, b)
	for name, at := range atimesOf(t, a) {
		if strings.HasSuffix(name, ".dir") || strings.HasSuffix(name, ".link") || name == "." {
			continue // of directories nobody sets them; looking at a symlink reads it
		}
		if at.Sec != of[name].Sec {
			t.Errorf("%q was read at %v, with rsync at %v", name, of[name], at)
		}
	}
}
