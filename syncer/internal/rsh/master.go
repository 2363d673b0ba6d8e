package rsh

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// aliveInterval and aliveCount make a connection that is dead known after 15 s: a push
	// that waits for it fails then, and the next one connects anew.
	aliveInterval = 5
	aliveCount    = 3
	// masterPatience bounds the wait for a connection whose other end hangs: longer than sshd
	// allows for logging in (sshd_config(5), LoginGraceTime).
	masterPatience = 150 * time.Second
	// masterPoll is how often is looked for the socket: ssh makes it after logging in, and says nothing.
	masterPoll = 3 * time.Millisecond
	// socketPathMax leaves room for what ssh appends while it makes the socket (unix(7): 108 bytes).
	socketPathMax = 80
)

// master is a connection of OpenSSH's, over which commands are run.
type master struct {
	p      *process
	dir    *private
	socket string
}

// ensureMaster makes a master connection where there is none that lives.
func (s *Shell) ensureMaster(ctx context.Context) error {
	if s.master != nil && s.master.p.running() {
		return nil
	}
	if s.master != nil {
		s.master.close()
		s.master = nil
	}
	m, err := s.startMaster()
	if err != nil {
		return err
	}
	if err := m.await(ctx); err != nil {
		return errors.Join(err, m.close())
	}
	s.master = m
	return nil
}

func (s *Shell) startMaster() (*master, error) {
	s.swept.Do(sweep)
	dir, err := newPrivate()
	if err != nil {
		return nil, fmt.Errorf("make a directory for ssh's socket: %w", err)
	}
	m := &master{dir: dir, socket: filepath.Join(dir.path, "s")}
	words := append(s.options(), "-M", "-N", "-S", m.socket, "-o", "ControlPersist=no", "-o", "ClearAllForwardings=yes")
	m.p, err = start(s.addressed(words), nil, nil, true)
	if err != nil {
		return nil, errors.Join(err, dir.remove())
	}
	return m, nil
}

// await waits until the master takes commands.
func (m *master) await(ctx context.Context) error {
	tick := time.NewTicker(masterPoll)
	defer tick.Stop()
	late := time.NewTimer(masterPatience)
	defer late.Stop()
	for {
		if _, err := os.Lstat(m.socket); err == nil {
			return nil
		}
		select {
		case <-m.p.exited:
			code := m.p.end(0)
			return &ExitError{Code: code, Said: m.p.said.take()}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late.C:
			return fmt.Errorf("%w after %v", ErrNoMaster, masterPatience)
		case <-tick.C:
		}
	}
}

// close ends the connection, with all commands that run over it.
func (m *master) close() error {
	if m.p.running() {
		m.p.signal(unix.SIGTERM)
	}
	m.p.end(killGrace)
	return m.dir.remove()
}
