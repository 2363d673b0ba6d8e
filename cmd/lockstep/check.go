package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/config"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/sysctl"
)

const checkConfigUsage = `lockstep check tells whether a config will do: its keys and values, sources, targets, limits.

  lockstep check                          ` + config.DefaultFile + `
  lockstep check -c ./new.yaml --offline  without asking the targets

Usage: lockstep check [OPTION…]

Each target is asked: a daemon for its module, with the password; a host for an rsync behind the
remote shell; a directory whether it can be written to. Nothing is changed there.

  -c, --config=FILE       the config (default ` + config.DefaultFile + `)
      --offline           ask no target
      --json              one JSON object
  -h, --help              this text

Exit codes: 0 all is well, 1 something is not: the report says what, and what to do.
`

const (
	// askPatience bounds what one target may take to answer, askedAtOnce how many are asked at a time.
	askPatience = 20 * time.Second
	askedAtOnce = 16
	// countPatience bounds the counting of directories, all together.
	countPatience = 10 * time.Second
)

// checkReport is what check found. It is what --json prints.
type checkReport struct {
	Config   string         `json:"config"`
	Valid    bool           `json:"valid"` // the config is
	OK       bool           `json:"ok"`    // all is
	Errors   []configError  `json:"errors,omitempty"`
	Warnings []string       `json:"warnings,omitempty"`
	Problems []string       `json:"problems,omitempty"` // of the process and the machine
	Process  *agent.Process `json:"process,omitempty"`
	Files    []string       `json:"files,omitempty"`

	Directories int  `json:"directories"` // to watch
	Uncounted   bool `json:"uncounted,omitempty"`
	Watches     int  `json:"max_user_watches"`
	Tuned       bool `json:"raises_limits"` // the agent raises them as it needs

	Syncs   []*checkedSync `json:"syncs,omitempty"`
	Offline bool           `json:"offline,omitempty"`
}

type configError struct {
	File    string   `json:"file"`
	Line    int      `json:"line"`
	Column  int      `json:"column"`
	Message string   `json:"message"`
	Near    []string `json:"near,omitempty"`
}

type checkedSync struct {
	Name        string           `json:"name"`
	Source      string           `json:"source"`
	Does        string           `json:"does"`
	Problem     string           `json:"problem,omitempty"`
	Directories int              `json:"directories"`
	Targets     []*checkedTarget `json:"targets"`

	settings *agent.Settings // of the first target: what is the source's is the same in all
}

type checkedTarget struct {
	Target  string  `json:"target"`
	Asked   bool    `json:"asked"`
	Took    float64 `json:"took_seconds,omitempty"`
	Problem string  `json:"problem,omitempty"`
	Remedy  string  `json:"remedy,omitempty"`

	settings *agent.Settings
}

// runCheck is the verb check.
func runCheck(args []string, stdout, stderr io.Writer) int {
	l := newConfigLine()
	offline, asJSON := false, false
	l.Set("offline", "", &offline)
	l.Set("json", "", &asJSON)
	err := l.Parse(args)
	if err == nil && len(l.Args()) > 0 {
		err = fmt.Errorf("no arguments are wanted, there are %q: -c FILE names the config", l.Args())
	}
	switch {
	case err != nil:
		return misused(stderr, "check", err)
	case l.help:
		return printed(stderr, writeString(stdout, checkConfigUsage))
	}
	r := &checkReport{Config: l.file, Offline: offline}
	c, err := config.Load(l.file)
	if err != nil && !asJSON {
		load(l.file, stderr)
		return int(syncer.CodeUsage)
	}
	if err != nil {
		r.invalid(err)
	} else {
		agent.WipePassword()
		r.look(c)
	}
	if asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(r)
	} else {
		err = writeString(stdout, r.text())
	}
	if code := printed(stderr, err); code != 0 {
		return code
	}
	if !r.OK {
		return int(syncer.CodeUsage)
	}
	return 0
}

func (r *checkReport) invalid(err error) {
	var all *config.Errors
	if !errors.As(err, &all) {
		r.Problems = append(r.Problems, err.Error())
		return
	}
	for _, e := range all.List {
		r.Errors = append(r.Errors, configError{e.File, e.Line, e.Column, e.Message, e.Near})
	}
}

// look looks at all that the config needs.
func (r *checkReport) look(c *config.Config) {
	r.Valid, r.Config, r.Files, r.Warnings, r.Process = true, c.File, c.Files, c.Warnings, &c.Process
	for i := range c.Syncs {
		r.Syncs = append(r.Syncs, newCheckedSync(&c.Syncs[i]))
	}
	r.Problems = append(r.Problems, processProblems(&c.Process)...)
	r.limits()
	if !r.Offline {
		r.ask()
	}
	r.OK = len(r.Problems) == 0
	for _, s := range r.Syncs {
		r.OK = r.OK && s.Problem == ""
		for _, t := range s.Targets {
			r.OK = r.OK && t.Problem == ""
		}
	}
}

func newCheckedSync(s *agent.SyncConfig) *checkedSync {
	first := &s.Targets[0]
	c := &checkedSync{Name: s.Name, Source: first.Source, Does: does(s), settings: first}
	if err := first.CheckSource(); err != nil {
		c.Problem = err.Error()
	}
	for i := range s.Targets {
		c.Targets = append(c.Targets, &checkedTarget{Target: s.Targets[i].Target, settings: &s.Targets[i]})
	}
	return c
}

// limits counts what is to be watched and compares it with what the kernel lets.
func (r *checkReport) limits() {
	ctx, cancel := context.WithTimeout(context.Background(), countPatience)
	defer cancel()
	for _, s := range r.Syncs {
		r.Tuned = r.Tuned || !s.settings.NoTune
		n, err := s.settings.Directories(ctx)
		if err != nil {
			r.Uncounted = true // the source's own problem is told
			continue
		}
		s.Directories = n
		r.Directories += n
	}
	limits, err := sysctl.Read("")
	if err != nil {
		r.Problems = append(r.Problems, fmt.Sprintf("the kernel's limits on watching are not known: %v", err))
		return
	}
	r.Watches = limits.MaxUserWatches
	mem, err := sysctl.MemTotal()
	if err != nil {
		r.Problems = append(r.Problems, fmt.Sprintf("the size of the memory is not known: %v", err))
		return
	}
	advice := limits.Advise(sysctl.Need{Directories: r.Directories}, mem)
	if r.Directories > limits.MaxUserWatches && !r.Tuned {
		r.Problems = append(r.Problems, fmt.Sprintf("%d directories are to be watched, the kernel allows %d watches, and no-tune leaves that: lockstep sysctl --persist raises it%s",
			r.Directories, limits.MaxUserWatches, settingsOf(advice)))
	}
}

func settingsOf(a sysctl.Advice) string {
	if lines := a.Lines(); lines != "" {
		return ", to " + string([]byte(lines)[:len(lines)-1])
	}
	return ""
}

// ask asks all targets, some at a time.
func (r *checkReport) ask() {
	var all sync.WaitGroup
	free := make(chan struct{}, askedAtOnce)
	for _, s := range r.Syncs {
		for _, t := range s.Targets {
			free <- struct{}{}
			all.Go(func() {
				defer func() { <-free }()
				t.ask()
			})
		}
	}
	all.Wait()
}

func (t *checkedTarget) ask() {
	ctx, cancel := context.WithTimeout(context.Background(), askPatience)
	defer cancel()
	start := time.Now()
	if err := t.settings.CheckPasswordFile(); err != nil {
		t.Asked, t.Problem = true, err.Error()
		return
	}
	err := t.settings.Probe(ctx)
	t.Asked, t.Took = true, time.Since(start).Seconds()
	switch {
	case err == nil:
	case ctx.Err() != nil:
		t.Problem, t.Remedy = fmt.Sprintf("no answer within %v", askPatience), "is the host up, and does a firewall let it through?"
	default:
		t.Problem = err.Error()
		_, t.Remedy = syncer.Classify(err)
	}
}
