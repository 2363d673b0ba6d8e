package syncertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoSSHD is returned by NewSSHD where there is no OpenSSH server or client.
var ErrNoSSHD = errors.New("sshd is not installed: apt-get install openssh-server openssh-client")

// An SSHD is a real sshd on a loopback port, with keys and a configuration of its own. Who may
// log in is the user that it runs as.
type SSHD struct {
	dir  string
	port int
	hold int // as a Daemon's
	proc *process
}

// NewSSHD starts an sshd; extra are lines for its sshd_config, where the first of two values
// counts. Close ends it.
func NewSSHD(extra ...string) (*SSHD, error) {
	program, err := exec.LookPath("/usr/sbin/sshd")
	if err == nil {
		_, err = exec.LookPath("ssh")
	}
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNoSSHD, err)
	}
	dir, err := os.MkdirTemp("", "sshd-")
	if err != nil {
		return nil, err
	}
	s := &SSHD{dir: dir}
	if s.hold, s.port, err = holdPort(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err = s.write(extra); err == nil {
		err = s.start(program)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start sshd: %w", err), s.Close())
	}
	return s, nil
}

// file is the path of one of the files that make it.
func (s *SSHD) file(name string) string { return filepath.Join(s.dir, name) }

// write makes keys and configurations for both sides.
func (s *SSHD) write(extra []string) error {
	for _, key := range []string{"host", "user", "stranger"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", s.file(key)).CombinedOutput(); err != nil {
			return fmt.Errorf("make a key: %w: %s", err, out)
		}
	}
	if os.Geteuid() == 0 { // sshd insists on it
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return err
		}
	}
	// With a level below 2 bash would read the user's .bashrc, whatever is in it (bash(1), "when
	// it determines that it is being run by sshd").
	lines := append(extra, "SetEnv SHLVL=2", "Port "+strconv.Itoa(s.port), "ListenAddress 127.0.0.1", "HostKey "+s.file("host"),
		"AuthorizedKeysFile "+s.file("authorized_keys"), "PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"UsePAM no", "StrictModes no", "PermitRootLogin prohibit-password", "PidFile none", "MaxStartups 100", "UseDNS no", "PrintMotd no")
	client := []string{"Port " + strconv.Itoa(s.port), "IdentityFile " + s.file("user"), "IdentitiesOnly yes", "IdentityAgent none",
		"UserKnownHostsFile " + s.file("known_hosts"), "GlobalKnownHostsFile /dev/null", "StrictHostKeyChecking yes"}
	return errors.Join(
		os.WriteFile(s.file("sshd_config"), []byte(strings.Join(lines, "\n")+"\n"), 0o600),
		os.WriteFile(s.file("ssh_config"), []byte(strings.Join(client, "\n")+"\n"), 0o600),
		s.LetIn(true), s.TrustHost(true))
}

func (s *SSHD) start(program string) error {
	proc, err := startProcess(program, []string{"-D", "-e", "-f", s.file("sshd_config")}, s.file("log"))
	if err != nil {
		return err
	}
	s.proc = proc
	ctx, cancel := context.WithTimeout(context.Background(), DefaultStartTimeout)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.greets(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-proc.exited:
			return fmt.Errorf("it exited; its log:\n%s", s.Log())
		case <-ctx.Done():
			return fmt.Errorf("no greeting: %w", err)
		case <-tick.C:
		}
	}
}

func (s *SSHD) greets(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(DefaultStartTimeout))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "SSH-") {
		err = fmt.Errorf("greeting is %q", line)
	}
	return err
}

// Addr is its host:port.
func (s *SSHD) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Host is what to write before the colon of a target.
func (s *SSHD) Host() string { return "127.0.0.1" }

// Rsh is what to give to -e: ssh with a configuration that knows this sshd, and a key that it
// lets in. Options go behind it.
func (s *SSHD) Rsh() string { return "ssh -F " + s.file("ssh_config") }

// LetIn says whether it lets the user's key in.
func (s *SSHD) LetIn(yes bool) error { return s.put("authorized_keys", "", yes, "user.pub") }

// TrustHost says whether the client knows its host key, or another one in its place.
func (s *SSHD) TrustHost(known bool) error {
	return s.put("known_hosts", "[127.0.0.1]:* ", known, "host.pub")
}

// put writes a file with one public key, a stranger's if the right one is not wanted.
func (s *SSHD) put(name, prefix string, right bool, key string) error {
	if !right {
		key = "stranger.pub"
	}
	text, err := os.ReadFile(s.file(key))
	if err != nil {
		return err
	}
	return os.WriteFile(s.file(name), append([]byte(prefix), text...), 0o600)
}

// Log is what it wrote to its log.
func (s *SSHD) Log() string {
	text, err := os.ReadFile(s.file("log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Close ends it, but not what logged in before, and removes its files.
func (s *SSHD) Close() error {
	var err error
	if s.proc != nil {
		err = s.proc.end(unix.SIGKILL, 0)
		s.proc = nil
	}
	if s.hold >= 0 {
		err = errors.Join(err, unix.Close(s.hold))
		s.hold = -1
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
