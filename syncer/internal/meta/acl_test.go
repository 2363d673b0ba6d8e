package meta

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// What setfacl -m u:1000:rw,u:5:r,g:7:x,m:rw makes of a file with mode 0640.
const namedHex = "02000000" +
	"0100060" + "0ffffffff" + "02000400" + "05000000" + "0200060" + "0e8030000" +
	"04000400ffffffff" + "0800010007000000" + "10000600ffffffff" + "20000000ffffffff"

var named = ACL{UserObj: 6, GroupObj: 4, Mask: 6, Other: 0, Named: []Named{
	{ID: 5, User: true, Perm: 4}, {ID: 1000, User: true, Perm: 6}, {ID: 7, Perm: 1},
}}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestParseACL(t *testing.T) {
	got, err := ParseACL(unhex(t, namedHex))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&named, got); diff != "" {
		t.Error(diff)
	}
	if b := hex.EncodeToString(got.Append(nil)); b != namedHex {
		t.Errorf("%s is written again as %s", namedHex, b)
	}
}

func TestParseACLRefuses(t *testing.T) {
	const obj = "01000600ffffffff" + "04000400ffffffff" + "20000000ffffffff"
	for _, tt := range []struct{ name, in string }{
		{"nothing", ""},
		{"half an entry", "02000000" + "0100"},
		{"another version", "03000000" + obj},
		{"no entry", "02000000"},
		{"no group", "02000000" + "01000600ffffffff" + "20000000ffffffff"},
		{"the owner twice", "02000000" + "01000600ffffffff" + obj},
		{"permissions beyond rwx", "02000000" + "01000800ffffffff" + "04000400ffffffff" + "20000000ffffffff"},
		{"an unknown tag", "02000000" + obj + "40000000ffffffff"},
		{"a named user without a mask", "02000000" + obj + "0200040005000000"},
		{"a user twice", "02000000" + obj + "10000600ffffffff" + "0200040005000000" + "0200060005000000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := ParseACL(unhex(t, tt.in)); !errors.Is(err, ErrACL) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestEqual(t *testing.T) {
	other := named
	other.Mask = 4
	for _, tt := range []struct {
		name          string
		a, b          *ACL
		equal, access bool
	}{
		{"both absent", nil, nil, true, true},
		{"one absent", nil, &named, false, false},
		{"the same", &named, &ACL{UserObj: 6, GroupObj: 4, Mask: 6, Named: named.Named}, true, true},
		{"another mask, which the mode tells", &named, &other, false, true},
		{"another name", &named, &ACL{UserObj: 6, GroupObj: 4, Mask: 6, Named: named.Named[:2]}, false, false},
		{"another group", &named, &ACL{UserObj: 6, GroupObj: 5, Mask: 6, Named: named.Named}, false, false},
		{"minimal and absent", &ACL{UserObj: 6, GroupObj: 4, Mask: Absent}, nil, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.a.Equal(tt.b) != tt.equal || tt.b.Equal(tt.a) != tt.equal {
				t.Errorf("equal is not %v", tt.equal)
			}
			if EqualAccess(tt.a, tt.b) != tt.access || EqualAccess(tt.b, tt.a) != tt.access {
				t.Errorf("equal access is not %v", tt.access)
			}
		})
	}
}

func TestWithMode(t *testing.T) {
	plain := ACL{UserObj: 1, GroupObj: 1, Mask: Absent, Other: 1}
	if diff := cmp.Diff(&ACL{UserObj: 7, GroupObj: 5, Mask: Absent, Other: 4}, plain.WithMode(0o100754)); diff != "" {
		t.Error(diff)
	}
	got := named.WithMode(0o754)
	if diff := cmp.Diff(&ACL{UserObj: 7, GroupObj: 4, Mask: 5, Other: 4, Named: named.Named}, got); diff != "" {
		t.Error(diff)
	}
}

// The kernel keeps what is written, and says the same of it.
func TestACLOnDisk(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := Access(file); a != nil || err != nil {
		t.Fatalf("a new file has the ACL %+v, %v", a, err)
	}
	if err := SetAccess(file, &named, 0o640); errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("this file system has no ACLs")
	} else if err != nil {
		t.Fatal(err)
	}
	want := named.WithMode(0o640)
	if got, err := Access(file); err != nil || !got.Equal(want) {
		t.Errorf("%+v, want %+v; %v", got, want, err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	for range 2 { // taking away what is not there is no error
		if err := SetAccess(file, nil, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if a, err := Access(file); a != nil || err != nil {
		t.Errorf("%+v, %v", a, err)
	}
	if err := SetDefault(dir, &named); err != nil {
		t.Fatal(err)
	}
	if got, err := Default(dir); err != nil || !got.Equal(&named) {
		t.Errorf("%+v, %v", got, err)
	}
	for range 2 {
		if err := SetDefault(dir, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Default(dir); err != nil || got != nil {
		t.Errorf("%+v, %v", got, err)
	}
	link := filepath.Join(dir, "l")
	if err := os.Symlink("f", link); err != nil {
		t.Fatal(err)
	}
	if a, err := Access(link); a != nil || err != nil {
		t.Errorf("a symlink has the ACL %+v, %v", a, err)
	}
}

func FuzzParseACL(f *testing.F) {
	f.Add(unhex(f, namedHex))
	f.Add([]byte{2, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		a, err := ParseACL(in)
		if err != nil {
			return
		}
		b := a.Append(nil)
		again, err := ParseACL(b)
		if err != nil || !a.Equal(again) || !bytes.Equal(b, again.Append(nil)) {
			t.Errorf("%x: %+v is read again as %+v, %v", in, a, again, err)
		}
	})
}
