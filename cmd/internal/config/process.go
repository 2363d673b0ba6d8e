package config

import (
	"net"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/logs"
	"github.com/lockstep-sync/lockstep/cmd/internal/options"
)

func (l *loader) processEntry(name string) *entry {
	i := slices.IndexFunc(l.process, func(e *entry) bool { return e.opt.Name == name })
	if i < 0 {
		return nil
	}
	return l.process[i]
}

// processInto does those keys of the process that are settings of each sync, too. Logs and the control socket are not a sync's.
func (l *loader) processInto(line *options.Line, s *agent.Settings) bool {
	ok := true
	for _, e := range l.process {
		if o := l.opts.Lookup(e.opt.Name); o != nil && !strings.HasPrefix(o.Name, "log-") && o.Name != "control" {
			ok = l.do(line, e) && ok
		}
	}
	if e := l.processEntry("state-dir"); e != nil && s.StateDir != "" && s.StateDir != agent.NoState {
		ok = l.absolute("state-dir", e.value, s.StateDir) && ok
	}
	return ok
}

// processSettings is what is set for the process.
func (l *loader) processSettings() agent.Process {
	s := l.ground()
	l.processInto(options.New(&s), &s)
	p := agent.Process{LogLevel: s.LogLevel, StateDir: s.StateDir, User: s.User, Confine: s.Confine}
	if e := l.processEntry("log-level"); e != nil {
		p.LogLevel = e.value.text
	}
	for i := range processKeys {
		k := &processKeys[i]
		to := k.set(&p)
		*to = k.byDefault
		e := l.processEntry(k.Name)
		if e == nil {
			continue
		}
		*to = e.value.text
		switch {
		case k.Name == "control" && *to == agent.NoState:
			*to = ""
		case k.Kind == options.File:
			*to, _ = l.fileName(k.Name, e.value, k.env)
		}
	}
	if p.LogFile != "" && p.LogFormat == logs.Journal {
		l.value(l.processEntry("log-file").key, "log-file and log-format: journal exclude one another: the journal keeps its files itself")
	}
	l.checkControl(&p)
	l.checkListen(&p)
	return p
}

func (l *loader) checkControl(p *agent.Process) {
	e := l.processEntry("control-group")
	if e == nil || p.ControlGroup == "" {
		return
	}
	if _, err := user.LookupGroup(p.ControlGroup); err != nil {
		if _, err := user.LookupGroupId(p.ControlGroup); err != nil {
			l.value(e.value, "control-group: there is no group %s: groupadd --system makes one", quoted(p.ControlGroup))
		}
	}
	if p.Control == "" {
		l.value(e.key, "control-group does nothing without a control socket")
	}
}

// checkListen: who listens for others than this machine does so with TLS, and knows who asks.
func (l *loader) checkListen(p *agent.Process) {
	e := l.processEntry("listen")
	if e == nil || p.Listen == "" {
		for _, name := range []string{"listen-cert", "listen-key", "listen-client-ca", "listen-token-file"} {
			if e := l.processEntry(name); e != nil && e.value.text != "" {
				l.value(e.key, "%s does nothing without listen", name)
			}
		}
		return
	}
	cert, key := l.processEntry("listen-cert"), l.processEntry("listen-key")
	switch {
	case p.ListenCert != "" && p.ListenKey == "":
		l.value(cert.key, "listen-cert needs listen-key, the key of the certificate")
	case p.ListenCert == "" && p.ListenKey != "":
		l.value(key.key, "listen-key needs listen-cert, the certificate of the key")
	case p.ListenClientCA != "" && p.ListenCert == "":
		l.value(l.processEntry("listen-client-ca").key, "listen-client-ca needs listen-cert and listen-key: without TLS a client shows no certificate")
	}
	if strings.HasPrefix(p.Listen, "/") {
		return
	}
	host, port, err := net.SplitHostPort(p.Listen)
	n, portErr := strconv.Atoi(port)
	switch {
	case err != nil || portErr != nil || n < 1 || n > 65535:
		l.value(e.value, "listen: %s is neither HOST:PORT, as 127.0.0.1:9874, nor the path of a socket", quoted(p.Listen))
	case loopback(host):
	case p.ListenCert == "" || p.ListenKey == "" || p.ListenClientCA == "" && p.ListenToken == "":
		l.value(e.value, "listen: %s can be reached from other machines: that takes listen-cert and listen-key, and listen-client-ca or listen-token-file; 127.0.0.1:%d is for this machine alone", quoted(p.Listen), n)
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// config checks the whole and gives it out.
func (l *loader) config() (*Config, error) {
	p := l.processSettings()
	l.build()
	l.apart()
	c := &Config{File: l.root, Files: l.files, Process: p, Warnings: l.warnings, Secrets: l.secrets, process: l.process, syncs: l.syncs, env: l.env}
	if len(l.syncs) == 0 && len(l.list) == 0 {
		l.value((&file{name: l.root}).whole(), "there is not one sync: nothing would be done")
	}
	if err := l.err(l.files); err != nil {
		return nil, err
	}
	for _, s := range l.syncs {
		one := agent.SyncConfig{Name: s.name, Hooks: s.hooks}
		for _, t := range s.targets {
			one.Targets = append(one.Targets, t.settings)
		}
		c.Syncs = append(c.Syncs, one)
	}
	return c, nil
}
