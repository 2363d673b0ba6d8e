package hooks

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Kind is what happened.
type Kind uint8

const (
	Success Kind = iota
	Failure
	Recovered
	DeleteHeld
	BeforePush
	kinds // how many there are
)

// String is the kind as LOCKSTEP_EVENT has it; the key of its hook in a config is the same, with "on-" but for before-push.
func (k Kind) String() string {
	return [...]string{"success", "failure", "recovered", "delete-held", "before-push"}[k]
}

// Event is something that happened to one target.
type Event struct {
	Kind                 Kind
	Sync, Source, Target string
	// Paths are relative to Source. The runner does not change them, and the caller no more.
	Paths []string
	// More says that there are paths beyond Paths.
	More bool
	// Facts are what else there is to tell: ERROR is LOCKSTEP_ERROR in the environment.
	Facts map[string]string
}

// dropped are the variables that a hook does not get: secrets, and what is between the service manager and its service.
var dropped = []string{
	"RSYNC_PASSWORD",
	"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "JOURNAL_STREAM",
}

// maxFact is how many bytes of a fact are passed on: some are what a peer said.
const maxFact = 4096

// environ is the environment of the hook that is told of w.
func (w *waiting) environ(parent []string) []string {
	own := map[string]string{
		"EVENT": w.Kind.String(), "SYNC": w.Sync, "SOURCE": absolute(w.Source), "TARGET": w.Target,
		"PATHS": strconv.Itoa(len(w.Paths)), "PATHS_COMPLETE": "1", "EVENTS": strconv.Itoa(w.events),
	}
	if w.More {
		own["PATHS_COMPLETE"] = "0"
	}
	for key, value := range w.Facts {
		if _, taken := own[key]; !taken && isFact(key) {
			own[key] = oneLine(value)
		}
	}
	env := slices.DeleteFunc(slices.Clone(parent), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(dropped, name) || strings.HasPrefix(name, "LOCKSTEP_") && name != "LOCKSTEP_RUN_DIR"
	})
	for _, key := range slices.Sorted(maps.Keys(own)) {
		env = append(env, "LOCKSTEP_"+key+"="+strings.ReplaceAll(own[key], "\x00", ""))
	}
	return env
}

// absolute is a source that a hook finds from wherever it runs.
func absolute(source string) string {
	if abs, err := filepath.Abs(source); err == nil && source != "" && !filepath.IsAbs(source) {
		if strings.HasSuffix(source, "/") {
			abs += "/"
		}
		return abs
	}
	return source
}

// isFact says whether a fact's name can be one of a variable.
func isFact(key string) bool {
	return key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return r != '_' && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
}

// oneLine keeps what a peer says from becoming a second line of a mail's head.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxFact {
		text = strings.ToValidUTF8(text[:maxFact], "")
	}
	return text
}
