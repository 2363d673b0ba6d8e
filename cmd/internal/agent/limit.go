package agent

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Limit is --max-delete: so many names, or such a part of what the target has. The zero value limits nothing.
type Limit struct {
	Set     bool
	Names   int64
	Percent float64 // in place of Names, if it is above zero
}

// ParseLimit reads N or P%.
func ParseLimit(s string) (Limit, error) {
	if p, ok := strings.CutSuffix(s, "%"); ok {
		percent, err := strconv.ParseFloat(p, 64)
		if err != nil || !(percent > 0 && percent <= 100) {
			return Limit{}, fmt.Errorf("%q is no part: it is above 0%% and at most 100%%", s)
		}
		return Limit{Set: true, Percent: percent}, nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return Limit{}, fmt.Errorf("%q is no number of names, and no part as 5%%", s)
	}
	// To rsync a negative number means no deletion at all (rsync(1), --max-delete).
	return Limit{Set: true, Names: max(n, 0)}, nil
}

func (l Limit) any() bool { return l.Set }

// names is how many of total may go.
func (l Limit) names(total int64) int64 {
	switch {
	case !l.Set:
		return math.MaxInt64
	case l.Percent > 0:
		return int64(l.Percent * float64(total) / 100)
	}
	return l.Names
}

func (l Limit) String() string {
	if l.Percent > 0 {
		return strconv.FormatFloat(l.Percent, 'f', -1, 64) + "%"
	}
	return strconv.FormatInt(l.Names, 10)
}
