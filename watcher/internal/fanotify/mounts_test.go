package fanotify

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// umount must succeed at once: nobody may hold on to what is watched.
func umount(tb testing.TB, path string) {
	tb.Helper()
	if err := unix.Unmount(path, 0); err != nil {
		tb.Errorf("umount %s: %v", path, err)
	}
}

// TestUnmountRoot has directories known, and unknown, when the root's filesystem is unmounted.
func TestUnmountRoot(t *testing.T) {
	if !inChild(t, ownMounts()) {
		return
	}
	root := newTmpfs(t)
	mkdir(t, root+"/d/e")
	h := start(t, Config{Root: root})
	write(t, root+"/d/e/f", "")
	h.want("d/e/f CREATE|CLOSE_WRITE")
	umount(t, root)
	write(t, root+"/f", "") // elsewhere by now
	mount(t, "tmpfs", root, "tmpfs", 0, "")
	write(t, root+"/f", "")
	time.Sleep(10 * time.Millisecond) // nothing can be waited for
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) != 0 {
		t.Errorf("got %q", show(h.events))
	}
}

// TestNested has filesystems come and go below the root.
func TestNested(t *testing.T) {
	if !inChild(t, ownMounts()) {
		return
	}
	root := newTmpfs(t)
	m := root + "/m"
	mkdir(t, m)
	h := start(t, Config{Root: root})
	for range 3 {
		mount(t, "tmpfs", m, "tmpfs", 0, "")
		write(t, m+"/unseen", "")
		h.want()
		must(t, h.g.AddFilesystem(m))
		mkdir(t, m+"/d")
		write(t, m+"/d/f", "")
		h.want("m/d/ CREATE", "m/d/f CREATE|CLOSE_WRITE")
		must(t, os.Rename(m+"/d", m+"/e"))
		write(t, m+"/e/f", "1")
		h.want("m/d -> m/e/ RENAME", "m/e/f MODIFY|CLOSE_WRITE")
		umount(t, m)
		must(t, h.g.RemoveFilesystem(m))
		must(t, os.Mkdir(m+"/below", 0o700))
		must(t, os.Remove(m+"/below"))
		h.want("m/below/ CREATE|DELETE")
	}
	must(t, h.g.RemoveFilesystem(m))
	mount(t, "tmpfs", m, "tmpfs", 0, "")
	must(t, h.g.AddFilesystem(m))
	must(t, h.g.RemoveFilesystem(m))
	write(t, m+"/f", "")
	h.want()
	if s := h.g.Stats(); s.Dropped != 0 {
		t.Errorf("the mark was left: %+v", s)
	}
}

// TestMountedElsewhere unmounts a filesystem that lives on at another mount point: its mark stays, and
// what happens there is not told.
func TestMountedElsewhere(t *testing.T) {
	if !inChild(t, ownMounts()) {
		return
	}
	root, other := newTmpfs(t), newTmpfs(t)
	m := root + "/m"
	mkdir(t, m)
	mount(t, other, m, "", unix.MS_BIND, "")
	h := start(t, Config{Root: root})
	must(t, h.g.AddFilesystem(m))
	write(t, other+"/f", "")
	h.want("m/f CREATE|CLOSE_WRITE")
	umount(t, m)
	mkdir(t, other+"/new")
	write(t, other+"/new/f", "")
	h.want("m/new/ CREATE") // the directory is known until the caller tells
	must(t, h.g.RemoveFilesystem(m))
	write(t, other+"/g", "")
	h.want()
	mount(t, other, m, "", unix.MS_BIND, "")
	must(t, h.g.AddFilesystem(m))
	write(t, other+"/new/f", "1")
	h.want("m/new/f MODIFY|CLOSE_WRITE")
}

// TestBindRoot has a root that is a mount of a part of a filesystem.
func TestBindRoot(t *testing.T) {
	if !inChild(t, ownMounts()) {
		return
	}
	fs, root := newTmpfs(t), tempDir(t)
	mkdir(t, fs+"/part/d")
	mkdir(t, fs+"/other")
	mount(t, fs+"/part", root, "", unix.MS_BIND, "")
	h := start(t, Config{Root: root})
	write(t, fs+"/part/d/f", "")
	write(t, fs+"/other/f", "")
	write(t, root+"/d/g", "")
	h.want("d/f CREATE|CLOSE_WRITE", "d/g CREATE|CLOSE_WRITE")
	must(t, os.Rename(fs+"/other", fs+"/part/in"))
	write(t, root+"/in/f", "1")
	h.want("in/ RENAME", "in/f MODIFY|CLOSE_WRITE")
	must(t, os.Rename(fs+"/part", fs+"/moved")) // which does not move the mount
	write(t, root+"/in/f", "2")
	h.want("in/f MODIFY|CLOSE_WRITE")
	umount(t, root)
}

// TestForget mounts into the root what was known as outside.
func TestForget(t *testing.T) {
	if !inChild(t, ownMounts()) {
		return
	}
	fs, root := newTmpfs(t), tempDir(t)
	mkdir(t, fs+"/a/d")
	mkdir(t, fs+"/b/d")
	mount(t, fs+"/a", root, "", unix.MS_BIND, "")
	h := start(t, Config{Root: root})
	write(t, fs+"/b/d/f", "")
	h.want()
	umount(t, root)
	mount(t, fs+"/b", root, "", unix.MS_BIND, "")
	t.Cleanup(func() { umount(t, root) })
	h.g.Forget()
	write(t, root+"/d/f", "1")
	h.want("d/f MODIFY|CLOSE_WRITE")
}

// TestMountedTwice has one filesystem at two places below the root.
func TestMountedTwice(t *testing.T) {
	if !inChild(t, ownMounts()) {
		return
	}
	root, other := newTmpfs(t), newTmpfs(t)
	for _, dir := range []string{"/own", "/m1", "/m2", "/d"} {
		mkdir(t, root+dir)
	}
	mount(t, root+"/d", root+"/own", "", unix.MS_BIND, "")
	mount(t, other, root+"/m1", "", unix.MS_BIND, "")
	mount(t, other, root+"/m2", "", unix.MS_BIND, "")
	h := start(t, Config{Root: root})
	must(t, h.g.AddFilesystem(root+"/m1"))
	for _, dir := range []string{"/own", "/m1", "/m2"} {
		if err := h.g.AddFilesystem(root + dir); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s is refused, got %v", dir, err)
		}
	}
	if err := h.g.AddFilesystem(other); err == nil {
		t.Error("a path outside is refused")
	}
	write(t, root+"/own/f", "")
	write(t, root+"/m2/f", "")
	h.want("d/f CREATE|CLOSE_WRITE", "m1/f CREATE|CLOSE_WRITE")
}

// TestProbe opens what can be watched, and what cannot, and looks for traces.
func TestProbe(t *testing.T) {
	if !inChild(t, ownMounts()) {
		return
	}
	base := newTmpfs(t)
	dir := func(name string) string {
		path := filepath.Join(base, name)
		mkdir(t, path)
		return path
	}
	overlay := func(name, options string) string {
		for _, part := range []string{"lower", "upper", "work", "merged"} {
			dir(name + "/" + part)
		}
		at := filepath.Join(base, name)
		data := fmt.Sprintf("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work%s", at, at, at, options)
		mount(t, "overlay", at+"/merged", "overlay", 0, data)
		return at + "/merged"
	}
	readOnly := func(path string) string {
		mount(t, path, path, "", unix.MS_BIND, "")
		mount(t, "", path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
		t.Cleanup(func() { umount(t, path) })
		return path
	}
	for _, tt := range []struct {
		name, root string
		want       error
	}{
		{"temp", tempDir(t), nil},
		{"tmpfs", dir("plain"), nil},
		{"filesystem's root", base, nil},
		{"everything", "/", nil},
		{"remark of the kernel", dir("x (deleted)"), nil},
		{"overlay", overlay("o1", ""), ErrUnsupported},
		{"overlay that exports", overlay("o2", ",index=on,nfs_export=on"), nil},
		{"read-only", readOnly(dir("ro")), nil},
		{"read-only on temp", readOnly(tempDir(t)), nil},
		{"proc", "/proc", ErrUnsupported},
		{"absent", base + "/absent", unix.ENOENT},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after unix.Stat_t
			_ = unix.Stat(tt.root, &before)
			g, err := Open(Config{Root: tt.root})
			_ = unix.Stat(tt.root, &after)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if before.Mtim != after.Mtim || before.Ctim != after.Ctim {
				t.Error("the probe left a trace in the directory's times")
			}
			if err != nil {
				t.Log(err)
				return
			}
			events, err := readReady(g.fd, make([]byte, bufferSize))
			must(t, err)
			for len(events) > 0 { // of others on the filesystem
				var r record
				r, events, err = parse(events)
				must(t, err)
				if strings.HasPrefix(string(r.name.entry), "#") && int(r.pid) == os.Getpid() {
					t.Errorf("the probe is told: %+v", r)
				}
			}
			must(t, g.Close())
		})
	}
}

// TestSilent waits on a group without a mark: no filesystem of this machine is silent.
func TestSilent(t *testing.T) {
	needRoot(t)
	group, err := newGroup(false)
	must(t, err)
	defer unix.Close(group)
	root := shm(t)
	r := &resolver{root: root, mounts: &mounts{at: map[fsid]string{}}}
	start := time.Now()
	err = awaitProbe(group, r, 50*time.Millisecond)
	if !errors.Is(err, ErrSilent) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("gave up after %v", took)
	}
}

func TestUnprivileged(t *testing.T) {
	if os.Getuid() == 0 && os.Getenv(childEnv) == "" {
		nobody := uint32(65534)
		inChild(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}})
		return
	}
	if _, err := Open(Config{Root: t.TempDir()}); !errors.Is(err, ErrPrivilege) {
		t.Errorf("got %v", err)
	} else {
		t.Log(err)
	}
}

// TestNoHandles has the privilege to mark, but not to open handles.
func TestNoHandles(t *testing.T) {
	if !inChild(t, &syscall.SysProcAttr{}) {
		return
	}
	root := tempDir(t)
	g, err := Open(Config{Root: root})
	must(t, err)
	defer g.Close()
	dropCapability(t, unix.CAP_DAC_READ_SEARCH)
	_, err = Open(Config{Root: root})
	if !errors.Is(err, ErrPrivilege) || !strings.Contains(err.Error(), "handle") {
		t.Errorf("Open: got %v", err)
	}
	write(t, root+"/f", "")
	if err := g.Run(t.Context(), func([]Event) {}); !errors.Is(err, ErrPrivilege) {
		t.Errorf("Run: got %v", err)
	}
}

// dropCapability takes a capability from all threads of this process.
func dropCapability(t *testing.T, capability uint) {
	t.Helper()
	var sets [2]unix.CapUserData
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	must(t, unix.Capget(&hdr, &sets[0]))
	for i := range sets {
		if i == int(capability/32) {
			sets[i].Effective &^= 1 << (capability % 32)
			sets[i].Permitted &^= 1 << (capability % 32)
		}
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&sets)), 0)
	if errno != 0 {
		t.Fatalf("capset: %v", errno)
	}
}
