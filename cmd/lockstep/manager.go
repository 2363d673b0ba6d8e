package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/config"
	"github.com/lockstep-sync/lockstep/cmd/internal/daemon"
	"github.com/lockstep-sync/lockstep/cmd/internal/logs"
	"github.com/lockstep-sync/lockstep/syncer"
)

// detach starts the program in the background. In the parent it returns its exit code.
func detach(paths []string, stderr io.Writer) (parent bool, code int) {
	parent, code, err := daemon.Detach(daemon.DetachOptions{Paths: paths, Stderr: stderr})
	if err != nil {
		for problem := range strings.Lines(err.Error() + "\n") {
			fmt.Fprintf(stderr, "lockstep: %s", problem)
		}
	}
	return parent, code
}

// lockPIDFile holds a PID file, if there is to be one.
func lockPIDFile(path string) (release func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	if release, err = daemon.LockPIDFile(path); err != nil {
		return nil, &syncer.Failure{Code: syncer.CodeFile, Err: err}
	}
	return release, nil
}

// daemonPaths are what a --watch in the background finds by name as it goes on. Rules and --files-from are read by then.
func daemonPaths(s *agent.Settings) []string {
	paths := []string{s.PIDFile, s.LogFile, s.Source, s.PasswordFile, s.Control}
	if s.StateDir != agent.NoState {
		paths = append(paths, s.StateDir)
	}
	return append(paths, localTargets(s)...)
}

func localTargets(s *agent.Settings) (paths []string) {
	for _, one := range s.Each() {
		if t, err := syncer.ParseTarget(one.Target); err == nil && !t.Remote() {
			paths = append(paths, t.Path)
		}
	}
	return paths
}

// agentPaths are those of an agent. Without a place for its log it has nothing to say to anybody.
func agentPaths(cfg *config.Config, file string) ([]string, error) {
	p := &cfg.Process
	if p.LogFile == "" && p.LogFormat != logs.Journal {
		return nil, errors.New("--daemon: standard error leads nowhere: say in the config where the log goes, with log-file or log-format: journal")
	}
	paths := []string{p.PIDFile, p.LogFile, file, p.Control}
	for i := range cfg.Syncs {
		for k := range cfg.Syncs[i].Targets {
			one := &cfg.Syncs[i].Targets[k]
			paths = append(append(paths, one.Source), localTargets(one)...)
		}
	}
	return paths, nil
}

// statusEvery is how often systemctl status is brought up to date.
const statusEvery = 2 * time.Second

// tellManager tells systemd, and the parent of a --daemon, how it goes: ready once every source is watched, a line of status, and
// that there is progress.
func (v *serving) tellManager(ctx, stop context.Context, service *agent.Service) {
	var n daemon.Notifier
	watched := make(chan error, 1)
	go func() { watched <- n.Watch(ctx, service.Alive) }()
	defer func() { <-watched }()
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	if os.Getenv("NOTIFY_SOCKET") == "" {
		tick.Stop() // nobody looks at the line
	}
	ready, stopping, told := service.Ready(), stop.Done(), ""
	for {
		if text := statusLine(service.Status()); text != told {
			told = text
			_ = n.Status(text)
		}
		select {
		case <-ctx.Done():
			return
		case <-ready:
			ready = nil
			if err := daemon.Ready(); err != nil {
				v.options.Log.Named("agent").Error("who started this could not be told that it is ready", zap.Error(err))
			}
		case <-stopping:
			stopping = nil
			_ = n.Stopping()
		case <-tick.C:
		}
	}
}

// statusLine is all targets in one line, as "3 in-step, 1 retrying: h::m, no connection".
func statusLine(a api.Agent) string {
	states, worst := map[string]int{}, ""
	for _, s := range a.Syncs {
		if s.Error != "" && worst == "" {
			worst = s.Name + ": " + s.Error
		}
		for _, t := range s.Targets {
			states[t.State]++
			if t.Error != nil && worst == "" {
				worst = t.Target + ": " + t.Error.Text
			}
		}
	}
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(states)) {
		parts = append(parts, fmt.Sprintf("%d %s", states[state], state))
	}
	text := "targets: " + strings.Join(parts, ", ")
	if len(parts) == 0 {
		text = "no targets"
	}
	if worst != "" {
		text += "; " + worst
	}
	return text
}
