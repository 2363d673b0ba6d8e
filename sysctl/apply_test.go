package sysctl

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var wanted = Limits{1048576, 32768, 1024}

func TestApply(t *testing.T) {
	dir := fakeProc(t, "192536\n", "16384\n", "128\n")
	advice := Advice{Old: Limits{192536, 16384, 128}, New: wanted}
	applied, err := advice.Apply(dir)
	if diff := cmp.Diff(advice.Changes(), applied); diff != "" || err != nil {
		t.Errorf("Apply: %v; applied (-want +got):\n%s", err, diff)
	}
	if got, err := Read(dir); got != wanted || err != nil {
		t.Errorf("Read = %v, %v, want %v", got, err, wanted)
	}
	if applied, err := advice.Apply(dir); len(applied) > 0 || err != nil {
		t.Errorf("a second Apply = %v, %v", applied, err)
	}
}

func TestApplyWritesOnlyWhatMustGrow(t *testing.T) {
	// Since the limits were read somebody has raised the queue a little and the watches a lot.
	dir := fakeProc(t, "9999999\n", "20000\n", "not to be touched")
	applied, err := Advice{Old: Limits{192536, 16384, 4096}, New: Limits{1048576, 32768, 4096}}.Apply(dir)
	if diff := cmp.Diff([]Setting{{"fs.inotify.max_queued_events", 20000, 32768}}, applied); diff != "" || err != nil {
		t.Errorf("Apply: %v; applied (-want +got):\n%s", err, diff)
	}
	for name, want := range map[string]string{
		"max_user_watches": "9999999\n", "max_queued_events": "32768\n", "max_user_instances": "not to be touched",
	} {
		if got, err := os.ReadFile(keyPath(dir, "fs.inotify."+name)); string(got) != want || err != nil {
			t.Errorf("%s holds %q, %v, want %q", name, got, err, want)
		}
	}
}

// One limit that is not there, and one that does not take what is written, keep no other from growing.
func TestApplyGoesOn(t *testing.T) {
	dir := fakeProc(t, "", "16384\n", "128\n")
	applied, err := Advice{Old: Limits{192536, 16384, 128}, New: wanted}.Apply(dir)
	want := []Setting{{"fs.inotify.max_queued_events", 16384, 32768}, {"fs.inotify.max_user_instances", 128, 1024}}
	if diff := cmp.Diff(want, applied); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	if _, missing := os.Stat(keyPath(dir, "fs.inotify.max_user_watches")); !errors.Is(missing, fs.ErrNotExist) {
		t.Errorf("the limit that was missing: %v", missing)
	}
	var failed *ApplyError
	if !errors.As(err, &failed) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Apply = %v", err)
	}
	if got, want := failed.Lines(), "fs.inotify.max_user_watches = 1048576\n"; got != want {
		t.Errorf("Lines = %q, want %q", got, want)
	}
}

// A FIFO takes what is written and gives back what it likes, as a kernel that rounds down.
func TestApplyVerifies(t *testing.T) {
	dir := fakeProc(t, "5\n", "5\n", "")
	fifo := keyPath(dir, "fs.inotify.max_user_instances")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan string)
	go func() {
		defer close(written)
		os.WriteFile(fifo, []byte("128\n"), 0)
		f, _ := os.Open(fifo)
		text, _ := io.ReadAll(f)
		f.Close()
		os.WriteFile(fifo, []byte("512\n"), 0)
		written <- string(text)
	}()
	applied, err := Advice{Old: Limits{5, 5, 128}, New: Limits{5, 5, 1024}}.Apply(dir)
	if text := <-written; text != "1024\n" {
		t.Errorf("written: %q", text)
	}
	if len(applied) > 0 || err == nil || !strings.Contains(err.Error(), "is 512 after it was written") {
		t.Errorf("Apply = %v, %v", applied, err)
	}
}

func TestApplyErrorSaysWhatToDo(t *testing.T) {
	err := &ApplyError{[]Failure{
		{Setting{"fs.inotify.max_user_watches", 8192, 1048576}, "not root: running as uid 33", &fs.PathError{Op: "open", Path: "/p/w", Err: syscall.EACCES}},
		{Setting{"fs.inotify.max_user_instances", 128, 1024}, "", io.ErrUnexpectedEOF},
	}}
	want := "set fs.inotify.max_user_watches to 1048576: open /p/w: permission denied (not root: running as uid 33); " +
		"set fs.inotify.max_user_instances to 1024: unexpected EOF; " +
		"as root on the host, put into /etc/sysctl.d/60-lockstep.conf and run `sysctl --system`:\n" +
		"fs.inotify.max_user_watches = 1048576\nfs.inotify.max_user_instances = 1024"
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("Error (-want +got):\n%s", diff)
	}
	if !errors.Is(err, fs.ErrPermission) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("a cause is lost")
	}
}

func TestReason(t *testing.T) {
	tests := []struct {
		err           error
		euid          int
		userNamespace bool
		want          string
	}{
		{syscall.EROFS, 0, true, "read-only"},
		{syscall.EACCES, 0, true, "user namespace"},
		{syscall.EPERM, 1000, true, "user namespace"},
		{syscall.EACCES, 1000, false, "not root: running as uid 1000"},
		{syscall.EPERM, 0, false, "security policy"},
		{syscall.ENOENT, 0, false, "no such limit"},
		{syscall.EINVAL, 0, false, "refuses the value"},
	}
	for _, tt := range tests {
		if got := reason(fmt.Errorf("write: %w", tt.err), tt.euid, tt.userNamespace); !strings.Contains(got, tt.want) {
			t.Errorf("reason(%v, %d, %v) = %q, want %q in it", tt.err, tt.euid, tt.userNamespace, got, tt.want)
		}
	}
	if got := reason(io.ErrShortWrite, 0, false); got != "" {
		t.Errorf("reason of an error that is not known = %q", got)
	}
}

// Where the limits cannot be written, in the flesh: this test binary runs again with less power, on a
// directory that plays /proc.
func TestApplyWithoutTheRight(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give it up")
	}
	const nobody = 65534
	tests := []struct {
		name  string
		attr  syscall.SysProcAttr
		cause error
		want  string
	}{
		{
			name:  "another user",
			attr:  syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}},
			cause: syscall.EACCES,
			want:  "not root: running as uid 65534",
		},
		{
			name: "user namespace",
			attr: syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
				Credential:  &syscall.Credential{NoSetGroups: true}, // root, in there
			},
			cause: syscall.EACCES,
			want:  "this is a user namespace",
		},
		{
			name:  "read-only mount",
			attr:  syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS},
			cause: syscall.EROFS,
			want:  "/proc/sys is read-only here",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := fakeProc(t, "192536\n", "16384\n", "1024\n")
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestHelperApply$", "-test.v")
			cmd.Env = []string{"SYSCTL_TEST_DIR=" + dir}
			if tt.cause == syscall.EROFS {
				cmd.Env = append(cmd.Env, "SYSCTL_TEST_READ_ONLY=1")
			}
			cmd.SysProcAttr = &tt.attr
			out, err := cmd.CombinedOutput()
			if errors.Is(err, syscall.EPERM) || strings.Contains(string(out), "cannot mount") {
				t.Skipf("namespaces are not allowed here: %v\n%s", err, out)
			}
			text := string(out)
			for _, want := range []string{
				"set fs.inotify.max_user_watches to 1048576: ", tt.cause.Error(), tt.want,
				"put into /etc/sysctl.d/60-lockstep.conf and run `sysctl --system`:\n" +
					"fs.inotify.max_user_watches = 1048576\nfs.inotify.max_queued_events = 32768\n",
			} {
				if err != nil || !strings.Contains(text, want) {
					t.Errorf("%v; %q is not in the output:\n%s", err, want, text)
				}
			}
			if got, err := Read(dir); got != (Limits{192536, 16384, 1024}) || err != nil {
				t.Errorf("Read = %v, %v afterwards", got, err)
			}
		})
	}
}

// TestHelperApply is the other side of TestApplyWithoutTheRight.
func TestHelperApply(t *testing.T) {
	dir := os.Getenv("SYSCTL_TEST_DIR")
	if dir == "" {
		return
	}
	if os.Getenv("SYSCTL_TEST_READ_ONLY") != "" {
		for _, flags := range []uintptr{syscall.MS_BIND, syscall.MS_BIND | syscall.MS_REMOUNT | syscall.MS_RDONLY} {
			if err := privateMount(dir, flags); err != nil {
				t.Fatalf("cannot mount: %v", err)
			}
		}
	}
	applied, err := Advice{Old: Limits{192536, 16384, 1024}, New: wanted}.Apply(dir)
	if len(applied) > 0 || err == nil {
		t.Errorf("Apply = %v, %v", applied, err)
	}
	fmt.Println(err)
}

func privateMount(dir string, flags uintptr) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	return syscall.Mount(dir, dir, "", flags, "")
}
