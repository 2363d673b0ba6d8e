package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer"
)

// verbs are what lockstep does beside replication, by the first argument. A source of such a name is
// written ./NAME.
var verbs = map[string]func(args []string, stdout, stderr io.Writer) int{
	"agent":      runAgent,
	"check":      runCheck,
	"check-path": checkPath,
	"config":     runConfig,
	"events":     runEvents,
	"failed":     controlVerb("failed", runFailed),
	"flush":      controlVerb("flush", runFlush),
	"log-level":  controlVerb("log-level", runLogLevel),
	"pause":      controlVerb("pause", runPause),
	"queue":      controlVerb("queue", runQueue),
	"release":    controlVerb("release", runRelease),
	"reload":     controlVerb("reload", runReload),
	"resume":     controlVerb("resume", runResume),
	"resync":     controlVerb("resync", runResync),
	"schema":     runSchema,
	"status":     controlVerb("status", runStatus),
	"stop":       controlVerb("stop", runStop),
	"sysctl":     runSysctl,
	"units":      runUnits,
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// misused tells what is wrong with a verb's command line, and gives the exit code.
func misused(stderr io.Writer, verb string, err error) int {
	for problem := range strings.Lines(err.Error() + "\n") { // as errors.Join writes them
		fmt.Fprintf(stderr, "lockstep: %s", problem)
	}
	fmt.Fprintf(stderr, "lockstep: nothing was done; see lockstep %s --help (code %d)\n", verb, syncer.CodeUsage)
	return int(syncer.CodeUsage)
}
