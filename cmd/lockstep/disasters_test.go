package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// TestDisasters is the index of what has cost other tools' users their copies: each as it happens, with
// the real program, a local target and a daemon's module. What a target had it must still have while
// the disaster lasts, and when that is over both become equal by themselves. Each has more tests near
// what guards against it: syncer/root_test.go, syncer/lost_test.go, testdata/script/watch_*.txtar,
// and cmd/lockstep-chaos at random.
func TestDisasters(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"source unmounted before the start":           unmountedBefore,
		"source unmounted while it is watched":        unmountedLive,
		"unreadable directory of the source":          unreadableDirectory,
		"target full, and freed":                      targetFull,
		"target down for long":                        targetDown,
		"source replaced by an empty one of its name": emptyInItsPlace,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// scene is a source, and two replicas that begin as its equals.
type scene struct {
	t          *testing.T
	src        string
	local      string
	module     string
	state      string
	daemon     *syncertest.Daemon
	attributes *syscall.SysProcAttr // of lockstep
}

// newScene makes the directories and starts the daemon; the source and the module may be mounted over.
func newScene(t *testing.T) *scene {
	dir := t.TempDir()
	open(t, dir)
	s := &scene{t: t, src: filepath.Join(dir, "src"), local: filepath.Join(dir, "local", "copy"), module: filepath.Join(dir, "module", "copy"), state: filepath.Join(dir, "state")}
	for _, d := range []string{s.src, filepath.Dir(s.local), filepath.Dir(s.module), s.state} {
		s.check(os.Mkdir(d, 0o755))
	}
	s.check(os.Chmod(s.state, 0o777)) // a lockstep of another user's keeps something there, too
	s.daemon = syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{{Name: "m", Path: s.module}}})
	return s
}

func (s *scene) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// fill makes a tree in dir: the source's, or what the replicas had of it before.
func (s *scene) fill(dirs ...string) {
	s.t.Helper()
	for _, dir := range dirs {
		s.check(os.MkdirAll(dir, 0o755))
		for _, name := range []string{"a", "d/b", "d/e/c"} {
			s.write(filepath.Join(dir, name), name)
		}
	}
}

func (s *scene) write(name, content string) {
	s.t.Helper()
	s.check(os.MkdirAll(filepath.Dir(name), 0o755))
	s.check(os.WriteFile(name, []byte(content), 0o644))
}

// replicas are the two targets' directories.
func (s *scene) replicas() []string { return []string{s.local, s.module} }

// have fails the test unless both replicas have what fill made.
func (s *scene) have() {
	s.t.Helper()
	for _, r := range s.replicas() {
		for _, name := range []string{"a", "d/b", "d/e/c"} {
			if text, err := os.ReadFile(filepath.Join(r, name)); err != nil || string(text) != name {
				s.t.Errorf("the target lost %s: %v, %q", name, err, text)
			}
		}
	}
}

// soonEqual waits until both replicas are as the source is.
func (s *scene) soonEqual() {
	s.t.Helper()
	for _, r := range s.replicas() {
		syncertest.RequireSoonEqual(s.t, patience, s.src, r, treeOptions())
	}
}

// watched is a lockstep that runs.
type watched struct {
	*scene
	log  string
	stop func()
}

// watch starts one for each target, and ends them with the test or before.
func (s *scene) watch() []*watched {
	s.t.Helper()
	return []*watched{s.watchOne("local", s.local+"/"), s.watchOne("daemon", s.daemon.URL("m"))}
}

func (s *scene) watchOne(name, target string) *watched {
	s.t.Helper()
	log, err := os.CreateTemp(s.t.TempDir(), name)
	s.check(err)
	defer log.Close()
	cmd := lockstepCmd("/", []string{"PATH=" + os.Getenv("PATH")}, log, log, "--watch", "--delete", "--no-tune", "--state-dir="+s.state, s.src+"/", target)
	cmd.SysProcAttr = s.attributes
	s.check(cmd.Start())
	w := &watched{scene: s, log: log.Name()}
	w.stop = func() {
		w.stop = func() {}
		s.check(cmd.Process.Signal(syscall.SIGTERM))
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("to the %s target: %v; its log:\n%s", name, err, w.text())
		}
	}
	s.t.Cleanup(func() {
		w.stop()
		if s.t.Failed() {
			s.t.Logf("log to the %s target:\n%s", name, w.text())
		}
	})
	return w
}

func (w *watched) text() string {
	text, err := os.ReadFile(w.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// await waits until each log has matches, so many of them.
func await(all []*watched, pattern string, n int) {
	re := regexp.MustCompile(pattern)
	for _, w := range all {
		w.t.Helper()
		for deadline := time.Now().Add(patience); len(re.FindAllString(w.text(), n)) < n; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				w.t.Fatalf("%q did not come %d times; log:\n%s", pattern, n, w.text())
			}
		}
	}
}

// mounts mounts a tmpfs, which goes with the test if not before.
func (s *scene) mount(dir, options string) {
	s.t.Helper()
	if may, err := mayMount(); err != nil || !may {
		s.t.Skip("needs the right to mount")
	}
	s.check(unix.Mount("none", dir, "tmpfs", 0, options))
	s.t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

func (s *scene) unmount(dir string) {
	s.t.Helper()
	s.check(unix.Unmount(dir, unix.MNT_DETACH))
}

// A boot at which the source's disk is not mounted: its mount point is an empty directory.
func unmountedBefore(t *testing.T) {
	s := newScene(t)
	s.fill(s.replicas()...)
	all := s.watch()
	await(all, "ERROR .*empty at the start", 1)
	s.have()
	s.mount(s.src, "mode=755")
	s.fill(s.src)
	s.write(filepath.Join(s.src, "new"), "new")
	s.soonEqual()
}

// The disk goes while it is watched, and comes back with less on it.
func unmountedLive(t *testing.T) {
	s := newScene(t)
	s.mount(s.src, "mode=755")
	s.fill(s.src, s.local, s.module)
	s.write(filepath.Join(s.src, "more"), "more")
	all := s.watch()
	s.soonEqual()
	disk := filepath.Join(t.TempDir(), "disk") // it stays mounted elsewhere, so that it can come back
	s.check(os.Mkdir(disk, 0o755))
	s.check(unix.Mount(s.src, disk, "", unix.MS_BIND, ""))
	t.Cleanup(func() { unix.Unmount(disk, unix.MNT_DETACH) })
	s.unmount(s.src)
	await(all, "ERROR  root is", 1)
	s.have()
	s.check(os.Remove(filepath.Join(disk, "more")))
	s.have()
	s.check(unix.Mount(disk, s.src, "", unix.MS_BIND, ""))
	s.soonEqual()
}

// A directory that cannot be read is not an empty directory: its twin keeps what it has.
func unreadableDirectory(t *testing.T) {
	s := newScene(t)
	s.fill(s.src, s.local, s.module)
	if os.Geteuid() == 0 { // who may read everything cannot have this disaster
		const nobody = 65534
		s.attributes = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		for _, dir := range []string{s.src, filepath.Dir(s.local), filepath.Dir(s.module)} {
			s.check(filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
				return errors.Join(err, os.Lchown(name, nobody, nobody))
			}))
		}
	}
	d := filepath.Join(s.src, "d")
	s.check(os.Chmod(d, 0))
	t.Cleanup(func() { os.Chmod(d, 0o755) })
	all := s.watch()
	await(all, `not brought over; .*"path": "d"|"d".*[Pp]ermission denied|permission denied`, 1)
	for _, r := range s.replicas() {
		s.check(os.Chmod(filepath.Join(r, "d"), 0o755)) // it has the mode of its twin, or not yet
	}
	s.have()
	s.check(os.Chmod(d, 0o755))
	s.write(filepath.Join(s.src, "new"), "new")
	if os.Geteuid() == 0 {
		s.check(os.Chown(filepath.Join(s.src, "new"), 65534, 65534))
	}
	s.soonEqual()
}

// A full disk leaves each file old or whole, and is filled up when there is room.
func targetFull(t *testing.T) {
	s := newScene(t)
	for _, r := range s.replicas() {
		s.mount(filepath.Dir(r), "mode=755,size=1m")
	}
	s.fill(s.src, s.local, s.module)
	all := s.watch()
	s.soonEqual()
	large := string(make([]byte, 3<<20))
	s.write(filepath.Join(s.src, "a"), large)
	s.write(filepath.Join(s.src, "large"), large)
	await(all, "[Nn]o space left on device", 1)
	s.have()
	for _, r := range s.replicas() {
		// It may have been sent before anything was written to it.
		if info, err := os.Lstat(filepath.Join(r, "large")); err == nil && info.Size() != 0 {
			t.Errorf("%s has a part of a file", r)
		}
		s.check(unix.Mount("none", filepath.Dir(r), "tmpfs", unix.MS_REMOUNT, "size=16m"))
	}
	s.soonEqual()
}

// Whatever happens while a target is not there arrives when it is back: what was made, what was deleted,
// and what was both.
func targetDown(t *testing.T) {
	s := newScene(t)
	s.fill(s.src, s.local, s.module)
	all := s.watch()
	s.soonEqual()
	s.check(s.daemon.Stop())
	s.check(os.Rename(s.local, s.local+".away"))
	s.write(filepath.Join(s.src, "a"), "other")
	await(all, "  push failed", 1)
	s.write(filepath.Join(s.src, "new", "f"), "f")
	s.check(os.RemoveAll(filepath.Join(s.src, "d", "e")))
	s.write(filepath.Join(s.src, "gone"), "gone")
	s.check(os.Remove(filepath.Join(s.src, "gone")))
	if _, err := os.Lstat(s.local); err == nil {
		t.Error("a new target was made in place of the one that went away")
	}
	s.check(os.Rename(s.local+".away", s.local))
	s.check(s.daemon.Start())
	s.soonEqual()
}

// An empty directory that took the source's name, while it is watched and at a start, is not the source.
func emptyInItsPlace(t *testing.T) {
	s := newScene(t)
	s.fill(s.src, s.local, s.module)
	all := s.watch()
	s.soonEqual()
	s.check(os.Rename(s.src, s.src+".away"))
	s.check(os.Mkdir(s.src, 0o755))
	await(all, "ERROR  .*(replaced|another directory)", 1)
	s.have()
	for _, w := range all {
		w.stop()
	}
	all = s.watch() // which knows from the run before who the source is
	await(all, "ERROR .*another directory than the one pushed before", 1)
	s.have()
	s.check(os.Remove(s.src))
	s.check(os.Rename(s.src+".away", s.src))
	s.check(os.Remove(filepath.Join(s.src, "a")))
	s.soonEqual()
}
