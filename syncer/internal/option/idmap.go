package option

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/filter"
)

// IDMap is what --usermap or --groupmap say: the first rule that matches counts.
type IDMap []idRule

type idRule struct {
	low, high uint32 // without name and match: these ids
	byName    bool
	name      string                 // of the source; "": an id that has none
	match     func(name string) bool // for a name with wildcards
	to        string
}

// ParseIDMap reads FROM:TO pairs between commas (rsync(1), --usermap). FROM is an id, a range
// of ids, a name, which may have wildcards, or nothing. "" gives an empty map.
func ParseIDMap(s string) (IDMap, error) {
	if s == "" {
		return nil, nil
	}
	var m IDMap
	for pair := range strings.SplitSeq(s, ",") {
		r, err := parseIDRule(pair)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", pair, err)
		}
		m = append(m, r)
	}
	return m, nil
}

func parseIDRule(pair string) (idRule, error) {
	from, to, ok := strings.Cut(pair, ":")
	switch {
	case !ok:
		return idRule{}, errors.New("it is no FROM:TO")
	case to == "":
		return idRule{}, errors.New("nothing stands behind the colon")
	case isNumber(to):
		if _, err := parseID(to); err != nil {
			return idRule{}, err
		}
	}
	r := idRule{to: to}
	switch {
	case from != "" && from[0] >= '0' && from[0] <= '9':
		low, high, isRange := strings.Cut(from, "-")
		if !isRange {
			high = low
		}
		var err error
		if r.low, err = parseID(low); err == nil {
			r.high, err = parseID(high)
		}
		return r, err
	case strings.ContainsAny(from, "*?["):
		r.match = filter.Glob(from)
	}
	r.byName, r.name = true, from
	return r, nil
}

func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is no id", s)
	}
	return uint32(n), nil
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Find is what the source's id becomes: an id in digits, or a name of the target's machine.
// name gives the id's name on the source, "" if it has none or with --numeric-ids; it is
// asked only where a rule before has not settled the matter.
func (m IDMap) Find(id uint32, name func() string) (to string, ok bool) {
	known, asked := "", false
	for i := range m {
		r := &m[i]
		if !r.byName {
			if r.low <= id && id <= r.high {
				return r.to, true
			}
			continue
		}
		if !asked {
			known, asked = name(), true
		}
		if r.match == nil && r.name == known || r.match != nil && r.match(known) {
			return r.to, true
		}
	}
	return "", false
}

// Unknown are the names in it that id does not find on this machine, and rest the map without
// their rules: what they match falls to the rules behind them (rsync 3.5.0 uidlist.c, parse_name_map).
func (m IDMap) Unknown(id func(name string) bool) (names []string, rest IDMap) {
	for _, r := range m {
		if !isNumber(r.to) && !id(r.to) {
			names = append(names, r.to)
			continue
		}
		rest = append(rest, r)
	}
	return names, rest
}
