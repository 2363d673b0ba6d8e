package places

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// place is a file or directory, or where one is to be. It is written into a claim's file.
type place struct {
	Path string `json:"path"` // absolute, symlinks resolved as far as it exists
	Rest string `json:"rest"` // what of Path does not exist yet
	// IDs are what exists of Path and the directories above it, the nearest first.
	IDs []id `json:"ids"`
	// On is where it is, Below what is mounted below it.
	On    extent   `json:"on"`
	Below []extent `json:"below,omitempty"`
}

// id is a directory as fstat(2) knows it.
type id struct{ Dev, Ino uint64 }

// extent is a directory within its file system. The zero value is not known.
type extent struct {
	FS   string `json:"fs"` // major:minor, as the table of mounts has it
	Path string `json:"path"`
}

func (e extent) is(o extent) bool     { return e.FS != "" && e == o }
func (e extent) within(o extent) bool { return e.FS != "" && e.FS == o.FS && within(e.Path, o.Path) }

// same says whether p and o are one.
func (p *place) same(o *place) bool {
	return p.Path == o.Path || p.On.is(o.On) || len(p.IDs) > 0 && len(o.IDs) > 0 && p.IDs[0] == o.IDs[0] && p.Rest == o.Rest
}

// below says whether p is somewhere in o.
func (p *place) below(o *place) bool {
	return within(p.Path, o.Path) || p.On.within(o.On) || p.hasAbove(o, false)
}

// hasAbove looks for o among the directories above p. With oneFS it stops where another file system begins.
func (p *place) hasAbove(o *place, oneFS bool) bool {
	if o.Rest != "" || len(o.IDs) == 0 {
		return false
	}
	for i, above := range p.IDs {
		if oneFS && above.Dev != p.IDs[0].Dev {
			return false
		}
		if above == o.IDs[0] && (i > 0 || p.Rest != "") {
			return true
		}
	}
	return false
}

// reads says whether a walk over p comes to o: it is below p, or below something that is mounted there.
// With oneFS a walk stays on its file system.
func (p *place) reads(o *place, oneFS bool) bool {
	if p.On.FS == "" {
		oneFS = false // not known: better refused than walked in a circle
	}
	if !oneFS && within(o.Path, p.Path) || o.On.within(p.On) || o.hasAbove(p, oneFS) {
		return true
	}
	for _, m := range p.Below {
		if oneFS && m.FS != p.On.FS {
			continue
		}
		if o.On.is(m) || o.On.within(m) {
			return true
		}
	}
	return false
}

// meets says whether one of both is in the other.
func (p *place) meets(o *place) bool { return p.same(o) || p.below(o) || o.below(p) }

// mounts is the table of mounts.
type mounts []*mountinfo.Info

// readMounts gives an empty table where there is none: paths and inodes have to do then.
func readMounts() mounts {
	table, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil
	}
	return table
}

// find is what path is mounted on: by the number that the kernel gives for it (Linux 5.8), else the last
// mount above it.
func (t mounts) find(path string) *mountinfo.Info {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_MNT_ID, &st)
	known := err == nil && st.Mask&unix.STATX_MNT_ID != 0
	var best *mountinfo.Info
	for _, m := range t {
		if known && uint64(m.ID) == st.Mnt_id {
			return m
		}
		if (path == m.Mountpoint || within(path, m.Mountpoint)) && (best == nil || len(m.Mountpoint) >= len(best.Mountpoint)) {
			best = m
		}
	}
	return best
}

func extentOf(m *mountinfo.Info, rel string) extent {
	return extent{FS: fmt.Sprintf("%d:%d", m.Major, m.Minor), Path: path.Join(m.Root, rel)}
}

// at is the place at an absolute path whose symlinks are resolved.
func (t mounts) at(real string) place {
	p := place{Path: real}
	there := real
	for {
		var st unix.Stat_t
		err := unix.Lstat(there, &st)
		if err == nil {
			p.IDs = append(p.IDs, id{st.Dev, st.Ino})
		} else if len(p.IDs) == 0 {
			p.Rest = filepath.Join(filepath.Base(there), p.Rest)
		}
		if there == "/" {
			break
		}
		there = filepath.Dir(there)
	}
	exists := strings.TrimSuffix(real, p.Rest)
	if exists != "/" {
		exists = strings.TrimSuffix(exists, "/")
	}
	m := t.find(exists)
	if m == nil {
		return p
	}
	p.On = extentOf(m, strings.TrimPrefix(real, strings.TrimSuffix(m.Mountpoint, "/")))
	for _, m := range t {
		if within(m.Mountpoint, real) {
			p.Below = append(p.Below, extentOf(m, ""))
		}
	}
	return p
}

func within(path, dir string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/") && path != dir
}

// resolved is path, absolute, with the symlinks resolved of as much of it as exists.
func resolved(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return filepath.Clean(path)
	}
	rest := ""
	for p := abs; ; p = filepath.Dir(p) {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			return filepath.Join(real, rest)
		}
		if p == "/" {
			return abs
		}
		rest = filepath.Join(filepath.Base(p), rest)
	}
}

// isDir says whether there is a directory at path, which may be a symlink.
func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// isFile says whether there is something at path that is no directory, a symlink itself included.
func isFile(path string) bool {
	fi, err := os.Lstat(path)
	return err == nil && !fi.IsDir()
}
