package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
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

// String says what was wanted and why it is not there.
func (f Failure) String() string {
	return fmt.Sprintf("set %s to %d: %v", f.Key, f.New, because(f.Err, f.Reason))
}

func because(err error, reason string) error {
	if reason == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, reason)
}

// Error says for each setting what was wanted and why it is not there, and then what to do.
func (e *ApplyError) Error() string {
	var b strings.Builder
	for _, f := range e.Failures {
		b.WriteString(f.String() + "; ")
	}
	return b.String() + e.Remedy()
}

// Remedy says what to do, in lines without a newline at the end.
func (e *ApplyError) Remedy() string { return Remedy(e.settings()) }

// Lines returns what ConfFile has to hold for the settings that failed.
func (e *ApplyError) Lines() string { return lines(e.settings()) }

func (e *ApplyError) settings() []Setting {
	var out []Setting
	for _, f := range e.Failures {
		out = append(out, f.Setting)
	}
	return out
}

// Remedy says how settings are made by hand, in lines without a newline at the end.
func Remedy(settings []Setting) string {
	var parts []string
	if text := lines(settings); text != "" {
		parts = append(parts, fmt.Sprintf("as root on the host, put into %s and run `sysctl --system`:\n%s", ConfFile, strings.TrimSuffix(text, "\n")))
	}
	for _, s := range settings {
		if s.ofNamespace() {
			parts = append(parts, fmt.Sprintf("as root of this user namespace: sysctl -w %s=%d", s.Key, s.New))
		}
	}
	return strings.Join(parts, "\n")
}

// lines are for a file on the host. There a user namespace's limits would be the host's own.
func lines(settings []Setting) string {
	var b strings.Builder
	for _, s := range settings {
		if !s.ofNamespace() {
			b.WriteString(s.line())
		}
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

// Apply sets in proc, "" for DefaultProc, what must grow; see the function of that name.
func (a Advice) Apply(proc string) ([]Setting, error) { return Apply(proc, a.Changes()) }

// Apply makes settings grow in proc, "" for DefaultProc, and reads them back. It returns what it set,
// also beside an error, which is an *ApplyError. What is large enough, as when somebody else has raised
// it meanwhile, stays.
func Apply(proc string, settings []Setting) ([]Setting, error) {
	var applied []Setting
	var failures []Failure
	for _, s := range settings {
		done, err := grow(keyPath(proc, s.Key), &s)
		switch {
		case err != nil:
			failures = append(failures, Failure{s, reason(err, os.Geteuid(), inUserNamespace(DefaultProc)), err})
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
