// Command onchange runs a command each time a tree has changed and become quiet: a build, a reload, a
// test run. It shows how package watcher is used without the rest of lockstep.
//
//	go run ./examples/onchange src/ make
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/watcher"
)

// quiet is how long nothing may happen before the command runs: an editor's save is several events.
const quiet = 100 * time.Millisecond

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: onchange DIR COMMAND [ARG…]")
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "onchange:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, command []string) error {
	changed := make(chan string, 1) // one: any number of changes is one reason to run
	w, err := watcher.New(watcher.Config{
		Root:     dir,
		NoIndex:  true, // after a queue overflow everything counts as changed, which is one run
		Excluded: func(path string, _ bool) bool { return path == ".git" || strings.HasSuffix(path, "~") },
	})
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		done <- w.Run(ctx, func(changes []watcher.Change) {
			select {
			case changed <- changes[0].Path:
			default:
			}
		})
	}()
	for {
		select {
		case err := <-done:
			return err
		case path := <-changed:
			settle(ctx, changed)
			fmt.Printf("%q changed\n", path)
			c := exec.CommandContext(ctx, command[0], command[1:]...)
			c.Stdout, c.Stderr = os.Stdout, os.Stderr
			if err := c.Run(); err != nil {
				fmt.Fprintln(os.Stderr, "onchange:", err) // the next change may mend it
			}
		}
	}
}

// settle returns when nothing has changed for the quiet time.
func settle(ctx context.Context, changed <-chan string) {
	for {
		select {
		case <-changed:
		case <-time.After(quiet):
			return
		case <-ctx.Done():
			return
		}
	}
}
