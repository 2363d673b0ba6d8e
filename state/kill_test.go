package state

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

var killTime = flag.Duration("kills", 2*time.Second, "how long TestKill kills")

const killEnv = "STATE_TEST_KILL"

func killConfig(base string) Config {
	return Config{Dir: base + "/state", Source: "s", Target: "t", Root: base + "/root", Quiet: 15 * time.Millisecond}
}

// TestKill kills a process that changes a source and pushes it to a target, at random instants, and holds the
// state to its promise.
func TestKill(t *testing.T) {
	t.Parallel()
	if base := os.Getenv(killEnv); base != "" {
		replicate(t, base)
	}
	base := tempDir(t)
	must(t, os.Mkdir(base+"/root", 0o755))
	must(t, os.Mkdir(base+"/target", 0o755))
	kills, known := 0, 0
	for end := time.Now().Add(*killTime); time.Now().Before(end); kills++ {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), killEnv+"="+base)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		must(t, cmd.Start())
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond) // any instant will do
		must(t, cmd.Process.Kill())
		if err := cmd.Wait(); cmd.ProcessState.Exited() {
			t.Fatalf("child: %v\n%s", err, out.String())
		}
		if checkKilled(t, base) {
			known++
		}
	}
	t.Logf("%d kills, the target known after %d", kills, known)
	if known == 0 {
		t.Error("nothing was ever known of the target")
	}
}

// checkKilled reports whether the target is known.
func checkKilled(t *testing.T, base string) bool {
	s, opened, err := Open(killConfig(base))
	must(t, err)
	defer func() { must(t, s.Close()) }()
	if opened.Rebuilt != "" {
		t.Fatalf("rebuilt: %s", opened.Rebuilt)
	}
	checkFile(t, s)
	if !s.Known() {
		return false
	}
	dirty := map[string]bool{}
	for _, p := range append(differs(t, s), s.Dirty()...) {
		dirty[p.Name] = dirty[p.Name] || p.Tree
	}
	source, target := contents(t, base+"/root"), contents(t, base+"/target")
	for name := range target {
		if _, ok := source[name]; !ok {
			source[name] = ""
		}
	}
	for name, is := range source {
		if _, ok := dirty[name]; target[name] != is && !ok && !coveredBy(dirty, name) {
			t.Fatalf("%q is %.20q, on the target %.20q, and not among %v", name, is, target[name], dirty)
		}
	}
	return true
}

// contents returns what is below root, by name.
func contents(t *testing.T, root string) map[string]string {
	all := map[string]string{}
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir():
			all[name] = "directory"
			return nil
		case filepath.Ext(path) == ".new":
			return nil
		}
		text, err := os.ReadFile(path)
		all[name] = string(text)
		return err
	}))
	return all
}

// replicate changes and pushes until it is killed.
func replicate(t *testing.T, base string) {
	s, _, err := Open(killConfig(base))
	must(t, err)
	dirty := map[string]bool{".": !s.Known()}
	for _, p := range append(differs(t, s), s.Dirty()...) {
		dirty[p.Name] = dirty[p.Name] || p.Tree
	}
	for {
		for range rand.IntN(4) {
			p := mutate(base + "/root")
			s.Touch([]Path{p})
			dirty[p.Name] = dirty[p.Name] || p.Tree
		}
		paths := sorted(dirty)
		p, err := s.Begin(context.Background(), paths)
		must(t, err)
		clear(dirty)
		for _, q := range paths {
			bring(t, base, q)
		}
		p.Done(nil)
		time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
	}
}

// mutate changes something below root.
func mutate(root string) Path {
	dir := fmt.Sprintf("d%d", rand.IntN(8))
	name := fmt.Sprintf("%s/f%d", dir, rand.IntN(8))
	switch rand.IntN(8) {
	case 0:
		_ = os.RemoveAll(filepath.Join(root, dir))
		return Path{dir, true}
	case 1, 2:
		_ = os.Remove(filepath.Join(root, name))
		return Path{name, false}
	}
	p := Path{name, false}
	if os.Mkdir(filepath.Join(root, dir), 0o755) == nil {
		p = Path{dir, true}
	}
	_ = os.WriteFile(filepath.Join(root, name), []byte(fmt.Sprint(rand.Uint64())), 0o644)
	return p
}

// bring makes the target what the source is at p.
func bring(t *testing.T, base string, p Path) {
	from, to := filepath.Join(base, "root", p.Name), filepath.Join(base, "target", p.Name)
	info, err := os.Lstat(from)
	if err != nil {
		must(t, os.RemoveAll(to))
		return
	}
	must(t, os.MkdirAll(filepath.Dir(to), 0o755))
	if !info.IsDir() {
		text, err := os.ReadFile(from)
		must(t, err)
		must(t, os.WriteFile(to+".new", text, 0o644))
		must(t, os.Rename(to+".new", to))
		return
	}
	must(t, os.MkdirAll(to, 0o755))
	if !p.Tree {
		return
	}
	for _, dir := range []string{from, to} {
		entries, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			bring(t, base, Path{joinName(p.Name, e.Name()), true})
		}
	}
}
