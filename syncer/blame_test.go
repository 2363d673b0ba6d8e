package syncer

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What rsync 3.5.0 said of each failure, and what is made of it. TestInteropBlame has it say these.
func TestBlame(t *testing.T) {
	names := map[string]bool{}
	for _, n := range []string{".", "d", "d/f", `d/f"q`, "d/nl\nx", "d/plain", "d/link", "d/.hid", "d/dev", "d/...", "d/dot.", "sub", "big", "f", `d/q" (in m) failed: x`, "o(p)en"} {
		names[n] = true
	}
	for _, tt := range []struct {
		target, text, want string
		errno              syscall.Errno
	}{
		{"h::m", `rsync: [receiver] mkstemp "/d/.plain.LlmnVQ" (in m) failed: Operation not permitted (1)`, "d/plain", syscall.EPERM},
		{"h::m", `rsync: [receiver] mkstemp "d/.plain.LlmnVQ" (in m) failed: Permission denied (13)`, "d/plain", syscall.EACCES},
		{"h::m", `rsync: [receiver] mkstemp "/d/.f"q.lHl7io" (in m) failed: Operation not permitted (1)`, `d/f"q`, syscall.EPERM},
		{"h::m", `rsync: [receiver] mkstemp "/d/.nl\#012x.L5U4DJ" (in m) failed: Operation not permitted (1)`, "d/nl\nx", syscall.EPERM},
		{"h::m", "rsync: [receiver] mkstemp \"/d/.nl\nx.L5U4DJ\" (in m) failed: Operation not permitted (1)", "d/nl\nx", syscall.EPERM},
		{"h::m", `rsync: [receiver] mkstemp "/d/.hid.L5U4DJ" (in m) failed: Operation not permitted (1)`, "d/.hid", syscall.EPERM},
		{"h::m", `rsync: [receiver] mkstemp "/d/...cSYYal" (in m) failed: Read-only file system (30)`, "d/...", syscall.EROFS},
		{"h::m", `rsync: [receiver] mkstemp "/d/.dot.C5quzR" (in m) failed: Read-only file system (30)`, "d/dot.", syscall.EROFS},
		{"h::m/x", `rsync: [generator] failed to set times on "/x/d" (in m): Operation not permitted (1)`, "d", syscall.EPERM},
		{"h::m", `rsync: [generator] failed to set times on "/." (in t): Read-only file system (30)`, ".", syscall.EROFS},
		{"h::m", `rsync: [generator] symlink "/d/link" (in m) -> "to" failed: Operation not permitted (1)`, "d/link", syscall.EPERM},
		{"h::m", `rsync: [generator] recv_generator: mkdir "/d" (in m) failed: No space left on device (28)`, "d", syscall.ENOSPC},
		{"h::m", `rsync: [receiver] write failed on "/big" (in t): No space left on device (28)`, "big", syscall.ENOSPC},
		{"h::m", `rsync: [receiver] write failed on "/big" (in t): Disc quota exceeded (69)`, "big", syscall.EDQUOT},
		{"h::m", `rsync: [receiver] rename "/d/.plain.w1eIu0" (in m) -> "d/plain": Operation not permitted (1)`, "d/plain", syscall.EPERM},
		{"h::m", `rsync: [generator] delete_file: unlink(d/plain) failed: Operation not permitted (1)`, "d/plain", syscall.EPERM},
		{"h::m", `rsync: [generator] delete_file: rmdir(d/gone/below) failed: Directory not empty (66)`, "d/gone", syscall.ENOTEMPTY},
		{"h::m", `rsync: [generator] delete_file: unlink(o(p)en) failed: Text file busy (26)`, "o(p)en", syscall.ETXTBSY},
		{"h::m", `could not make way for new directory: d/plain`, "d/plain", 0},
		{"h::m", `ERROR: daemon refused to receive directory "sub"`, "sub", 0},
		{"h::m", `ERROR: d/f failed verification -- update discarded.`, "d/f", 0},
		{"h::m", `rsync: [receiver] mkstemp "/d/.q" (in m) failed: x.abcdef" (in m) failed: Permission denied (13)`, `d/q" (in m) failed: x`, syscall.EACCES},
		{"h:/srv/x", `rsync: [receiver] mkstemp "/srv/x/d/.f.abcdef" failed: Permission denied (13)`, "d/f", syscall.EACCES},
		{"h:x/", `rsync: [receiver] mkstemp "/home/u/x/d/.f.abcdef" failed: Permission denied (13)`, "d/f", syscall.EACCES},
		{"h:~/x", `rsync: [receiver] mkstemp "/home/u/x/d/.f.abcdef" failed: Permission denied (13)`, "d/f", syscall.EACCES},
		{"h:", `rsync: [receiver] mkstemp "/home/u/d/.f.abcdef" failed: Permission denied (13)`, "d/f", syscall.EACCES},
		{"h:", `rsync: [receiver] stat "/home/u/d/f" failed: No such file or directory (2)`, "d/f", 0},
		// Names that are none of the push.
		{"h::m/x", `rsync: [receiver] mkstemp "/backups/d/.f.abcdef" (in m) failed: Permission denied (13)`, "", 0},
		{"h:/srv/x", `rsync: [receiver] mkstemp "/srv/y/d/.f.abcdef" failed: Permission denied (13)`, "", 0},
		{"h::m", `rsync: [receiver] mkstemp "/../../d/f" (in m) failed: Permission denied (13)`, "d/f", syscall.EACCES},
		{"h::m", `rsync: [receiver] open "../d/f" failed: Permission denied (13)`, "", 0},
		{"h::m", `rsync: [receiver] unlink(../../etc/passwd) failed: Permission denied (13)`, "", 0},
		{"h::m", `rsync: connection unexpectedly closed`, "", 0},
		{"h::m", "", "", 0},
		{"h::m", `"""""""""""""""""""""""""""""""""""""""""""`, "", 0},
		{"h::m", `delete_file: unlink(`, "", 0},
		{"h::m", strings.Repeat(`"/a: `, 13_000), "", 0},
		{"h:", `x "` + strings.Repeat(`/`, 60_000) + `d/f"`, "", 0},
	} {
		target, err := ParseTarget(tt.target)
		if err != nil {
			t.Fatal(err)
		}
		b := blamer{strip: stripTarget(&target), known: func(n string) bool { return names[n] }, prunes: true}
		ok := b.take([]byte(tt.text + "\n"))
		var got string
		var errno syscall.Errno
		if len(b.problems) > 0 {
			got = b.problems[0].Path
			errors.As(b.problems[0].Err, &errno)
			if ok != (tt.want != "") || b.problems[0].Vanished() {
				t.Errorf("%q: understood %v, vanished %v", tt.text, ok, b.problems[0].Vanished())
			}
		}
		if got != tt.want || errno != tt.errno {
			t.Errorf("%s: %.200q is about %q, errno %d, want %q, %d", tt.target, tt.text, got, errno, tt.want, tt.errno)
		}
	}
}

// What goes on about the last failure is no other one, and a path is blamed once.
func TestBlameOnce(t *testing.T) {
	b := blamer{strip: func(n string) []string { return []string{strings.TrimPrefix(n, "/")} }, known: func(n string) bool { return n == "d" }}
	const skipping = "*** Skipping any contents from this failed directory ***"
	if b.take([]byte(skipping)) {
		t.Error("what follows nothing is understood")
	}
	mkdir := `rsync: [generator] recv_generator: mkdir "/d" (in m) failed: Permission denied (13)`
	if !b.take([]byte(mkdir)) || !b.take([]byte(skipping)) || !b.take([]byte(mkdir+"\n")) {
		t.Error("not understood")
	}
	if len(b.problems) != 1 || !errors.Is(b.problems[0], fs.ErrPermission) {
		t.Errorf("%v", b.problems)
	}
	if b.take([]byte("what?\n")) || b.unknown != "what?" {
		t.Errorf("unknown %q", b.unknown)
	}
}

// A peer that names whatever it likes makes no more problems than there are names, and no more than are kept.
func TestBlameIsBounded(t *testing.T) {
	b := blamer{strip: func(n string) []string { return []string{n} }, known: func(string) bool { return true }}
	for i := range 3 * blamedMax {
		b.take([]byte(`x "` + strings.Repeat("n", i%100+1) + string(rune('a'+i%26)) + strings.Repeat("m", i/2000) + `" failed`))
	}
	if len(b.problems) > blamedMax {
		t.Errorf("%d problems", len(b.problems))
	}
	if e := newPeerError("\x1b[2J" + strings.Repeat("x\xff", 40_000)); len(e.Error()) > 8000 || strings.Contains(e.Error(), "\x1b") || strings.Contains(e.Error(), "\xff") {
		t.Errorf("%.100q of %d bytes", e.Error(), len(e.Error()))
	}
}

func FuzzBlame(f *testing.F) {
	f.Add(`rsync: [receiver] mkstemp "/d/.nl\#012x.L5U4DJ" (in m) failed: Operation not permitted (1)`)
	f.Add(`rsync: [generator] delete_file: unlink(d/../plain) failed: x`)
	f.Add(`could not make way for new directory: d/plain`)
	known := map[string]bool{".": true, "d": true, "d/plain": true}
	f.Fuzz(func(t *testing.T, text string) {
		for _, target := range []Target{{Host: "h", Module: "m"}, {Host: "h"}, {Host: "h", Path: "/x"}} {
			b := blamer{strip: stripTarget(&target), known: func(n string) bool { return known[n] }, prunes: true}
			b.take([]byte(text))
			for _, p := range b.problems {
				if !known[p.Path] && !known[parent(p.Path)] {
					t.Errorf("%q is no name of the push", p.Path)
				}
			}
		}
	})
}

func TestUnquote(t *testing.T) {
	for in, want := range map[string]string{`a\#012b`: "a\nb", `\#134#012`: `\#012`, `\#9`: `\#9`, `\#777`: `\#777`, "x": "x", `\#000`: "\x00"} {
		if diff := cmp.Diff(want, unquote(in)); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
}

// A temporary file may be for several names, and rsync does not say for which.
func TestBlameAllThatItMayBe(t *testing.T) {
	names := map[string]bool{"d/f": true, "d/.f": true, "d/f.": true, "d/f..": true}
	b := blamer{strip: func(name string) []string { return []string{strings.TrimPrefix(name, "/")} }, known: func(n string) bool { return names[n] }}
	if !b.take([]byte("rsync: [receiver] mkstemp \"/d/.f.abcdef\" (in m) failed: Permission denied (13)\n")) {
		t.Error("it is not understood")
	}
	var got []string
	for _, p := range b.problems {
		got = append(got, p.Path)
	}
	if want := []string{"d/f", "d/.f", "d/f."}; !cmp.Equal(got, want) {
		t.Errorf("it blames %q, want %q", got, want)
	}
}
