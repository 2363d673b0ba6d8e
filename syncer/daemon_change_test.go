package syncer_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
)

// A file that changes while it is read is told, and another push makes it equal.
func TestInteropChanging(t *testing.T) {
	const size = 5_000_000
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, name string)
	}{
		{"grows", func(t *testing.T, name string) { appendTo(t, name, "more") }},
		{"shrinks", func(t *testing.T, name string) { truncate(t, name, size/3) }},
		{"is emptied", func(t *testing.T, name string) { truncate(t, name, 0) }},
		{"is rewritten", func(t *testing.T, name string) { write(t, name, noise(7, size)) }},
		{"is rewritten, its time set back", func(t *testing.T, name string) {
			write(t, name, noise(7, size))
			touch(t, name, old())
		}},
		{"is replaced", func(t *testing.T, name string) {
			write(t, name+".tmp", noise(8, size))
			touch(t, name+".tmp", old())
			rename(t, name+".tmp", name)
		}},
		{"is touched", func(t *testing.T, name string) { touch(t, name, time.Now()) }},
		{"is chmodded", func(t *testing.T, name string) { chmod(t, name, 0o600) }},
		{"is deleted", func(t *testing.T, name string) { remove(t, name) }},
		{"becomes a directory", func(t *testing.T, name string) { remove(t, name); write(t, name+"/f", "x") }},
	} {
		for _, basis := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s basis %v", tt.name, basis), func(t *testing.T) {
				r := newRig(t)
				write(t, r.in("d/file"), noise(1, size))
				if basis {
					write(t, r.at("d/file"), noise(1, size/2))
				}
				touch(t, r.in("d/file"), old())
				cfg := r.config()
				cfg.Delete, cfg.Keep = true, true
				once := sync.Once{}
				cfg.Sink.Progress = func(p syncer.Progress) {
					if p.Done >= size/10 && p.File == "d/file" {
						once.Do(func() { tt.change(t, r.in("d/file")) })
					}
				}
				s := r.syncer(cfg)
				rep, err := s.Push(t.Context(), syncer.Full())
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(rep.Changed, []string{"d/file"}) || len(rep.Problems) > 0 {
					t.Errorf("changed %q, problems %v, want the file in changed", rep.Changed, rep.Problems)
				}
				rep, err = s.Push(t.Context(), syncer.Batch{Paths: []syncer.Path{{Name: "d/file", Tree: true, Content: true}}})
				r.mustBeWhole(rep, err)
				r.equal()
			})
		}
	}
}

func appendTo(t *testing.T, name, more string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(more)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, name string, size int64) {
	t.Helper()
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
}

// What vanishes between the list and its turn is told as vanished: exit code 24, as rsync's.
func TestInteropVanished(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, name string){
		"gone":             func(t *testing.T, name string) { remove(t, name) },
		"with its parent":  func(t *testing.T, name string) { remove(t, filepath.Dir(name)) },
		"a directory now":  func(t *testing.T, name string) { remove(t, name); mkdir(t, name) },
		"a symlink now":    func(t *testing.T, name string) { remove(t, name); link(t, "/etc/passwd", name) },
		"a FIFO now":       func(t *testing.T, name string) { remove(t, name); fifo(t, name) },
		"parent a symlink": func(t *testing.T, name string) { remove(t, filepath.Dir(name)); link(t, "/etc", filepath.Dir(name)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			write(t, r.in("a"), "x")
			write(t, r.in("z/passwd"), "x")
			write(t, r.in("z/stays"), "x")
			cfg := r.config()
			cfg.NoIncRecurse = true // all of the list goes before any file
			inner := cfg.Sink.Item
			cfg.Sink.Item = func(it syncer.Item) {
				inner(it)
				if it.Name == "a" {
					change(t, r.in("z/passwd"))
				}
			}
			rep, err := r.push(cfg)
			if code := syncer.ExitCode(rep, err); code != syncer.CodeVanished {
				t.Errorf("exit code %d, want %d: error %v, problems %v, messages %q", code, syncer.CodeVanished, err, rep.Problems, r.messages)
			}
			if len(rep.Problems) == 0 || rep.Problems[0].Path != "z/passwd" || !rep.Problems[0].Vanished() {
				t.Errorf("problems %v", rep.Problems)
			}
			if exists(t, r.at("z/passwd")) {
				t.Error("something arrived")
			}
			rep, err = r.push(r.config()) // without the hook
			r.mustBeWhole(rep, err)
		})
	}
}

// What cannot be read is told, everything else arrives, and nothing is deleted for it.
func TestInteropUnreadable(t *testing.T) {
	if !withoutOverride(t) {
		return
	}
	r := newRig(t)
	for _, n := range []string{"a", "secret", "z", "dir/f", "sub/open"} {
		write(t, r.in(n), "new "+n)
	}
	for _, n := range []string{"secret", "dir/old", "dir/f", "gone"} {
		write(t, r.at(n), "old")
	}
	chmod(t, r.in("secret"), 0)
	chmod(t, r.in("dir"), 0)
	cfg := r.config()
	cfg.Delete = true
	s := r.syncer(cfg)
	var rep syncer.Report
	var err error
	rep, err = s.Push(t.Context(), syncer.Full())
	if code := syncer.ExitCode(rep, err); code != syncer.CodePartial {
		t.Errorf("exit code %d, want %d: %v", code, syncer.CodePartial, err)
	}
	bad := map[string]bool{}
	for _, p := range rep.Problems {
		bad[p.Path] = errors.Is(p.Err, fs.ErrPermission)
	}
	if len(bad) != 2 || !bad["secret"] || !bad["dir"] {
		t.Errorf("problems %v", rep.Problems)
	}
	chmod(t, r.in("dir"), 0o755)
	chmod(t, r.at("dir"), 0o755)
	chmod(t, r.at("secret"), 0o644)
	chmod(t, r.in("secret"), 0o644)
	for n, want := range map[string]string{"secret": "old", "dir/old": "old", "dir/f": "old", "a": "new a", "z": "new z", "sub/open": "new sub/open"} {
		if got := read(t, r.at(n)); got != want {
			t.Errorf("%q is %q, want %q", n, got, want)
		}
	}
	if exists(t, r.at("gone")) {
		t.Error("what is gone elsewhere was not deleted")
	}
	rep, err = r.push(cfg)
	r.mustBeWhole(rep, err)
	r.equal()
}

// withoutOverride says whether this process is bound by permissions, or may not tell them from what
// it may do. As root it runs the calling test again in a process that is.
func withoutOverride(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 || os.Getenv("LOCKSTEP_TEST_BOUND") != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), "setpriv", "--bounding-set=-dac_override,-dac_read_search", "--",
		os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "LOCKSTEP_TEST_BOUND=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("without the right to override permissions: %v\n%s", err, out)
	}
	return false
}
