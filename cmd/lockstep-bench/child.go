package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// oneShotLimit ends a program that hangs; no run takes a tenth of it.
	oneShotLimit = 5 * time.Minute
	// stopLimit is how long "lockstep --watch" may take to end: its --grace is 10 s.
	stopLimit = 30 * time.Second
)

// command is a child in a process group of its own, which Cancel ends as a whole: rsync forks.
func command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// timed runs a program to its end and returns how long that took. A failure is a wrong result.
func (b *bench) timed(program string, args ...string) (time.Duration, error) {
	took, _, err := b.timedState(program, args...)
	return took, err
}

func (b *bench) timedState(program string, args ...string) (time.Duration, *os.ProcessState, error) {
	ctx, cancel := context.WithTimeout(b.ctx, oneShotLimit)
	defer cancel()
	var out strings.Builder
	cmd := command(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		return took, nil, fmt.Errorf("run %q: %w: %s", cmd.Args, err, tail(out.String()))
	}
	return took, cmd.ProcessState, nil
}

// watching is a "lockstep --watch" that runs.
type watching struct {
	cmd    *exec.Cmd
	ctx    context.Context // ends when the program does, with the reason
	to     place
	log    string
	state  string        // its --state-dir
	exited chan struct{} // closed after the program was waited for
	err    error         // how it ended; to be read after exited
}

// watch starts "lockstep --watch --delete" on a tree, with further options.
func (b *bench) watch(src string, to place, options ...string) (*watching, error) {
	b.watches++
	name := filepath.Join(b.dir, fmt.Sprintf("watch-%d.log", b.watches))
	log, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	state := filepath.Join(b.dir, fmt.Sprintf("state-%d", b.watches)) // each begins with nothing known
	args := append([]string{"--watch", "--delete", "--no-tune", "--state-dir=" + state}, options...)
	cmd := command(b.ctx, b.lockstep, append(args, src+"/", to.target)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %q: %w", cmd.Args, err)
	}
	ctx, cancel := context.WithCancelCause(b.ctx)
	w := &watching{cmd: cmd, ctx: ctx, to: to, log: name, state: state, exited: make(chan struct{})}
	go func() {
		w.err = cmd.Wait()
		cancel(fmt.Errorf("lockstep --watch to %s ended: %v", to.kind, w.err))
		close(w.exited)
	}()
	return w, nil
}

// watchKinds starts one to a place of each kind. The caller ends those that it returns, also beside an error.
func (b *bench) watchKinds(src string) (all []*watching, err error) {
	for _, kind := range kinds() {
		to, err := b.place(kind)
		if err != nil {
			return all, err
		}
		w, err := b.watch(src, to)
		if err != nil {
			return all, err
		}
		all = append(all, w)
	}
	return all, nil
}

// stopAll ends them all.
func stopAll(all []*watching, err error) error {
	for _, w := range all {
		err = w.stop(err)
	}
	return err
}

// stop ends the program with SIGTERM, and adds to err how that went and what its log says. It is
// what every function that starts one does last.
func (w *watching) stop(err error) error {
	died := w.ctx.Err() != nil
	if sig := w.cmd.Process.Signal(syscall.SIGTERM); sig != nil && !errors.Is(sig, os.ErrProcessDone) {
		err = errors.Join(err, sig)
	}
	limit := time.AfterFunc(stopLimit, func() { _ = w.cmd.Cancel() })
	defer limit.Stop()
	<-w.exited
	switch {
	case w.err != nil:
		err = errors.Join(err, fmt.Errorf("lockstep --watch ended: %w", w.err))
	case died && err == nil:
		err = errors.New("lockstep --watch ended by itself")
	}
	if err == nil {
		return nil
	}
	text, _ := os.ReadFile(w.log) // without it the error is as true
	return fmt.Errorf("%w\nits log:\n%s", err, tail(string(text)))
}

// tail is the end of a program's output.
func tail(s string) string {
	const most = 2000
	s = strings.TrimSpace(s)
	if len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return s
}
