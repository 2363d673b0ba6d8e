package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stopLimit is how long lockstep may take to end: its --grace is 10 s.
const stopLimit = 30 * time.Second

// lockstep is the program under test, for one target or several.
type lockstep struct {
	name  string
	args  []string
	noDAC bool
	log   string

	child *child
	base  usage // at the first rest of the process that runs now
	old   int64 // bytes of the log before it
}

func newLockstep(w *world, targets ...*target) *lockstep {
	l := &lockstep{name: "lockstep", noDAC: w.plan.NoDAC}
	for _, t := range targets {
		t.lockstep = l
		l.name += "-" + t.Kind
	}
	l.log = filepath.Join(w.c.Out, l.name+".log")
	l.args = []string{w.c.Lockstep, "--watch", "--delete", "--no-tune", "--watch-backend=" + w.plan.Backend}
	switch {
	case w.plan.Keeps:
		l.args = append(l.args, "--state-dir="+filepath.Join(w.dir, "state", l.name))
	case w.c.StateDir:
		l.args = append(l.args, "--state-dir=none")
	}
	l.args = append(l.args, w.plan.Flags...)
	l.args = append(l.args, w.c.Options...)
	for i, t := range targets {
		l.args = append(l.args, t.flags...)
		if i > 0 {
			l.args = append(l.args, "--target="+t.dst)
		}
	}
	l.args = append(l.args, w.source+"/", targets[0].dst)
	return l
}

func (l *lockstep) String() string { return l.name }

// start starts it, unless it runs.
func (l *lockstep) start() error { return l.startLimited(0) }

// startLimited gives it no more than so many inotify watches; 0 is what the system gives.
func (l *lockstep) startLimited(watches int) error {
	if l.child != nil && !l.child.ended() {
		return nil
	}
	l.old = fileSize(l.log)
	l.base = usage{}
	var err error
	l.child, err = launch{NoDAC: l.noDAC, Watches: watches, Argv: l.args}.start(l.log)
	return err
}

func fileSize(name string) int64 {
	st, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return st.Size()
}

// said is what the process that runs now, or ran last, wrote.
func (l *lockstep) said() string { return textFrom(l.log, l.old) }

func textFrom(name string, offset int64) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return string(text[min(offset, int64(len(text))):])
}

// awaitWatching returns when it has what it watches with, or after a while.
func (l *lockstep) awaitWatching() {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline) && !l.child.ended(); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(l.said(), "INFO  watching  ") {
			return
		}
	}
}

// end sends SIGTERM and waits.
func (l *lockstep) end() error {
	if err := l.child.signal(unix.SIGTERM); err != nil {
		return err
	}
	select {
	case <-l.child.done:
		return l.child.err
	case <-time.After(stopLimit):
		return errors.Join(fmt.Errorf("it has not ended %v after SIGTERM", stopLimit), l.child.kill())
	}
}

// goroutines ends it with SIGQUIT and counts what the Go runtime then lists.
func (l *lockstep) goroutines() (int, error) {
	if err := l.child.signal(unix.SIGQUIT); err != nil {
		return 0, err
	}
	select {
	case <-l.child.done:
	case <-time.After(stopLimit):
		return 0, errors.Join(fmt.Errorf("it has not ended %v after SIGQUIT", stopLimit), l.child.kill())
	}
	return len(regexp.MustCompile(`(?m)^goroutine \d+ `).FindAllString(l.said(), -1)), nil
}

// crash finds what no log may hold.
func crash(log string) string {
	for _, sign := range []string{"panic: ", "fatal error: ", "WARNING: DATA RACE", "\ngoroutine "} {
		if i := strings.Index(log, sign); i >= 0 {
			return log[i:min(i+3000, len(log))]
		}
	}
	return ""
}

// troubles counts the lines that tell of trouble.
func troubles(log string) int {
	return strings.Count(log, "  WARN  ") + strings.Count(log, "  ERROR  ")
}

func killLockstep(_ *world, t *target, rng *rand.Rand) (func() error, error) {
	if err := t.lockstep.child.kill(); err != nil {
		return t.lockstep.start, err
	}
	if rng.IntN(2) == 0 { // at once
		return nothing, t.lockstep.start()
	}
	return t.lockstep.start, nil
}

func termLockstep(_ *world, t *target, rng *rand.Rand) (func() error, error) {
	if err := t.lockstep.end(); err != nil {
		return t.lockstep.start, fmt.Errorf("%w: SIGTERM: %w", errLockstep, err)
	}
	if rng.IntN(2) == 0 {
		return nothing, t.lockstep.start()
	}
	return t.lockstep.start, nil
}

// errLockstep marks what lockstep did wrong while it was hit.
var errLockstep = errors.New("lockstep")

func stopLockstep(_ *world, t *target, _ *rand.Rand) (func() error, error) {
	c := t.lockstep.child
	return func() error { return c.signal(unix.SIGCONT) }, c.signal(unix.SIGSTOP)
}

// queueFiles hold how many events the kernel keeps for those instances that are made from now on.
var queueFiles = []string{"/proc/sys/fs/inotify/max_queued_events", "/proc/sys/fs/fanotify/max_queued_events"}

func canOverflow() error {
	for _, name := range queueFiles {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return fmt.Errorf("the kernel's queue cannot be made smaller: %w", err)
		}
		f.Close()
	}
	return nil
}

// shortQueue starts lockstep anew with a short queue in the kernel. The limit is the machine's, so it
// is lowered only for so long as that takes.
func shortQueue(_ *world, t *target, rng *rand.Rand) (func() error, error) {
	if err := t.lockstep.child.kill(); err != nil {
		return t.lockstep.start, err
	}
	restore, err := lowerQueues(8 + rng.IntN(100))
	if err != nil {
		return t.lockstep.start, err
	}
	err = t.lockstep.start()
	if err == nil {
		t.lockstep.awaitWatching()
	}
	return t.lockstep.start, errors.Join(err, restore())
}

// sysctlLock keeps the tests of this machine from restoring what another had lowered.
func sysctlLock() string { return filepath.Join(os.TempDir(), "lockstep-test-sysctl.lock") }

func lowerQueues(n int) (restore func() error, err error) {
	lock, err := os.OpenFile(sysctlLock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	before, err := readQueues()
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	restore = func() error { return errors.Join(before.write(), lock.Close()) }
	low := queues{}
	for name := range before {
		low[name] = fmt.Appendf(nil, "%d\n", n)
	}
	if err := low.write(); err != nil {
		return nil, errors.Join(err, restore())
	}
	return restore, nil
}

// queues are the values of queueFiles.
type queues map[string][]byte

func readQueues() (queues, error) {
	q := queues{}
	for _, name := range queueFiles {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		q[name] = text
	}
	return q, nil
}

func (q queues) write() error {
	var errs []error
	for name, text := range q {
		errs = append(errs, os.WriteFile(name, text, 0o644))
	}
	return errors.Join(errs...)
}

// fewWatches starts lockstep anew with too few watches, and then again without a limit.
func fewWatches(_ *world, t *target, rng *rand.Rand) (func() error, error) {
	heal := func() error { return errors.Join(t.lockstep.child.kill(), t.lockstep.start()) }
	if rng.IntN(2) == 0 { // it has to do with what it has, by polling
		heal = nothing
	}
	if err := t.lockstep.child.kill(); err != nil {
		return t.lockstep.start, err
	}
	return heal, t.lockstep.startLimited(2 + rng.IntN(20))
}

// canLimitWatches starts a program that has no watch.
func canLimitWatches() error {
	log := filepath.Join(os.TempDir(), fmt.Sprintf("lockstep-chaos-probe-%d", os.Getpid()))
	defer os.Remove(log)
	c, err := launch{Watches: 1, Argv: []string{"true"}}.start(log)
	if err != nil {
		return fmt.Errorf("no user namespace can be made: %w", err)
	}
	<-c.done
	if c.err != nil {
		return fmt.Errorf("watches cannot be limited in a user namespace: %w: %s", c.err, lastLines(log, 1))
	}
	return nil
}
