package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	codeWrong = 1 // a result is wrong
	codeSetup = 2 // nothing could be measured
)

// maxTime ends a run that hangs: about twice what a full one takes on a busy machine of two cores.
const maxTime = 40 * time.Minute

func main() {
	// The kernel ends the children when the thread that started them ends (prctl(2),
	// PR_SET_PDEATHSIG), and this one lasts as long as the process.
	runtime.LockOSThread()
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// options are the command line.
type options struct {
	lockstep, rsync, dir string
	json                 bool
	only                 string
	sizes                sizes
}

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return codeSetup // parse has told why
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return execute(ctx, o, stdout, stderr)
}

// execute is a run after its command line was understood.
func execute(ctx context.Context, o options, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, maxTime+o.sizes.ChurnTime+2*time.Duration(o.sizes.StopRuns)*o.sizes.StopTime)
	defer cancel()
	b, err := newBench(ctx, o, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "lockstep-bench: %v\n", err)
		return codeSetup
	}
	wrong := errors.Join(b.measure(o.only), b.close())
	if err := b.print(stdout, o.json); err != nil {
		wrong = errors.Join(wrong, err)
	}
	if wrong != nil {
		fmt.Fprintf(stderr, "lockstep-bench: %v\n", wrong)
		return codeWrong
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{sizes: fullSizes()}
	fs := flag.NewFlagSet("lockstep-bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	short := fs.Bool("short", false, "smaller trees and fewer repetitions: under a minute")
	fs.StringVar(&o.lockstep, "lockstep", "./lockstep", "the `program` to measure")
	fs.StringVar(&o.rsync, "rsync", "rsync", "the `program` to measure beside it, and the daemon")
	fs.StringVar(&o.dir, "dir", "", "work in a new directory below `DIR`, up to 12 GiB (default: the system's temporary directory; with -short /dev/shm where it has 1 GiB)")
	fs.BoolVar(&o.json, "json", false, "print JSON")
	fs.StringVar(&o.only, "only", "", "measure these alone, a `list` of "+strings.Join(measurementNames(), ","))
	churn := fs.Duration("churn", 0, "change the tree for so long in memory and in soak (default 1m, with -short 10s)")
	stop := fs.Duration("stop", 0, "stop a target for so long, several times, in targets (default 1m, with -short 3s and once)")
	rate := fs.Int("rate", 0, "make so many changes a second in soak (default 500)")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if *short {
		o.sizes = shortSizes()
	}
	if *churn > 0 {
		o.sizes.ChurnTime = *churn
	}
	if *stop > 0 {
		o.sizes.StopTime = *stop
	}
	if *rate > 0 {
		o.sizes.SoakRate = *rate
	}
	err := checkOnly(o.only)
	if *churn < 0 || *stop < 0 || *rate < 0 {
		err = errors.Join(err, errors.New("-churn, -stop and -rate cannot be less than 0, which is the default"))
	}
	if fs.NArg() > 0 {
		err = errors.Join(err, fmt.Errorf("arguments are not understood: %q", fs.Args()))
	}
	if err != nil {
		fmt.Fprintf(stderr, "lockstep-bench: %v\n", err)
	}
	return o, err
}
