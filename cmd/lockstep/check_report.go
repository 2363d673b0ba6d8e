package main

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/config"
)

// rows is how many targets are told in any case. Of more, those that fail.
const rows = 16

// does says in a few words what the agent would do for a sync.
func does(s *agent.SyncConfig) string {
	first := &s.Targets[0]
	words := []string{"keeps in step"}
	switch deletes := countOf(s, func(t *agent.Settings) bool { return t.Delete }); {
	case deletes == 0:
		words = append(words, "deletes nothing")
	case deletes < len(s.Targets):
		words = append(words, fmt.Sprintf("deletes on %d of %d targets", deletes, len(s.Targets)))
	default:
		words = append(words, "deletes")
	}
	if first.DeleteLimit.Set && first.Delete {
		words[1] += ", at most " + first.DeleteLimit.String() + " an hour"
	}
	if first.VerifyEvery > 0 {
		words = append(words, "verifies every "+short(first.VerifyEvery))
	}
	if hooks := hookNames(s); len(hooks) > 0 {
		words = append(words, "runs "+strings.Join(hooks, ", "))
	}
	return strings.Join(words, ", ")
}

func countOf(s *agent.SyncConfig, is func(*agent.Settings) bool) (n int) {
	for i := range s.Targets {
		if is(&s.Targets[i]) {
			n++
		}
	}
	return n
}

func hookNames(s *agent.SyncConfig) (names []string) {
	for _, h := range []struct {
		name string
		argv []string
	}{
		{"on-success", s.Hooks.OnSuccess.Argv}, {"on-failure", s.Hooks.OnFailure.Argv}, {"on-recovered", s.Hooks.OnRecovered.Argv},
		{"on-delete-held", s.Hooks.OnDeleteHeld.Argv}, {"before-push", s.Hooks.BeforePush.Argv},
	} {
		if len(h.argv) > 0 {
			names = append(names, h.name)
		}
	}
	return names
}

// short is a time without its zeros: 24h for 24h0m0s.
func short(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// processProblems are what stands against the process as a whole.
func processProblems(p *agent.Process) (problems []string) {
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if p.ListenCert != "" && p.ListenKey != "" {
		if _, err := tls.LoadX509KeyPair(p.ListenCert, p.ListenKey); err != nil {
			add("listen-cert and listen-key: %v", err)
		}
	}
	for _, f := range []struct{ key, name string }{{"listen-client-ca", p.ListenClientCA}, {"listen-token-file", p.ListenToken}} {
		if f.name == "" {
			continue
		}
		if err := unix.Access(f.name, unix.R_OK); err != nil {
			add("%s: %q cannot be read: %v", f.key, f.name, err)
		}
	}
	dir := p.StateDir
	if dir == "" {
		dir = agent.DefaultStateDir()
	}
	if dir != "" && dir != agent.NoState {
		if err := makeable(dir); err != nil {
			add("state-dir: %q cannot be written to: %v", dir, err)
		}
	}
	if p.LogFile != "" {
		if err := unix.Access(filepath.Dir(p.LogFile), unix.W_OK|unix.X_OK); err != nil {
			add("log-file: the directory of %q cannot be written to: %v", p.LogFile, err)
		}
	}
	return problems
}

// makeable says why there is no writing in a directory that is there, or can be made.
func makeable(dir string) error {
	for {
		err := unix.Access(dir, unix.W_OK|unix.X_OK)
		if up := filepath.Dir(dir); os.IsNotExist(err) && up != dir {
			dir = up
			continue
		}
		return err
	}
}

// text is for people.
func (r *checkReport) text() string {
	var b strings.Builder
	targets, bad := 0, len(r.Problems)
	for _, s := range r.Syncs {
		targets += len(s.Targets)
	}
	fmt.Fprintf(&b, "%s: valid, %s, %s, %s\n", config.Printable(r.Config), plural(len(r.Syncs), "sync"), plural(targets, "target"), plural(len(r.Files), "file"))
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", config.Printable(w))
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "FAILS    %s\n", config.Printable(p))
	}
	fmt.Fprintf(&b, "process  %s\n", r.process())
	fmt.Fprintf(&b, "watches  %s\n", r.watches())
	hidden := 0
	for _, s := range r.Syncs {
		shown := targets <= rows || s.Problem != ""
		if shown {
			fmt.Fprintf(&b, "%s: %s, %s\n", config.Printable(s.Name), config.Printable(s.Source), s.Does)
		}
		if s.Problem != "" {
			bad++
			fmt.Fprintf(&b, "  FAILS  %s\n", config.Printable(s.Problem))
		}
		for _, t := range s.Targets {
			switch {
			case t.Problem != "":
				bad++
				if !shown {
					fmt.Fprintf(&b, "%s: %s, %s\n", config.Printable(s.Name), config.Printable(s.Source), s.Does)
					shown = true
				}
				fmt.Fprintf(&b, "  FAILS  %s\n", config.Printable(t.Target))
				for line := range strings.SplitSeq(t.Problem, "\n") {
					fmt.Fprintf(&b, "           %s\n", config.Printable(line))
				}
				if t.Remedy != "" {
					fmt.Fprintf(&b, "           to do: %s\n", config.Printable(t.Remedy))
				}
			case targets > rows:
				hidden++
			case t.Asked:
				fmt.Fprintf(&b, "  ok     %s (%.0f ms)\n", config.Printable(t.Target), 1000*t.Took)
			default:
				fmt.Fprintf(&b, "  ?      %s: not asked\n", config.Printable(t.Target))
			}
		}
	}
	if hidden > 0 {
		what := "are well"
		if r.Offline {
			what = "were not asked"
		}
		fmt.Fprintf(&b, "%s more %s\n", plural(hidden, "target"), what)
	}
	if bad == 0 {
		fmt.Fprintf(&b, "all is well\n")
	} else {
		fmt.Fprintf(&b, "%s (code 1)\n", plural(bad, "problem"))
	}
	return b.String()
}

func (r *checkReport) process() string {
	p := r.Process
	words := []string{"user " + cmp.Or(p.User, "as started"), "confine " + cmp.Or(p.Confine, "off")}
	state := p.StateDir
	if state == "" {
		state = agent.DefaultStateDir()
	}
	words = append(words, "state in "+config.Printable(cmp.Or(state, "none")), "control "+config.Printable(cmp.Or(p.Control, "none")))
	if p.Listen != "" {
		words = append(words, "listens on "+config.Printable(p.Listen))
	}
	return strings.Join(words, ", ")
}

func (r *checkReport) watches() string {
	text := fmt.Sprintf("%d directories, fs.inotify.max_user_watches is %d", r.Directories, r.Watches)
	if r.Uncounted {
		text = "more than " + text
	}
	if r.Directories > r.Watches && r.Tuned {
		text += ", which is raised where it may be"
	}
	return text
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
