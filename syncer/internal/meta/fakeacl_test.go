package meta

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFakeACL(t *testing.T) {
	path := withXattrs(t, nil)
	if err := SetFakeAccess(path, &named, 0o660); err != nil {
		t.Fatal(err)
	}
	// What rsync 3.5.0 -A -M--fake-super wrote of a file with this ACL.
	const want = "80000000" + "04000000" + "06000000" + "80000000" +
		"05000000" + "04000080" + "e8030000" + "06000080" + "07000000" + "01000000"
	b, err := Value(path, fakeAccess)
	if got := hex.EncodeToString(b); got != want || err != nil {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	got, err := FakeAccess(path, 0o660)
	if diff := cmp.Diff(&named, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if err := SetFakeDefault(path, &named); err != nil {
		t.Fatal(err)
	}
	got, err = FakeDefault(path)
	if diff := cmp.Diff(&named, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	for range 2 {
		if err := errors.Join(SetFakeAccess(path, nil, 0), SetFakeDefault(path, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := FakeAccess(path, 0o640); got != nil || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFakeACLRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":         "",
		"half a word":     "800000008000000080000000800000",
		"half an entry":   "80000000" + "80000000" + "80000000" + "80000000" + "05000000",
		"beyond rwx":      "08000000" + "80000000" + "80000000" + "80000000",
		"the same twice":  "80000000" + "80000000" + "07000000" + "80000000" + "0500000004000080" + "0500000004000080",
		"a mask unlikely": "80000000" + "80000000" + "ff000000" + "80000000",
	} {
		path := withXattrs(t, map[string][]byte{fakeAccess: unhex(t, in), fakeDefault: unhex(t, in)})
		if got, err := FakeAccess(path, 0o640); !errors.Is(err, ErrACL) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if got, err := FakeDefault(path); !errors.Is(err, ErrACL) {
			t.Errorf("%s as default: %+v, %v", name, got, err)
		}
	}
}
