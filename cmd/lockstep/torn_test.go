package main

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/places"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

var (
	tornKills = flag.Int("torn.kills", 40, "how often TestNeverTorn kills a push")
	tornSeed  = flag.Uint64("torn.seed", 0, "its random seed; 0: a new one")
)

const (
	tornFiles = 4
	tornBlock = 4096
	tornSize  = 512 * tornBlock
)

// TestNeverTorn kills pushes of large files to a local directory at random instants, while a reader looks
// at the target all the time: each file is one of its versions, whole. Then a push that nobody kills makes
// both equal, and nothing temporary is left, without --delete.
func TestNeverTorn(t *testing.T) {
	seed := *tornSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-torn.seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	must(t, os.MkdirAll(filepath.Join(src, "sub"), 0o755))
	version := uint64(0)
	for i := range tornFiles {
		replaceVersion(t, dir, tornName(src, i), version)
	}
	var said bytes.Buffer
	push := func() *exec.Cmd {
		said.Reset()
		return lockstepCmd(dir, append(os.Environ(), places.RunDirEnv+"="+filepath.Join(dir, "run")), &said, &said, "-a", src+"/", dst)
	}
	begin := time.Now()
	if err := push().Run(); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	whole := time.Since(begin)

	r := reader{dst: dst}
	r.start()
	midway := 0
	for range *tornKills {
		version++
		for i := range tornFiles {
			replaceVersion(t, dir, tornName(src, i), version)
		}
		cmd := push()
		must(t, cmd.Start())
		time.Sleep(time.Duration(random.Int64N(int64(whole)))) // the instant is the test
		cmd.Process.Kill()
		if cmd.Wait() != nil {
			midway++
		}
	}
	if left := temporaries(t, dst); len(left) == 0 {
		t.Logf("no kill left a temporary file behind")
	}
	if midway == 0 {
		t.Error("no push was killed before its end")
	}
	if err := push().Run(); err != nil {
		t.Errorf("%v\n%s", err, &said)
	}
	r.stop(t)
	syncertest.RequireEqual(t, src, dst, syncertest.CompareOptions{IgnoreOwners: os.Geteuid() != 0})
	if left := temporaries(t, dst); len(left) > 0 {
		t.Errorf("temporary files are left: %q", left)
	}
	t.Logf("%d of %d pushes killed midway, %d looks at whole files", midway, *tornKills, r.looks.Load())
}

func tornName(dir string, i int) string { return filepath.Join(dir, "sub", fmt.Sprint("file", i)) }

// replaceVersion puts a new version of a file into the source at once. It says in each block which it is.
func replaceVersion(t *testing.T, dir, name string, version uint64) {
	t.Helper()
	data := bytes.Repeat(binary.BigEndian.AppendUint64(nil, version), tornSize/8)
	temp := filepath.Join(dir, "next")
	must(t, os.WriteFile(temp, data, 0o644))
	must(t, os.Rename(temp, name))
}

// reader looks at the target's files for as long as it runs.
type reader struct {
	dst   string
	over  atomic.Bool
	done  sync.WaitGroup
	looks atomic.Int64
	torn  []string
}

func (r *reader) start() {
	r.done.Go(func() {
		for i := 0; !r.over.Load(); i = (i + 1) % tornFiles {
			if said := r.look(tornName(r.dst, i)); said != "" {
				r.torn = append(r.torn, said)
			}
		}
	})
}

func (r *reader) look(name string) string {
	data, err := os.ReadFile(name)
	if err != nil {
		return err.Error() // it was there before, and is replaced, never removed
	}
	r.looks.Add(1)
	switch {
	case len(data) != tornSize:
		return fmt.Sprintf("%s: %d bytes", name, len(data))
	case !bytes.Equal(data[8:], data[:len(data)-8]):
		return fmt.Sprintf("%s: versions from %d to %d", name, binary.BigEndian.Uint64(data), binary.BigEndian.Uint64(data[len(data)-8:]))
	}
	return ""
}

func (r *reader) stop(t *testing.T) {
	t.Helper()
	r.over.Store(true)
	r.done.Wait()
	for _, said := range r.torn {
		t.Errorf("seen torn: %s", said)
	}
	if r.looks.Load() == 0 {
		t.Error("the reader saw nothing")
	}
}

// temporaries are the names on the target that the source has not.
func temporaries(t *testing.T, dst string) (names []string) {
	t.Helper()
	must(t, filepath.WalkDir(dst, func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(filepath.Base(path), "lockstep") {
			names = append(names, path)
		}
		return err
	}))
	return names
}
