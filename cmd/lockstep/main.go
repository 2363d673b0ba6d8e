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
	"syscall"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/syncer"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// errSignal ends a push on SIGINT or SIGTERM.
var errSignal = errors.New("interrupted by a signal")

// run is the program, without the process around it.
func run(args []string, stdout, stderr io.Writer) int {
	s, done, err := parse(args, stdout)
	if err == nil && !done {
		err = errors.Join(s.Validate(), s.CheckPasswordFile())
	}
	if err != nil {
		fmt.Fprintf(stderr, "lockstep: %v\n", err)
		fmt.Fprintln(stderr, "lockstep: see lockstep --help (code 1)")
		return int(syncer.CodeUsage)
	}
	if done {
		return 0
	}
	ctx, stop, release := signals(stderr)
	defer release()
	if !s.Watch {
		return int(agent.Once(stop, *s, stdout, stderr))
	}
	log, err := s.NewLogger(stderr)
	if err != nil {
		fmt.Fprintf(stderr, "lockstep: %v\n", err)
		return int(syncer.CodeUsage)
	}
	defer log.Sync()
	if err := agent.Watch(ctx, *s, stop, log, agent.PrintItem(s, stdout)); err != nil {
		fmt.Fprintf(stderr, "lockstep: %v\n", err)
		return int(syncer.ExitCode(syncer.Report{}, err))
	}
	return 0
}

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
		first := true
		for {
			select {
			case <-ctx.Done():
				return
			case sig := <-ch:
				if !first {
					fmt.Fprintf(stderr, "lockstep: second signal (%v), ending at once\n", sig)
					os.Exit(int(syncer.CodeSignal))
				}
				first = false
				cancelStop(errSignal)
			}
		}
	}()
	return ctx, stop, func() {
		signal.Stop(ch)
		cancel()
		<-over
	}
}
