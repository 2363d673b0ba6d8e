package rsh

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

const orphanEnv = "LOCKSTEP_TEST_ORPHAN" // --rsh of a master that a second test process starts

// A master ends with the process that started it, however that ended. What that left on the disk the
// next one takes away.
func TestMasterEndsWithUs(t *testing.T) {
	if rsh := os.Getenv(orphanEnv); rsh != "" {
		s, err := New(Config{Rsh: rsh, Host: "127.0.0.1", Keep: true})
		if err == nil {
			err = s.ensureMaster(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("master %d\n", s.master.p.cmd.Process.Pid)
		os.Stdin.Read(make([]byte, 1)) // until it is killed
		return
	}
	d := syncertest.StartSSHD(t)
	tmp := shortTemp(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestMasterEndsWithUs$")
	cmd.Env = append(os.Environ(), orphanEnv+"="+d.Rsh(), "TMPDIR="+tmp)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, perr := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(line), "master "))
	if err != nil || perr != nil {
		t.Fatal(line, err, perr)
	}
	cmd.Process.Kill()
	cmd.Wait()
	for late := time.Now().Add(20 * time.Second); lives(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			unix.Kill(pid, unix.SIGKILL)
			t.Fatal("the master lives on")
		}
	}
	if left := privates(t, tmp); len(left) != 1 {
		t.Fatalf("left by the killed process: %q", left)
	}
	t.Setenv("TMPDIR", tmp)
	s := mustNew(t, Config{Rsh: d.Rsh(), Host: "127.0.0.1", Keep: true})
	if err := s.ensureMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := privates(t, tmp); len(left) != 1 || left[0] != s.master.dir.path {
		t.Errorf("with a new master: %q", left)
	}
}

func privates(t *testing.T, tmp string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(tmp, dirPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// lives says whether a process is there, and no zombie.
func lives(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	return len(fields) > 0 && fields[0] != "Z"
}
