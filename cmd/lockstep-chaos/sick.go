package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// roleSick is the child that serves a sick file system.
const roleSick = "sick"

// sickAt says which directory a sick file system shows, and where.
type sickAt struct{ Backing, Mount string }

// sick is a FUSE file system that shows another one, and answers with an error when it is told to: EIO
// as a failing disk does, EDQUOT as one does on which the user has used up his quota. Signals tell it.
type sick struct {
	fuse.RawFileSystem
	errno atomic.Int32
}

// What a signal makes the file system do.
const (
	beEIO    = unix.SIGUSR1
	beEDQUOT = unix.SIGUSR2
	beWell   = unix.SIGHUP
)

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
	s := &sick{RawFileSystem: fusefs.NewNodeFS(root, &fusefs.Options{EntryTimeout: &never, AttrTimeout: &never, NullPermissions: true})}
	server, err := fuse.NewServer(s, at.Mount, &fuse.MountOptions{FsName: "sick", DirectMountStrict: true, MaxWrite: 128 << 10})
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 8) // none is lost: the harness sends one at a time
	signal.Notify(signals, beEIO, beEDQUOT, beWell)
	go func() {
		for sig := range signals {
			s.errno.Store(int32(map[os.Signal]unix.Errno{beEIO: unix.EIO, beEDQUOT: unix.EDQUOT}[sig]))
		}
	}()
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
	errno := syscall.Errno(s.errno.Load())
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
	return s.RawFileSystem.Create(cancel, in, name, out)
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
	if d.server, err = startRole(roleSick, sickAt{backing, d.sick}, &syscall.SysProcAttr{}, log); err != nil {
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

func sicken(sig unix.Signal) func(*world, *target, *rand.Rand) (func() error, error) {
	return func(_ *world, t *target, _ *rand.Rand) (func() error, error) {
		return func() error { return t.disk.server.signal(beWell) }, t.disk.server.signal(sig)
	}
}
