package option

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// chmodModes are given to files and directories; all can be read by their owner.
var chmodModes = []uint32{0o500, 0o644, 0o755, 0o6754, 0o7777, 0o4711, 0o2610, 0o1600, 0o640, 0o401, 0o3751}

// TestChmod compares with what rsync makes of the same modes. rsync's rules are older than
// chmod(1)'s; the odd ones are here because they are odd.
func TestChmod(t *testing.T) {
	syncertest.SkipUnderRace(t, "a parser has no goroutines")
	syncertest.NeedRsync(t)
	src := t.TempDir()
	names := makeModes(t, src)
	for _, spec := range []string{
		"D755,F644", "D2775,F664", "Dg+s,ug+w,Fo-w,+X", "ugo=rwX", "u=rwX,go=rX", "a+rX,go-w", "755", "0", "07777", "00755", "D7,F4",
		"u+", "+", "=", "u=", "o=", "a=", "uD+x", "DD+x", "Du+x", "uu+x", "u+xx", "-x", "+X", "+w", "-w", "=w", "a+w,+w",
		"g=u", "g=o,o=", "Dg=u", "a-o", "=o", "=g", "+u", "-o", "u=g", "o=g", "ug=o", "gu+o",
		"o+s", "+s", "u+s", "g+s", "ug+s", "a+s", "a-s", "=s", "g=s", "+ts", "+st", "=tsX", "u+ts", "o+t", "u+t", "a=xXt", "o=t", "+t", "-t",
		"u=X", "D+X", "F+X", "-x,+X", "a-x,Fu+X", "ugoa=rwxst", "u+X,755", "755,u+s,g-rx", "F0644,D=s,+o", "=g,Dg=g,ua=r", "Fo-sX,Fgo-x,Fu-", "755,u-rXs", "F=tx,-X",
	} {
		checkChmod(t, src, names, spec, 0o027)
	}
	for _, spec := range []string{
		"", "u", "D", "F", "755,F", ",u+x", "u+x,", "u+x,,g+x", "DF+x", "FD755", "u755", "8", "77777", "10000", "g+uo", "g+ux", "g+xu",
		"g=u+x", "u+x-w", "Xu+x", "a,u+x", "=755", "u=755", "+755", " u+x", "u+x ", "A+x", "u+D", "-", "0x1", "+7", "u+z", "rwx",
	} {
		_, err := ParseChmod(spec)
		out, want := exec.Command("rsync", "-n", "--chmod="+spec, filepath.Join(src, names[0]), t.TempDir()).CombinedOutput()
		if (err == nil) != (want == nil) {
			t.Errorf("%q: error %v, rsync's: %s", spec, err, out)
		}
	}
}

// makeModes gives the names, and their modes by names.
func makeModes(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	for _, mode := range chmodModes {
		f, d := fmt.Sprintf("f%04o", mode), fmt.Sprintf("d%04o", mode)
		for _, err := range []error{
			os.WriteFile(filepath.Join(dir, f), nil, 0o600), syscall.Chmod(filepath.Join(dir, f), mode),
			os.Mkdir(filepath.Join(dir, d), 0o700), syscall.Chmod(filepath.Join(dir, d), mode),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		names = append(names, f, d)
	}
	return names
}

func checkChmod(t *testing.T, src string, names []string, spec string, mask int) {
	t.Helper()
	dst := t.TempDir()
	cmd := exec.Command("rsync", append(append([]string{"-dp", "--chmod=" + spec}, names...), dst)...)
	cmd.Dir = src
	old := syscall.Umask(mask) // of the whole process: this test is not parallel to any
	c, err := ParseChmod(spec)
	out, rsyncErr := cmd.CombinedOutput()
	syscall.Umask(old)
	if err != nil || rsyncErr != nil {
		t.Errorf("%q: error %v; rsync: %v\n%s", spec, err, rsyncErr, out)
		return
	}
	for _, name := range names {
		was, is := stat(t, filepath.Join(src, name)), stat(t, filepath.Join(dst, name))
		if got := c.Apply(was); got != is {
			t.Errorf("%q with umask %03o: %o becomes %o, rsync makes it %o", spec, mask, was, got, is)
		}
	}
}

func stat(t *testing.T, path string) uint32 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Mode
}

// TestChmodTypes: a symlink has no permissions, all else that is no directory is a file.
func TestChmodTypes(t *testing.T) {
	c, err := ParseChmod("D700,F600")
	if err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[uint32]uint32{
		syscall.S_IFLNK | 0o777: syscall.S_IFLNK | 0o777, syscall.S_IFIFO | 0o644: syscall.S_IFIFO | 0o600,
		syscall.S_IFBLK | 0o660: syscall.S_IFBLK | 0o600, syscall.S_IFDIR | 0o755: syscall.S_IFDIR | 0o700,
	} {
		if got := c.Apply(mode); got != want {
			t.Errorf("%o becomes %o, want %o", mode, got, want)
		}
	}
	if got := Chmod(nil).Apply(0o100644); got != 0o100644 {
		t.Errorf("no rules: %o", got)
	}
}

// FuzzChmod: no text makes the parser panic, and no rule changes a type.
func FuzzChmod(f *testing.F) {
	for _, s := range strings.Fields("D755,F644 ugo=rwX g=u +ts a-s,+w 0 u") {
		f.Add(s, uint32(0o100644))
	}
	f.Fuzz(func(t *testing.T, s string, mode uint32) {
		c, err := ParseChmod(s)
		if err == nil && (len(c) == 0 || c.Apply(mode)&^modeBits != mode&^modeBits) {
			t.Errorf("%q: %o becomes %o", s, mode, c.Apply(mode))
		}
	})
}
