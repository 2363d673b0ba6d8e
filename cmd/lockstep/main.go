// Command lockstep keeps a directory in step with another one, or with a module of an
// rsync daemon. See its --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/logs"
	"github.com/lockstep-sync/lockstep/syncer"
	"go.uber.org/zap"
)

func main() {
	if os.Getenv("GOGC") == "" {
		// Beside the list of a full push garbage is small: a daemon that lives on servers
		// had better be small than a little faster.
		debug.SetGCPercent(40)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// errSignal ends a push on SIGINT or SIGTERM.
var errSignal = errors.New("interrupted by a signal")

// run is the program, without the process around it.
func run(args []string, stdout, stderr io.Writer) int {
	if verb, ok := verbs[first(args)]; ok {
		return verb(args[1:], stdout, stderr)
	}
	s, done, err := parse(args, stdout)
	if err == nil && !done {
		err = errors.Join(s.Validate(), s.CheckPasswordFile())
	}
	if err != nil {
		return int(complain(stderr, err))
	}
	if done {
		return 0
	}
	if s.Daemon {
		if parent, code := detach(daemonPaths(s), stderr); parent {
			return code
		}
	}
	agent.WipePassword()
	if s.Confine == "" {
		s.Confine = agent.ConfineDefault
	}
	unlock, err := lockPIDFile(s.PIDFile)
	if err != nil {
		return int(complain(stderr, err))
	}
	defer unlock()
	ctx, stop, release := signals(stderr)
	defer release()
	if !s.Watch {
		return int(agent.Once(stop, *s, stdout, stderr))
	}
	logging, err := openLog(s, stderr)
	if err != nil {
		return int(complain(stderr, err))
	}
	defer logging.Close()
	defer reopenLog(logging)()
	v := serving{
		options: agent.ServiceOptions{Version: version(), Process: agent.Process{Control: s.Control, PIDFile: s.PIDFile}, Log: logging.Logger(), Levels: logging.SetLevel, Items: agent.PrintItem(s, stdout)},
		make:    func(o agent.ServiceOptions) (*agent.Service, error) { return agent.NewWatch(*s, o) },
	}
	return endCode(stderr, v.run(ctx, stop))
}

// openLog opens the log of a process that stays; --quiet leaves what an operator should know.
func openLog(s *agent.Settings, stderr io.Writer) (*logs.Logs, error) {
	o := logs.Options{Level: s.LogLevel, Format: s.LogFormat, File: s.LogFile, Stderr: stderr}
	if s.Quiet && o.Level != "error" {
		o.Level = "warn"
	}
	l, err := logs.New(o)
	if err != nil {
		return nil, &syncer.Failure{Code: syncer.CodeFile, Err: err}
	}
	return l, nil
}

// reopenLog has SIGUSR1 open the log file again until release is called.
func reopenLog(l *logs.Logs) (release func()) {
	ch := make(chan os.Signal, 1) // one that waits says all there is to say
	signal.Notify(ch, syscall.SIGUSR1)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for range ch {
			if err := l.Reopen(); err != nil {
				l.Logger().Named("agent").Error("the log file cannot be opened again; the old one is written on", zap.Error(err))
			}
		}
	}()
	return func() {
		signal.Stop(ch)
		close(ch)
		<-over
	}
}

// complain tells all that is wrong with a command line, a line each, and gives the exit code.
func complain(stderr io.Writer, err error) syncer.Code {
	code, hint := syncer.CodeUsage, "; see lockstep --help"
	var f *syncer.Failure
	if errors.As(err, &f) {
		code, hint = f.Code, ""
	}
	problems := strings.Split(err.Error(), "\n") // as errors.Join writes them
	for _, p := range problems {
		fmt.Fprintf(stderr, "lockstep: %s\n", p)
	}
	fmt.Fprintf(stderr, "lockstep: nothing was done%s (code %d)\n", hint, code)
	return code
}

// oneSignal is how long a signal that comes again is the same one: timeout(1) sends its
// signal to the process and to its group.
const oneSignal = 200 * time.Millisecond

// signals gives a context that is done at the first SIGINT or SIGTERM; the second one
// ends the process at once.
func signals(stderr io.Writer) (ctx, stop context.Context, release func()) {
	ctx, cancel := context.WithCancel(context.Background())
	stop, cancelStop := context.WithCancelCause(ctx)
	ch := make(chan os.Signal, 2) // two: signal.Notify drops what does not fit
	signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM)
	over := make(chan struct{})
	go func() {
		defer close(over)
		var first os.Signal
		var came time.Time
		for {
			select {
			case <-ctx.Done():
				return
			case sig := <-ch:
				if first == nil {
					first, came = sig, time.Now()
					cancelStop(errSignal)
				} else if sig != first || time.Since(came) > oneSignal {
					fmt.Fprintf(stderr, "lockstep: second signal (%v), ending at once\n", sig)
					syncer.Abandon()
					os.Exit(int(syncer.CodeSignal))
				}
			}
		}
	}()
	return ctx, stop, func() {
		signal.Stop(ch)
		cancel()
		<-over
	}
}
