package syncer_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// refusal is a way in which a target cannot take a path, and what is to come of it.
type refusal struct {
	name    string
	daemon  func(*syncertest.DaemonConfig) // only a daemon refuses this
	set     func(*syncer.Config)
	prepare func(r *rig)
	before  bool // it holds from the beginning: nothing is pushed before
	change  func(r *rig)
	want    map[string]syscall.Errno
	code    syncer.Code
}

func refusals() []refusal {
	const long = 250
	return []refusal{
		{
			name: "immutable directory", prepare: func(r *rig) { immutable(r, "d") },
			change: func(r *rig) {
				write(r.t, r.in(`d/new "f"`), "x")
				write(r.t, r.in("d/nl\n\xff"), "x")
				write(r.t, r.in("d/.hidden"), "x")
				write(r.t, r.in("d/"+strings.Repeat("n", long)), "x")
				link(r.t, "to", r.in("d/link"))
				fifo(r.t, r.in("d/fifo"))
				write(r.t, r.in("d/dir/x"), "x")
			},
			want: map[string]syscall.Errno{`d/new "f"`: unix.EPERM, "d/nl\n\xff": unix.EPERM, "d/.hidden": unix.EPERM, "d/" + strings.Repeat("n", long): unix.EPERM,
				"d/link": unix.EPERM, "d/fifo": unix.EPERM, "d/dir": unix.EPERM, "d": unix.EPERM},
		},
		{
			name: "immutable file", prepare: func(r *rig) { immutable(r, "d/f") },
			change: func(r *rig) { write(r.t, r.in("d/f"), "new content") },
			want:   map[string]syscall.Errno{"d/f": unix.EPERM},
		},
		{
			name: "immutable file, written in place", prepare: func(r *rig) { immutable(r, "d/f") },
			set:    func(c *syncer.Config) { c.Inplace = true },
			change: func(r *rig) { write(r.t, r.in("d/f"), "new content") },
			want:   map[string]syscall.Errno{"d/f": unix.EPERM},
		},
		{
			name: "immutable file that is deleted", prepare: func(r *rig) { immutable(r, "d/f") },
			set:    func(c *syncer.Config) { c.Delete = true },
			change: func(r *rig) { remove(r.t, r.in("d/f")) },
			want:   map[string]syscall.Errno{"d/f": unix.EPERM},
		},
		{
			name: "directory in the way", prepare: func(r *rig) { immutable(r, "d/sub/f") },
			set: func(c *syncer.Config) { c.Delete = true },
			change: func(r *rig) {
				remove(r.t, r.in("d/sub"))
				write(r.t, r.in("d/sub"), "a file")
			},
			want: map[string]syscall.Errno{"d/sub/f": unix.EPERM, "d/sub": 0},
		},
		{
			name: "read-only file system", prepare: func(r *rig) { mount(r, "ro") },
			change: func(r *rig) {
				write(r.t, r.in("d/f"), "new content")
				write(r.t, r.in("d/g"), "new file")
			},
			want: map[string]syscall.Errno{"d/f": unix.EROFS, "d/g": unix.EROFS, "d": unix.EROFS},
		},
		{
			name: "full, no inodes", before: true, prepare: func(r *rig) { mount(r, "size=1m,nr_inodes=2") },
			change: func(r *rig) {
				write(r.t, r.in("d/g"), "new file")
				mkdir(r.t, r.in("e"))
				link(r.t, "to", r.in("e/link"))
			},
			want: map[string]syscall.Errno{"d/g": unix.ENOSPC, "d/sub": unix.ENOSPC, "e": unix.ENOSPC},
		},
		{
			name: "full", before: true, prepare: func(r *rig) { mount(r, "size=64k") },
			change: func(r *rig) { write(r.t, r.in("d/big"), noise(1, 300_000)) },
			want:   map[string]syscall.Errno{"d/big": unix.ENOSPC}, code: syncer.CodeFile,
		},
		{
			name: "backup with too long a name", set: func(c *syncer.Config) { c.Backup, c.Suffix, c.OmitDirTimes = true, ".backup", true },
			prepare: func(*rig) {}, change: func(r *rig) { write(r.t, r.in(strings.Repeat("n", long)), "new content") },
			want: map[string]syscall.Errno{strings.Repeat("n", long): unix.ENAMETOOLONG}, code: syncer.CodeFile,
		},
		{
			name: "excluded by the daemon", daemon: func(c *syncertest.DaemonConfig) { c.Modules[0].Extra = []string{"exclude = /d/bad /bad"} },
			prepare: func(*rig) {}, change: func(r *rig) {
				write(r.t, r.in("d/bad"), "x")
				write(r.t, r.in("bad/x"), "x")
			},
			want: map[string]syscall.Errno{"d/bad": 0, "bad": 0},
		},
		{
			name: "unprivileged daemon", daemon: func(c *syncertest.DaemonConfig) {
				c.Chroot, c.Modules[0].Extra = false, []string{"uid = 65534", "gid = 65534", "munge symlinks = yes"}
			},
			before: true, prepare: func(r *rig) {
				for _, dir := range []string{filepath.Dir(filepath.Dir(r.dst)), filepath.Dir(r.dst)} {
					chmod(r.t, dir, 0o755)
				}
				mkdir(r.t, r.at("owned"), r.at("d/sub"))
				if err := os.Lchown(r.dst, 65534, 65534); err != nil {
					r.t.Fatal(err)
				}
			},
			set: func(c *syncer.Config) { c.Owner, c.Group, c.OmitDirTimes = false, false, true },
			change: func(r *rig) {
				chmod(r.t, r.in("d"), 0o755)
				write(r.t, r.in("d/f"), "unwritable")
				write(r.t, r.in("owned/g"), "unwritable")
				link(r.t, strings.Repeat("l", 4095), r.in("too long"))
			},
			want: map[string]syscall.Errno{"d/f": unix.EACCES, "d/sub/f": unix.EACCES, "owned/g": unix.EACCES, "too long": unix.ENAMETOOLONG},
		},
	}
}

// What the rsync on the other side cannot take is told by its path and reason, in a full push and in
// one of what changed, on each way there.
func TestInteropBlame(t *testing.T) {
	needRoot(t)
	t.Parallel()
	for i, tt := range refusals() {
		ways := []string{"daemon"}
		switch { // the ways differ in how names are written: a few are enough
		case tt.daemon != nil:
		case i%2 == 1:
			ways = append(ways, "directory in a module")
		case i%4 == 0:
			ways = append(ways, "ssh")
		}
		for _, way := range ways {
			t.Run(tt.name+"/"+way, func(t *testing.T) { blame(t, tt, way) })
		}
	}
}

func blame(t *testing.T, tt refusal, way string) {
	t.Parallel()
	var r *rig
	if way == "ssh" {
		r, _ = newSSHRig(t)
	} else {
		r = newRig(t, func(c *syncertest.DaemonConfig) {
			if tt.daemon != nil {
				tt.daemon(c)
			}
		})
	}
	cfg := r.config()
	cfg.Keep, cfg.NoPrewarm = true, true
	if way == "directory in a module" { // which is not its root
		cfg.Target.Path = "deep/in the module"
		r.dst = r.at(cfg.Target.Path)
		mkdir(t, r.dst)
	}
	if tt.set != nil {
		tt.set(&cfg)
	}
	if !tt.before {
		write(t, r.in(strings.Repeat("n", 250)), "x")
		write(t, r.in("d/f"), "x")
		write(t, r.in("d/sub/f"), "x")
		r.mustPush(cfg)
	}
	tt.prepare(r)
	if tt.before {
		write(t, r.in("d/sub/f"), "x")
	}
	tt.change(r)
	var changed syncer.Batch
	for _, name := range []string{"d", "e", "bad", "owned", "too long", strings.Repeat("n", 250)} {
		changed.Paths = append(changed.Paths, syncer.Path{Name: name, Tree: true})
	}
	for _, b := range []syncer.Batch{syncer.Full(), changed} {
		rep, err := r.syncer(cfg).Push(t.Context(), b)
		want := tt.code
		if want == 0 {
			want = syncer.CodePartial
		}
		if code := syncer.ExitCode(rep, err); code != want || rep.Partial && err == nil {
			t.Errorf("exit code %d, want %d; partial %v, said %q, %v", code, want, rep.Partial, rep.Said, err)
		}
		got := map[string]error{}
		for _, p := range rep.Problems {
			got[p.Path] = p.Err
			errno, known := tt.want[p.Path]
			if !known {
				t.Errorf("%q: %v", p.Path, p.Err)
			}
			if errno != 0 && !errors.Is(p.Err, errno) {
				t.Errorf("%q: %v, want %v", p.Path, p.Err, errno)
			}
		}
		for name := range tt.want {
			if got[name] == nil && name != "d" {
				t.Errorf("%q is not told; there are %v, messages %q", name, rep.Problems, r.messages)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// immutable sets an attribute that even root keeps to.
func immutable(r *rig, name string) {
	r.t.Helper()
	at := r.at(name)
	if err := setFlags(at, unix.STATX_ATTR_IMMUTABLE); errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) {
		r.t.Skip("the file system of TMPDIR has no immutable files")
	} else if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := setFlags(at, 0); err != nil {
			r.t.Error(err)
		}
	})
}

// setFlags sets the attributes of a file (chattr(1)).
func setFlags(name string, flags int) error {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags)
}

// mount puts a small file system in the target's place; "ro" makes what is there read-only.
func mount(r *rig, options string) {
	r.t.Helper()
	var err error
	if options == "ro" {
		err = errors.Join(unix.Mount(r.dst, r.dst, "", unix.MS_BIND, ""), unix.Mount("", r.dst, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	} else {
		err = unix.Mount("lockstep-test", r.dst, "tmpfs", 0, options)
	}
	if err != nil {
		r.t.Skip("no mount:", err)
	}
	dst := r.dst
	r.t.Cleanup(func() {
		if err := unix.Unmount(dst, unix.MNT_DETACH); err != nil {
			r.t.Error(err)
		}
	})
}
