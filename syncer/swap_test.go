package syncer

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

var swapFor = flag.Duration("swap", 2*time.Second, "how long TestSwappedForSymlink swaps, for each kind of target")

// swapper exchanges a directory and a symlink to a victim, again and again. Both names are there at each
// instant, so that a path is looked up now through one, now through the other.
type swapper struct {
	dir, link, victim string
	swaps             *atomic.Int64
}

func (s *swapper) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := unix.Renameat2(unix.AT_FDCWD, s.dir, unix.AT_FDCWD, s.link, unix.RENAME_EXCHANGE)
		if err == nil {
			s.swaps.Add(1)
			continue
		}
		// A push has deleted or replaced one of them: begin again, with the link in the place.
		os.RemoveAll(s.link)
		os.Symlink(s.victim, s.link)
		os.MkdirAll(s.dir, 0o755)
	}
}

// victim makes a directory with the names that are pushed, none of the content, and what marks it.
func victim(t *testing.T, dir string) string {
	for _, name := range []string{"f0", "f1", "f2", "only/here"} {
		write(t, filepath.Join(dir, name), "secret")
		if err := unix.Setxattr(filepath.Join(dir, name), "user.secret", []byte("secret"), 0); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
			t.Fatal(err)
		}
	}
	return dir
}

// TestSwappedForSymlink: directories of the source, and of the target, are swapped for symlinks that lead out
// while pushes run, full ones and partial ones. Nothing that is outside of the source is sent, and nothing
// that is outside of the target changes. Run it long with -swap=10m.
func TestSwappedForSymlink(t *testing.T) {
	for _, kind := range []string{"local", "daemon"} {
		t.Run(kind, func(t *testing.T) { t.Parallel(); swapWhilePushing(t, kind == "local") })
	}
}

func swapWhilePushing(t *testing.T, local bool) {
	base := t.TempDir()
	in := func(name string) string { return filepath.Join(base, name) }
	secret, precious := victim(t, in("secret")), victim(t, in("precious"))
	copied := in("precious.before")
	if out, err := exec.Command("cp", "-a", precious, copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"d/f0", "d/f1", "d/f2", "d/sub/f0", "e/f0"} {
		write(t, in("src/"+name), "source "+name)
	}
	if err := os.MkdirAll(in("dst/d"), 0o755); err != nil {
		t.Fatal(err)
	}
	target := Target{Path: in("dst")}
	if !local {
		d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{{Name: "m", Path: in("dst")}}})
		var err error
		if target, err = ParseTarget(d.URL("m")); err != nil {
			t.Fatal(err)
		}
	}
	s := newPair(t, in("src"), in("dst"), func(c *Config) { c.Target, c.Xattrs = target, true })
	defer s.Close()

	var swaps atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { (&swapper{in("src/d"), in("src/link"), secret, &swaps}).run(ctx) })
	if local { // how a daemon writes is its own affair
		running.Go(func() { (&swapper{in("dst/d"), in("evil"), precious, &swaps}).run(ctx) })
	}
	pushes := 0
	for end := time.Now().Add(*swapFor); pushes < 6 || time.Now().Before(end); pushes++ {
		batch := Full()
		if pushes%3 > 0 {
			batch = Batch{Paths: []Path{{Name: "d/f0", Content: true}, {Name: "d/sub", Tree: true}, {Name: "d/only/here"}, {Name: "d/only", Tree: true}, {Name: "link/f1", Content: true}, {Name: "d/gone"}}}
		}
		// What cannot be brought over while it is swapped is no matter here.
		_, _ = s.Push(t.Context(), batch)
		noSecret(t, in("dst"))
		if t.Failed() {
			break
		}
	}
	stop()
	running.Wait()
	syncertest.RequireEqual(t, copied, precious, syncertest.CompareOptions{})
	if swaps.Load() < 1000 {
		t.Errorf("only %d swaps: too few to prove anything", swaps.Load())
	}
	t.Logf("%d pushes, %d swaps", pushes, swaps.Load())
}

// noSecret looks for what marks the victim below dir, where nothing is followed.
func noSecret(t *testing.T, dir string) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	_ = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // swapped away meanwhile
		}
		f, err := root.Open(path)
		if err != nil {
			return nil
		}
		defer f.Close()
		content, err := io.ReadAll(f)
		if err == nil && bytes.Contains(content, []byte("secret")) {
			t.Errorf("%s holds what is outside of the source", path)
		}
		if n, err := unix.Fgetxattr(int(f.Fd()), "user.secret", make([]byte, 10)); err == nil && n > 0 {
			t.Errorf("%s has the attribute of what is outside of the source", path)
		}
		return nil
	})
}
