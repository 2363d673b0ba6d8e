package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/control"
	"github.com/lockstep-sync/lockstep/cmd/internal/options"
	"github.com/lockstep-sync/lockstep/cmd/internal/places"
	"github.com/lockstep-sync/lockstep/syncer"
)

const controlUsage = `lockstep status, flush, … : ask a lockstep that is running, or tell it what to do.

  lockstep status                                 how all is doing
  lockstep flush --wait --timeout=30s www && …    go on when all is on the targets

Usage: lockstep status  [--json] [WHICH]        how each target is doing, and what to do about it
       lockstep status  [--follow] [--plain] [WHICH]
                                                the same, live: ? is for its keys
       lockstep failed  [--json] [WHICH]        which paths could not be brought over, and why
       lockstep queue   [--json] [--most=N] [WHICH]
                                                what is to be pushed, the longest waiting first
       lockstep flush   [--json] [--wait] [--timeout=TIME] [SYNC]
                                                is what was changed before now on the targets?
       lockstep pause   [SYNC]                  gather changes, push none
       lockstep resume  [SYNC]                  push again
       lockstep resync  [--checksum] [WHICH]    compare with the target and mend what differs
       lockstep resync  [--checksum] PATH [DST] the same, of PATH in a source, and all below it
       lockstep release [--json] [WHICH]        delete what --max-delete holds back
       lockstep reload                          read the config again, apply what differs
       lockstep log-level [[COMPONENT=]LEVEL…]  which lines are logged from now on
       lockstep stop                            end as after SIGTERM: send what is pending first

SYNC is the name of a sync in the config, or its source as it is written there or was written
for --watch; WHICH is SYNC [DST], where DST is a target as it is written. Without them it is
about all. reload, log-level and stop are for a whole process.

      --control=SOCKET    ask the process that serves this socket, and no other (default
                          /run/lockstep/control.sock, and those in --state-dir)
      --state-dir=DIR     ask each lockstep --watch whose state is kept in DIR (default
                          $STATE_DIRECTORY, or /var/lib/lockstep, or
                          $XDG_STATE_HOME/lockstep if not root)
      --follow            show it until q or Ctrl-C; not on a terminal a line for each change
      --plain             lines on a terminal, too
      --json              for programs; the exit codes are the same
      --checksum          compare by content, not by size and time
      --most=N            show up to N paths of each target (default 20)
      --wait              wait for as long as it takes; without it flush gives it a second
      --timeout=TIME      wait for so long, as 30s
  -h, --help              this text

Exit codes
   0  all is well (status: in step, or about to be; flush: everything is there)
   1  usage; reload: the config has errors, nothing was changed
   3  no lockstep is running for one of them, or there is none
  10  it is there, and cannot be asked, or cannot do that
  23  status, failed, flush: something is not on a target, or cannot be reached
  30  flush: not everything was there when the time was over
`

// codeStopped is systemctl(1)'s for a unit that is not active.
const codeStopped = 3

// asked is a lockstep that was asked, and what it told of what a verb is about.
type asked struct {
	client *control.Client // nil: nobody runs for it
	agent  api.Agent
}

// controlLine is the command line of such a verb.
type controlLine struct {
	verb   string
	out    io.Writer
	args   []string
	socket string
	dir    string

	json, checksum, wait, follow, plain bool
	most                                int
	timeout                             time.Duration
}

// controlVerb is a verb that asks running locksteps.
func controlVerb(name string, do func(c *controlLine) (int, error)) func([]string, io.Writer, io.Writer) int {
	return func(args []string, stdout, stderr io.Writer) int {
		c := &controlLine{verb: name, out: stdout, most: 20}
		help, err := c.parse(args)
		if err != nil {
			return misused(stderr, name, err)
		}
		if help {
			io.WriteString(stdout, controlUsage)
			return 0
		}
		code, err := do(c)
		if err != nil {
			if code == 0 {
				code = codeOf(err)
			}
			for problem := range strings.Lines(err.Error()) {
				fmt.Fprintf(stderr, "lockstep %s: %s (code %d)\n", name, strings.TrimRight(problem, "\n"), code)
			}
		}
		return code
	}
}

func (c *controlLine) parse(args []string) (help bool, err error) {
	l := options.NewVerb()
	l.On("help", "h", func() { help = true })
	l.Text("control", "", &c.socket)
	most := 2
	switch c.verb {
	case "reload", "stop":
		most = 0
	case "log-level":
		most = 100
	case "flush", "pause", "resume":
		most = 1
		fallthrough
	default:
		l.Text("state-dir", "", &c.dir)
	}
	switch c.verb {
	case "status":
		l.Set("json", "", &c.json)
		l.Set("follow", "", &c.follow)
		l.Set("plain", "", &c.plain)
	case "failed", "release":
		l.Set("json", "", &c.json)
	case "queue":
		l.Set("json", "", &c.json)
		l.Val("most", "", func(v string) error { return c.setMost(v) })
	case "flush":
		l.Set("json", "", &c.json)
		l.Set("wait", "", &c.wait)
		l.Val("timeout", "", func(v string) (err error) {
			if c.timeout, err = time.ParseDuration(v); err != nil || c.timeout <= 0 {
				return fmt.Errorf("%q is no time, as 30s", v)
			}
			return nil
		})
	case "resync":
		l.Set("checksum", "", &c.checksum)
	}
	if err := l.Parse(args); err != nil {
		return false, err
	}
	c.args = l.Args()
	if n := len(c.args); n > most {
		return false, fmt.Errorf("at most %s wanted, there are %d arguments: %q", arguments(most), n, c.args)
	}
	if slices.Contains(c.args, "") {
		return false, errors.New("an argument is empty")
	}
	switch {
	case c.json && c.follow:
		return false, errors.New("--follow has no --json; GET /v1/events of the control socket tells programs what changes")
	}
	return help, nil
}

// arguments is how many a verb takes, in words.
func arguments(most int) string {
	return [...]string{"options are", "a sync or its source is", "a sync or its source, and a target are"}[most]
}

func (c *controlLine) setMost(v string) error {
	if _, err := fmt.Sscan(v, &c.most); err != nil || c.most < 1 || c.most > 10000 {
		return fmt.Errorf("%q is no number from 1 to 10000", v)
	}
	return nil
}

// codeOf is the exit code of what came of a question.
func codeOf(err error) int {
	switch {
	case errors.Is(err, control.ErrNobody), errors.Is(err, errNone):
		return codeStopped
	case errors.Is(err, api.ErrSettings):
		return int(syncer.CodeUsage)
	case errors.Is(err, api.ErrNotThere), errors.Is(err, api.ErrPaused):
		return int(syncer.CodePartial)
	case errors.Is(err, context.DeadlineExceeded):
		return int(syncer.CodeTimeout)
	}
	return int(syncer.CodeSocket)
}

// process is the one that serves the control socket.
func (c *controlLine) process() *control.Client {
	return control.Dial(cmp.Or(c.socket, defaultSocket()))
}

// nobodyThere says which socket nobody serves.
func (c *controlLine) nobodyThere(err error) error {
	if !errors.Is(err, control.ErrNobody) {
		return err
	}
	return fmt.Errorf("%w at %q; another socket is named with --control=SOCKET", err, c.process().Path())
}

// defaultSocket is where an agent listens that was told nothing else.
func defaultSocket() string {
	if dir := os.Getenv(places.RunDirEnv); dir != "" {
		return filepath.Join(dir, filepath.Base(control.DefaultSocket))
	}
	return control.DefaultSocket
}

// each does something with each sync that is meant; without arguments once for all of a process (""). What is
// not running is an error, after the others.
func (c *controlLine) each(list []asked, do func(client *control.Client, sync string) error) (int, error) {
	var idle []string
	for _, one := range list {
		if one.client == nil {
			for _, s := range one.agent.Syncs {
				idle = append(idle, label(&s.Targets[0]))
			}
			continue
		}
		syncs := []string{""}
		if len(c.args) > 0 {
			syncs = nil
			for _, s := range one.agent.Syncs {
				syncs = append(syncs, s.Name)
			}
		}
		for _, s := range syncs {
			if err := do(one.client, s); err != nil {
				return codeOf(err), err
			}
		}
	}
	if len(idle) > 0 {
		return codeStopped, fmt.Errorf("no lockstep is running, or answers, for %s", strings.Join(idle, ", "))
	}
	return 0, nil
}

// label is a target in words, fit for a line.
func label(t *api.Target) string {
	s := syncer.Quote(t.Source) + " → " + syncer.Quote(t.Target)
	if t.Sync != "" && t.Sync != t.Source {
		s = syncer.Quote(t.Sync) + ": " + s
	}
	return s
}

func printIndented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
