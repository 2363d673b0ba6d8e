package dirent

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// entry makes a struct linux_dirent64, its record as long as the kernel makes it.
func entry(name string, typ uint8) []byte {
	size := (header + len(name) + 1 + 7) &^ 7
	b := make([]byte, size)
	binary.NativeEndian.PutUint16(b[16:], uint16(size))
	b[18] = typ
	copy(b[header:], name)
	return b
}

func TestParse(t *testing.T) {
	t.Parallel()
	list := slices.Concat(entry(".", unix.DT_DIR), entry("a", unix.DT_DIR), entry("..", unix.DT_DIR),
		entry("", unix.DT_REG), entry("x/y", unix.DT_REG), entry("b\xff", unix.DT_UNKNOWN))
	stop := errors.New("stop")
	tests := []struct {
		name string
		in   []byte
		want string
		err  error
	}{
		{"empty", nil, "", nil},
		{"names", list, "a b\xff", nil},
		{"short header", list[:20], "", ErrMalformed},
		{"short record", list[:30], "", ErrMalformed},
		{"length zero", make([]byte, 32), "", ErrMalformed},
		{"caller stops", entry("stop", unix.DT_REG), "", stop},
		{"no zero", func() []byte {
			b := entry("12345", unix.DT_REG)[:header+5]
			b[16] = byte(len(b))
			return b
		}(), "12345", nil},
	}
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		tests = tests[:len(tests)-1] // made for little endian
	}
	for _, test := range tests {
		var got []string
		err := Parse(test.in, func(name []byte, _ uint8, _ uint64) error {
			if string(name) == "stop" {
				return stop
			}
			got = append(got, string(name))
			return nil
		})
		if strings.Join(got, " ") != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
}

func TestReadAndStat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var want []string
	for i := range 255 {
		name := strings.Repeat("n", i+1)
		want = append(want, name)
		if err := os.WriteFile(dir+"/"+name, make([]byte, i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, buf := int(f.Fd()), make([]byte, 4096)
	var got []string
	for {
		n, err := Read(fd, buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		err = Parse(buf[:n], func(name []byte, typ uint8, _ uint64) error {
			var direct, copied unix.Stat_t
			if err := Stat(fd, name, &direct); err != nil {
				return err
			}
			if err := Stat(fd, slices.Clip(slices.Clone(name)), &copied); err != nil {
				return err
			}
			if direct != copied || direct.Size != int64(len(name)-1) {
				t.Errorf("%s: %+v, %+v", name, direct, copied)
			}
			got = append(got, string(name))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %d names, want %d", len(got), len(want))
	}
	var st unix.Stat_t
	if err := Stat(fd, []byte("none"), &st); !errors.Is(err, unix.ENOENT) {
		t.Errorf("none: %v", err)
	}
	if _, err := Read(-1, buf); !errors.Is(err, unix.EBADF) {
		t.Errorf("no descriptor: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(slices.Concat(entry("a", unix.DT_DIR), entry("b", unix.DT_REG)))
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, in []byte) {
		_ = Parse(in, func(name []byte, _ uint8, _ uint64) error {
			if len(name) == 0 || strings.ContainsAny(string(name), "/\x00") {
				t.Errorf("name %q", name)
			}
			terminated(name)
			return nil
		})
	})
}
