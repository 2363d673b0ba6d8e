package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/lockstep-sync/lockstep/watcher"
)

// roleEnv makes this program one of its own children: watch BACKEND ROOT, or write WORK ROOT RATE TIME.
const roleEnv = "LOCKSTEP_BENCH_ROLE"

func play(role string, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := fmt.Errorf("there is no role %q for %q", role, args)
	switch {
	case role == "watch" && len(args) == 2:
		err = playWatch(args[0], args[1], stdin, stdout)
	case role == "write" && len(args) == 4:
		err = playWrite(args, stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "lockstep-bench as %s: %v\n", role, err)
		return codeWrong
	}
	return 0
}

// playWatch watches, and does nothing else. It writes its watcher.Stats once the tree is indexed, and
// then for every line that it reads.
func playWatch(backend, root string, stdin io.Reader, stdout io.Writer) error {
	debug.SetGCPercent(40) // as lockstep has it
	w, err := watcher.New(watcher.Config{Root: root, Backend: backend})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var failed error
	running.Go(func() { failed = w.Run(ctx, func([]watcher.Change) {}) })
	defer func() {
		cancel()
		running.Wait()
		err = errors.Join(err, failed)
	}()
	for !w.Stats().Indexed {
		nap(10 * time.Millisecond)
	}
	out := json.NewEncoder(stdout)
	if err := out.Encode(w.Stats()); err != nil {
		return err
	}
	for asked := bufio.NewScanner(stdin); asked.Scan(); {
		if err := out.Encode(w.Stats()); err != nil {
			return err
		}
	}
	return err
}

// written is what the writers did.
type written struct {
	Events  int // that inotify has for it
	Seconds float64
}

func playWrite(args []string, stdout io.Writer) error {
	rate, err1 := strconv.Atoi(args[2])
	length, err2 := time.ParseDuration(args[3])
	do, err3 := writersOf(args[0])
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	did, err := write(do, args[1], rate, length)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(did)
}
