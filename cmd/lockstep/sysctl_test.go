package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// lowLimits plays /proc of a machine on which little is allowed, with one process in it that watches.
func lowLimits(t *testing.T) string {
	t.Helper()
	proc := t.TempDir()
	for name, text := range map[string]string{
		"sys/fs/inotify/max_user_watches":   "8192\n",
		"sys/fs/inotify/max_queued_events":  "16384\n",
		"sys/fs/inotify/max_user_instances": "128\n",
		"sys/fs/fanotify/max_user_marks":    "9000\n",
		"sys/fs/fanotify/max_queued_events": "16384\n",
		"sys/fs/fanotify/max_user_groups":   "0\n",
		"sys/user/max_inotify_watches":      "4096\n",
		"sys/user/max_inotify_instances":    "128\n",
		"self/uid_map":                      "0 1000 1\n",
		"7/comm":                            "edit\x1b[2J\n",
		"7/status":                          fmt.Sprintf("Uid:\t0\t%d\t0\t0\n", os.Geteuid()),
		"7/fdinfo/3":                        "inotify wd:1\ninotify wd:2\n",
		"8/fd":                              "not a directory",
		"60-lockstep.conf":                  "# mine\nfs.inotify.max_user_watches = 5000000\nfs.inotify.max_queued_events = 5\n",
	} {
		must(t, os.MkdirAll(filepath.Dir(proc+"/"+name), 0o755))
		must(t, os.WriteFile(proc+"/"+name, []byte(text), 0o644))
	}
	must(t, os.MkdirAll(proc+"/7/fd", 0o755))
	must(t, os.Symlink("anon_inode:inotify", proc+"/7/fd/3"))
	must(t, os.MkdirAll(proc+"/9/..", 0o755)) // it ended
	return proc
}

func sysctlIn(proc string, args ...string) (code int, stdout, stderr string) {
	var out, log bytes.Buffer
	c := &sysctlCommand{proc: proc, conf: proc + "/60-lockstep.conf", memory: func() (int64, error) { return 8 << 30, nil }}
	code = c.run(args, &out, &log)
	return code, out.String(), log.String()
}

func TestSysctlTable(t *testing.T) {
	tree := t.TempDir()
	must(t, os.MkdirAll(tree+"/a/b", 0o755))
	code, stdout, stderr := sysctlIn(lowLimits(t), tree)
	me := userName(uint32(os.Geteuid()))
	want := `LIMIT                           NOW  IN USE  NEEDED  ADVISED
fs.inotify.max_user_watches    8192       2       3  1048576  raise
fs.inotify.max_queued_events  16384       -       -    32768  raise
fs.inotify.max_user_instances   128       1       1     1024  raise
user.max_inotify_watches       4096       2       3  1048576  raise
user.max_inotify_instances      128       1       1     1024  raise
fs.fanotify.max_user_marks     9000       0       1     9000  good
fs.fanotify.max_queued_events 16384       -       -    16384  good
fs.fanotify.max_user_groups       0       0       1        2  raise

DIRECTORIES  TREE
          3  TREE

WATCHES  INSTANCES  MARKS  GROUPS  USER
      2          1      0       0  ME

WATCHES  INSTANCES  MARKS  GROUPS  USER  PID  COMMAND
      2          1      0       0  ME      7  "edit\x1b[2J"

Limits count per user; IN USE, NEEDED and ADVISED are for ME (uid UID).
Not counted: 1 process that this user may not look into.
Not counted: 1 process that ended meanwhile.
To raise 6 limits: lockstep sysctl --apply, or --persist for after a boot as well.
`
	want = strings.NewReplacer("  TREE\n\n", "  "+tree+"\n\n", "  ME", "  "+me, "for ME (uid UID)", fmt.Sprintf("for %s (uid %d)", me, os.Geteuid())).Replace(want)
	if diff := cmp.Diff(squeezed(want), squeezed(stdout)); diff != "" || code != 0 || stderr != "" {
		t.Errorf("code %d, %s (-want +got):\n%s", code, stderr, diff)
	}
}

// squeezed makes nothing of how wide columns are, which depends on who runs the test.
func squeezed(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

func TestSysctlChanges(t *testing.T) {
	proc := lowLimits(t)
	code, stdout, stderr := sysctlIn(proc, "--persist")
	conf := proc + "/60-lockstep.conf"
	want := `fs.inotify.max_user_watches: 8192 -> 1048576
fs.inotify.max_queued_events: 16384 -> 32768
fs.inotify.max_user_instances: 128 -> 1024
user.max_inotify_watches: 4096 -> 1048576
user.max_inotify_instances: 128 -> 1024
` + conf + `: fs.inotify.max_queued_events = 32768 (was 5)
` + conf + `: fs.inotify.max_user_instances = 1024
`
	if diff := cmp.Diff(want, stdout); diff != "" || code != 0 || stderr != "" {
		t.Errorf("code %d, %s (-want +got):\n%s", code, stderr, diff)
	}
	text, err := os.ReadFile(conf)
	wantFile := "# mine\nfs.inotify.max_user_watches = 5000000\nfs.inotify.max_queued_events = 32768\nfs.inotify.max_user_instances = 1024\n"
	if diff := cmp.Diff(wantFile, string(text)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if code, stdout, stderr := sysctlIn(proc, "--persist"); code != 0 || stdout != "nothing to change: the limits are as advised\n" || stderr != "" {
		t.Errorf("again: %d, %q, %q", code, stdout, stderr)
	}
}

func TestSysctlJSON(t *testing.T) {
	proc := lowLimits(t)
	must(t, os.Remove(proc+"/sys/fs/inotify/max_queued_events"))
	if code, stdout, stderr := sysctlIn(proc, "--json"); code != 11 || stdout != "" || !strings.Contains(stderr, "max_queued_events: no such file") {
		t.Errorf("a limit is missing: %d, %q, %q", code, stdout, stderr)
	}
	proc = lowLimits(t)
	must(t, os.RemoveAll(proc+"/sys/fs/fanotify"))
	must(t, os.RemoveAll(proc+"/60-lockstep.conf"))
	must(t, os.Mkdir(proc+"/60-lockstep.conf", 0o755))
	code, stdout, stderr := sysctlIn(proc, "--json", "--persist", proc)
	var got struct {
		Limits             []struct{ Key string }
		Trees              []struct{ Directories int }
		Processes          []struct{ PID, Watches int }
		Changed, Persisted []changeRow
		Failed             []string
		Unreadable         int `json:"unreadable_processes"`
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("%v: %s", err, stdout)
	}
	if code != 11 || len(got.Limits) != 5 || got.Trees[0].Directories < 5 || got.Processes[0].Watches != 2 || got.Processes[0].PID != 7 ||
		len(got.Changed) != 5 || got.Persisted != nil || len(got.Failed) != 1 || got.Unreadable != 1 {
		t.Errorf("code %d: %s", code, stdout)
	}
	for _, want := range []string{"it is no regular file", "as root on the host, put into /etc/sysctl.d/60-lockstep.conf and run",
		"\nfs.inotify.max_user_watches = 1048576\n", "lockstep: not all was done (code 11)\n"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not in %s", want, stderr)
		}
	}
}

// confined runs lockstep where /proc/sys/fs/inotify is a directory with low limits and /etc another
// one: nobody else sees what it does to them.
func confined(t *testing.T, attr *syscall.SysProcAttr, readOnly bool, args ...string) (code int, output, proc string) {
	t.Helper()
	proc = lowLimits(t)
	open(t, proc)
	must(t, os.Mkdir(proc+"/etc", 0o755))
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: append([]string{"confined-lockstep", proc, strconv.FormatBool(readOnly)}, args...),
		Env: append(os.Environ(), "GORACE="+noRaceSleep), SysProcAttr: attr}
	text, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || bytes.Contains(text, []byte("cannot mount")) {
		t.Skipf("namespaces are not allowed here: %v\n%s", err, text)
	}
	code, err = exitCode(err)
	must(t, err)
	return code, string(text), proc
}

// beConfined is the other side of confined: it becomes lockstep.
func beConfined() {
	proc, readOnly := os.Args[1], os.Args[2] == "true"
	const limits = "/proc/sys/fs/inotify"
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	err = errors.Join(err, unix.Mount(proc+"/sys/fs/inotify", limits, "", unix.MS_BIND, ""), unix.Mount(proc+"/etc", "/etc", "", unix.MS_BIND, ""))
	if readOnly {
		err = errors.Join(err, unix.Mount("", limits, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""),
			unix.Mount("", "/etc", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "cannot mount: %v\n", err)
		os.Exit(99)
	}
	os.Exit(runSysctl(os.Args[3:], os.Stdout, os.Stderr))
}

// In the flesh: with the right to it, on a read-only /proc/sys, and in a user namespace.
func TestSysctlConfined(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for namespaces and to give it up")
	}
	mounts := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	code, output, proc := confined(t, mounts, false, "--persist")
	if code != 0 || !strings.Contains(output, "fs.inotify.max_queued_events: 16384 -> 32768\n") ||
		!strings.Contains(output, "/etc/sysctl.d/60-lockstep.conf: fs.inotify.max_user_instances = 1024\n") {
		t.Errorf("code %d:\n%s", code, output)
	}
	value, err := os.ReadFile(proc + "/sys/fs/inotify/max_user_instances")
	file, err2 := os.ReadFile(proc + "/etc/sysctl.d/60-lockstep.conf")
	if string(value) != "1024\n" || !strings.Contains(string(file), "max_user_instances = 1024\n") || errors.Join(err, err2) != nil {
		t.Errorf("%v, %v: limit %s, file:\n%s", err, err2, value, file)
	}

	const nobody = 65534
	for name, tt := range map[string]struct {
		attr     *syscall.SysProcAttr
		readOnly bool
		want     []string
	}{
		"read-only": {mounts, true, []string{
			"max_queued_events: read-only file system (/proc/sys is read-only here, as in a container or under systemd's ProtectKernelTunables=)\n",
			"write /etc/sysctl.d/60-lockstep.conf: mkdir /etc/sysctl.d: read-only file system (its file system is read-only here, as in a container)\n",
		}},
		"user namespace": {&syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
			Credential:  &syscall.Credential{NoSetGroups: true}, // root, in there
		}, false, []string{
			"max_queued_events: permission denied (this is a user namespace, as in a rootless container: only root of the host may)\n",
			"mkdir /etc/sysctl.d: permission denied\n",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			code, output, _ := confined(t, tt.attr, tt.readOnly, "--persist")
			for _, want := range append(tt.want,
				"lockstep: set fs.inotify.max_queued_events to 32768: open /proc/sys/fs/inotify/",
				"lockstep: as root on the host, put into /etc/sysctl.d/60-lockstep.conf and run `sysctl --system`:\nfs.inotify.max_user_watches = ",
				"lockstep: not all was done (code 11)\n") {
				if code != 11 || !strings.Contains(output, want) {
					t.Errorf("code %d; %q is not in:\n%s", code, want, output)
				}
			}
		})
	}
}
