package rsh

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Config is a remote shell and who is meant.
type Config struct {
	Rsh        string // as --rsh; "" is ssh
	User, Host string // User "" is the shell's own choice
	// What follows is for OpenSSH alone.
	Family     int           // 4 or 6; 0: either
	Address    string        // to connect from
	ConTimeout time.Duration // for a connection; 0: the shell's own patience
	// Keep says that many commands will be run, and that nobody is there to be asked.
	Keep bool
}

// Shell runs commands there. It is for one goroutine at a time.
type Shell struct {
	cfg    Config
	words  []string
	ssh    bool
	master *master
	swept  sync.Once
}

// New checks cfg; nothing is started yet.
func New(cfg Config) (*Shell, error) {
	if cfg.Rsh == "" {
		cfg.Rsh = "ssh"
	}
	words, err := Split(cfg.Rsh)
	if err != nil {
		return nil, err
	}
	s := &Shell{cfg: cfg, words: words, ssh: filepath.Base(words[0]) == "ssh"}
	if !s.ssh && cfg.Family != 0 {
		return nil, fmt.Errorf("-%d cannot be told to the remote shell %q", cfg.Family, cfg.Rsh)
	}
	if !s.ssh && cfg.Address != "" {
		return nil, fmt.Errorf("--address cannot be told to the remote shell %q", cfg.Rsh)
	}
	return s, nil
}

// SSH says that the shell is ssh, which keeps to ConTimeout by itself.
func (s *Shell) SSH() bool { return s.ssh }

// Host is who is meant.
func (s *Shell) Host() string { return s.cfg.Host }

// String is the shell as it was given.
func (s *Shell) String() string { return s.cfg.Rsh }

// Start runs a command there; its words are joined by spaces and read by the shell there. With
// Keep it waits for a master connection where there is none yet; then an *ExitError says
// why there will be none.
func (s *Shell) Start(ctx context.Context, command []string) (*Conn, error) {
	words := s.options()
	if s.keepsMaster() {
		if err := s.ensureMaster(ctx); err != nil {
			return nil, err
		}
		words = append(words, "-S", s.master.socket, "-o", "ControlMaster=no")
	}
	return dial(append(s.addressed(words), command...), s.detached())
}

// Connect makes the master connection where one is to be kept and none lives; see Start for its error.
func (s *Shell) Connect(ctx context.Context) error {
	if !s.keepsMaster() {
		return nil
	}
	return s.ensureMaster(ctx)
}

// Said is what the master connection's ssh said since it was asked last.
func (s *Shell) Said() []string {
	if s.master == nil {
		return nil
	}
	return s.master.p.said.take()
}

// Close ends the master connection.
func (s *Shell) Close() error {
	if s.master == nil {
		return nil
	}
	err := s.master.close()
	s.master = nil
	return err
}

// detached says that the processes get a session of their own: so they have no terminal, and can
// be signalled with all that they start. Where somebody may be asked they need the terminal.
func (s *Shell) detached() bool {
	if s.cfg.Keep {
		return true
	}
	tty, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err == nil {
		unix.Close(tty)
	}
	return err != nil
}

// options is the shell with what we want of it. Of two values for one option ssh takes the
// first, so those in --rsh win (ssh_config(5)).
func (s *Shell) options() []string {
	words := slices.Clone(s.words)
	if !s.ssh {
		return words
	}
	if s.cfg.Family != 0 {
		words = append(words, "-"+strconv.Itoa(s.cfg.Family))
	}
	if s.cfg.Address != "" {
		words = append(words, "-b", s.cfg.Address)
	}
	if s.cfg.ConTimeout > 0 {
		words = append(words, "-o", "ConnectTimeout="+strconv.Itoa(int(max(1, (s.cfg.ConTimeout+time.Second-1)/time.Second))))
	}
	if s.cfg.Keep {
		words = append(words, "-o", "BatchMode=yes", "-o", "ServerAliveInterval="+strconv.Itoa(aliveInterval),
			"-o", "ServerAliveCountMax="+strconv.Itoa(aliveCount))
	}
	return words
}

// addressed adds who is meant. A user that --rsh names wins (rsync 3.5.0 main.c, do_cmd).
func (s *Shell) addressed(words []string) []string {
	if s.cfg.User != "" && !slices.Contains(s.words[1:], "-l") {
		words = append(words, "-l", s.cfg.User)
	}
	return append(words, s.cfg.Host)
}

// keepsMaster says whether commands are channels of one connection. Who names a control socket
// in --rsh has one of their own.
func (s *Shell) keepsMaster() bool {
	return s.cfg.Keep && s.ssh && !slices.ContainsFunc(s.words[1:], func(w string) bool {
		return strings.HasPrefix(w, "-S") || w == "-M" || strings.Contains(strings.ToLower(w), "controlpath") ||
			strings.Contains(strings.ToLower(w), "controlmaster")
	})
}

// ExitError says that a shell ended without getting to its command.
type ExitError struct {
	Code int
	Said []string
}

func (e *ExitError) Error() string {
	if n := len(e.Said); n > 0 {
		return e.Said[n-1]
	}
	return fmt.Sprintf("the remote shell ended with exit code %d", e.Code)
}

// ErrNoMaster says that ssh took too long to get a connection.
var ErrNoMaster = errors.New("no connection")
