package option

import (
	"os/exec"
	"slices"
	"testing"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

func TestIDMap(t *testing.T) {
	names := map[uint32]string{0: "root", 1: "wayne", 2: "wanda", 70: "usr"}
	for _, c := range []struct {
		spec string
		id   uint32
		want string // "": nothing matches
	}{
		{"", 0, ""}, {"0:5", 0, "5"}, {"0:5", 1, ""}, {"5-9:nobody", 5, "nobody"}, {"5-9:nobody", 9, "nobody"}, {"5-9:nobody", 10, ""},
		{"9-5:nobody", 7, ""}, {"wayne:admin", 1, "admin"}, {"wayne:admin", 2, ""}, {"wa*:x", 2, "x"}, {"w?yne:x", 1, "x"}, {"[r-u]*:x", 70, "x"},
		{"[r-u]*:x", 1, ""}, {"*:x", 99, "x"}, {"*:x", 1, "x"}, {":x", 99, "x"}, {":x", 1, ""}, {"r*:x", 99, ""}, {"root:9", 0, "9"},
		{"0-99:nobody,wayne:admin,*:normal", 1, "nobody"}, {"wayne:admin,0-99:nobody,*:normal", 1, "admin"},
		{"0-99:nobody,wayne:admin,*:normal", 100, "normal"}, {"usr:1,1:usr", 1, "usr"}, {"usr:1,1:usr", 70, "1"}, {"a:b:c,*:4294967295", 3, "4294967295"},
		{"-9:1", 9, ""}, {"[wa:x", 1, ""},
	} {
		m, err := ParseIDMap(c.spec)
		if err != nil {
			t.Errorf("%q: %v", c.spec, err)
			continue
		}
		got, ok := m.Find(c.id, func() string { return names[c.id] })
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%q makes %d %q, want %q", c.spec, c.id, got, c.want)
		}
	}
	m, err := ParseIDMap("1:2")
	if err != nil {
		t.Fatal(err)
	}
	if to, _ := m.Find(1, func() string { t.Error("a name is looked up for nothing"); return "" }); to != "2" {
		t.Errorf("1:2 gives %q", to)
	}
}

// TestIDMapUnknown: a rule that leads nowhere does not hide those behind it.
func TestIDMapUnknown(t *testing.T) {
	m, err := ParseIDMap("1:nobodyxx,*:root,2:007,3:2x")
	if err != nil {
		t.Fatal(err)
	}
	names, rest := m.Unknown(func(name string) bool { return name == "root" })
	if !slices.Equal(names, []string{"nobodyxx", "2x"}) || len(rest) != 2 {
		t.Errorf("unknown %q, %d rules are left", names, len(rest))
	}
	if to, _ := rest.Find(1, func() string { return "" }); to != "root" {
		t.Errorf("1 becomes %q", to)
	}
}

// TestIDMapOfRsync: what is a map to rsync is one to us, but for ids beyond 32 bits.
func TestIDMapOfRsync(t *testing.T) {
	syncertest.NeedRsync(t)
	dir := t.TempDir()
	for _, spec := range []string{
		"a", ":", "a:", "a:root", "1:2", "0-99:nobody", "0-:1", "-9:1", "9-1:1", "1-b:0", "1x:0", "*:root", ":nobody", "*:1x", "a:root,", ",a:root",
		"a:root:b", "*:99999999999", "99999999999:1", "0:4294967295", "1:-1", "[a-c:1", "1-2-3:4", "1 :3",
	} {
		out, rsyncErr := exec.Command("rsync", "-rn", "--usermap="+spec, dir+"/", dir+"/new").CombinedOutput()
		if _, err := ParseIDMap(spec); (err == nil) != (rsyncErr == nil) {
			t.Errorf("%q: error %v, rsync's: %s", spec, err, out)
		}
	}
	if _, err := ParseIDMap("4294967296:1"); err == nil {
		t.Error("an id of 33 bits is taken")
	}
}
