package options

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// explain says what is wrong with an option in its user's words. pflag's own speak of
// flags and arguments, and of Go's functions.
func (l *Line) explain(err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		dashes := "--"
		if unknown.GetSpecifiedShortnames() != "" {
			dashes = "-"
		}
		return l.unknownOption(dashes + unknown.GetSpecifiedName())
	case errors.As(err, &missing):
		return fmt.Errorf("%s: a value is missing", Written(missing.GetFlag()))
	case errors.As(err, &invalid):
		name, cause := Written(invalid.GetFlag()), invalid.Unwrap()
		if strings.HasPrefix(cause.Error(), name+": ") {
			return cause // of a filter rule: it knows where it stands
		}
		return fmt.Errorf("%s: %w", name, cause)
	}
	return err
}

// Written is how an option is written.
func Written(f *pflag.Flag) string {
	if strings.HasPrefix(f.Name, nameless) {
		return "-" + f.Shorthand
	}
	return "--" + f.Name
}

func (l *Line) unknownOption(name string) error {
	if why, ok := RsyncOption(name); ok && l.s != nil {
		return fmt.Errorf("option %s of rsync is not supported by this version of lockstep: %s", name, why)
	}
	near := l.nearest(name)
	if len(near) == 0 {
		return fmt.Errorf("unknown option %q", name)
	}
	return fmt.Errorf("unknown option %q: did you mean %s?", name, strings.Join(near, " or "))
}

// nearest are the long options that name may have been meant to be, at most three.
func (l *Line) nearest(name string) []string {
	name, ok := strings.CutPrefix(name, "--")
	if !ok {
		return nil
	}
	var known []string
	l.flags.VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	names := Nearest(name, known)
	for i := range names {
		names[i] = "--" + names[i]
	}
	return names
}

// Nearest are the known names that name may have been meant to be, at most three, the likeliest first.
func Nearest(name string, known []string) []string {
	if len(strings.TrimPrefix(name, "no-")) < 3 || len(name) > 100 {
		return nil
	}
	type candidate struct {
		name string
		off  int
	}
	var all []candidate
	for _, k := range known {
		off := distance(name, k)
		if strings.HasPrefix(k, name) {
			off = min(off, 1) // the name is cut short
		}
		if off <= max(1, len(name)/4) {
			all = append(all, candidate{k, off})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.off - b.off })
	var names []string
	for _, c := range all[:min(len(all), 3)] {
		names = append(names, c.name)
	}
	return names
}

// distance is how many letters must be put in, left out or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = min(diagonal, row[j], row[j+1]) + 1
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
