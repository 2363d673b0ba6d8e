package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/config"
	"github.com/lockstep-sync/lockstep/cmd/internal/confine"
	"github.com/lockstep-sync/lockstep/cmd/internal/options"
	"github.com/lockstep-sync/lockstep/syncer"
)

const agentUsage = `lockstep agent: run the service, which keeps many sources in step by one config file.

Usage: lockstep agent [-c FILE]

  -c, --config=FILE       the config (default /etc/lockstep/lockstep.yaml); lockstep check
                          says whether it will do
      --control=SOCKET    the control socket, whatever the config says
      --daemon            return when every source is watched, and go on in the background; the
                          config has to say where the log goes (log-file, or log-format: journal)
      --pid-file=FILE     hold FILE, with the process's number, as long as it runs
  -h, --help              this text

SIGHUP, or lockstep reload, reads the config again and applies what differs. SIGUSR1
opens the log file again. SIGTERM and SIGINT
end it: what is pending is sent first, within --grace; a second one ends it at once.

Exit codes
   0  it was told to stop
   1  usage, or the config has errors: nothing was done
  11  another process holds the PID file, or it cannot be written; so with the log file
  10  the control socket, or what it is to listen at, is in use
  20  the second signal ended it
`

// runAgent is the verb agent.
func runAgent(args []string, stdout, stderr io.Writer) int {
	l := options.NewVerb()
	help, file, socket, background, pidFile := false, config.DefaultFile, "", false, ""
	l.On("help", "h", func() { help = true })
	l.Text("config", "c", &file)
	l.Text("control", "", &socket)
	l.Set("daemon", "", &background)
	l.Text("pid-file", "", &pidFile)
	err := l.Parse(args)
	if rest := l.Args(); err == nil && len(rest) > 0 {
		err = fmt.Errorf("%q: what is kept in step is told in the config (--config=FILE)", rest)
	}
	if err != nil {
		return misused(stderr, "agent", err)
	}
	if help {
		io.WriteString(stdout, agentUsage)
		return 0
	}
	environment := environmentNow()
	cfg, err := config.LoadEnv(file, environment)
	if err != nil {
		fmt.Fprintf(stderr, "%v\nlockstep agent: nothing was done (code %d)\n", err, syncer.CodeUsage)
		return int(syncer.CodeUsage)
	}
	if socket != "" {
		cfg.Process.Control = socket
	}
	cfg.Process.PIDFile = pidFile
	if background {
		paths, err := agentPaths(cfg, file)
		if err != nil {
			return misused(stderr, "agent", err)
		}
		if parent, code := detach(paths, stderr); parent {
			return code
		}
	}
	agent.WipePassword()
	for _, name := range cfg.Secrets {
		confine.WipeEnv(name)
	}
	if cfg.Process.Confine == "" {
		cfg.Process.Confine = agent.ConfineDefault
	}
	unlock, err := lockPIDFile(pidFile)
	if err != nil {
		return int(complain(stderr, err))
	}
	defer unlock()
	return serveAgent(cfg, socket, environment, stderr)
}

// environmentNow is the environment as it is now: what the config takes from it is to be had after it was wiped, for a reload.
func environmentNow() func(string) (string, bool) {
	vars := map[string]string{}
	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = strings.Clone(value)
	}
	return func(name string) (string, bool) {
		value, ok := vars[name]
		return value, ok
	}
}

func serveAgent(cfg *config.Config, socket string, env func(string) (string, bool), stderr io.Writer) int {
	s := agent.Defaults()
	s.LogLevel, s.LogFormat, s.LogFile = cfg.Process.LogLevel, cfg.Process.LogFormat, cfg.Process.LogFile
	logging, err := openLog(&s, stderr)
	if err != nil {
		return int(complain(stderr, &syncer.Failure{Code: syncer.CodeFile, Err: err}))
	}
	defer logging.Close()
	defer reopenLog(logging)()
	log := logging.Logger()
	warn := func(c *config.Config) {
		for _, w := range c.Warnings {
			log.Named("agent").Warn("the config", zap.String("warning", w))
		}
	}
	warn(cfg)
	load := func() ([]agent.SyncConfig, agent.Process, error) {
		c, err := config.LoadEnv(cfg.File, env)
		if err != nil {
			return nil, agent.Process{}, err
		}
		warn(c)
		if socket != "" {
			c.Process.Control = socket
		}
		return c.Syncs, c.Process, nil
	}
	ctx, stop, release := signals(stderr)
	defer release()
	v := serving{
		options: agent.ServiceOptions{Version: version(), Config: cfg.File, Process: cfg.Process, Load: load, Log: log, Levels: logging.SetLevel},
		make:    func(o agent.ServiceOptions) (*agent.Service, error) { return agent.NewService(cfg.Syncs, o) },
	}
	return endCode(stderr, v.run(ctx, stop))
}

// endCode tells why a service ended, if it was not told to.
func endCode(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	code := syncer.ExitCode(syncer.Report{}, err)
	if errors.Is(err, errSignal) {
		code = syncer.CodeSignal
	}
	fmt.Fprintf(stderr, "lockstep: %v (code %d)\n", err, code)
	return int(code)
}
