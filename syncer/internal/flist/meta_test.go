package flist

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

func genACL(t *rapid.T, label string) *meta.ACL {
	if !rapid.Bool().Draw(t, label) {
		return nil
	}
	perm := rapid.Uint8Range(0, 7)
	a := &meta.ACL{UserObj: perm.Draw(t, "u"), GroupObj: perm.Draw(t, "g"), Mask: perm.Draw(t, "m"), Other: perm.Draw(t, "o")}
	for range rapid.IntRange(0, 3).Draw(t, "names") {
		a.Named = append(a.Named, meta.Named{ID: rapid.Uint32().Draw(t, "id"), User: rapid.Bool().Draw(t, "user"), Perm: perm.Draw(t, "perm")})
	}
	return a
}

func genXattrs(t *rapid.T) []meta.Xattr {
	var set []meta.Xattr
	for i := range rapid.IntRange(0, 3).Draw(t, "xattrs") {
		value := bytes.Repeat([]byte{'v'}, rapid.SampledFrom([]int{0, 1, 32, 33, 70000}).Draw(t, "value"))
		set = append(set, meta.NewXattr(fmt.Sprintf("user.%c", 'a'+i), value))
	}
	return set
}

// genMeta gives e what the options beside the common ones ask for.
func genMeta(t *rapid.T, f Format, e *Entry) {
	if f.Atimes && !e.IsDir() {
		e.More().Atime = rapid.Int64Range(-5, 1<<40).Draw(t, "atime")
	}
	if f.Crtimes {
		e.More().Crtime = rapid.SampledFrom([]int64{e.Sec, 7}).Draw(t, "crtime")
	}
	if f.hasACL(e) {
		if a := genACL(t, "access"); a != nil {
			e.More().Access = a.WithMode(e.Mode)
		}
		if e.IsDir() {
			if a := genACL(t, "default"); a != nil {
				e.More().Default = a
			}
		}
	}
	if set := genXattrs(t); f.Xattrs && set != nil {
		e.More().Xattrs = set
	}
}

func TestMetaRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(s string) bool { return rapid.Bool().Draw(t, s) }
		f := Format{
			Protocol: rapid.IntRange(30, 32).Draw(t, "protocol"), VarintFlags: draw("varint"), SafeEnd: true,
			Owner: true, Group: true, Links: true, Devices: draw("D"), Specials: draw("S"),
			HardLinks: draw("H"), ACLs: draw("A"), Xattrs: draw("X"), Atimes: draw("U"), NumericIDs: draw("numeric"), Inline: draw("inline"),
		}
		f.Crtimes = f.VarintFlags && draw("N")
		var want []Entry
		var b []byte
		enc := NewEncoder(f)
		enc.Names(func(id uint32) string { return "user"[:id%5] }, func(id uint32) string { return "group"[:id%6] })
		starts := []int32{0}
		for i := range rapid.IntRange(0, 20).Draw(t, "n") {
			if f.Inline && draw("next list") {
				b = enc.End(b, 0)
				starts = append(starts, int32(i+len(starts)))
				enc.Begin(starts[len(starts)-1])
			}
			e := genEntry(t, f)
			if n := len(want); n > 0 && draw("link") && want[n-1].Flags&Linked != 0 {
				name := e.Name
				e = want[n-1]
				e.Name = name
			} else {
				genMeta(t, f, &e)
				if f.HardLinks && !e.IsDir() && !e.Missing() && draw("linked") {
					e.Flags |= Linked
					e.Ino = uint64(i+len(starts)-1) + 1
				}
			}
			if e.Missing() {
				e.Extra = nil
				if f.Atimes {
					e.More().Atime = 0
				}
				if f.Crtimes {
					e.More().Crtime = 0
				}
			}
			want = append(want, e)
			b = enc.Append(b, &e)
		}
		dec := NewDecoder(wire.NewReader(bytes.NewReader(enc.End(b, 0))), f)
		dec.missingOK = true
		var got []Entry
		for _, start := range starts {
			entries, _, err := dec.List(start, 100)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, entries...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// A hard link captured from rsync 3.5.0's client, and what -A and -X append to each name.
func TestLinksAsRsync(t *testing.T) {
	const sec = 1700000000
	dir := Entry{Name: ".", Size: 4096, Sec: sec, Mode: unix.S_IFDIR | 0o755, Flags: Top}
	f1 := Entry{Name: "f1", Size: 2, Sec: sec, Mode: unix.S_IFREG | 0o644, UID: 1, GID: 2, Ino: 9, Dev: 8, Flags: Linked}
	h1 := f1
	h1.Name = "h1"
	x := f1
	x.Name, x.Flags = "x", 0
	for _, tt := range []struct {
		name   string
		format Format
		want   string
	}{
		{"links", Format{Protocol: 32, VarintFlags: true, Owner: true, Group: true, HardLinks: true},
			"92800266310002000000000102"},
		{"with empty ACLs and no attributes", Format{Protocol: 32, VarintFlags: true, HardLinks: true, ACLs: true, Xattrs: true}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			enc := NewEncoder(tt.format)
			b := enc.Append(nil, &dir)
			at := len(b)
			b = enc.Append(b, &f1)
			b2 := enc.Append(b, &h1)
			abbreviated := hex.EncodeToString(b2[len(b):])
			if tt.format.ACLs {
				// The first of a kind is told in full: empty ACL, no attributes; then its number.
				if !bytes.HasSuffix(b[:at], []byte{0, 0, 0, 0, 0, 0}) || !bytes.HasSuffix(b, []byte{1, 1}) ||
					!strings.HasSuffix(abbreviated, "026831"+"01"+"01"+"01") {
					t.Errorf("%x, then %s", b, abbreviated)
				}
				return
			}
			if !strings.HasSuffix(abbreviated, "026831"+"01") {
				t.Errorf("%x, then %s", b, abbreviated)
			}
			// What comes next leaves out what the link's first had.
			if b3 := enc.Append(b2, &x); hex.EncodeToString(b3[len(b2):]) != "809a"+"0178"+"000200" {
				t.Errorf("after a link: %x", b3[len(b2):])
			}
		})
	}
}

// What an inode number that is used again becomes: a group of its own.
func TestLinkOfAnotherType(t *testing.T) {
	f := Format{Protocol: 32, VarintFlags: true, HardLinks: true, Links: true}
	list := []Entry{
		{Name: "a", Mode: unix.S_IFREG | 0o644, Ino: 1, Flags: Linked},
		{Name: "b", Mode: unix.S_IFLNK | 0o777, Ino: 1, Flags: Linked, Extra: &Extra{Link: "x"}},
		{Name: "c", Mode: unix.S_IFDIR | 0o755, Ino: 1, Flags: Linked},
	}
	enc := NewEncoder(f)
	var b []byte
	for i := range list {
		b = enc.Append(b, &list[i])
	}
	got, _, err := Decode(wire.NewReader(bytes.NewReader(enc.End(b, 0))), f, 10, false)
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Ino == got[1].Ino || got[1].Link() != "x" || got[2].Flags&Linked != 0 {
		t.Errorf("%+v", got)
	}
}

func TestDecodeRefusesMeta(t *testing.T) {
	all := Format{Protocol: 32, VarintFlags: true, HardLinks: true, ACLs: true, Xattrs: true}
	full := func(flags, tail string) string { return flags + "0161" + "000000" + "00000000" + "a4810000" + tail }
	for _, tt := range []struct {
		name, in string
		format   Format
	}{
		{"a hard link that was not agreed on", full("9200", ""), Format{Protocol: 32, VarintFlags: true}},
		{"a hard link to nothing before it", "8200" + "0161" + "00", all},
		{"a hard link to what is none", full("04", "0000"+"0000") + "8200" + "0162" + "00", all},
		{"a directory among hard links", "9200" + "0161" + "000000" + "00000000" + "ed410000", all},
		{"an access time that was not agreed on", full("c00040", ""), all},
		{"ACL number 1 of none", full("04", "01"), all},
		{"a negative ACL number", full("04", "f0ffffffff"), all},
		{"an ACL with unknown flags", full("04", "0020"), all},
		{"an ACL with permissions beyond rwx", full("04", "000108"), all},
		{"an ACL of two billion names", full("04", "0010"+"f0ffffff7f"), all},
		{"an ACL with a name inline", full("04", "0010"+"01"+"05"+"1f"), all},
		{"set 2 of none", full("04", "0000"+"02"), all},
		{"two billion attributes", full("04", "0000"+"00"+"f0ffffff7f"), all},
		{"an attribute without a name", full("04", "0000"+"00"+"01"+"01"+"00"+"00"), all},
		{"a name without an end", full("04", "0000"+"00"+"01"+"02"+"00"+"6161"), all},
		{"a name with an end within", full("04", "0000"+"00"+"01"+"03"+"00"+"610000"), all},
		{"an attribute of two billion bytes", full("04", "0000"+"00"+"01"+"02"+"f0ffffff7f"+"6100"), all},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, err := hex.DecodeString(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := Decode(wire.NewReader(bytes.NewReader(append(in, make([]byte, 64)...))), tt.format, 10, false)
			if err == nil {
				t.Errorf("accepted: %+v", got)
			}
		})
	}
}

func TestIDListsWithACLs(t *testing.T) {
	names := map[uint32]string{5: "games", 7: "lp"}
	name := func(id uint32) string { return names[id] }
	e := Entry{UID: 1000, GID: 1000, Mode: unix.S_IFREG, Extra: &Extra{Access: &meta.ACL{Mask: 7, Named: []meta.Named{
		{ID: 5, User: true}, {ID: 1000, User: true}, {ID: 7},
	}}}}
	all := func(yield func(*Entry) bool) { yield(&e) }
	got := AppendIDs(nil, Format{ACLs: true}, all, name, name)
	if want := "05" + "05" + "67616d6573" + "00" + "07" + "02" + "6c70" + "00"; hex.EncodeToString(got) != want {
		t.Errorf("%x, want %s", got, want)
	}
}

func FuzzDecodeMeta(f *testing.F) {
	format := Format{
		Protocol: 32, VarintFlags: true, SafeEnd: true, Owner: true, Group: true, Links: true, Devices: true,
		HardLinks: true, ACLs: true, Xattrs: true, Atimes: true, Crtimes: true,
	}
	a := &meta.ACL{UserObj: 7, GroupObj: 5, Mask: 7, Other: 1, Named: []meta.Named{{ID: 5, User: true, Perm: 6}}}
	x := &Extra{Atime: 3, Access: a.WithMode(0o640), Xattrs: []meta.Xattr{meta.NewXattr("user.a", make([]byte, 40))}}
	enc := NewEncoder(format)
	b := enc.Append(nil, &Entry{Name: ".", Mode: unix.S_IFDIR | 0o755, Extra: &Extra{Default: a}})
	for _, name := range []string{"a", "b"} {
		b = enc.Append(b, &Entry{Name: name, Mode: unix.S_IFREG | 0o640, Ino: 1, Flags: Linked, Extra: x})
	}
	f.Add(enc.End(b, 0))
	f.Fuzz(func(t *testing.T, in []byte) {
		entries, _, err := Decode(wire.NewReader(bytes.NewReader(in)), format, 1000, true)
		if err != nil {
			return
		}
		enc := NewEncoder(format)
		var b []byte
		for i := range entries {
			b = enc.Append(b, &entries[i])
		}
		again, _, err := Decode(wire.NewReader(bytes.NewReader(enc.End(b, 0))), format, 1000, true)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(entries, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
