package source

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
)

func setAttr(t *testing.T, path, name, value string) {
	t.Helper()
	if err := unix.Lsetxattr(path, name, []byte(value), 0); err != nil {
		t.Fatalf("%s of %s: %v", name, path, err)
	}
}

// What an option asks for is read, and where there is nothing no Extra is made.
func TestExtra(t *testing.T) {
	root := makeTree(t, "f", "g", "d/", "l -> f", "to -> ../out/x")
	long := strings.Repeat("v", 100)
	setAttr(t, root+"/f", "user.k", "short")
	setAttr(t, root+"/f", "user.long", long)
	acl := &meta.ACL{UserObj: 6, GroupObj: 4, Mask: 7, Other: 4, Named: []meta.Named{{ID: 7, User: true, Perm: 7}}}
	must(t, meta.SetAccess(root+"/g", acl, 0o674))
	must(t, meta.SetDefault(root+"/d", &meta.ACL{UserObj: 7, GroupObj: 5, Mask: meta.Absent, Other: 0}))

	plain := open(t, root, everything)
	for _, name := range []string{"f", "g", "d"} {
		if e, err := plain.Lstat(name); err != nil || e.Extra != nil {
			t.Errorf("%s: %+v, %v", name, e.Extra, err)
		}
	}
	o := everything
	o.Xattrs, o.ACLs = true, true
	for _, prefix := range []string{"", filepath.Base(root)} {
		o, dir := o, root
		in := func(name string) string { return name }
		if prefix != "" {
			o.Prefix, dir = prefix, filepath.Dir(root)
			in = func(name string) string { return prefix + "/" + name }
		}
		tree := open(t, dir, o)
		entries, problems, err := tree.ReadDir(tree.Top())
		if err != nil || len(problems) > 0 {
			t.Fatal(problems, err)
		}
		got := map[string]*flist.Extra{}
		for _, e := range entries {
			got[e.Name] = e.Extra
		}
		want := map[string]*flist.Extra{
			in("f"):  {Xattrs: []meta.Xattr{meta.NewXattr("user.k", []byte("short")), meta.NewXattr("user.long", []byte(long))}},
			in("g"):  {Access: acl},
			in("d"):  {Default: &meta.ACL{UserObj: 7, GroupObj: 5, Mask: meta.Absent, Other: 0}},
			in("l"):  {Link: "f"},
			in("to"): {Link: "../out/x"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("prefix %q:\n%s", prefix, diff)
		}
		if value, err := tree.Xattr(in("f"), "user.long"); err != nil || string(value) != long {
			t.Errorf("user.long is %q, %v", value, err)
		}
		if _, err := tree.Xattr(in("l"), "user.k"); err == nil {
			t.Error("an attribute was read through a symlink")
		}
	}
	o.CopyLinks = true
	tree := open(t, root, o)
	if e, err := tree.Lstat("l"); err != nil || e.Extra == nil || len(e.Extra.Xattrs) != 2 {
		t.Errorf("followed: %+v, %v", e, err)
	}
	if value, err := tree.Xattr("l", "user.long"); err != nil || string(value) != long {
		t.Errorf("followed: user.long is %q, %v", value, err)
	}
}

func TestLinkedAndAtime(t *testing.T) {
	root := makeTree(t, "a", "alone", "p|")
	must(t, os.Link(root+"/a", root+"/b"))
	must(t, os.Link(root+"/p", root+"/q"))
	o := everything
	o.HardLinks, o.Atimes = true, true
	var seen []string
	o.Linked = func(e *flist.Entry) { seen = append(seen, fmt.Sprint(e.Name, e.Nlink)) }
	must(t, os.Chtimes(root+"/a", time.Unix(1_500_000_000, 0), time.Unix(1_600_000_000, 0)))
	entries, _, err := open(t, root, o).ReadDir(".")
	must(t, err)
	for _, e := range entries {
		if got, want := e.Flags&flist.Linked != 0, e.Name != "alone"; got != want {
			t.Errorf("%s is linked: %v", e.Name, got)
		}
		var st unix.Stat_t
		must(t, unix.Lstat(filepath.Join(root, e.Name), &st))
		if e.Extra == nil || e.Extra.Atime != st.Atim.Sec {
			t.Errorf("%s: atime %+v, want %d", e.Name, e.Extra, st.Atim.Sec)
		}
	}
	slices.Sort(seen)
	if diff := cmp.Diff([]string{"a2", "b2", "p2", "q2"}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestChmod(t *testing.T) {
	root := makeTree(t, "f", "d/", "l -> f")
	rules, err := option.ParseChmod("D711,F600")
	must(t, err)
	o := everything
	o.Chmod = rules
	tree := open(t, root, o)
	for name, want := range map[string]uint32{"f": 0o100600, "d": 0o40711, "l": 0o120777} {
		if e, err := tree.Lstat(name); err != nil || e.Mode != want {
			t.Errorf("%s: mode %#o, want %#o, %v", name, e.Mode, want, err)
		}
	}
	e, err := tree.Lstat("f")
	must(t, err)
	f, now, err := tree.Open("f")
	must(t, err)
	defer f.Close()
	if !now.SameVersion(&e) {
		t.Errorf("as it is open it is another: %+v, %+v", now, e)
	}
}

// What an earlier run kept in attributes counts with --fake-super, as with rsync.
func TestFakeSuper(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can compare with what rsync makes of it")
	}
	root, dst := makeTree(t, "f", "dev", "sub/", "lnk", "fifo", "plain", "sl -> f", "real|"), t.TempDir()
	for name, value := range map[string]string{"f": "100640 0,0 1234:5678", "dev": "20666 1,3 7:8", "sub": "40700 0,0 77:88",
		"lnk": "120777 0,0 1:2", "fifo": "10600 0,0 3:4"} {
		setAttr(t, filepath.Join(root, name), "user.rsync.%stat", value)
	}
	setAttr(t, root+"/plain", "user.rsync.trusted.x", "tt")
	setAttr(t, root+"/plain", "user.own", strings.Repeat("o", 40))
	setAttr(t, root+"/plain", "user.rsync.user.z", strings.Repeat("z", 40))
	rsync(t, "-aX", "--fake-super", "-M--super", root+"/", dst)

	o := Options{Set: option.Archive()}
	o.FakeSuper, o.Xattrs = true, true
	fake := open(t, root, o)
	o.FakeSuper = false
	made := open(t, dst, o)
	got, problems, err := fake.ReadDir(".")
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	line := func(e flist.Entry) string {
		extra := flist.Extra{}
		if e.Extra != nil {
			extra = *e.Extra
		}
		return fmt.Sprintf("%#o %d:%d %+v", e.Mode, e.UID, e.GID, extra)
	}
	for _, e := range got {
		want, err := made.Lstat(e.Name)
		must(t, err)
		if line(e) != line(want) {
			t.Errorf("%s:\n%s, rsync makes\n%s", e.Name, line(e), line(want))
		}
	}
	for _, attr := range []string{"user.own", "user.z"} {
		want, err := made.Xattr("plain", attr)
		must(t, err)
		if value, err := fake.Xattr("plain", attr); err != nil || string(value) != string(want) {
			t.Errorf("%s is %q, %v, want %q", attr, value, err, want)
		}
	}
	e, err := fake.Lstat("f")
	must(t, err)
	f, now, err := fake.Open("f")
	must(t, err)
	defer f.Close()
	if !now.SameVersion(&e) || now.UID != 1234 {
		t.Errorf("as it is open it is another: %+v, %+v", now, e)
	}

	for _, bad := range []string{"nonsense", "100600", "40700 0,0 1:1", ""} {
		setAttr(t, root+"/plain", "user.rsync.%stat", bad)
		if _, problems, err := fake.ReadDir("."); err != nil || len(problems) != 1 || problems[0].Path != "plain" || problems[0].Vanished() {
			t.Errorf("%q: problems %v, %v", bad, problems, err)
		}
	}
}
