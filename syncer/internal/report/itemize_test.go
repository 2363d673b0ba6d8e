package report

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

func TestItemString(t *testing.T) {
	const file, dir, link = unix.S_IFREG | 0o644, unix.S_IFDIR | 0o755, unix.S_IFLNK | 0o777
	all := ReportChange | ReportSize | ReportTime | ReportPerms | ReportOwner | ReportGroup | ReportAtime | ReportACL | ReportXattr
	for _, test := range []struct {
		it   Item
		want string
	}{
		{Item{Flags: Transfer | IsNew, Mode: file, Name: "a", Local: true}, ">f+++++++++ a"},
		{Item{Flags: Transfer | IsNew, Mode: file, Name: "a"}, "<f+++++++++ a"},
		{Item{Flags: Transfer | ReportSize | ReportTime, Mode: file, Name: "a b", Local: true}, ">f.st...... a b"},
		{Item{Flags: Transfer, Mode: file, Name: "a"}, "<f......... a"},
		{Item{Flags: Transfer | ReportTime | TimesOff, Mode: file, Name: "a"}, "<f..T...... a"},
		{Item{Flags: Transfer | all, Mode: file, Name: "a"}, "<fcstpoguax a"},
		{Item{Flags: ReportCrtime, Mode: file, Name: "a"}, ".f......n.. a"},
		{Item{Flags: ReportCrtime | ReportAtime, Mode: file, Name: "a"}, ".f......b.. a"},
		{Item{Mode: file, Name: "a"}, ".f          a"},
		{Item{Flags: LocalChange | IsNew, Mode: dir, Name: "d"}, "cd+++++++++ d/"},
		{Item{Flags: ReportTime, Mode: dir, Name: "."}, ".d..t...... ./"},
		{Item{Flags: LocalChange | IsNew, Mode: link, Name: "l", Link: "to"}, "cL+++++++++ l -> to"},
		{Item{Flags: LocalChange | ReportChange | ReportTime, Mode: link, Name: "l", Link: "x"}, "cLc.t...... l -> x"},
		{Item{Flags: ReportTime | symlinkTimeFailed, Mode: link, Name: "l", Link: "x"}, ".L..T...... l -> x"},
		{Item{Flags: LocalChange | XnameFollows, Mode: file, Name: "b", Link: "a"}, "hf          b => a"},
		{Item{Flags: LocalChange | XnameFollows | IsNew, Mode: link, Name: "m", Link: "l"}, "hL+++++++++ m => l"},
		{Item{Flags: LocalChange | ReportChange, Mode: unix.S_IFCHR, Name: "n"}, "cDc........ n"},
		{Item{Flags: LocalChange | IsNew, Mode: unix.S_IFBLK, Name: "n"}, "cD+++++++++ n"},
		{Item{Flags: ReportPerms, Mode: unix.S_IFSOCK, Name: "s"}, ".S...p..... s"},
		{Item{Flags: Deleted, Mode: dir, Name: "d"}, "*deleting   d/"},
		{Item{Flags: Deleted, Mode: link, Name: "l\n", Link: "x"}, `*deleting   l\#012`},
	} {
		if got := test.it.String(); got != test.want {
			t.Errorf("%+v:\n got %q\nwant %q", test.it, got, test.want)
		}
	}
}

var oddNames = []string{"plain", "sp ace", "tab\tx", "nl\nx", "esc\x1b[1m", "inv\xff\xfe", "utfä", `bs\#123`, `bs\#12`,
	`bs\#1234`, `b\n`, "trunc\xe2\x80", `end\#999`, `zz\#10`, `x\\#000`, "\x01", "日本", "\U0001f600"}

// TestQuoteLikeRsync has the real rsync print names in a UTF-8 locale.
func TestQuoteLikeRsync(t *testing.T) {
	syncertest.NeedRsync(t)
	dir := t.TempDir()
	var want []string
	for i, name := range oddNames {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		want = append(want, Item{Flags: Transfer | IsNew, Mode: unix.S_IFREG, Name: name, Local: true}.String())
		link := "link" + strconv.Itoa(i)
		if err := os.Symlink(name, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
		want = append(want, Item{Flags: LocalChange | IsNew, Mode: unix.S_IFLNK, Name: link, Link: name}.String())
	}
	cmd := exec.Command("rsync", "-rlni", dir+"/", filepath.Join(dir, "none")+"/")
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "cd") && !strings.HasPrefix(line, "created directory") {
			got = append(got, strings.TrimSuffix(line, "\n"))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("lines (-rsync +ours):\n%s", diff)
	}
}

// TestQuoteControls: what rsync would hand to the terminal.
func TestQuoteControls(t *testing.T) {
	for in, want := range map[string]string{
		"del\x7f":    `del\#177`,
		"c1\u009b2J": `c1\#302\#2332J`,
		"rtl\u202e":  `rtl\#342\#200\#256`,
		"sep\u2028x": `sep\#342\#200\#250x`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzQuote: the quoted name is printable and reads back as the name.
func FuzzQuote(f *testing.F) {
	for _, name := range oddNames {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		quoted := Quote(name)
		if strings.ContainsAny(quoted, "\n\r\x1b\x00\x7f") {
			t.Errorf("%q holds controls", quoted)
		}
		if got := unquote(quoted); got != name {
			t.Errorf("%q became %q, which reads as %q", name, quoted, got)
		}
	})
}

func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] == '\\' && looksQuoted(s[i:]) {
			if c, err := strconv.ParseUint(s[i+2:i+5], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 5
				continue
			}
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}
