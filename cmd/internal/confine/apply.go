package confine

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// Report says what became of the process.
type Report struct {
	User         string
	Capabilities string // "none", or their names
	NoNewPrivs   bool
	Landlock     string
	Seccomp      string
	Lost         []string
}

// String is a line for people.
func (r Report) String() string {
	text := fmt.Sprintf("privileges: user %s; capabilities: %s; no_new_privs: %v; landlock %s; seccomp %s", r.User, r.Capabilities, r.NoNewPrivs, r.Landlock, r.Seccomp)
	for _, l := range r.Lost {
		text += "; lost: " + l
	}
	return text
}

// Apply takes away what the plan says, from all threads. After an error the process is not what it
// was, and not what was asked for: it should end.
func (p *Plan) Apply() (Report, error) {
	rep := Report{Lost: p.Lost}
	if err := p.apply(&rep); err != nil {
		return rep, fmt.Errorf("confine the process: %w", err)
	}
	return rep, nil
}

func (p *Plan) apply(rep *Report) error {
	if p.needs.Secret && p.needs.Level != Off {
		// A core would hold the password. Who may look into a running process can read it anyway.
		if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
			return fmt.Errorf("forbid core dumps: %w", err)
		}
	}
	if err := p.needs.User.become(); err != nil {
		return err
	}
	rep.User = fmt.Sprintf("uid %d, gid %d", os.Geteuid(), os.Getegid())
	if p.needs.User != nil {
		rep.User = p.needs.User.String()
	}
	rep.Capabilities = "as they were"
	if p.needs.User != nil || p.needs.Level != Off {
		if err := p.dropCapabilities(); err != nil {
			return err
		}
		rep.Capabilities = heldCapabilities()
	}
	if p.NoNewPrivs {
		if err := noNewPrivs(); err != nil {
			return err
		}
		rep.NoNewPrivs = true
	}
	var err error
	if rep.Landlock, err = p.restrictFiles(); err != nil {
		return err
	}
	rep.Seccomp, err = p.restrictCalls()
	return err
}

// become changes user and groups; the capabilities that there are stay permitted.
func (u *User) become() error {
	if u == nil {
		return nil
	}
	if err := cap.SetGroups(u.GID, u.Groups...); err != nil {
		return fmt.Errorf("change the groups to those of user %s: %w", u, err)
	}
	if err := cap.SetUID(u.UID); err != nil {
		return fmt.Errorf("change the user to %s: %w", u, err)
	}
	for key, value := range map[string]string{"HOME": u.Home, "USER": u.Name, "LOGNAME": u.Name} {
		if value == "" {
			continue
		}
		if err := os.Setenv(key, value); err != nil {
			return err
		}
	}
	return nil
}

// dropCapabilities leaves those of the plan that the process has.
func (p *Plan) dropCapabilities() error {
	have := cap.GetProc()
	if p.Bound {
		if err := dropBound(have, p.Keep); err != nil {
			return err
		}
	}
	want := cap.NewSet()
	for _, c := range p.Keep {
		permitted, err := have.GetFlag(cap.Permitted, c)
		if err != nil || !permitted {
			continue // an older kernel has no such capability, or we have not
		}
		if err := errors.Join(want.SetFlag(cap.Permitted, true, c), want.SetFlag(cap.Effective, true, c)); err != nil {
			return fmt.Errorf("keep %s: %w", c, err)
		}
	}
	if err := cap.ResetAmbient(); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("clear the ambient capabilities: %w", err)
	}
	if err := want.SetProc(); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// dropBound bounds what an exec can bring back. It takes CAP_SETPCAP; who has not got that
// has no_new_privs.
func dropBound(have *cap.Set, keep []cap.Value) error {
	if may, err := have.GetFlag(cap.Permitted, cap.SETPCAP); err != nil || !may {
		return nil
	}
	now, err := have.Dup()
	if err == nil {
		err = now.SetFlag(cap.Effective, true, cap.SETPCAP)
	}
	if err == nil {
		err = now.SetProc()
	}
	if err != nil {
		return fmt.Errorf("bound the capabilities: %w", err)
	}
	for c := range cap.MaxBits() {
		if slices.Contains(keep, c) {
			continue
		}
		if err := cap.DropBound(c); err != nil {
			return fmt.Errorf("drop %s from the bounding set: %w", c, err)
		}
	}
	return nil
}

func heldCapabilities() string {
	var names []string
	for have, c := cap.GetProc(), cap.Value(0); c < cap.MaxBits(); c++ {
		if on, err := have.GetFlag(cap.Effective, c); err == nil && on {
			names = append(names, c.String())
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " ")
}

func noNewPrivs() error {
	if _, _, errno := psx.Syscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("set no_new_privs: %w", errno)
	}
	return nil
}
