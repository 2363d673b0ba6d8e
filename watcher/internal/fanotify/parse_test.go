package fanotify

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// encode writes a record as the kernel does: fanotify(7), "Reading fanotify events".
func encode(r record) []byte {
	var infos []byte
	if r.old.dir != nil {
		infos = appendInfo(infos, unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, r.old)
	}
	if r.name.dir != nil {
		kind := byte(unix.FAN_EVENT_INFO_TYPE_DFID_NAME)
		if r.old.dir != nil {
			kind = unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME
		}
		infos = appendInfo(infos, kind, r.name)
	}
	b := binary.NativeEndian.AppendUint32(nil, uint32(metadataSize+len(infos)))
	b = append(b, unix.FANOTIFY_METADATA_VERSION, 0)
	b = binary.NativeEndian.AppendUint16(b, metadataSize)
	b = binary.NativeEndian.AppendUint64(b, r.mask)
	b = binary.NativeEndian.AppendUint32(b, 0xffffffff)
	b = binary.NativeEndian.AppendUint32(b, uint32(r.pid))
	return append(b, infos...)
}

func appendInfo(b []byte, kind byte, n name) []byte {
	body := append(bytes.Clone(n.dir), n.entry...)
	body = append(body, make([]byte, 4-len(body)%4)...)
	b = append(b, kind, 0)
	b = binary.NativeEndian.AppendUint16(b, uint16(headerSize+len(body)))
	return append(b, body...)
}

// key makes a directory's key with a handle of n bytes.
func key(id byte, n int) dirKey {
	k := bytes.Repeat([]byte{id}, fsidSize)
	k = binary.NativeEndian.AppendUint32(k, uint32(n))
	k = binary.NativeEndian.AppendUint32(k, 1)
	return append(k, bytes.Repeat([]byte{id}, n)...)
}

func equal(a, b record) bool {
	return a.mask == b.mask && a.pid == b.pid && equalName(a.name, b.name) && equalName(a.old, b.old)
}

func equalName(a, b name) bool { return bytes.Equal(a.dir, b.dir) && bytes.Equal(a.entry, b.entry) }

// recorded are events as Linux 6.18 on x86-64 wrote them, on ext4: mkdir d, chmod d, mv d e.
var recorded = []struct {
	hex      string
	mask     uint64
	old, new string
}{
	{
		"38000000030018000001004000000000ffffffff0c3e0000" +
			"0200200033236ef5ee8a282508000000010000009a4198008aefb83864000000",
		unix.FAN_CREATE | unix.FAN_ONDIR, "", "d",
	},
	{
		"38000000030018000400004000000000ffffffff0c3e0000" +
			"0200200033236ef5ee8a282508000000010000009b419800ac66cab62e000000",
		unix.FAN_ATTRIB | unix.FAN_ONDIR, "", ".",
	},
	{
		"58000000030018000000005000000000ffffffff0c3e0000" +
			"0a00200033236ef5ee8a282508000000010000009a4198008aefb83864000000" +
			"0c00200033236ef5ee8a282508000000010000009a4198008aefb83865000000",
		unix.FAN_RENAME | unix.FAN_ONDIR, "d", "e",
	},
}

func TestParseRecorded(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("recorded on a little-endian machine")
	}
	for _, want := range recorded {
		b, err := hex.DecodeString(want.hex)
		must(t, err)
		got, rest, err := parse(b)
		if err != nil || len(rest) != 0 {
			t.Errorf("%s: %v, rest %x", want.hex, err, rest)
			continue
		}
		if got.mask != want.mask || string(got.old.entry) != want.old || string(got.name.entry) != want.new {
			t.Errorf("%s: got %+v", want.hex, got)
		}
	}
}

func TestParse(t *testing.T) {
	good := encode(record{mask: unix.FAN_RENAME, name: name{key(1, 8), []byte("new")}, old: name{key(2, 12), []byte("old")}})
	plain := encode(record{mask: unix.FAN_CREATE, name: name{key(1, 8), []byte("f")}})
	info := plain[metadataSize:]
	edit := func(b []byte, at int, with ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], with)
		return b
	}
	// with makes an event of records.
	with := func(infos ...[]byte) []byte {
		b := append(bytes.Clone(plain[:metadataSize]), bytes.Join(infos, nil)...)
		binary.NativeEndian.PutUint32(b, uint32(len(b)))
		return b
	}
	unknown := []byte{200, 0, 8, 0, 1, 2, 3, 4}
	for _, tt := range []struct {
		name string
		in   []byte
		ok   bool
	}{
		{"rename", good, true},
		{"two events", append(bytes.Clone(plain), good...), true},
		{"no records", with(), true},
		{"unknown record before", with(unknown, info), true},
		{"unknown record after", with(info, unknown), true},
		{"directory without a name", with(edit(info, 0, unix.FAN_EVENT_INFO_TYPE_DFID)), true},
		{"short metadata", plain[:23], false},
		{"cut", plain[:len(plain)-1], false},
		{"longer than the buffer", edit(plain, 0, 255), false},
		{"shorter than its metadata", edit(plain, 0, 20), false},
		{"no length", edit(plain, 0, 0, 0, 0, 0), false},
		{"version", edit(plain, 4, 2), false},
		{"metadata length", edit(plain, 6, 23), false},
		{"record without length", with(edit(info, 2, 0)), false},
		{"record longer than the event", with(edit(info, 2, 255)), false},
		{"half a record header", with(unknown, []byte{1, 0}), false},
		{"half a handle header", with([]byte{unix.FAN_EVENT_INFO_TYPE_DFID, 0, 8, 0, 1, 2, 3, 4}), false},
		{"handle longer than the record", edit(plain, metadataSize+headerSize+fsidSize, 100), false},
		{"handle of 4 GiB", edit(plain, metadataSize+headerSize+fsidSize, 255, 255, 255, 255), false},
		{"name without an end", edit(plain, len(plain)-4, 'a', 'a', 'a', 'a'), false},
		{"no name", edit(plain, metadataSize+headerSize+handleHead+8, 0), false},
		{"name with a slash", encode(record{name: name{key(1, 8), []byte("a/b")}}), false},
		{"parent as name", encode(record{name: name{key(1, 8), []byte("..")}}), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := parseAll(tt.in)
			if tt.ok != (err == nil) || err != nil && !errors.Is(err, errMalformed) {
				t.Errorf("%x: %v", tt.in, err)
			}
		})
	}
}

func parseAll(b []byte) error {
	for len(b) > 0 {
		_, rest, err := parse(b)
		if err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// FuzzParse has the parser take what it is given apart, and put it together again.
func FuzzParse(f *testing.F) {
	for _, r := range recorded {
		b, err := hex.DecodeString(r.hex)
		must(f, err)
		f.Add(b)
	}
	f.Add(encode(record{mask: unix.FAN_Q_OVERFLOW}))
	f.Add(append(encode(record{mask: unix.FAN_CREATE, name: name{key(3, 128), self}}), encode(record{})...))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			r, rest, err := parse(b)
			if err != nil {
				if !errors.Is(err, errMalformed) {
					t.Fatalf("unexpected error %v", err)
				}
				return
			}
			if len(rest) > len(b)-metadataSize {
				t.Fatalf("no progress: %d of %d bytes left", len(rest), len(b))
			}
			b = rest
			for _, n := range []name{r.name, r.old} {
				if n.dir == nil {
					continue
				}
				_ = n.dir.fsid()
				if _, handle := n.dir.handle(); len(handle) > maxHandle {
					t.Fatalf("handle of %d bytes", len(handle))
				}
			}
			if r.old.dir != nil && r.name.dir == nil {
				continue // encode makes none such
			}
			again, left, err := parse(encode(r))
			if err != nil || len(left) != 0 || !equal(r, again) {
				t.Fatalf("%+v became %+v, %v", r, again, err)
			}
		}
	})
}
