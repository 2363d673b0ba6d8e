package places

import "sort"

// Clash is two of a list of syncs that cannot both run: A is the earlier one.
type Clash struct {
	A, B int
	// Round says that what one sends would come back to it by way of the other. Else both write into one place, or one
	// below the other's.
	Round bool
}

// Clashes finds all that is in one another's way. Of a sync whose places cannot be read there is none: Check tells.
func Clashes(list []Sync) []Clash {
	entries := make([]*entry, len(list))
	var clashes []Clash
	table := readMounts()
	for i := range list {
		e, err := list[i].entryIn(table)
		if err != nil {
			continue
		}
		entries[i] = e
		for k := range i {
			if entries[k] != nil && e.writesWith(entries[k]) {
				clashes = append(clashes, Clash{A: k, B: i})
			}
		}
		if k := e.roundBy(entries[:i]); k >= 0 {
			clashes = append(clashes, Clash{A: k, B: i, Round: true})
		}
	}
	return clashes
}

// writesWith says that a target of e and one of o are in one another.
func (e *entry) writesWith(o *entry) bool {
	for i := range e.Targets {
		for k := range o.Targets {
			if e.Targets[i].meets(&o.Targets[k]) {
				return true
			}
		}
	}
	return false
}

// roundBy is the first of others, some of which may be nil, that closes a circle with e; -1 is none.
func (e *entry) roundBy(others []*entry) int {
	var there []*entry
	var at []int
	for i, o := range others {
		if o != nil {
			there, at = append(there, o), append(at, i)
		}
	}
	if e.circle(there) == nil {
		return -1
	}
	n := sort.Search(len(there), func(n int) bool { return e.circle(there[:n+1]) != nil })
	return at[n]
}
