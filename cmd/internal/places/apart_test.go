package places

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestApart: a source and a target that would meet.
func TestApart(t *testing.T) {
	root := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(root, "a/b/c"), 0o755))
	must(t, os.MkdirAll(filepath.Join(root, "z/a"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "file"), nil, 0o644))
	must(t, os.Symlink("a/b", filepath.Join(root, "to-b")))
	for _, test := range []struct {
		source, target string
		deletes        bool
		want           string // a part of the error; "" for none
	}{
		{"a/", "z", true, ""},
		{"a/", "/", false, "the root of the machine"},
		{"a", "/../", true, "the root of the machine"},
		{"a/", "new", true, ""},
		{"a/", "aa", true, ""},
		{"a", "z", true, ""},
		{"a/b/", "to-b", true, "the same directory"},
		{"to-b/", "a/b/", true, "the same directory"},
		{"a/.", "a", true, "the same directory"},
		{"a/b/..", "a", true, "the same directory"},
		{"a", ".", true, "stands already"},
		{"a/b", "a", true, "stands already"},
		{"a", "a", true, "stands already"},
		{"file", ".", true, "stands already"},
		{"file", "file", true, "stands already"},
		{"file", "other", true, ""},
		{"a/", "a/new", true, "inside the source"},
		{"a/", "to-b/new/deep", true, "inside the source"},
		{"a", "a/b", true, "inside the source"},
		{"/", "a", true, "inside the source"},
		{"a/b/", "a", true, "--delete would delete it"},
		{"a/b/", "a", false, ""},
		{"a/b/c", "a", true, ""}, // it lands at a/c
		{"z/a", ".", true, ""},   // it replaces a, which is another one
		{"to-b", "a", true, ""},  // the symlink itself is sent
		{"to-b/", "a", true, "--delete would delete it"},
	} {
		abs := func(p string) string {
			if strings.HasPrefix(p, "/") {
				return p
			}
			return root + "/" + p // not cleaned: the end counts
		}
		err := Check(Sync{Source: abs(test.source), Targets: []string{abs(test.target)}, Delete: test.deletes})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q to %q, --delete %v: %v, want %q", test.source, test.target, test.deletes, err, test.want)
		}
	}
}

// inMounts runs test in a mount namespace of its own, in which nothing that it mounts is seen elsewhere. Its
// thread ends with it.
func inMounts(t *testing.T, test func(mount func(source, target, kind string, flags uintptr))) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts")
	}
	done := make(chan struct{})
	var denied error
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		if denied = unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); denied != nil {
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Errorf("make mounts private: %v", err)
			return
		}
		test(func(source, target, kind string, flags uintptr) {
			if err := unix.Mount(source, target, kind, flags, ""); err != nil {
				t.Errorf("mount %s on %s: %v", source, target, err)
				runtime.Goexit()
			}
		})
	}()
	<-done
	if denied != nil {
		t.Skipf("no mount namespace can be made here: %v", denied)
	}
}

// Places that are one another behind mounts: bound elsewhere, as a second mount of a file system, below
// the source; and with -x those that only seem so.
func TestApartBehindMounts(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"src/sub/deep", "src/hole", "bound", "data/mirror", "disk", "twice", "free"} {
		must(t, os.MkdirAll(filepath.Join(root, d), 0o755))
	}
	inMounts(t, func(mount func(source, target, kind string, flags uintptr)) {
		in := func(p string) string { return filepath.Join(root, p) }
		mount(in("src/sub"), in("bound"), "", unix.MS_BIND)
		mount(in("data"), in("src/hole"), "", unix.MS_BIND)
		mount("tmpfs", in("disk"), "tmpfs", 0)
		must(t, os.MkdirAll(in("disk/a/b"), 0o755))
		mount(in("disk/a"), in("twice"), "", unix.MS_BIND)
		must(t, os.Mkdir(in("src/other"), 0o755))
		mount("tmpfs", in("src/other"), "tmpfs", 0)
		for _, test := range []struct {
			source, target string
			deletes, oneFS bool
			want           string
		}{
			{"src/", "bound", false, false, "inside the source"},
			{"src/", "bound/new/deeper", false, true, "inside the source"},
			{"src/sub/", "bound", false, false, "the same directory"},
			{"src/sub", "bound", false, false, "stands already"},
			{"bound/", "src", true, false, "--delete would delete it"},
			{"bound/", "src", false, false, ""},
			{"src/sub/deep/", "bound", true, false, "--delete would delete it"},
			{"src/", "data/mirror", false, false, "inside the source"}, // it is read at src/hole/mirror
			{"src/", "data", false, true, "inside the source"},         // -x sees no difference
			{"disk/", "twice", false, false, "inside the source"},
			{"disk/", "twice/b", false, true, "inside the source"},
			{"twice/b/", "disk/a", true, false, "--delete would delete it"},
			{"disk/a/", "twice", false, false, "the same directory"},
			{"src/", "src/other/x", false, false, "inside the source"},
			{"src/", "src/other/x", false, true, ""}, // -x does not go there
			{"src/", "free", true, false, ""},
			{"src/", "disk/new", true, false, ""},
		} {
			err := Check(Sync{Source: root + "/" + test.source, Targets: []string{root + "/" + test.target}, Delete: test.deletes, OneFileSystem: test.oneFS})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q to %q, --delete %v, -x %v: %v, want %q", test.source, test.target, test.deletes, test.oneFS, err, test.want)
			}
		}
	})
}

// Where inodes do not tell, as between file systems whose names differ in nothing, the path within the
// file system does, and the other way round.
func TestEachWayTells(t *testing.T) {
	on := func(path string) extent { return extent{"8:1", path} }
	for name, test := range map[string]struct {
		a, b place
		want bool // b is below a
	}{
		"path":         {place{Path: "/a"}, place{Path: "/a/b"}, true},
		"extent":       {place{Path: "/a", On: on("/x")}, place{Path: "/b", On: on("/x/y")}, true},
		"inode":        {place{Path: "/a", IDs: []id{{1, 5}, {1, 2}}}, place{Path: "/b", IDs: []id{{1, 9}, {1, 5}}}, true},
		"to be":        {place{Path: "/a", IDs: []id{{1, 5}}}, place{Path: "/b", Rest: "n", IDs: []id{{1, 5}}}, true},
		"beside":       {place{Path: "/a", On: on("/x"), IDs: []id{{1, 5}}}, place{Path: "/ab", On: on("/xy"), IDs: []id{{1, 6}}}, false},
		"another disk": {place{Path: "/a", On: on("/")}, place{Path: "/b", On: extent{"8:2", "/y"}}, false},
		"unknown":      {place{Path: "/a"}, place{Path: "/b"}, false},
	} {
		if got := test.b.below(&test.a); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
