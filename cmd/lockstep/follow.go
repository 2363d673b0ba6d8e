package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/follow"
)

// followStatus shows what fetch returns until somebody quits: as a picture where out is a terminal that can show
// one, unless lines are wanted; else as a line for each change. A signal that ends it leaves the terminal as it was, and is no error.
func followStatus(fetch func(context.Context) (api.Agent, error), out io.Writer, lines bool) error {
	ends := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT}
	if !signal.Ignored(syscall.SIGHUP) { // nohup(1)
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, release := signal.NotifyContext(context.Background(), ends...)
	defer release()
	return follow.Run(ctx, fetch, follow.Options{Out: out, Terminal: !lines && showsPictures(out)})
}

func showsPictures(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false
	}
	name := os.Getenv("TERM")
	return name != "" && name != "dumb"
}
