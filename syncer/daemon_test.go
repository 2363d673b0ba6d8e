package syncer_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a source, a real daemon with the module "m", and what a push said.
type rig struct {
	t        *testing.T
	src, dst string
	daemon   *syncertest.Daemon
	base     syncer.Config // without a daemon

	mu       sync.Mutex // guards what the sink is told
	items    []string
	messages []string
}

// newRig starts a daemon; edit may change its configuration. The tree of the module need not be
// equal to the source yet.
func newRig(t *testing.T, edit ...func(*syncertest.DaemonConfig)) *rig {
	t.Helper()
	r := &rig{t: t, src: filepath.Join(t.TempDir(), "src"), dst: filepath.Join(t.TempDir(), "dst")}
	mkdir(t, r.src, r.dst)
	cfg := syncertest.DaemonConfig{
		Modules: []syncertest.Module{{Name: "m", Path: r.dst}},
		Chroot:  os.Geteuid() == 0,
	}
	for _, f := range edit {
		f(&cfg)
	}
	r.daemon = syncertest.StartDaemon(t, cfg)
	return r
}

// config is for a push of the source's content into the module, everything but deleting.
func (r *rig) config() syncer.Config {
	if r.daemon == nil {
		cfg := r.base
		cfg.Source, cfg.Sink = r.src+"/", r.sink()
		return cfg
	}
	target, err := syncer.ParseTarget(r.daemon.URL("m"))
	if err != nil {
		r.t.Fatal(err)
	}
	return syncer.Config{Source: r.src + "/", Target: target, Options: syncer.Archive(), Sink: r.sink()}
}

func (r *rig) sink() syncer.Sink {
	return syncer.Sink{
		Item: func(it syncer.Item) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.items = append(r.items, it.String())
		},
		Message: func(text string, isError bool) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.messages = append(r.messages, text)
		},
	}
}

// push does a full push.
func (r *rig) push(cfg syncer.Config) (syncer.Report, error) {
	r.t.Helper()
	return r.syncer(cfg).Push(r.t.Context(), syncer.Full())
}

func (r *rig) syncer(cfg syncer.Config) *syncer.Syncer {
	r.t.Helper()
	s, err := syncer.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { s.Close() })
	r.items, r.messages = nil, nil
	return s
}

// mustPush is push, and all arrived.
func (r *rig) mustPush(cfg syncer.Config) syncer.Report {
	r.t.Helper()
	rep, err := r.push(cfg)
	r.mustBeWhole(rep, err)
	return rep
}

func (r *rig) mustBeWhole(rep syncer.Report, err error) {
	r.t.Helper()
	if err != nil || !rep.Whole() || syncer.ExitCode(rep, err) != syncer.CodeOK {
		r.t.Fatalf("push: error %v, exit code %d, problems %v, changed %q, messages %q",
			err, syncer.ExitCode(rep, err), rep.Problems, rep.Changed, r.messages)
	}
}

// equal requires that the module is as the source.
func (r *rig) equal() {
	r.t.Helper()
	syncertest.RequireEqual(r.t, r.src, r.dst, syncertest.CompareOptions{IgnoreOwners: os.Geteuid() != 0})
}

// in joins names to the source.
func (r *rig) in(name string) string { return filepath.Join(r.src, name) }

// at joins names to the module.
func (r *rig) at(name string) string { return filepath.Join(r.dst, name) }

// rsync runs the real client and returns its output and exit code.
func (r *rig) rsync(args ...string) (string, int) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "rsync", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "RSYNC_PASSWORD=")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can do what is tested here")
	}
}

func mkdir(t *testing.T, dirs ...string) {
	t.Helper()
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// write makes a file with the directories above it.
func write(t *testing.T, name, content string) {
	t.Helper()
	mkdir(t, filepath.Dir(name))
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, names ...string) {
	t.Helper()
	for _, n := range names {
		if err := os.RemoveAll(n); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func exists(t *testing.T, name string) bool {
	t.Helper()
	_, err := os.Lstat(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// touch sets a name's mtime, of symlinks too.
func touch(t *testing.T, name string, at time.Time) {
	t.Helper()
	ts := unix.NsecToTimespec(at.UnixNano())
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
}

// old is a moment that no test's own writing brings about.
func old() time.Time { return time.Unix(1_600_000_000, 123_456_789) }

func sorted(lines []string) []string {
	lines = slices.Clone(lines)
	slices.Sort(lines)
	return lines
}

// noise is n bytes that don't compress and repeat nowhere; the same for the same seed.
func noise(seed uint64, n int) string {
	var b strings.Builder
	spec := syncertest.TreeSpec{MinSize: int64(n), Seed: seed}
	if _, err := spec.WriteContent(&b, 0); err != nil {
		panic(fmt.Sprintf("a string builder fails: %v", err))
	}
	return b.String()
}
