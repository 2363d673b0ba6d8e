package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// pinPaths are files that are in the source all the time, in directories of every depth, and are
// never touched. So they may never be missing on a target that has had them.
func pinPaths() []string {
	var all []string
	for i, dir := range []string{"", "pins", "pins/a", "pins/a/b/c/d", "pins/name with space", "pins/locked", "pins/locked/below", "versions"} {
		for n := range 2 + i%3 {
			all = append(all, filepath.Join(dir, fmt.Sprintf("pin.%d", n)))
		}
	}
	return all
}

func makePins(root *os.Root) error {
	for _, name := range pinPaths() {
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, []byte("the pin "+name+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pinWatch polls a target for the pins.
type pinWatch struct {
	replica string
	fail    func(string)
	checks  atomic.Int64
}

// run polls until ctx ends.
func (p *pinWatch) run(ctx context.Context) {
	paths := pinPaths()
	seen := make([]bool, len(paths))
	poll(ctx, 3*time.Millisecond, func() {
		for i, name := range paths {
			var st unix.Stat_t
			err := unix.Lstat(filepath.Join(p.replica, name), &st)
			switch {
			case err == nil:
				seen[i] = true
			case seen[i] && errors.Is(err, unix.ENOENT):
				seen[i] = false // once is enough
				p.fail(fmt.Sprintf("%q was deleted from the target, and is in the source all the time", name))
			}
		}
		p.checks.Add(int64(len(paths)))
	})
}

// poll calls f until ctx ends, with a pause between.
func poll(ctx context.Context, pause time.Duration, f func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		f()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
