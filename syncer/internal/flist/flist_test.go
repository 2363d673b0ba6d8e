package flist

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// The order was checked against six versions of rsync with 2,499 names; this is an excerpt.
func TestSortOrder(t *testing.T) {
	const dir = unix.S_IFDIR | 0o755
	const file = unix.S_IFREG | 0o644
	want := []Entry{
		{Name: ".", Mode: dir},
		{Name: "Zupper", Mode: file}, {Name: "keep.txt", Mode: file}, {Name: "lnk", Mode: unix.S_IFLNK | 0o777},
		{Name: "a-b", Mode: dir}, {Name: "a-b/y", Mode: file},
		{Name: "a.b", Mode: dir}, {Name: "a.b/x", Mode: file},
		{Name: "a", Mode: dir}, {Name: "a/.hid", Mode: file}, {Name: "a/z", Mode: file},
		{Name: "a/b", Mode: dir}, {Name: "a/b/f1", Mode: file},
		{Name: "a0", Mode: dir},
		{Name: "b\xff", Mode: dir},
	}
	for seed := range uint64(20) {
		got := slices.Clone(want)
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

// Missing entries sort as files: "gone.txt", "gonedir", then directories (captured from rsync 3.5.0).
func TestMissingSortsAsFile(t *testing.T) {
	got := []Entry{{Name: "a", Mode: unix.S_IFDIR}, {Name: "a/old"}, {Name: "a/new.txt", Mode: unix.S_IFREG}, {Name: "gonedir"}, {Name: "gone.txt"}}
	Sort(got)
	var names []string
	for _, e := range got {
		names = append(names, e.Name)
	}
	if diff := cmp.Diff([]string{"gone.txt", "gonedir", "a", "a/new.txt", "a/old"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestCompareIsAnOrder(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "b", "a-", "a.", "a0", ".a", "-"})
	rapid.Check(t, func(t *rapid.T) {
		type n struct {
			s   string
			dir bool
		}
		draw := func(l string) n {
			parts := rapid.SliceOfN(part, 0, 3).Draw(t, l)
			if len(parts) == 0 {
				return n{".", true} // the root is a directory
			}
			return n{strings.Join(parts, "/"), rapid.Bool().Draw(t, l+"dir")}
		}
		a, b, c := draw("a"), draw("b"), draw("c")
		cmpN := func(x, y n) int { return Compare(x.s, x.dir, y.s, y.dir) }
		sign := func(i int) int { return min(max(i, -1), 1) }
		if sign(cmpN(a, b)) != -sign(cmpN(b, a)) {
			t.Fatalf("%v and %v: %d and %d", a, b, cmpN(a, b), cmpN(b, a))
		}
		if cmpN(a, b) < 0 && cmpN(b, c) < 0 && cmpN(a, c) >= 0 {
			t.Fatalf("%v < %v < %v, but not %v < %v", a, b, c, a, c)
		}
	})
}

// Two lists captured from rsync 3.5.0's client: a first push, and one with missing names.
func TestEncodeAsRsync(t *testing.T) {
	const sec = 1700000000
	for _, tt := range []struct {
		name    string
		format  Format
		entries []Entry
		want    string
	}{
		{"one small file", Format{Protocol: 32, VarintFlags: true}, []Entry{
			{Name: ".", Size: 4096, Sec: sec, Mode: unix.S_IFDIR | 0o755, Flags: Top},
			{Name: "hello.txt", Size: 12, Sec: sec, Mode: unix.S_IFREG | 0o644},
		}, "19012e0000106500f153ed410000" + "80980968656c6c6f2e747874000c00a4810000" + "0000"},
		{"missing names", Format{Protocol: 32, VarintFlags: true}, []Entry{
			{Name: "a", Size: 4096, Sec: sec, Mode: unix.S_IFDIR | 0o755, Flags: Top | Partial},
			{Name: "a/new.txt", Size: 12, Sec: sec, Mode: unix.S_IFREG | 0o644},
			{Name: "a/old"},
			{Name: "gone.txt"},
			{Name: "gonedir"},
		}, "811901610000106500f153ed410000" + "80b801082f6e65772e747874000c00a4810000" +
			"3802036f6c640000000000000000000000" + "809a08676f6e652e747874000000" + "80ba0403646972000000" + "0000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			enc := NewEncoder(tt.format)
			var b []byte
			for i := range tt.entries {
				b = enc.Append(b, &tt.entries[i])
			}
			if got := hex.EncodeToString(enc.End(b, 0)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestIDLists(t *testing.T) {
	names := map[uint32]string{0: "root", 1: "daemon", 2: "bin", 65534: "nobody"}
	name := func(id uint32) string { return names[id] }
	entries := []Entry{{UID: 65534, GID: 2, Mode: 1}, {UID: 1, GID: 2, Mode: 1}, {UID: 0, GID: 77777, Mode: 1}, {UID: 65534, Mode: 1}}
	all := func(yield func(*Entry) bool) {
		for i := range entries {
			if !yield(&entries[i]) {
				return
			}
		}
	}
	got := AppendIDs(nil, Format{Owner: true, Group: true, ID0Names: true}, all, name, name)
	want := "c0feff066e6f626f6479" + "01066461656d6f6e" + "0004726f6f74" + "020362696e" + "0004726f6f74"
	if hex.EncodeToString(got) != want {
		t.Errorf("got  %x\nwant %s", got, want)
	}
	if got := AppendIDs(nil, Format{Owner: true, NumericIDs: true}, all, name, name); len(got) != 0 {
		t.Errorf("numeric ids send %x", got)
	}
}

func genEntry(t *rapid.T, f Format) Entry {
	e := Entry{
		Name: rapid.StringMatching(`[a-c]{1,3}(/[a-c\x80-\xff]{1,300}){0,2}`).Draw(t, "name"),
		Sec:  rapid.Int64Range(-1<<40, 1<<40).Draw(t, "sec"),
		Mode: rapid.SampledFrom([]uint32{unix.S_IFREG | 0o644, unix.S_IFDIR | 0o755, unix.S_IFLNK | 0o777,
			unix.S_IFCHR | 0o600, unix.S_IFIFO | 0o600, unix.S_IFSOCK | 0o755, 0}).Draw(t, "mode"),
	}
	if e.Missing() {
		e.Sec = 0
		return e
	}
	if f.Protocol >= 31 {
		e.Nsec = rapid.Uint32Range(0, maxNsec).Draw(t, "nsec")
	}
	if f.Owner {
		e.UID = rapid.Uint32().Draw(t, "uid")
	}
	if f.Group {
		e.GID = rapid.Uint32Range(0, 3).Draw(t, "gid")
	}
	switch {
	case e.IsDir():
		e.Size = 4096
		e.Flags = Flag(rapid.IntRange(0, 3).Draw(t, "flags"))
	case e.IsRegular():
		e.Size = rapid.Int64Range(0, 1<<50).Draw(t, "size")
		if f.SumLen > 0 {
			e.More().Sum = bytes.Repeat([]byte{rapid.Byte().Draw(t, "sum")}, f.SumLen)
		}
	case e.IsSymlink() && f.Links:
		e.More().Link = rapid.StringN(1, 300, 4000).Draw(t, "link")
	case f.hasRdev(&e):
		e.More().Rdev = unix.Mkdev(rapid.Uint32Range(0, 4095).Draw(t, "major"), rapid.Uint32Range(0, 1<<20-1).Draw(t, "minor"))
	}
	return e
}

func TestListRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := Format{
			Protocol: rapid.IntRange(30, 32).Draw(t, "protocol"), VarintFlags: rapid.Bool().Draw(t, "varint"), SafeEnd: true,
			Owner: rapid.Bool().Draw(t, "o"), Group: rapid.Bool().Draw(t, "g"), Links: rapid.Bool().Draw(t, "l"),
			Devices: rapid.Bool().Draw(t, "D"), Specials: rapid.Bool().Draw(t, "S"), SumLen: rapid.SampledFrom([]int{0, 16}).Draw(t, "c"),
		}
		var want []Entry
		var b []byte
		enc := NewEncoder(f)
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			e := genEntry(t, f)
			want = append(want, e)
			b = enc.Append(b, &e)
		}
		ioError := int32(rapid.IntRange(0, 7).Draw(t, "ioerror"))
		r := wire.NewReader(bytes.NewReader(enc.End(b, ioError)))
		got, gotError, err := Decode(r, f, 100, true)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" || gotError != ioError {
			t.Fatalf("I/O error %d, want %d; (-want +got):\n%s", gotError, ioError, diff)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"19012e0000106500f153ed410000" + "80980968656c6c6f2e747874000c00a4810000" + "0000",
		"9280026631000200a4810000010282820268310400000000",
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, in []byte, varint bool) {
		format := Format{Protocol: 32, VarintFlags: varint, SafeEnd: true, Owner: true, Group: true, Links: true, Devices: true, Specials: true, SumLen: 16}
		entries, _, err := Decode(wire.NewReader(bytes.NewReader(in)), format, 1000, true)
		if err != nil {
			return
		}
		// What was accepted can be sent again, and means the same.
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
