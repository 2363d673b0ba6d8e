package sender_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
)

// linkedNames is a tree with groups of hard links, across directories and of a symlink.
func linkedNames(t *testing.T, dir string) {
	t.Helper()
	put(t, dir, "first", "linked")
	put(t, dir, "alone", "one name")
	put(t, dir, "d/other", "another")
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.Symlink("target", in("link")); err != nil {
		t.Fatal(err)
	}
	setTime(t, in("link"), time.Unix(1_700_000_000, 0))
	for _, l := range [][2]string{{"first", "d/second"}, {"first", "d/third"}, {"link", "z"}} {
		if err := os.Link(in(l[0]), in(l[1])); err != nil {
			t.Fatal(err)
		}
	}
}

// withACLs is a tree with ACLs that mean something. Their ids have no names here or elsewhere.
func withACLs(t *testing.T, dir string) {
	t.Helper()
	a := meta.ACL{UserObj: 6, GroupObj: 4, Mask: 6, Named: []meta.Named{{ID: 0, User: true, Perm: 7}, {ID: 54321, User: true, Perm: 4}, {ID: 54321, Perm: 1}}}
	for _, name := range []string{"named", "named too", "masked"} {
		put(t, dir, "acl/"+name, name)
	}
	in := func(name string) string { return filepath.Join(dir, "acl", name) }
	must := func(err error) {
		t.Helper()
		if errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip("no ACLs here")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	must(meta.SetAccess(in("named"), &a, 0o640))
	must(meta.SetAccess(in("named too"), &a, 0o640))
	must(meta.SetAccess(in("masked"), &meta.ACL{GroupObj: 5, Mask: 0}, 0o604))
	must(meta.SetDefault(in("."), &a))
}

// withXattrs is a tree with attributes whose values travel in the list, and such that do not.
func withXattrs(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"short", "long", "same"} {
		put(t, dir, "x/"+name, name)
	}
	in := func(name string) string { return filepath.Join(dir, "x", name) }
	for _, x := range []struct{ name, attr, value string }{
		{"short", "user.empty", ""}, {"short", "user.32", string(numbers(32))},
		{"long", "user.33", string(numbers(33))}, {"long", "user.a", "between"}, {"long", "user.b", string(numbers(1024))},
		{"same", "user.33", string(numbers(33))}, {"same", "user.a", "between"}, {"same", "user.b", string(numbers(1024))},
		{".", "user.dir", string(numbers(100))},
	} {
		if err := meta.Set(in(x.name), x.attr, []byte(x.value)); errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip("no extended attributes here")
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// beginning is the first 5000 bytes of big.
func beginning(t *testing.T, dir string) {
	t.Helper()
	put(t, dir, "big", string(numbers(5000)))
	setTime(t, filepath.Join(dir, "big"), time.Unix(1_600_000_000, 0))
}

// shuffled is big with blocks that stay, go forward, go back and are new.
func shuffled(t *testing.T, dir string) {
	t.Helper()
	b := numbers(10_240)
	block := func(i int) string { return string(b[i*700 : (i+1)*700]) }
	put(t, dir, "big", block(0)+block(1)+block(5)+"NEW"+block(2)+block(9)+block(1)+block(12)+string(b[14*700:]))
}

// readMeta adds to e what the format has beside the common.
func readMeta(t *testing.T, e *flist.Entry, path string, st *unix.Stat_t, f flist.Format) {
	t.Helper()
	if f.HardLinks && st.Nlink > 1 && !e.IsDir() {
		e.Flags |= flist.Linked
	}
	if f.ACLs && !e.IsSymlink() {
		access, err := meta.Access(path)
		if err != nil {
			t.Fatal(err)
		}
		deflt, err := meta.Default(path)
		if err != nil {
			t.Fatal(err)
		}
		if access != nil || deflt != nil {
			e.More().Access, e.More().Default = access, deflt
		}
	}
	if f.Xattrs {
		set, err := meta.Xattrs(path, true)
		if err != nil {
			t.Fatal(err)
		}
		if len(set) > 0 {
			e.More().Xattrs = set
		}
	}
}

// sortLinks sorts a decoded list and gives groups of hard links numbers that don't tell in which
// order they were sent.
func sortLinks(list []flist.Entry) {
	flist.Sort(list)
	groups := map[uint64]uint64{}
	for i := range list {
		if e := &list[i]; e.Flags&flist.Linked != 0 {
			if groups[e.Ino] == 0 {
				groups[e.Ino] = uint64(i) + 1
			}
			e.Ino = groups[e.Ino]
		}
	}
}
