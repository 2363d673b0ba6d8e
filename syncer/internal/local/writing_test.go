package local

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// TestKeepDirlinks: a symlink to a directory stands for it where --keep-dirlinks says so and
// where it does not lead out of the target. rsync 3.5.0 follows the same ones, but gives their
// time to the symlink and has an error for their mode.
func TestKeepDirlinks(t *testing.T) {
	for name, test := range map[string]struct {
		link    string
		follow  bool
		through bool // what is brought over arrives where the link points to
		problem bool
	}{
		"within":        {link: "real", follow: true, through: true},
		"not asked for": {link: "real"},
		"up and down":   {link: "../dst/real", follow: true, problem: true},
		"leads out":     {link: "../outside", follow: true, problem: true},
		"absolute":      {link: "/tmp", follow: true, problem: true},
		"to nothing":    {link: "none", follow: true},
		"to a file":     {link: "file", follow: true},
	} {
		for _, whole := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " full ", whole), func(t *testing.T) {
				src, dst := dirs(t)
				real, outside := mkdir(t, dst, "real"), mkdir(t, filepath.Dir(dst), "outside")
				write(t, filepath.Join(dst, "file"), "x")
				write(t, filepath.Join(real, "extra", "f"), "x")
				write(t, filepath.Join(outside, "extra", "f"), "x")
				write(t, filepath.Join(src, "d", "f"), "new")
				write(t, filepath.Join(src, "d", "sub", "g"), "new")
				must(t, os.Chmod(filepath.Join(src, "d"), 0o711))
				age(t, src)
				must(t, os.Symlink(test.link, filepath.Join(dst, "d")))
				var b filter.Builder
				must(t, errors.Join(b.Filter("P /real"), b.Filter("P /file")))
				o := archive
				o.KeepDirlinks, o.Filter = test.follow, b.Build()
				var res Result
				if whole {
					res, _ = full(t, src, dst, o)
				} else {
					res, _ = partial(t, src, dst, o, source.Path{Name: "d", Tree: true}, source.Path{Name: "d/extra"})
				}
				if got := len(res.Problems) > 0; got != test.problem {
					t.Errorf("problems: %v", res.Problems)
				}
				link, _ := os.Readlink(filepath.Join(dst, "d"))
				if stays := test.through || test.problem; (link == test.link) != stays {
					t.Errorf("the link is %q", link)
				}
				if test.through {
					requireEqual(t, filepath.Join(src, "d"), real)
				} else if !exists(filepath.Join(real, "extra")) || exists(filepath.Join(real, "f")) {
					t.Error("the symlink was followed")
				}
				if !exists(filepath.Join(outside, "extra", "f")) || exists(filepath.Join(outside, "f")) {
					t.Error("it went outside")
				}
				if !test.problem && !test.through {
					requireEqual(t, filepath.Join(src, "d"), filepath.Join(dst, "d"))
				}
			})
		}
	}
}

// TestDeleteThroughDirlinks: what is deleted is never looked into through a symlink.
func TestDeleteThroughDirlinks(t *testing.T) {
	src, dst := dirs(t)
	write(t, filepath.Join(dst, "real", "f"), "x")
	write(t, filepath.Join(src, "real", "f"), "x")
	mkdir(t, dst, "extra")
	must(t, os.Symlink("../real", filepath.Join(dst, "extra", "l")))
	must(t, os.Symlink("real", filepath.Join(dst, "l")))
	age(t, src)
	o := archive
	o.KeepDirlinks = true
	res, _ := full(t, src, dst, o)
	requireClean(t, res)
	requireEqual(t, src, dst)
}

// TestDeleteOrder: when names are deleted, among what else happens.
func TestDeleteOrder(t *testing.T) {
	for when, want := range map[option.When]string{
		option.Before: "DDDT.TT", option.During: "DTDTDT", option.Delay: "TTTDDD", option.After: "TTTDDD",
	} {
		for _, whole := range []bool{true, false} {
			t.Run(fmt.Sprint(when, " full ", whole), func(t *testing.T) {
				src, dst := dirs(t)
				var changed []source.Path
				for _, d := range []string{"", "a", "b"} {
					write(t, filepath.Join(src, d, "new"), "x")
					write(t, filepath.Join(dst, d, "gone"), "x")
					changed = append(changed, source.Path{Name: filepath.Join(d, "new")}, source.Path{Name: filepath.Join(d, "gone")})
				}
				o := archive
				o.DeleteWhen = when
				var lines []string
				var res Result
				if whole {
					res, lines = full(t, src, dst, o)
				} else {
					res, lines = partial(t, src, dst, o, changed...)
				}
				requireClean(t, res)
				requireEqual(t, src, dst)
				order := ""
				for _, line := range lines {
					switch line[0] {
					case '*':
						order += "D"
					case '>':
						order += "T"
					}
				}
				if want := strings.ReplaceAll(want, ".", ""); order != want {
					t.Errorf("%s, want %s:\n%s", order, want, strings.Join(lines, "\n"))
				}
			})
		}
	}
}

// TestPartialWays: a push of single paths deletes as a full one does: it keeps backups, knows the
// limit, and with --prune-empty-dirs takes directories with it that became empty.
func TestPartialWays(t *testing.T) {
	for _, when := range []option.When{option.Before, option.During, option.Delay, option.After} {
		t.Run(fmt.Sprint(when), func(t *testing.T) {
			src, dst := dirs(t)
			for _, f := range []string{"a/f", "b/c/f", "b/c/g", "d/keep", "e/f", "e/g"} {
				write(t, filepath.Join(src, f), "x")
			}
			o := archive
			o.DeleteWhen, o.PruneEmptyDirs, o.BackupDir, o.MaxDelete = when, true, "../bak", 6
			res, _ := full(t, src, dst, o)
			requireClean(t, res)
			for _, f := range []string{"a/f", "b/c", "e/f", "e/g"} {
				must(t, os.RemoveAll(filepath.Join(src, f)))
			}
			mkdir(t, src, "d", "new", "empty")
			res, lines := partial(t, src, dst, o, source.Path{Name: "a/f"}, source.Path{Name: "b/c"},
				source.Path{Name: "d/new", Tree: true}, source.Path{Name: "e/f"}, source.Path{Name: "e/g"})
			if res.DeletesHeld == 0 || len(res.Problems) > 0 {
				t.Errorf("%d deletes held, problems %v", res.DeletesHeld, res.Problems)
			}
			if n := strings.Count(strings.Join(lines, "\n"), "*deleting"); n != 6 {
				t.Errorf("%d deleted:\n%s", n, strings.Join(lines, "\n"))
			}
			for name, want := range map[string]bool{"dst/a": false, "bak/a/f": true, "dst/b": false, "bak/b/c/g": true, "dst/d/keep": true, "dst/d/new": false} {
				if exists(filepath.Join(filepath.Dir(dst), name)) != want {
					t.Errorf("%s is there: %v", name, !want)
				}
			}
		})
	}
}

// TestMkpath makes what is missing above the target, of a directory and of a single file.
func TestMkpath(t *testing.T) {
	src, dst := dirs(t)
	write(t, filepath.Join(src, "f"), "x")
	deep := filepath.Join(dst, "a", "b", "c")
	if _, err := Open(deep, archive); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without it: %v", err)
	}
	o := archive
	o.Mkpath = true
	dry := o
	dry.DryRun = true
	full(t, src, deep, dry)
	if exists(filepath.Join(dst, "a")) {
		t.Error("a dry run made directories")
	}
	full(t, src, deep, o)
	requireEqual(t, src, deep)
	target, err := OpenFile(filepath.Join(dst, "x", "y", "name"), o)
	must(t, err)
	defer target.Close()
	so := sourceOptions(o)
	so.Prefix = "f"
	_, err = target.Full(t.Context(), openSource(t, src, so), time.Time{})
	must(t, err)
	if got := read(t, filepath.Join(dst, "x", "y", "name")); got != "x" {
		t.Errorf("got %q", got)
	}
}

// TestInterruptedWays: what a copy leaves that does not come to its end, and that the next push
// puts the whole file there and leaves nothing else.
func TestInterruptedWays(t *testing.T) {
	const size = 3 << 20
	for _, test := range []struct {
		name string
		set  func(o *Options)
		args []string
		left string // where the partial file is
	}{
		{name: "thrown away", set: func(*Options) {}},
		{name: "partial", set: func(o *Options) { o.Partial = true }, args: []string{"--partial"}, left: "big"},
		{name: "partial dir", set: func(o *Options) { o.PartialDir = ".part" }, args: []string{"--partial-dir=.part"}, left: ".part/big"},
		{name: "delayed", set: func(o *Options) { o.DelayUpdates = true }, args: []string{"--delay-updates"}, left: ".~tmp~/big"},
		{name: "in place", set: func(o *Options) { o.Inplace = true }, args: []string{"--inplace"}, left: "big"},
	} {
		t.Run(test.name, func(t *testing.T) {
			src, dst := dirs(t)
			theirs := mkdir(t, filepath.Dir(dst), "theirs")
			data := bytes.Repeat([]byte("0123456789abcdef"), size/16)
			write(t, filepath.Join(src, "big"), string(data))
			o := archive
			o.Delete = false
			test.set(&o)
			for _, d := range []string{dst, theirs} {
				mount(t, "tmpfs", d, "tmpfs", 0, "size=1m")
			}
			res, err := openTarget(t, dst, o).Full(t.Context(), openSource(t, src, sourceOptions(o)), time.Time{})
			must(t, err)
			if len(res.Problems) != 1 || !errors.Is(res.Problems[0].Err, unix.ENOSPC) {
				t.Fatalf("problems: %v", res.Problems)
			}
			out, err := exec.Command("rsync", append(append([]string{"-a"}, test.args...), src+"/", theirs+"/")...).CombinedOutput()
			if err == nil {
				t.Fatalf("rsync had no trouble:\n%s", out)
			}
			requireSameLines(t, leftIn(t, theirs), leftIn(t, dst))
			if test.left != "" {
				got := read(t, filepath.Join(dst, test.left))
				if got == "" || !strings.HasPrefix(string(data), got) {
					t.Errorf("%d bytes that are no beginning of the file", len(got))
				}
			}
			must(t, unix.Mount("", dst, "", unix.MS_REMOUNT, "size=50m"))
			_, _ = full(t, src, dst, o)
			requireEqual(t, src, dst)
		})
	}
}

// leftIn lists what is below root: names, modes, and which files have a time of their own.
func leftIn(t *testing.T, root string) (list []string) {
	t.Helper()
	must(t, filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if rel, _ := filepath.Rel(root, path); err == nil && rel != "." {
			list = append(list, fmt.Sprint(rel, " ", info.Mode(), " old ", info.ModTime().Unix() == 0))
		}
		return err
	}))
	return list
}

// killed are the ways in which a file is replaced at once, whatever happens.
var killed = map[string]func(o *Options){
	"plain":     func(*Options) {},
	"fsync":     func(o *Options) { o.Fsync = true },
	"sparse":    func(o *Options) { o.Sparse = true },
	"backup":    func(o *Options) { o.Backup = true },
	"backups":   func(o *Options) { o.BackupDir = "../bak" },
	"delayed":   func(o *Options) { o.DelayUpdates = true },
	"temp dir":  func(o *Options) { o.TempDir = os.Getenv("LOCKSTEP_TEST_TEMP") },
	"partial":   func(o *Options) { o.PartialDir = ".part" },
	"bandwidth": func(o *Options) { o.Bwlimit = 50 << 20 },
}

// TestKilledWays ends a process that pushes two sources in turn, at any moment: each file is one
// or the other.
func TestKilledWays(t *testing.T) {
	if base := os.Getenv("LOCKSTEP_TEST_KILLED"); base != "" {
		pushForEver(t, base, os.Getenv("LOCKSTEP_TEST_WAY"))
	}
	for name := range killed {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := t.TempDir()
			const size, files = 300_000, 4
			for _, c := range []string{"a", "b"} {
				for i := range files {
					write(t, filepath.Join(base, c, fmt.Sprint("f", i)), strings.Repeat(c, size))
				}
				age(t, filepath.Join(base, c))
			}
			mkdir(t, base, "dst")
			for range 5 {
				startAndKill(t, base, name)
				for i := range files {
					data := read(t, filepath.Join(base, "dst", fmt.Sprint("f", i)))
					if len(data) != size || strings.Trim(data, "a") != "" && strings.Trim(data, "b") != "" {
						t.Errorf("f%d: %d bytes, neither the one nor the other", i, len(data))
					}
				}
			}
		})
	}
}

func startAndKill(t *testing.T, base, way string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestKilledWays$")
	temp, err := os.MkdirTemp("/dev/shm", "lockstep") // another file system
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(temp)
	cmd.Env = append(os.Environ(), "LOCKSTEP_TEST_KILLED="+base, "LOCKSTEP_TEST_WAY="+way, "LOCKSTEP_TEST_TEMP="+temp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	// Two pushes are done, a third has begun.
	lines := bufio.NewScanner(out)
	for range 2 {
		if !lines.Scan() {
			t.Error("the pushing process ended")
		}
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
}

func pushForEver(t *testing.T, base, way string) {
	o := archive
	o.Delete, o.IgnoreTimes = false, true
	killed[way](&o)
	for i := 0; ; i++ {
		src := filepath.Join(base, string("ab"[i%2]))
		res, err := openTarget(t, filepath.Join(base, "dst"), o).Full(context.Background(), openSource(t, src, sourceOptions(o)), time.Time{})
		if err != nil || len(res.Problems) > 0 {
			t.Fatal(err, res.Problems)
		}
		fmt.Println("pushed")
	}
}
