package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/cmd/internal/places"
)

// noRaceSleep spares each lockstep the second for which a program built with -race waits
// before it ends.
const noRaceSleep = "atexit_sleep_ms=0"

// TestMain makes the test binary serve as the lockstep that the scripts run.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"lockstep": main, "confined-lockstep": beConfined})
}

// leakChecked is goleak.VerifyTestMain for a main that is not ours.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	// What the machine's own locksteps keep is none of ours. Others than root do without.
	dir, err := os.MkdirTemp("", "lockstep-state-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	os.Setenv("STATE_DIRECTORY", dir)
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintf(os.Stderr, "goroutines left behind: %v\n", err)
		return 1
	}
	return code
}

// TestScripts runs testdata/script/*.txtar. Beside testscript's own commands there are:
//
//	code N[|N] PROGRAM ARG...
//	                         run it; it must end with exit code N
//	nobody N lockstep ARG... the same, as a user without any right
//	watch NAME ARG...        start lockstep --watch; its log is NAME.log, its output NAME.out
//	push NAME ARG...         start lockstep in the background, without --watch
//	signal NAME TERM|INT     send it a signal
//	ended NAME N             wait until it has ended, with exit code N
//	daemon NAME=DIR;LINE...  start an rsync daemon with modules; $PORT and $URL name it
//	daemon start|stop|kill|restart
//	relay                    put a relay before the daemon; $RELAY is its URL
//	relay stall|resume|cut|limit N|cut-after N
//	relay sent N             wait until N more bytes went up
//	listen TEXT|silent|full  start what is no daemon: it says TEXT and closes, it says
//	                         nothing, it does not even accept; $LISTEN is its URL
//	equal A B                the trees must (not) be equal
//	soon A B                 wait until they are
//	await FILE REGEXP [N]    wait until the file matches, N times
//	quiet FILE TIME          the file must not change for so long
//	json FILE                every line must be JSON
//	make NAME                make a file; NAME is what stands within quotes in Go
//	tmpfs DIR, unmount DIR   mount and unmount a file system
//	disk IMAGE DIR           mount a file system in a file, which is made when it is first used
func TestScripts(t *testing.T) {
	root := t.TempDir()
	open(t, root)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		WorkdirRoot:         root,
		Condition:           condition,
		Setup: func(e *testscript.Env) error {
			st := newStage(e)
			e.Values[stageKey{}] = st
			e.Setenv("LANG", "C.UTF-8") // rsync's own quoting of names
			e.Setenv("STATE_DIRECTORY", filepath.Join(e.WorkDir, ".state"))
			e.Setenv("GORACE", noRaceSleep)
			e.Setenv(places.RunDirEnv, filepath.Join(e.WorkDir, ".run"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":    cmdCode,
			"nobody":  cmdNobody,
			"watch":   cmdWatch,
			"push":    cmdPush,
			"signal":  cmdSignal,
			"ended":   cmdEnded,
			"daemon":  cmdDaemon,
			"relay":   cmdRelay,
			"listen":  cmdListen,
			"equal":   cmdEqual,
			"soon":    cmdSoon,
			"await":   cmdAwait,
			"quiet":   cmdQuiet,
			"json":    cmdJSON,
			"make":    cmdMake,
			"tmpfs":   cmdTmpfs,
			"disk":    cmdDisk,
			"unmount": cmdUnmount,
		},
	})
}

// open lets other users into dir.
func open(t testing.TB, dir string) {
	t.Helper()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// condition knows [root], [mount], the right to mount, and [loop], to mount a file.
func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "mount":
		return mayMount()
	case "loop":
		return mayLoop()
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

var mayMount = sync.OnceValues(func() (bool, error) {
	if os.Geteuid() != 0 {
		return false, nil
	}
	dir, err := os.MkdirTemp("", "lockstep-mount-")
	if err != nil {
		return false, err
	}
	defer os.Remove(dir)
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		return false, nil
	}
	return true, unix.Unmount(dir, 0)
})

var mayLoop = sync.OnceValues(func() (bool, error) {
	if ok, err := mayMount(); !ok {
		return false, err
	}
	_, mkfs := exec.LookPath("mkfs.ext4")
	loop, _ := exec.Command("losetup", "--find").Output()
	return mkfs == nil && len(loop) > 0, nil
})

// exitCode is the code that err, of an exec.Cmd, tells.
func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	}
	return -1, err
}

// lockstepCmd runs this binary as lockstep, whoever may look into its directory.
func lockstepCmd(dir string, env []string, stdout, stderr io.Writer, args ...string) *exec.Cmd {
	return &exec.Cmd{
		Path:   "/proc/self/exe",
		Args:   append([]string{"lockstep"}, args...),
		Dir:    dir,
		Env:    append(env, "GORACE="+noRaceSleep),
		Stdout: stdout,
		Stderr: stderr,
	}
}
