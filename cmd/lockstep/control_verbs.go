package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/control"
	"github.com/lockstep-sync/lockstep/syncer"
)

// failedPaths is lockstep failed --json, an entry for each target.
type failedPaths struct {
	Sync   string          `json:"sync"`
	Source string          `json:"source"`
	Target string          `json:"target"`
	Failed []syncer.Failed `json:"failed"`
}

// runFailed lists the paths that are not on the targets.
func runFailed(c *controlLine) (int, error) {
	list, err := c.find()
	if err != nil {
		return 0, err
	}
	code, idle := 0, false
	all := []failedPaths{}
	for _, a := range list {
		for _, s := range a.agent.Syncs {
			for _, t := range s.Targets {
				idle = idle || t.State == api.StateStopped
				if len(t.Failed) > 0 {
					code = int(syncer.CodePartial)
				}
				all = append(all, failedPaths{s.Name, s.Source, t.Target, append([]syncer.Failed{}, t.Failed...)})
			}
		}
	}
	if idle && code == 0 {
		code = codeStopped
	}
	if c.json {
		return code, printIndented(c.out, all)
	}
	for _, p := range all {
		for _, f := range p.Failed {
			fmt.Fprintf(c.out, "%s: %s: %s (%s; %d tries since %s, the next in %s)\n", syncer.Quote(p.Target), syncer.Quote(f.Path), syncer.Quote(f.Reason),
				f.Class, f.Count, f.First.Format(time.DateTime), max(time.Until(f.Next), 0).Round(time.Second))
		}
	}
	return code, nil
}

// runQueue shows what is to be pushed.
func runQueue(c *controlLine) (int, error) {
	list, err := c.find()
	if err != nil {
		return 0, err
	}
	all := []api.Queued{}
	code, err := c.each(list, func(client *control.Client, sync string) error {
		queue, err := client.Queue(sync, c.target(), c.most)
		all = append(all, queue...)
		return err
	})
	if c.json {
		return code, errors.Join(err, printIndented(c.out, all))
	}
	for _, q := range all {
		name := visible(q.Path)
		if q.Tree {
			name += " and all below"
		}
		if q.Sent {
			name += ", on its way"
		}
		fmt.Fprintf(c.out, "%s: %s, for %s\n", syncer.Quote(q.Target), name, age(q.Since))
	}
	if len(all) == 0 && err == nil {
		fmt.Fprintln(c.out, "nothing is to be pushed")
	}
	return code, err
}

// visible quotes a name that a terminal would obey; it may be quoted already.
func visible(name string) string {
	obeyed := func(r rune) bool {
		return r == utf8.RuneError || unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
	}
	if strings.IndexFunc(name, obeyed) < 0 {
		return name
	}
	return syncer.Quote(name)
}

// flushMoment is how long a flush waits that is not to wait.
const flushMoment = time.Second

// runFlush asks whether everything that was changed before now is there.
func runFlush(c *controlLine) (int, error) {
	list, err := c.find()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	switch {
	case c.timeout > 0:
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
	case !c.wait:
		ctx, cancel = context.WithTimeout(ctx, flushMoment)
	}
	defer cancel()
	code, all, err := c.flush(ctx, list)
	if code == int(syncer.CodeTimeout) && c.timeout == 0 {
		code, err = int(syncer.CodePartial), errors.New("not everything is there yet; --wait waits for it")
	}
	if c.json {
		return code, errors.Join(err, printIndented(c.out, all))
	}
	for _, f := range all {
		state := "everything is there"
		if !f.Done {
			state = "not there: " + cmp.Or(f.Text, "it is on its way")
		}
		fmt.Fprintf(c.out, "%s → %s: %s, after %s\n", syncer.Quote(f.Sync), syncer.Quote(f.Target), syncer.Quote(state), round(time.Duration(f.Took*float64(time.Second))))
	}
	return code, err
}

// flush waits for all processes at once.
func (c *controlLine) flush(ctx context.Context, list []asked) (int, []api.Flushed, error) {
	answers := make([][]api.Flushed, len(list))
	codes := make([]int, len(list))
	errs := make([]error, len(list))
	var g errgroup.Group
	for i, one := range list {
		g.Go(func() error {
			codes[i], errs[i] = c.each([]asked{one}, func(client *control.Client, sync string) error {
				got, err := client.Flush(ctx, sync)
				answers[i] = append(answers[i], got...)
				return err
			})
			return nil
		})
	}
	g.Wait()
	all := []api.Flushed{}
	code := 0
	for i, got := range answers {
		all = append(all, got...)
		if slices.ContainsFunc(got, func(f api.Flushed) bool { return !f.Done }) && codes[i] == 0 {
			codes[i] = int(syncer.CodePartial)
		}
		// The worst of them: nobody there, no answer, the time over, not all there.
		for _, worse := range []int{codeStopped, int(syncer.CodeSocket), int(syncer.CodeTimeout), int(syncer.CodePartial), 0} {
			if code == worse || codes[i] == worse {
				code = worse
				break
			}
		}
	}
	return code, all, errors.Join(errs...)
}

// runPause has syncs gather changes.
func runPause(c *controlLine) (int, error) {
	return c.steer("paused: changes are gathered until lockstep resume", func(client *control.Client, sync string) error { return client.Pause(sync) })
}

// runResume ends that.
func runResume(c *controlLine) (int, error) {
	return c.steer("pushes again", func(client *control.Client, sync string) error { return client.Resume(sync) })
}

// steer does something with each sync that is meant, and says so.
func (c *controlLine) steer(what string, do func(client *control.Client, sync string) error) (int, error) {
	list, err := c.find()
	if err != nil {
		return 0, err
	}
	return c.each(list, func(client *control.Client, sync string) error {
		err := do(client, sync)
		if err == nil {
			fmt.Fprintf(c.out, "%s: %s\n", syncer.Quote(cmp.Or(sync, "all")), what)
		}
		return err
	})
}

// runRelease lets held deletions go.
func runRelease(c *controlLine) (int, error) {
	list, err := c.find()
	if err != nil {
		return 0, err
	}
	all := []api.Released{}
	code, err := c.each(list, func(client *control.Client, sync string) error {
		released, err := client.Release(sync, c.target())
		all = append(all, released...)
		return err
	})
	if c.json {
		return code, errors.Join(err, printIndented(c.out, all))
	}
	none := true
	for _, r := range all {
		for _, h := range r.Held {
			none = false
			fmt.Fprintf(c.out, "%s → %s: released %s\n", syncer.Quote(r.Sync), syncer.Quote(r.Target), syncer.Quote(heldText(h)))
		}
	}
	if none && err == nil {
		fmt.Fprintln(c.out, "nothing is held")
	}
	return code, err
}

// runResync has targets compared.
func runResync(c *controlLine) (int, error) {
	path := ""
	list, err := c.find()
	if errors.Is(err, errNone) && len(c.args) > 0 {
		if sync, below, ok := c.holder(); ok {
			c.args[0], path = sync, below
			list, err = c.find()
		}
	}
	if err != nil {
		return 0, err
	}
	return c.each(list, func(client *control.Client, sync string) error {
		err := client.Resync(sync, c.target(), path, c.checksum)
		if err == nil {
			what := cmp.Or(sync, "all")
			if path != "" {
				what += ": " + path
			}
			fmt.Fprintf(c.out, "%s: is being compared; lockstep status tells how it goes\n", syncer.Quote(what))
		}
		return err
	})
}

// holder is the sync that has the first argument, a path, in its source: that of the deepest source.
func (c *controlLine) holder() (sync, below string, ok bool) {
	path, err := filepath.Abs(c.args[0])
	if err != nil {
		return "", "", false
	}
	all, err := c.everyone()
	if err != nil {
		return "", "", false
	}
	deepest := ""
	for _, a := range all {
		for _, s := range a.agent.Syncs {
			source, err := filepath.Abs(s.Source)
			if err != nil || len(source) < len(deepest) {
				continue
			}
			if rel, err := filepath.Rel(source, path); err == nil && filepath.IsLocal(rel) {
				deepest, sync, below, ok = source, s.Name, rel, true
			}
		}
	}
	if below == "." {
		below = ""
	}
	return sync, below, ok
}

// runReload has the config read again.
func runReload(c *controlLine) (int, error) {
	r, err := c.process().Reload(context.Background())
	if err != nil {
		return 0, c.nobodyThere(err)
	}
	changed := false
	for _, part := range []struct {
		what  string
		names []string
	}{{"started", r.Started}, {"stopped", r.Stopped}, {"restarted", r.Restarted}, {"counts from the next start on", r.NotApplied}} {
		if len(part.names) > 0 {
			changed = true
			fmt.Fprintf(c.out, "%s: %s\n", part.what, syncer.Quote(strings.Join(part.names, ", ")))
		}
	}
	if !changed {
		fmt.Fprintln(c.out, "nothing differs")
	}
	return 0, nil
}

// runStop ends the process.
func runStop(c *controlLine) (int, error) {
	if err := c.process().RequestStop(); err != nil {
		return 0, c.nobodyThere(err)
	}
	fmt.Fprintln(c.out, "it sends what is pending, and ends")
	return 0, nil
}

// runLogLevel shows, or sets, from which level on components log.
func runLogLevel(c *controlLine) (int, error) {
	client := c.process()
	now, err := client.LogLevel("", "")
	for _, arg := range c.args {
		if err != nil {
			break
		}
		component, level, ok := strings.Cut(arg, "=")
		if !ok {
			component, level = "", arg
		}
		if level == "" {
			return int(syncer.CodeUsage), fmt.Errorf("%q has no level: debug, info, warn or error", arg)
		}
		now, err = client.LogLevel(component, level)
	}
	if err != nil {
		return 0, c.nobodyThere(err)
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		fmt.Fprintf(c.out, "%s=%s\n", cmp.Or(name, "all"), now[name])
	}
	return 0, nil
}
