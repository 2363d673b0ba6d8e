package confine

import (
	"strings"
	"testing"
)

func TestParseUser(t *testing.T) {
	for _, test := range []struct {
		in       string
		uid, gid int
		err      string // a part of it
	}{
		{in: "root", uid: 0, gid: 0},
		{in: "0", uid: 0, gid: 0},
		{in: "root:4294967294", uid: 0, gid: 4294967294},
		{in: "3999999:123", uid: 3999999, gid: 123},
		{in: "3999999:root", uid: 3999999, gid: 0},
		{in: "3999999", err: "give its group too"},
		{in: "no-such-user", err: "not in /etc/passwd"},
		{in: "root:no-such-group", err: "not in /etc/group"},
		{in: "4294967295:1", err: "number from 0"}, // -1: "leave it" to setuid(2)
		{in: "1:4294967295", err: "number from 0"},
		{in: "99999999999:1", err: "number from 0"},
		{in: "-1:1", err: "not in /etc/passwd"},
		{in: "", err: "NAME or NAME:GROUP"},
		{in: "root:", err: "NAME or NAME:GROUP"},
		{in: ":root", err: "NAME or NAME:GROUP"},
	} {
		u, err := ParseUser(test.in)
		switch {
		case test.err != "":
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: %v, want %q", test.in, err, test.err)
			}
		case err != nil:
			t.Errorf("%q: %v", test.in, err)
		case u.UID != test.uid || u.GID != test.gid:
			t.Errorf("%q: %d:%d, want %d:%d", test.in, u.UID, u.GID, test.uid, test.gid)
		}
	}
}
