package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	codeFailed = 1 // a run failed
	codeSetup  = 2 // nothing could be run
)

func main() {
	// The kernel ends the children when the thread that started them ends (prctl(2),
	// PR_SET_PDEATHSIG), and this one lasts as long as the process.
	runtime.LockOSThread()
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role))
	}
	os.Exit(chaos(os.Args[1:], os.Stdout, os.Stderr))
}

// options are the command line.
type options struct {
	config   // of each run, but for Seed and Out
	first    uint64
	seeds    int
	parallel int
	race     bool
	list     bool
	keep     string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("lockstep-chaos", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Uint64Var(&o.first, "seed", 1, "the first seed")
	fs.IntVar(&o.seeds, "seeds", 1, "how many seeds to run, from the first on")
	fs.DurationVar(&o.Time, "time", 15*time.Second, "how long each goes on with new rounds of faults")
	fs.DurationVar(&o.Limit, "limit", defaultLimit, "how long a target may take to become equal when all is well again")
	fs.IntVar(&o.parallel, "parallel", 1, "how many seeds to run at a time")
	faults := fs.String("faults", "", "inject these alone, a `list` of names that -list shows")
	targets := fs.String("targets", "local,daemon", "a `list` of local, daemon, ssh")
	fs.StringVar(&o.Lockstep, "lockstep", "", "the `program` to run (default: built from this source)")
	fs.BoolVar(&o.race, "race", false, "build it with the race detector, which needs a C compiler")
	fs.BoolVar(&o.list, "list", false, "list the faults, and which of them this machine can have")
	fs.StringVar(&o.keep, "keep", "", "keep the logs of runs that failed below `DIR` (default: below the temporary directory)")
	extra := fs.String("options", "", "further `options` for lockstep, separated by spaces")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.Faults, o.Targets, o.Options = words(*faults), words(*targets), strings.Fields(*extra)
	err := errors.Join(checkNames("fault", o.Faults, faultNames()), checkNames("target", o.Targets, targetKinds))
	if len(o.Targets) == 0 {
		err = errors.Join(err, errors.New("no target is given"))
	}
	if fs.NArg() > 0 {
		err = errors.Join(err, fmt.Errorf("arguments are not understood: %q", fs.Args()))
	}
	if err != nil {
		fmt.Fprintf(stderr, "lockstep-chaos: %v\n", err)
	}
	return o, err
}

// words splits a list at its commas.
func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func checkNames(what string, names, known []string) error {
	var errs []error
	for _, name := range names {
		if !slices.Contains(known, name) {
			errs = append(errs, fmt.Errorf("there is no %s %q, only %s", what, name, strings.Join(known, ", ")))
		}
	}
	return errors.Join(errs...)
}

func chaos(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return codeSetup // parse has told why
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.list {
		listFaults(stdout)
		return 0
	}
	code, err := hunt(ctx, o, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "lockstep-chaos: %v\n", err)
	}
	return code
}

// hunt builds what is to be run, runs all seeds and prints what came of it.
func hunt(ctx context.Context, o options, stdout io.Writer) (int, error) {
	if os.Geteuid() != 0 {
		return codeSetup, errors.New("this needs root: it makes namespaces, mounts and network links")
	}
	if err := needPrograms("rsync", "ip", "mkfs.ext4"); err != nil {
		return codeSetup, err
	}
	work, err := os.MkdirTemp(o.keep, fmt.Sprintf("lockstep-chaos-%d-", os.Getpid()))
	if err != nil {
		return codeSetup, err
	}
	if o.Lockstep == "" {
		o.Lockstep = filepath.Join(work, "lockstep")
		if err := build(ctx, o.Lockstep, o.race); err != nil {
			return codeSetup, errors.Join(err, os.RemoveAll(work))
		}
	}
	if o.Lockstep, err = filepath.Abs(o.Lockstep); err != nil {
		return codeSetup, err
	}
	help, err := exec.CommandContext(ctx, o.Lockstep, "--help").Output()
	if err != nil {
		return codeSetup, fmt.Errorf("run %s --help: %w", o.Lockstep, err)
	}
	o.StateDir, o.Several = strings.Contains(string(help), "--state-dir="), strings.Contains(string(help), "--target=")
	o.Impossible = impossible()
	h := newHunt(ctx, o, work, stdout)
	h.runAll()
	h.table()
	if h.failed == 0 {
		err = os.RemoveAll(work)
	}
	switch {
	case h.failed > 0:
		return codeFailed, err
	case h.broken > 0 || err != nil:
		return codeSetup, err
	}
	return 0, nil
}

func needPrograms(names ...string) error {
	var errs []error
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			errs = append(errs, fmt.Errorf("%s is not installed: on Debian, apt-get install rsync iproute2 e2fsprogs", name))
		}
	}
	return errors.Join(errs...)
}

func build(ctx context.Context, out string, race bool) error {
	args := []string{"build", "-trimpath", "-o", out}
	cgo := "CGO_ENABLED=0"
	if race {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/lockstep-sync/lockstep/cmd/lockstep")...)
	cmd.Env = append(os.Environ(), cgo)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build lockstep: %w: %s", err, text)
	}
	return nil
}
