package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ConfFile is where the lines belong that make a change last.
const ConfFile = "/etc/sysctl.d/60-lockstep.conf"

// ApplyError tells what Apply could not set. It unwraps to the causes, so that errors.Is finds
// syscall.EROFS or fs.ErrPermission.
type ApplyError struct {
	Failures []Failure
}

// Failure is one setting that could not be made.
type Failure struct {
	Setting
	Reason string // in plain words; "" where Err says all there is
	Err    error
}

// Error says for each setting what was wanted and why it is not there, and then what to do.
func (e *ApplyError) Error() string {
	var b strings.Builder
	for _, f := range e.Failures {
		fmt.Fprintf(&b, "set %s to %d: %v", f.Key, f.New, f.Err)
		if f.Reason != "" {
			fmt.Fprintf(&b, " (%s)", f.Reason)
		}
		b.WriteString("; ")
	}
	fmt.Fprintf(&b, "as root on the host, put into %s and run `sysctl --system`:\n%s", ConfFile, strings.TrimSuffix(e.Lines(), "\n"))
	return b.String()
}

// Lines returns what ConfFile has to hold for the settings that failed.
func (e *ApplyError) Lines() string {
	var b strings.Builder
	for _, f := range e.Failures {
		b.WriteString(f.line())
	}
	return b.String()
}

// Unwrap returns the causes.
func (e *ApplyError) Unwrap() []error {
	var errs []error
	for _, f := range e.Failures {
		errs = append(errs, f.Err)
	}
	return errs
}

// Apply sets in dir, "" for DefaultDir, what must grow, and reads it back. It returns what it set, also
// beside an error, which is an *ApplyError. What somebody else has raised far enough meanwhile stays.
func (a Advice) Apply(dir string) ([]Setting, error) {
	var applied []Setting
	var failures []Failure
	for _, s := range a.Changes() {
		name := filepath.Join(orDefault(dir), strings.TrimPrefix(s.Key, "fs.inotify."))
		done, err := grow(name, &s)
		switch {
		case err != nil:
			failures = append(failures, Failure{s, reason(err, os.Geteuid(), inUserNamespace()), err})
		case done:
			applied = append(applied, s)
		}
	}
	if failures != nil {
		return applied, &ApplyError{failures}
	}
	return applied, nil
}

// grow sets one limit unless it is large enough by now. It corrects s.Old to what was there.
func grow(name string, s *Setting) (done bool, err error) {
	old, err := readValue(name)
	if err != nil {
		return false, err
	}
	if s.Old = old; old >= s.New {
		return false, nil
	}
	if err := write(name, s.New); err != nil {
		return false, err
	}
	got, err := readValue(name)
	if err != nil {
		return false, err
	}
	if got < s.New {
		return false, fmt.Errorf("%s is %d after it was written", name, got)
	}
	return true, nil
}

// write never creates the file: one that /proc lacks is a limit that the kernel lacks.
func write(name string, v int) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = fmt.Fprintf(f, "%d\n", v) // one write call: the kernel takes each as a value of its own
	return err
}

// reason says what an error means for somebody who wants a limit raised. The kernel looks at the owner
// of the file alone: root of the initial user namespace needs no capability, everybody else has none
// that helps.
func reason(err error, euid int, userNamespace bool) string {
	switch {
	case errors.Is(err, syscall.EROFS):
		return "/proc/sys is read-only here, as in a container or under systemd's ProtectKernelTunables="
	case errors.Is(err, fs.ErrPermission) && userNamespace:
		return "this is a user namespace, as in a rootless container: only root of the host may"
	case errors.Is(err, fs.ErrPermission) && euid != 0:
		return fmt.Sprintf("not root: running as uid %d", euid)
	case errors.Is(err, fs.ErrPermission):
		return "a security policy keeps even root from it"
	case errors.Is(err, fs.ErrNotExist):
		return "this kernel has no such limit, or /proc is not mounted"
	case errors.Is(err, syscall.EINVAL):
		return "the kernel refuses the value"
	}
	return ""
}
