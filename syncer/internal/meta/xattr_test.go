package meta

import (
	"bytes"
	"crypto/md5"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// withXattrs makes a file with attributes, or skips where there are none.
func withXattrs(t *testing.T, attrs map[string][]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range attrs {
		if err := Set(path, name, value); errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip("this file system has no extended attributes")
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestXattrs(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 33)
	sum := md5.Sum(long)
	path := withXattrs(t, map[string][]byte{
		"user.b": nil, "user.a": long[:32], "user.a.b": long, "user.a-": {0},
		"user.rsync.%stat": []byte("100644 0,0 0:0"), "user.rsync.mine": []byte("kept"),
	})
	want := []Xattr{
		{Name: "user.a", Size: 32, Data: long[:32]},
		{Name: "user.a-", Size: 1, Data: []byte{0}},
		{Name: "user.a.b", Size: 33, Data: sum[:]},
		{Name: "user.b", Data: []byte{}},
		{Name: "user.rsync.mine", Size: 4, Data: []byte("kept")},
	}
	for _, super := range []bool{true, false} {
		got, err := Xattrs(path, super)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("super %v (-want +got):\n%s", super, diff)
		}
	}
	if got, err := Value(path, "user.a.b"); err != nil || !bytes.Equal(got, long) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Value(path, "user.none"); !errors.Is(err, unix.ENODATA) {
		t.Errorf("%v", err)
	}
	for range 2 {
		if err := Remove(path, "user.b"); err != nil {
			t.Error(err)
		}
	}
	if got, err := Xattrs(path, true); err != nil || len(got) != len(want)-1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestXattrsManyNames(t *testing.T) {
	attrs := map[string][]byte{}
	for i := range 12 {
		attrs["user."+strings.Repeat("n", 100)+string(rune('a'+i))] = []byte{byte(i)}
	}
	got, err := Xattrs(withXattrs(t, attrs), true)
	if err != nil || len(got) != len(attrs) {
		t.Errorf("%d attributes of %d, %v", len(got), len(attrs), err)
	}
}

func TestXattrsOfSymlink(t *testing.T) {
	path := withXattrs(t, map[string][]byte{"user.of.file": nil})
	link := path + ".l"
	if err := os.Symlink("f", link); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := Set(link, "trusted.of.link", []byte("v")); err != nil {
			t.Fatal(err)
		}
		got, err := Xattrs(link, true)
		if diff := cmp.Diff([]Xattr{{Name: "trusted.of.link", Size: 1, Data: []byte("v")}}, got); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
	}
	if got, err := Xattrs(link, false); len(got) != 0 || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNoXattrs(t *testing.T) {
	if got, err := Xattrs("/proc/self/status", true); len(got) != 0 || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := Access("/proc/self/status"); got != nil || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Xattrs(filepath.Join(t.TempDir(), "none"), true); !errors.Is(err, unix.ENOENT) {
		t.Errorf("%v", err)
	}
}
