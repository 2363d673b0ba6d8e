package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/lockstep-sync/lockstep/cmd/internal/agent"
	"github.com/lockstep-sync/lockstep/cmd/internal/options"
	"github.com/lockstep-sync/lockstep/syncer"
)

// checkUsage is what check-path --help prints.
const checkUsage = `lockstep check-path says whether paths take part in a push, and what decides.

  lockstep check-path -F --exclude='*.o' /abc/ src/main.o doc/
  lockstep check-path --json --filter='. rules' /abc/ /abc/var/cache

Usage: lockstep check-path [OPTION…] [SRC] PATH…

OPTION and SRC are those of the push; one PATH alone is in the current directory, ./. A PATH
is relative to the directory that SRC names, or absolute below it; where nothing is there, one
that ends in a slash is a directory's. Of each PATH a line says whether it takes part, and by
which rule: its text, and the option or the file and line that it is from. What a target keeps
with --delete, although the source has no such name, is told below it; rule files are read in
the source, and a target goes by its own.

      --json              a JSON object for each PATH
      --help              this text

Exit codes: 0 all take part, 1 some do not, or bad usage, 11 a file of rules is wrong,
23 the source cannot be read. All options are listed by lockstep --help.
`

// checkPath is the verb check-path.
func checkPath(args []string, stdout, stderr io.Writer) int {
	d := agent.Defaults()
	l := options.New(&d)
	help, asJSON := false, false
	l.On("help", "", func() { help = true })
	l.On("json", "", func() { asJSON = true })
	if err := l.Parse(args); err != nil {
		return int(complain(stderr, err))
	}
	if help {
		fmt.Fprint(stdout, checkUsage)
		return 0
	}
	err := l.Finish(os.Getenv("RSYNC_PARTIAL_DIR"))
	if err == nil && len(l.Args()) == 0 {
		err = errors.New("a path is needed: lockstep check-path [OPTION…] [SRC] PATH…")
	}
	if err != nil {
		return int(complain(stderr, err))
	}
	paths := l.Args()
	d.Source = "./" // its content, as the tree of a push
	if len(paths) > 1 {
		d.Source, paths = paths[0], paths[1:]
	}
	list, err := agent.Explain(d, paths)
	all, printErr := printExplanations(stdout, list, asJSON)
	if err = errors.Join(err, printErr); err != nil {
		code := syncer.ExitCode(syncer.Report{}, err)
		fmt.Fprintf(stderr, "lockstep: %v (code %d)\n", err, code)
		return int(code)
	}
	if !all {
		return 1
	}
	return 0
}

// printExplanations says whether all of them take part.
func printExplanations(w io.Writer, list []syncer.Explanation, asJSON bool) (all bool, err error) {
	all = true
	for i := range list {
		x := &list[i]
		all = all && x.TakesPart
		if asJSON {
			err = json.NewEncoder(w).Encode(explained(x))
		} else {
			_, err = io.WriteString(w, explanationText(x))
		}
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// explanationText is for people.
func explanationText(x *syncer.Explanation) string {
	var b strings.Builder
	verdict := "takes part"
	if !x.TakesPart {
		verdict = "left out"
	}
	fmt.Fprintf(&b, "%s: %s", printable(x.Path), verdict)
	if x.Above != "" {
		fmt.Fprintf(&b, " with %s/", printable(x.Above))
	}
	switch {
	case x.Reason != "":
		b.WriteString(": " + x.Reason)
	case x.Rule.Rule != "":
		b.WriteString(" by " + ruleText(x.Rule))
	default:
		b.WriteString(": no rule matches")
	}
	if x.Missing {
		b.WriteString(" (nothing is there)")
	}
	b.WriteString("\n")
	if x.Kept {
		fmt.Fprintf(&b, "\ta target keeps it by %s\n", ruleText(x.KeptBy))
	} else if !x.TakesPart && x.Reason == "" {
		b.WriteString("\ta target loses it with --delete\n")
	}
	return b.String()
}

func ruleText(d syncer.Decision) string { return fmt.Sprintf("%q (%s)", d.Rule, d.Source) }

// printable is a path as it is, unless that would not be one line of text.
func printable(p string) string {
	if quoted := strconv.Quote(p); quoted[1:len(quoted)-1] != p {
		return quoted
	}
	return p
}

// explanation is the JSON of one path; its bytes that are no UTF-8 are replaced.
type explanation struct {
	Path      string    `json:"path"`
	TakesPart bool      `json:"takes_part"`
	Missing   bool      `json:"missing,omitempty"`
	HiddenBy  string    `json:"hidden_by,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Rule      *ruleJSON `json:"rule,omitempty"`
	KeptBy    *ruleJSON `json:"kept_by,omitempty"`
}

type ruleJSON struct {
	Text   string `json:"text"`
	Source string `json:"source"`
}

func explained(x *syncer.Explanation) explanation {
	e := explanation{Path: x.Path, TakesPart: x.TakesPart, Missing: x.Missing, HiddenBy: x.Above, Reason: x.Reason}
	if x.Rule.Rule != "" {
		e.Rule = &ruleJSON{x.Rule.Rule, x.Rule.Source}
	}
	if x.Kept {
		e.KeptBy = &ruleJSON{x.KeptBy.Rule, x.KeptBy.Source}
	}
	return e
}
