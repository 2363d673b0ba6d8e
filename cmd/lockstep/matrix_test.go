package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// TestMatrix pushes the same source to two equal targets, to one with rsync and to the other
// with lockstep, for each row and each kind of target. Then the targets are equal, and the
// exit codes.
func TestMatrix(t *testing.T) {
	syncertest.NeedRsync(t)
	if os.Geteuid() != 0 {
		t.Skip("owners, devices and chroot need root")
	}
	syncertest.SkipUnderRace(t, "what runs beside one another is the same for all rows")
	top := t.TempDir()
	d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Chroot: true, Modules: []syncertest.Module{{Name: "m", Path: top}}})
	sshd := syncertest.StartSSHD(t)
	places := map[string]place{
		"local":  {to: func(path string) string { return path }},
		"daemon": {to: func(path string) string { return strings.TrimSuffix(d.URL("m"), "/") + strings.TrimPrefix(path, top) }},
		"ssh":    {to: func(path string) string { return sshd.Host() + ":" + path }, rsh: map[string]string{"lockstep": sshd.Rsh(), "rsync": noShell(t)}},
	}
	t.Run("rows", func(t *testing.T) {
		for i, r := range matrix {
			for _, kind := range []string{"local", "daemon", "ssh"} {
				if r.on != "" && !strings.Contains(r.on, kind) {
					continue
				}
				t.Run(fmt.Sprintf("%s %s %s %s", kind, r.args, r.source, r.target), func(t *testing.T) {
					t.Parallel()
					r.check(t, filepath.Join(top, fmt.Sprint(kind, i)), kind, places[kind])
				})
			}
		}
	})
}

// place is how the targets of a kind are written, and the options that they need.
type place struct {
	to  func(path string) string
	rsh map[string]string // by program
}

// noShell is a remote shell that is none: the reference needs no encryption.
func noShell(t *testing.T) string {
	t.Helper()
	return syncertest.Script(t, filepath.Join(t.TempDir(), "rsh"), `shift; exec sh -c "$*"`)
}

func (r row) check(t *testing.T, root, kind string, p place) {
	t.Helper()
	theirs, mine := filepath.Join(root, "rsync"), filepath.Join(root, "lockstep")
	want := r.push(t, theirs, "rsync", r.args, p)
	got := r.push(t, mine, "lockstep", r.args, p)
	code := want.code
	if other, ok := r.code[kind]; ok {
		code = other
	}
	diffs := compareTargets(t, theirs, mine, strings.Fields(r.args), r.but[kind])
	if got.code != code || len(diffs) > 0 {
		t.Errorf("%s: code %d, rsync's is %d; rsync's tree != ours:\n%srsync:\n%slockstep:\n%s",
			r.args, got.code, want.code, strings.Join(diffs, ""), tail(want.stderr), tail(got.stderr))
	}
	if kind == "local" && r.unseen == "" && r.code[kind] == 0 {
		plain := r.plain(t, filepath.Dir(root))
		if len(compareTargets(t, theirs, plain, strings.Fields(r.args), nil)) == 0 && r.source == "" {
			t.Errorf("%s makes no difference to -a: the row holds nothing", r.args)
		}
	}
}

// plain is what rsync -a makes of the sandbox, of which all rows without files of their own
// differ. It is made once for those with a clash, and once for the others.
func (r row) plain(t *testing.T, top string) string {
	t.Helper()
	plainOnce.Lock()
	defer plainOnce.Unlock()
	root := filepath.Join(top, fmt.Sprint("plain ", r.clash))
	if _, err := os.Stat(root); err != nil {
		row{clash: r.clash}.push(t, root, "rsync", "-a", place{to: func(path string) string { return path }})
	}
	return root
}

// plainOnce guards the making of it.
var plainOnce sync.Mutex

// push makes a sandbox and pushes in it.
func (r row) push(t *testing.T, root, program, args string, p place) outcome {
	t.Helper()
	must(t, os.MkdirAll(root, 0o755))
	matrixSandbox(t, root)
	if r.clash {
		forest{t, root}.clash()
	}
	source, target := r.source, r.target
	if source == "" {
		source = "src/"
	}
	if target == "" {
		target = "dst/"
	}
	words := strings.Fields(args)
	if program == "rsync" {
		words = append([]string{"-@-1"}, words...) // which is our default
	} else if !strings.Contains(words[0], "a") {
		words = append([]string{"--no-a"}, words...) // and so is -a
	}
	if rsh := p.rsh[program]; rsh != "" {
		words = append(words, "-e", rsh)
	}
	words = append(words, source, p.to(filepath.Join(root, target))+"/")
	return runIn(t, root, program, words...)
}

func tail(s string) string {
	lines := strings.SplitAfter(s, "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "")
}

// settleTarget sets the times that nobody gave in a target to one that is old news.
func settleTarget(t testing.TB, root string) {
	t.Helper()
	settle(t, filepath.Join(root, "dst"), func(at time.Time) bool { return justNow(at) })
}
