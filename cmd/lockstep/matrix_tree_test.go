package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// forest makes trees below a directory. Everything in it is made the same each time.
type forest struct {
	t    testing.TB
	root string
}

// matrixSandbox makes what a row of the option matrix works in:
//
//	src/      everything that an option may treat in its own way
//	dst/      a target with an older state of it, and with what is not in the source
//	outside/  where unsafe links lead
//	list …    files that options read
func matrixSandbox(t testing.TB, root string) {
	t.Helper()
	f := forest{t, root}
	f.dir("src", 0o755)
	f.dir("dst", 0o755)
	f.file("outside/file", "outside", 0o644, 0)
	f.file("outside/dir/in", "in a directory outside", 0o644, 0)
	f.contents()
	f.linkGroups()
	f.special()
	f.symlinks()
	f.modesAndOwners()
	f.metadata()
	f.names()
	f.types()
	f.extra()
	f.ruleFiles()
	f.file("list", "# a comment\n/dir/deep\nchanged\n\nhard/one\nnew-dir/\nlinks/safe\n", 0o644, 0)
	f.file("list0", "dir/deep/file\x00new\x00names/line\nend\x00", 0o644, 0)
	f.file("rules", "*.tmp\n; a comment\n/dir/deep/\n", 0o644, 0)
	f.times()
}

func (f forest) path(name string) string { return filepath.Join(f.root, name) }

func (f forest) must(errs ...error) {
	f.t.Helper()
	must(f.t, errors.Join(errs...))
}

// file makes a file that is so much older than longAgo.
func (f forest) file(name, data string, mode uint32, age time.Duration) {
	f.t.Helper()
	path := f.path(name)
	at := longAgo.Add(-age)
	f.must(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(data), 0o600), unix.Chmod(path, mode), os.Chtimes(path, at, at))
}

func (f forest) dir(name string, mode uint32) {
	f.t.Helper()
	f.must(os.MkdirAll(f.path(name), 0o755), unix.Chmod(f.path(name), mode))
}

func (f forest) link(name, to string) {
	f.t.Helper()
	f.must(os.MkdirAll(filepath.Dir(f.path(name)), 0o755), os.Symlink(to, f.path(name)))
}

// noise is data that no compressor likes: the first n bytes of a stream of its own.
func noise(seed byte, n int) string {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(data)
	return string(data)
}

// ruleFiles: rules in the directories themselves, that differ from those of the target.
func (f forest) ruleFiles() {
	f.file("src/.rsync-filter", "# a comment\n- *.tmp\n: .rules\n+ /dir/deep/\n- /new\n", 0o644, 0)
	f.file("src/dir/.rsync-filter", "+ only.tmp\n- /deep/file\n", 0o644, 0)
	f.file("src/new-dir/.rsync-filter", "!\n- big-copy\n. ./sub/more\n", 0o644, 0)
	f.file("src/new-dir/sub/more", "- file\n", 0o644, 0)
	f.file("src/dir/.rules", "- text.gz\n", 0o644, 0)
	f.file("src/.rules", "- changed\n", 0o644, 0)
	f.file("src/dir/.cvsignore", "only.tmp text.gz\n", 0o644, 0)
	f.file("src/dir/main.o", "left out with -C", 0o644, 0)
	f.file("dst/.rsync-filter", "- *.keep\n- /kept-by-rule/\n: .rules\n", 0o644, time.Hour)
	f.file("dst/dir/.rsync-filter", "- in-dir*\n", 0o644, time.Hour)
	f.file("dst/.rules", "-p perishes\n", 0o644, time.Hour)
	for _, name := range []string{"a.keep", "dir/b.keep", "dir/deep/in-dir-2", "dir/in-dir", "dir/goes", "kept-by-rule/x", "goes/x", "goes/c.keep",
		"goes-too/perishes", "perishes", "rules-below/.rsync-filter", "rules-below/x", "dir/old.o"} {
		f.file("dst/"+name, "of the target: "+name, 0o644, time.Hour)
	}
	f.file("dst/rules-below/.rsync-filter", "- stays\n", 0o644, 0)
	f.file("dst/rules-below/deep/stays", "", 0o644, 0)
}

// contents: every way in which the data of a file and of its older version can differ.
func (f forest) contents() {
	both := func(name, now, then string, age time.Duration) {
		f.file("src/"+name, now, 0o644, 0)
		f.file("dst/"+name, then, 0o644, age)
	}
	both("same", "same", "same", 0)
	both("changed", "changed here", "changed", time.Hour)
	both("silent", "same size", "SAME SIZE", 0) // seen by a checksum only
	both("rewritten", "the same size", "another text!", time.Hour)
	both("touched", "touched", "touched", time.Hour)
	both("newer", "in the source", "newer in the target", -time.Hour)
	both("seconds", "seconds", "sEcOnDs", 30*time.Second)
	both("nanoseconds", "nanoseconds", "nAnOsEcOnDs", 100)
	both("size-only", "1234567", "123456789", 0)
	both("grown", noise(1, 9000), noise(1, 9000)[:5000], time.Hour)
	both("grown-wrong", noise(2, 9000), noise(3, 5000), time.Hour)
	both("shrunk", "shrunk", "it was longer once", time.Hour)
	both("emptied", "", "full", time.Hour)
	both("filled", "full", "", time.Hour)
	big := noise(4, 300_000)
	both("big", big, big[:100_000]+"changed"+big[100_007:200_000]+big[210_000:], time.Hour)
	both("dir/deep/file", "deep", "dEep", time.Hour)
	both("dir/skipped.tmp", "left out", "was there", time.Hour)
	both("dir/text.gz", noise(5, 20_000), noise(5, 10_000), time.Hour)
	f.file("src/new", "new", 0o644, 0)
	f.file("src/new-dir/sub/file", "new", 0o600, 0)
	f.file("src/new-dir/file", "new", 0o644, time.Hour)
	f.file("src/new-dir/big-copy", big, 0o644, 0)
	f.dir("src/empty", 0o755)
	f.dir("src/chain/of/empty/ones", 0o750)
	f.file("src/dir/only.tmp", "left out", 0o644, 0)
	f.dir("src/dir/tmp-only", 0o755)
	f.file("src/dir/tmp-only/x.tmp", "left out", 0o644, 0)
	f.holes("src/sparse", 1<<20, 300_000, 1<<20-10)
	f.holes("dst/sparse", 1<<20, 500_000)
	f.file("src/zeros", noise(6, 5000)+string(make([]byte, 200_000))+"end", 0o644, 0)
	f.file("dst/zeros", noise(6, 5000)+noise(7, 200_000)+"end", 0o644, time.Hour)
	f.file("src/new-zeros", string(make([]byte, 100_000)), 0o644, 0)
	f.file("dst/.part/big", big[:150_000], 0o600, time.Hour)
	f.dir("dst/.tmpdir", 0o755)
}

// holes makes a file with a few bytes at the offsets and nothing between them.
func (f forest) holes(name string, size int64, at ...int64) {
	f.t.Helper()
	file, err := os.Create(f.path(name))
	f.must(err)
	defer file.Close()
	f.must(file.Truncate(size))
	for _, off := range at {
		_, err := file.WriteAt([]byte("data"), off)
		f.must(err)
	}
	f.must(os.Chtimes(f.path(name), longAgo, longAgo.Add(-time.Duration(len(at))*time.Hour)))
}

// linkGroups: names of one file, on the target joined otherwise or not at all.
func (f forest) linkGroups() {
	group := func(first string, others ...string) {
		for _, name := range others {
			f.must(os.MkdirAll(filepath.Dir(f.path(name)), 0o755), os.Link(f.path(first), f.path(name)))
		}
	}
	f.file("src/hard/one", "three names", 0o644, 0)
	group("src/hard/one", "src/hard/two", "src/dir/three")
	f.file("dst/hard/one", "three names", 0o644, 0)
	f.file("dst/hard/two", "another file", 0o644, time.Hour)
	f.file("src/hard/kept-a", "kept", 0o644, 0)
	group("src/hard/kept-a", "src/hard/kept-b")
	f.file("dst/hard/kept-a", "kept", 0o644, 0)
	group("dst/hard/kept-a", "dst/hard/kept-b")
	f.file("src/hard/apart-a", "apart", 0o644, 0)
	f.file("src/hard/apart-b", "apart", 0o644, 0)
	f.file("dst/hard/apart-a", "apart", 0o644, 0)
	group("dst/hard/apart-a", "dst/hard/apart-b")
	f.file("src/hard/data-a", "new data of two names", 0o640, 0)
	group("src/hard/data-a", "src/hard/data-b")
	f.file("dst/hard/data-a", "old data", 0o644, time.Hour)
	group("dst/hard/data-a", "dst/hard/data-b")
	f.must(unix.Mkfifo(f.path("src/hard/fifo-a"), 0o600))
	group("src/hard/fifo-a", "src/hard/fifo-b")
	f.link("src/hard/link-a", "one")
	f.must(unix.Linkat(unix.AT_FDCWD, f.path("src/hard/link-a"), unix.AT_FDCWD, f.path("src/hard/link-b"), 0))
}

func (f forest) special() {
	f.dir("src/special", 0o755)
	f.dir("dst/special", 0o755)
	node := func(name string, mode uint32, dev uint64) { f.must(unix.Mknod(f.path(name), mode, int(dev))) }
	node("src/special/fifo", unix.S_IFIFO|0o640, 0)
	node("src/special/socket", unix.S_IFSOCK|0o755, 0)
	node("dst/special/fifo", unix.S_IFIFO|0o600, 0)
	if os.Geteuid() != 0 {
		return
	}
	node("src/special/null", unix.S_IFCHR|0o666, unix.Mkdev(1, 3))
	node("src/special/block", unix.S_IFBLK|0o660, unix.Mkdev(7, 300))
	node("src/special/other", unix.S_IFCHR|0o600, unix.Mkdev(1, 5))
	node("dst/special/other", unix.S_IFCHR|0o600, unix.Mkdev(1, 7))
}

func (f forest) symlinks() {
	f.link("src/links/safe", "../changed")
	f.link("src/links/safe-dir", "../dir/deep")
	f.link("src/links/unsafe", "../../outside/file")
	f.link("src/links/unsafe-dir", "../../outside/dir")
	f.link("src/links/absolute", "/dev/null")
	f.link("src/links/in-and-out", "../dir/../../outside/file")
	f.link("src/links/munged", "/rsyncd-munged/../same")
	f.link("src/links/changed", "../new")
	f.link("dst/links/changed", "../same")
	f.link("src/links/same", "../same")
	f.link("dst/links/same", "../same")
	f.link("src/links/file-there", "../same")
	f.file("dst/links/file-there", "a file", 0o644, 0)
	f.file("src/links/link-there", "a file", 0o644, 0)
	f.link("dst/links/link-there", "../same")
	f.file("src/kept-dir/file", "kept", 0o644, 0) // -K
	f.link("dst/kept-dir", "dir")
}

func (f forest) modesAndOwners() {
	f.dir("src/modes", 0o755)
	f.dir("dst/modes", 0o700)
	for name, mode := range map[string]uint32{"setuid": 0o4755, "setgid": 0o2755, "sticky": 0o1644, "secret": 0o400, "none": 0, "all": 0o777, "exec": 0o711} {
		f.file("src/modes/"+name, name, mode, 0)
		f.file("dst/modes/"+name, name, 0o644, 0)
	}
	f.file("src/modes/no-exec", "x", 0o644, 0)
	f.file("dst/modes/no-exec", "x", 0o755, 0)
	f.file("src/modes/new-exec", "x", 0o755, 0)
	f.dir("src/modes/shared", 0o3777)
	f.dir("src/modes/closed", 0o500)
	if os.Geteuid() != 0 {
		return
	}
	for name, id := range map[string][2]int{"daemon": {1, 1}, "nameless": {12345, 23456}, "mixed": {2, 12}, "high": {4000000000, 4000000001}} {
		f.file("src/owners/"+name, name, 0o644, 0)
		f.must(os.Chown(f.path("src/owners/"+name), id[0], id[1]))
		f.file("dst/owners/"+name, name, 0o644, 0)
	}
	f.must(os.Chown(f.path("src/modes/shared"), 3, 12345))
}

// acl is the value of system.posix_acl_access or _default: tags with permissions, in order
// (acl(5); linux/posix_acl_xattr.h).
func acl(entries ...[3]uint32) []byte {
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, uint32(2))
	for _, e := range entries {
		binary.Write(&b, binary.LittleEndian, []uint16{uint16(e[0]), uint16(e[1])})
		binary.Write(&b, binary.LittleEndian, e[2])
	}
	return b.Bytes()
}

const (
	aclUserObj, aclUser, aclGroupObj, aclGroup, aclMask, aclOther = 1, 2, 4, 8, 16, 32
	nobody                                                        = 0xffffffff // stands where no id is
)

// metadata: ACLs and extended attributes, equal, different, surplus and missing.
func (f forest) metadata() {
	set := func(name, attr string, value []byte) {
		f.must(unix.Lsetxattr(f.path(name), attr, value, 0))
	}
	access := acl([3]uint32{aclUserObj, 6, nobody}, [3]uint32{aclUser, 7, 12345}, [3]uint32{aclUser, 4, 1}, [3]uint32{aclGroupObj, 4, nobody},
		[3]uint32{aclGroup, 6, 12}, [3]uint32{aclMask, 6, nobody}, [3]uint32{aclOther, 0, nobody})
	masked := acl([3]uint32{aclUserObj, 6, nobody}, [3]uint32{aclGroupObj, 6, nobody}, [3]uint32{aclMask, 4, nobody}, [3]uint32{aclOther, 4, nobody})
	inherited := acl([3]uint32{aclUserObj, 7, nobody}, [3]uint32{aclUser, 5, 2}, [3]uint32{aclGroupObj, 5, nobody}, [3]uint32{aclMask, 5, nobody}, [3]uint32{aclOther, 0, nobody})
	for _, name := range []string{"file", "other", "lost", "masked"} {
		f.file("src/meta/"+name, name, 0o644, 0)
		f.file("dst/meta/"+name, name, 0o644, 0)
	}
	f.file("src/meta/new", "new", 0o644, 0)
	f.dir("src/meta/heir", 0o755)
	f.file("src/meta/heir/child", "child", 0o644, 0)
	f.dir("dst/meta/was-heir", 0o755)
	f.dir("src/meta/was-heir", 0o755)
	f.file("src/meta/was-heir/child", "child", 0o644, 0)
	for name, value := range map[string][]byte{"src/meta/file": access, "src/meta/new": access, "dst/meta/lost": access, "src/meta/other": access, "dst/meta/other": masked, "src/meta/masked": masked} {
		set(name, "system.posix_acl_access", value)
	}
	set("src/meta/heir", "system.posix_acl_default", inherited)
	set("dst/meta/was-heir", "system.posix_acl_default", inherited)

	long := []byte(noise(8, 1000))
	for _, name := range []string{"src/meta/file", "src/meta/new", "src/meta/heir", "src/new"} {
		set(name, "user.short", []byte("value of "+filepath.Base(name)))
		set(name, "user.long", long)
		set(name, "user.empty", nil)
	}
	set("dst/meta/file", "user.short", []byte("old"))
	set("dst/meta/file", "user.long", long)
	set("dst/meta/lost", "user.surplus", []byte("x"))
	set("src/meta/other", "user.long", append(long[:999:999], 'x'))
	set("dst/meta/other", "user.long", long)
	f.file("src/meta/faked", "", 0o600, 0)
	set("src/meta/faked", "user.rsync.%stat", []byte("104751 0,0 12:34"))
	f.file("src/meta/faked-device", "", 0o600, 0)
	set("src/meta/faked-device", "user.rsync.%stat", []byte("20666 1,3 0:0"))
	if os.Geteuid() == 0 {
		set("src/meta/file", "trusted.thing", []byte("for root"))
		set("src/special/null", "trusted.thing", []byte("on a device"))
		set("src/links/safe", "trusted.thing", []byte("on a link"))
	}
}

func (f forest) names() {
	for _, name := range []string{
		"line\nend", "bad\xff\xfebytes", " blank ", "-dash", "st*r?[x]", "back\\slash", "ümlaut", "#hash", ";semi", "quote'\"$x", "tilde~", "tab\t",
	} {
		f.file("src/names/"+name, name, 0o644, 0)
	}
	f.file("dst/names/ümlaut", "old", 0o644, time.Hour)
	f.file("dst/names/tilde~", "old", 0o644, time.Hour)
}

// types: the target has something else of the name. What is not empty there is made by clash.
func (f forest) types() {
	f.file("src/types/file-for-dir", "file", 0o644, 0)
	f.dir("dst/types/file-for-dir", 0o755)
	f.file("src/types/dir-for-file/file", "in it", 0o644, 0)
	f.file("dst/types/dir-for-file", "file", 0o644, 0)
	f.link("src/types/link-for-dir", "../same")
	f.dir("dst/types/link-for-dir", 0o755)
	f.must(unix.Mkfifo(f.path("src/types/fifo-for-file"), 0o600))
	f.file("dst/types/fifo-for-file", "file", 0o644, 0)
}

// clash puts a directory with content where the source has a file.
func (f forest) clash() {
	f.file("src/types/clash", "file", 0o644, 0)
	f.file("dst/types/clash/sub/in-the-way", "file", 0o644, time.Hour)
	f.times()
}

// extra is what is not in the source.
func (f forest) extra() {
	f.file("dst/extra", "extra", 0o644, time.Hour)
	f.file("dst/extra~", "an old backup", 0o644, time.Hour)
	f.file("dst/extra.tmp", "left out", 0o644, time.Hour)
	f.file("dst/extra-dir/sub/file", "extra", 0o644, time.Hour)
	f.file("dst/extra-dir/file.tmp", "left out", 0o644, time.Hour)
	f.file("dst/dir/extra", "extra", 0o644, time.Hour)
	f.link("dst/extra-link", "nowhere")
	f.dir("dst/empty-extra", 0o755)
}

// times sets those of all directories, links and special files: the target's are older.
func (f forest) times() {
	f.t.Helper()
	at := func(t time.Time) []unix.Timespec {
		ts := unix.NsecToTimespec(t.UnixNano())
		return []unix.Timespec{ts, ts}
	}
	for top, when := range map[string]time.Time{"src": longAgo.Add(123456 * time.Microsecond), "dst": longAgo.Add(-24 * time.Hour), "outside": longAgo} {
		var paths []string
		f.must(filepath.WalkDir(f.path(top), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.Type().IsRegular() {
				paths = append(paths, path)
			}
			return err
		}))
		for _, path := range paths {
			f.must(unix.UtimesNanoAt(unix.AT_FDCWD, path, at(when), unix.AT_SYMLINK_NOFOLLOW))
		}
	}
}
