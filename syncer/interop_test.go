package syncer_test

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// oddTree fills dir with one of everything that a file list can hold.
func oddTree(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{
		"plain", "with space", "new\nline", `quo"te'`, `back\slash`, "tab\there", "-leading-dash", "--delete", ".hidden",
		"star*", "quest?", "[brackets]", "{a,b}", "~tilde", "#hash#", "$(id)", "\x01\x7f", "\xff\xfe", "mixed\xffüml\xc3",
		strings.Repeat("n", 255), strings.Repeat("ü", 127), "é", "zürich", "..dots", "a..", ":colon:", "m/x m/y",
		"%percent", "new\r", " lead", "trail ",
	} {
		write(t, filepath.Join(dir, "names", name), "content of "+name)
		write(t, filepath.Join(dir, "names.d", name, "inside"), name)
	}
	mkdir(t, filepath.Join(dir, "empty dir"), filepath.Join(dir, "a-b"), filepath.Join(dir, "a.b"), filepath.Join(dir, "a"), filepath.Join(dir, "a0"))
	for i, size := range []int{0, 1, 699, 700, 701, 32767, 32768, 32769, 65532, 490_000, 490_001, 1_000_003} {
		write(t, filepath.Join(dir, "sizes", fmt.Sprint(size)), noise(uint64(i), size))
	}
	for i, target := range []string{"plain", "../names/plain", "dangling", "/etc/hostname", ".", "..", "../../../..", "x y\n\xff", strings.Repeat("t", 4095)} {
		if os.Geteuid() != 0 && strings.ContainsAny(target, "/.") {
			continue // a daemon without chroot makes another target of it
		}
		link(t, target, filepath.Join(dir, "links", fmt.Sprintf("link %d", i)))
	}
	for _, mode := range []fs.FileMode{0, 0o400, 0o644, 0o755, 0o777, 0o7777 & 0o777, fs.ModeSetuid | 0o755, fs.ModeSetgid | 0o750, fs.ModeSticky | 0o644} {
		if mode&0o400 == 0 && os.Geteuid() != 0 {
			continue // it could not be read
		}
		name := filepath.Join(dir, "modes", mode.String())
		write(t, name, mode.String())
		chmod(t, name, mode)
		mkdir(t, name+".d")
		chmod(t, name+".d", mode|0o700)
	}
	for i, at := range []time.Time{
		time.Unix(0, 0), time.Unix(-1, 0), time.Unix(-86400*365*20, 999_999_999), time.Unix(1<<31-1, 1), time.Unix(1<<31, 0),
		time.Unix(1<<32+5, 500_000_000), time.Unix(1_700_000_000, 0), time.Unix(1_700_000_000, 1), time.Unix(1_700_000_000, 999_999_999),
	} {
		name := filepath.Join(dir, "times", fmt.Sprint(i))
		write(t, name, "x")
		touch(t, name, at)
		link(t, "x", name+".link")
		touch(t, name+".link", at)
		mkdir(t, name+".d")
		touch(t, name+".d", at)
	}
	fifo(t, filepath.Join(dir, "special", "fifo"))
	socket(t, filepath.Join(dir, "special", "socket"))
	if os.Geteuid() == 0 {
		oddTreeOfRoot(t, dir)
	}
	touch(t, dir, old())
}

// oddTreeOfRoot adds what only root can make.
func oddTreeOfRoot(t *testing.T, dir string) {
	t.Helper()
	mkdir(t, filepath.Join(dir, "special"))
	for i, dev := range []uint64{unix.Mkdev(1, 3), unix.Mkdev(8, 0), unix.Mkdev(8, 17), unix.Mkdev(259, 0xFFFFF), unix.Mkdev(4095, 1)} {
		for kind, mode := range map[string]uint32{"chr": unix.S_IFCHR, "blk": unix.S_IFBLK} {
			if err := unix.Mknod(filepath.Join(dir, "special", fmt.Sprint(kind, i)), mode|0o640, int(dev)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, id := range []int{1, 2, 65534, 65535, 70_000, 1<<31 - 1, 1 << 31, 1<<32 - 2} {
		for _, name := range []string{"file", "dir", "link", "fifo"} {
			name := filepath.Join(dir, "owners", fmt.Sprint(name, i))
			switch {
			case strings.Contains(name, "/dir"):
				mkdir(t, name)
			case strings.Contains(name, "/link"):
				link(t, "x", name)
			case strings.Contains(name, "/fifo"):
				fifo(t, name)
			default:
				write(t, name, "x")
			}
			if err := os.Lchown(name, id, id); err != nil {
				t.Fatal(err)
			}
		}
		// An owner and another group, and set-id bits that a chown takes away.
		name := filepath.Join(dir, "owners", fmt.Sprint("suid", i))
		write(t, name, "x")
		if err := os.Lchown(name, id, 0); err != nil {
			t.Fatal(err)
		}
		chmod(t, name, fs.ModeSetuid|fs.ModeSetgid|0o755)
	}
}

func chmod(t *testing.T, name string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	mkdir(t, filepath.Dir(name))
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func fifo(t *testing.T, name string) {
	t.Helper()
	mkdir(t, filepath.Dir(name))
	if err := unix.Mkfifo(name, 0o640); err != nil {
		t.Fatal(err)
	}
}

func socket(t *testing.T, name string) {
	t.Helper()
	mkdir(t, filepath.Dir(name))
	// Bound by a relative name: sun_path is short.
	if err := unix.Mknod(name, unix.S_IFSOCK|0o600, 0); err != nil {
		l, lerr := net.Listen("unix", name)
		if lerr != nil {
			t.Skip(err, lerr)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		l.Close()
	}
}

// truncateTimes cuts the nanoseconds off all times below dir: protocol 30 does not carry them.
func truncateTimes(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return err
		}
		touch(t, name, time.Unix(st.Mtim.Sec, 0))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// One of everything arrives, by each protocol; a second push finds nothing to do; a third one,
// with everything touched and by content, neither.
func TestInteropFull(t *testing.T) {
	for _, protocol := range []int{32, 31, 30} {
		t.Run(fmt.Sprint(protocol), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			oddTree(t, r.src)
			cfg := r.config()
			cfg.Protocol = protocol
			first := r.mustPush(cfg)
			if protocol == 30 {
				truncateTimes(t, r.src)
			}
			r.equal()
			if first.Stats.Files == 0 || first.Stats.Transferred != first.Stats.Files || first.Stats.Literal != first.Stats.TransferredSize {
				t.Errorf("stats %+v: not every file was sent whole", first.Stats)
			}

			again := r.mustPush(cfg)
			r.equal()
			if again.Stats.Transferred != 0 || again.Stats.Changed != 0 || len(r.items) != 0 {
				t.Errorf("a second push changed %d names and sent %d files: %q", again.Stats.Changed, again.Stats.Transferred, r.items)
			}

			cfg.Checksum = true
			again = r.mustPush(cfg)
			r.equal()
			if again.Stats.Transferred != 0 || len(r.items) != 0 {
				t.Errorf("a push with -c sent %d files: %q", again.Stats.Transferred, r.items)
			}
		})
	}
}

// What changed is sent as a delta, by each checksum that was agreed on.
func TestInteropDelta(t *testing.T) {
	for _, whole := range []bool{false, true} {
		t.Run(fmt.Sprintf("whole files %v", whole), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			big := noise(1, 3_000_000)
			write(t, r.in("big"), big)
			write(t, r.in("small"), big[:10_240])
			cfg := r.config()
			r.mustPush(cfg)

			write(t, r.in("big"), big[:1_000_000]+"some new words"+big[1_000_000:2_000_000]+big[2_500_000:]+"x")
			write(t, r.in("small"), big[:3000]+"edit"+big[3004:10_240])
			cfg.WholeFile = whole
			rep := r.mustPush(cfg)
			r.equal()
			if whole != (rep.Stats.Matched == 0) || !whole && rep.Stats.Literal > 20_000 {
				t.Errorf("literal %d, matched %d", rep.Stats.Literal, rep.Stats.Matched)
			}
		})
	}
}

// Paths near PATH_MAX: names in a list stay below 4096 bytes.
func TestInteropDeep(t *testing.T) {
	r := newRig(t)
	root, err := os.OpenRoot(r.src)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	dir := "."
	for i := range 15 {
		dir = path.Join(dir, strings.Repeat(string(rune('a'+i)), 255))
		if err := root.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// 15*256 bytes with the slashes; the receiver's temporary file adds 8 to the name.
	for _, n := range []int{1, 200, 235, 245, 255} {
		if err := root.WriteFile(path.Join(dir, strings.Repeat("f", n)), []byte(noise(uint64(n), 1000)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rep, err := r.push(r.config())
	if err != nil || !rep.Whole() {
		t.Errorf("error %v, report %+v, messages %q", err, rep, r.messages)
	}
	r.equal()
}

func TestInteropManyEntries(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 10_000 {
		if err := os.WriteFile(r.in(fmt.Sprintf("f%05d", i)), []byte{byte(i)}, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.mustPush(r.config())
	r.equal()
	// Three in the middle: the others are counted by two-byte and long index differences.
	for _, i := range []int{3, 300, 9999} {
		write(t, r.in(fmt.Sprintf("f%05d", i)), "more")
	}
	rep := r.mustPush(r.config())
	r.equal()
	if rep.Stats.Transferred != 3 {
		t.Errorf("%d files were sent, want 3", rep.Stats.Transferred)
	}
}

func TestInteropManyOwners(t *testing.T) {
	needRoot(t)
	r := newRig(t)
	for i := range 700 {
		name := r.in(fmt.Sprint(i))
		write(t, name, "x")
		if err := os.Chown(name, i, 100_000+i*7); err != nil {
			t.Fatal(err)
		}
	}
	for _, numeric := range []bool{false, true} {
		cfg := r.config()
		cfg.NumericIDs = numeric
		r.mustPush(cfg)
		r.equal()
	}
	// Owners alone change.
	for i := range 700 {
		if err := os.Chown(r.in(fmt.Sprint(i)), 700-i, i); err != nil {
			t.Fatal(err)
		}
	}
	rep := r.mustPush(r.config())
	r.equal()
	if rep.Stats.Transferred != 0 || rep.Stats.Changed == 0 {
		t.Errorf("stats %+v", rep.Stats)
	}
}

func TestInteropNothing(t *testing.T) {
	r := newRig(t)
	touch(t, r.src, old())
	r.mustPush(r.config())
	r.equal()
}

// Sizes beyond 32 bits: a file of 5 GiB, all holes, that the target has already.
func TestInteropHuge(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{r.in("huge"), r.at("huge")} {
		write(t, name, "begin")
		if err := os.Truncate(name, 5<<30); err != nil {
			t.Skip("no files of that size here: ", err)
		}
		touch(t, name, old())
	}
	rep := r.mustPush(r.config())
	if rep.Stats.Transferred != 0 || rep.Stats.TotalSize != 5<<30 {
		t.Errorf("stats %+v", rep.Stats)
	}
	if err := os.Truncate(r.at("huge"), 5<<30-1<<32); err != nil {
		t.Fatal(err)
	}
	cfg := r.config()
	cfg.DryRun = true
	rep = r.mustPush(cfg)
	if rep.Stats.Transferred != 1 || rep.Stats.TransferredSize != 5<<30 {
		t.Errorf("with another size on the target: stats %+v", rep.Stats)
	}
}
