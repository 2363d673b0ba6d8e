package agent

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/lockstep-sync/lockstep/cmd/internal/confine"
)

// CheckPasswordFile refuses a password file that others could read, as rsync does, before
// anything is started. A file that does not exist is an error too.
func (s *Settings) CheckPasswordFile() error {
	if s.PasswordFile == "" || s.PasswordFile == "-" {
		return nil
	}
	f, err := openPasswordFile(s.PasswordFile)
	if err != nil {
		return err
	}
	return f.Close()
}

func openPasswordFile(name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, fmt.Errorf("password file %q: %w", name, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		f.Close()
		return nil, fmt.Errorf("password file %q: %w", name, err)
	}
	// rsync 3.5.0 authenticate.c, getpassf.
	switch {
	case st.Mode&0o06 != 0:
		err = fmt.Errorf("password file %q must not be accessible by others: chmod 600 it", name)
	case os.Geteuid() == 0 && st.Uid != 0:
		err = fmt.Errorf("password file %q must be owned by root when running as root: chown root it", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// WipePassword takes RSYNC_PASSWORD, which was read, out of the environment of this process and of
// its children.
func WipePassword() { confine.WipeEnv("RSYNC_PASSWORD") }

// password is asked for when a daemon wants one. The file is read each time: a password
// may change while we run.
func (s *Settings) password() (string, error) {
	switch {
	case s.PasswordFile == "-":
		return firstLine(os.Stdin, "standard input")
	case s.PasswordFile != "":
		f, err := openPasswordFile(s.PasswordFile)
		if err != nil {
			return "", err
		}
		defer f.Close()
		return firstLine(f, s.PasswordFile)
	case s.HasPassword:
		return s.Password, nil
	case !s.Watch:
		return prompt()
	}
	return "", errors.New("none was given")
}

func firstLine(r io.Reader, name string) (string, error) {
	const most = 4096
	line, err := bufio.NewReader(io.LimitReader(r, most)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password from %q: %w", name, err)
	}
	full := err != nil && len(line) == most
	line = strings.TrimRight(line, "\r\n")
	switch {
	case line == "":
		return "", fmt.Errorf("the first line of %q, the password, is empty", name)
	case full:
		return "", fmt.Errorf("the first line of %q is %d bytes long or longer: that is no password", name, most)
	case strings.ContainsRune(line, 0):
		return "", fmt.Errorf("the first line of %q holds a NUL: that is no password", name)
	}
	return line, nil
}

// prompt asks the person at the terminal, if there is one.
func prompt() (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", errors.New("none was given, and there is no terminal to ask at")
	}
	defer tty.Close()
	fmt.Fprint(tty, "Password: ")
	b, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(b), nil
}
