package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// roleSick is the child that serves a sick file system.
const roleSick = "sick"

// sickAt says which directory a sick file system shows, and where; Ailment is a file that says what it
// suffers from.
type sickAt struct{ Backing, Mount, Ailment string }

// sick is a FUSE file system that shows another one, and answers with an error when it is told to: EIO
// as a failing disk does, EDQUOT as one does on which the user has used up his quota.
type sick struct {
	fuse.RawFileSystem
	ailment ailment
}

// ailment is a file of one byte: the errno that a file system suffers from, 0 if it is well. It is read before
// each operation, so that one that begins after it was written goes by what was written. (Signals overtake
// one another.)
type ailment struct{ *os.File }

func openAilment(name string) (ailment, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	return ailment{f}, err
}

func (a ailment) set(errno unix.Errno) error {
	_, err := a.WriteAt([]byte{byte(errno)}, 0)
	return err
}

// get takes an empty file for a sign of health.
func (a ailment) get() (unix.Errno, error) {
	var b [1]byte
	if _, err := a.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return unix.Errno(b[0]), nil
}

// playSick serves until it is killed.
func playSick(argument []byte) error {
	var at sickAt
	if err := json.Unmarshal(argument, &at); err != nil {
		return err
	}
	var st syscall.Stat_t
	if err := syscall.Stat(at.Backing, &st); err != nil {
		return err
	}
	root := &sickNode{fusefs.LoopbackNode{RootData: &fusefs.LoopbackRoot{Path: at.Backing, Dev: st.Dev}}}
	root.RootData.RootNode = root
	never := time.Duration(0) // nothing is remembered by the kernel: others look at the backing directly
	ill, err := openAilment(at.Ailment)
	if err != nil {
		return err
	}
	s := &sick{ailment: ill, RawFileSystem: fusefs.NewNodeFS(root, &fusefs.Options{EntryTimeout: &never, AttrTimeout: &never, NullPermissions: true})}
	server, err := fuse.NewServer(s, at.Mount, &fuse.MountOptions{FsName: "sick", DirectMountStrict: true, MaxWrite: 128 << 10})
	if err != nil {
		return err
	}
	server.Serve()
	return nil
}

// sickNode changes the owner of a symlink itself: go-fuse 2.9.0 that of what it leads to.
type sickNode struct{ fusefs.LoopbackNode }

// WrapChild implements fusefs.NodeWrapChilder: each node is one of these.
func (n *sickNode) WrapChild(context.Context, fusefs.InodeEmbedder) fusefs.InodeEmbedder {
	return &sickNode{fusefs.LoopbackNode{RootData: n.RootData}}
}

func (n *sickNode) Setattr(ctx context.Context, f fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	uid, newUID := in.GetUID()
	gid, newGID := in.GetGID()
	if newUID || newGID {
		owner, group := -1, -1
		if newUID {
			owner = int(uid)
		}
		if newGID {
			group = int(gid)
		}
		if err := unix.Lchown(filepath.Join(n.RootData.Path, n.Path(n.Root())), owner, group); err != nil {
			return fusefs.ToErrno(err)
		}
		in.Valid &^= fuse.FATTR_UID | fuse.FATTR_GID
	}
	return n.LoopbackNode.Setattr(ctx, f, in, out)
}

// fails says what an operation is answered with. EIO hits some at random, EDQUOT all that would take up
// more room.
func (s *sick) fails(grows bool) fuse.Status {
	errno, err := s.ailment.get()
	if err != nil {
		panic(fmt.Sprintf("the harness cannot read what the file system is to suffer from: %v", err))
	}
	if errno == syscall.EIO && rand.IntN(3) > 0 || errno == syscall.EDQUOT && !grows {
		return fuse.OK
	}
	return fuse.Status(errno)
}

func (s *sick) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if e := s.fails(true); !e.Ok() {
		return 0, e
	}
	return s.RawFileSystem.Write(cancel, in, data)
}

func (s *sick) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	if e := s.fails(true); !e.Ok() {
		return 0, e
	}
	return s.RawFileSystem.CopyFileRange(cancel, in)
}

func (s *sick) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if e := s.fails(true); !e.Ok() {
		return e
	}
	defer asksUs(&out.OpenOut)
	return s.RawFileSystem.Create(cancel, in, name, out)
}

func (s *sick) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	defer asksUs(out)
	return s.RawFileSystem.Open(cancel, in, out)
}

// asksUs has the kernel ask for each read and write, which it else passes on to the file that is shown.
func asksUs(out *fuse.OpenOut) {
	out.OpenFlags &^= fuse.FOPEN_PASSTHROUGH
	out.BackingID = 0
}

func (s *sick) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	if e := s.fails(true); !e.Ok() {
		return e
	}
	return s.RawFileSystem.Mkdir(cancel, in, name, out)
}

func (s *sick) Symlink(cancel <-chan struct{}, in *fuse.InHeader, to, name string, out *fuse.EntryOut) fuse.Status {
	if e := s.fails(true); !e.Ok() {
		return e
	}
	return s.RawFileSystem.Symlink(cancel, in, to, name, out)
}

func (s *sick) Rename(cancel <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	if e := s.fails(false); !e.Ok() {
		return e
	}
	return s.RawFileSystem.Rename(cancel, in, from, to)
}

func (s *sick) Unlink(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if e := s.fails(false); !e.Ok() {
		return e
	}
	return s.RawFileSystem.Unlink(cancel, in, name)
}

func (s *sick) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if e := s.fails(false); !e.Ok() {
		return e
	}
	return s.RawFileSystem.SetAttr(cancel, in, out)
}

func (s *sick) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	if e := s.fails(false); !e.Ok() {
		return nil, e
	}
	return s.RawFileSystem.Read(cancel, in, buf)
}

func (s *sick) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if e := s.fails(false); !e.Ok() {
		return e
	}
	return s.RawFileSystem.OpenDir(cancel, in, out)
}

func (s *sick) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if e := s.fails(false); !e.Ok() {
		return e
	}
	return s.RawFileSystem.Fsync(cancel, in)
}

// mountSick shows what is below d's mount at a directory beside it.
func (w *world) mountSick(d *disk) error {
	d.sick = d.mount + ".sick"
	backing := d.hidden()
	if err := errors.Join(os.Mkdir(backing, 0o755), os.Mkdir(d.sick, 0o755)); err != nil {
		return err
	}
	log := filepath.Join(w.c.Out, "sick.log")
	var err error
	if d.ailment, err = openAilment(d.mount + ".ailment"); err != nil {
		return err
	}
	if d.server, err = startRole(roleSick, sickAt{backing, d.sick, d.ailment.Name()}, &syscall.SysProcAttr{}, log); err != nil {
		return err
	}
	errNotYet := errors.New("it does not mount")
	err = untilDone(w.ctx, func() error {
		if d.server.ended() {
			return fmt.Errorf("it ended: %s", lastLines(log, 3))
		}
		table, err := os.ReadFile("/proc/self/mounts")
		if err == nil && !strings.Contains(string(table), d.sick+" ") {
			err = errNotYet
		}
		return err
	}, errNotYet)
	if err != nil {
		return fmt.Errorf("start a FUSE file system: %w", err)
	}
	return nil
}

func canFUSE() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("there is no FUSE: %w", err)
	}
	return f.Close()
}

func sicken(errno unix.Errno) func(*world, *target, *rand.Rand) (func() error, error) {
	return func(_ *world, t *target, _ *rand.Rand) (func() error, error) {
		return func() error { return t.disk.ailment.set(0) }, t.disk.ailment.set(errno)
	}
}
