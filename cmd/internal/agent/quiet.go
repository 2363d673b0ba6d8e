package agent

import (
	"fmt"
	"strings"
	"time"

	"github.com/lockstep-sync/lockstep/debounce"
	"github.com/lockstep-sync/lockstep/syncer/filter"
)

// quietMost is how many times its quiet time a path waits at the longest, where nothing else is said.
const quietMost = 4

// Quiet gives paths that match a pattern, one of rsync's, times of their own.
type Quiet struct {
	Pattern string
	debounce.Wait
	rules *filter.List // excludes what matches
}

// ParseQuiet reads PATTERN=TIME[,MOST]: how long a path must have been quiet, and how long it waits for
// that at the longest.
func ParseQuiet(text string) (Quiet, error) {
	i := strings.LastIndexByte(text, '=')
	if i <= 0 {
		return Quiet{}, fmt.Errorf("%q is no PATTERN=TIME, as '*.log=30s'", text)
	}
	q := Quiet{Pattern: text[:i]}
	quiet, most, hasMost := strings.Cut(text[i+1:], ",")
	var err error
	if q.Quiet, err = time.ParseDuration(quiet); err != nil || q.Quiet <= 0 {
		return Quiet{}, fmt.Errorf("%q: %q is no time above zero, as 30s", text, quiet)
	}
	q.Most = quietMost * q.Quiet
	if hasMost {
		if q.Most, err = time.ParseDuration(most); err != nil || q.Most < q.Quiet {
			return Quiet{}, fmt.Errorf("%q: %q is no time of at least %v", text, most, q.Quiet)
		}
	}
	var b filter.Builder
	if err := b.Filter("- " + q.Pattern); err != nil {
		return Quiet{}, err
	}
	q.rules = b.Build()
	return q, nil
}

// quietFor is what the debounce asks about each path.
func quietFor(list []Quiet) func(path string) (debounce.Wait, bool) {
	if len(list) == 0 {
		return nil
	}
	return func(path string) (debounce.Wait, bool) {
		for i := range list {
			if list[i].rules.Excluded(path, false) {
				return list[i].Wait, true
			}
		}
		return debounce.Wait{}, false
	}
}
