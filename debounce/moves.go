package debounce

import (
	"slices"
	"strings"
)

// maxMoves bounds the moves of a queue. Each new one is held against those before it.
const maxMoves = 4096

// moves is what was renamed since the last batch that told of it, in order. From is always a name
// of the time before the first of them, To one of now. The zero value is empty.
type moves struct {
	list    []Move
	dropped bool // there were too many; what comes now would be half a history
}

// below reports whether p is dir or below it, and gives the rest of p, with its slash.
func below(p, dir string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(p, dir)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// add takes in the move that happened after all others.
func (m *moves) add(v Move) {
	_, into := below(v.To, v.From)
	_, onto := below(v.From, v.To)
	if m.dropped || into || onto || v.From == "." || v.To == "." {
		return // no rename can be like this
	}
	from, known := m.origin(v.From)
	m.follow(v)
	if !known || m.isBack(from, v.To) {
		return // it is new, or back where it was
	}
	if len(m.list) == maxMoves {
		m.list, m.dropped = nil, true
		return
	}
	v.From = from
	m.list = append(m.list, v)
}

// origin gives the name that what is at p now had before all moves; not known where it is none of
// what was there then.
func (m *moves) origin(p string) (from string, known bool) {
	longest := -1 // what moved below a directory that moved has a word of its own
	for i := range m.list {
		if rest, ok := below(p, m.list[i].To); ok && len(m.list[i].To) > longest {
			from, longest = m.list[i].From+rest, len(m.list[i].To)
		}
	}
	if longest >= 0 {
		return from, true
	}
	for i := range m.list {
		if _, ok := below(p, m.list[i].From); ok {
			return "", false
		}
	}
	return p, true
}

// isBack says whether what was at from is there again, at to. In a directory that came from elsewhere
// that has to be told.
func (m *moves) isBack(from, to string) bool {
	return from == to && !slices.ContainsFunc(m.list, func(o Move) bool { rest, in := below(to, o.To); return in && rest != "" })
}

// follow brings the targets of the moves up to date after v: what v went over is gone, what v is
// or holds is elsewhere.
func (m *moves) follow(v Move) {
	m.list = slices.DeleteFunc(m.list, func(o Move) bool {
		_, over := below(o.To, v.To)
		return over || o.To == v.From
	})
	for i := range m.list {
		if rest, ok := below(m.list[i].To, v.From); ok {
			m.list[i].To = v.To + rest
		}
	}
}

// putBack takes in moves that happened before all others. Both lists say what became of everything, each
// from its own beginning.
func (m *moves) putBack(list []Move) {
	if len(list) == 0 || m.dropped {
		return
	}
	earlier, later := moves{list: list}, moves{list: m.list}
	m.list = nil
	for _, v := range earlier.list {
		to, itself := later.destination(v.To)
		// What was moved over is not there any more; what was moved itself comes below.
		if from, known := later.origin(to); known && from == v.To && !itself {
			v.To = to
			m.list = append(m.list, v)
		}
	}
	for _, v := range later.list {
		if from, known := earlier.origin(v.From); known {
			v.From = from
			m.list = append(m.list, v)
		}
	}
	all := moves{list: slices.Clone(m.list)}
	m.list = slices.DeleteFunc(m.list, func(v Move) bool { return all.isBack(v.From, v.To) })
	if len(m.list) > maxMoves {
		m.list, m.dropped = nil, true
	}
}

// destination is the name now of what was at p before all moves, and whether p itself was moved.
func (m *moves) destination(p string) (to string, itself bool) {
	to, longest := p, -1
	for i := range m.list {
		if rest, ok := below(p, m.list[i].From); ok && len(m.list[i].From) > longest {
			to, longest, itself = m.list[i].To+rest, len(m.list[i].From), rest == ""
		}
	}
	return to, itself
}

// take removes and returns the moves whose To is covered by changes, which are sorted. Those that
// nothing queued covers are dropped.
func (m *moves) take(changes []Change, queued func(string) bool) (out []Move) {
	if len(m.list) > 0 {
		m.list = slices.DeleteFunc(m.list, func(v Move) bool {
			if covered(changes, v.To) {
				out = append(out, v)
				return true
			}
			return !queued(v.To)
		})
	}
	if len(m.list) == 0 {
		m.list = nil
	}
	return out
}

// covered says whether a change speaks for p: its own, or a Tree change above it.
func covered(changes []Change, p string) bool {
	for own := true; ; own = false {
		i, ok := slices.BinarySearchFunc(changes, p, func(c Change, p string) int { return strings.Compare(c.Path, p) })
		if ok && (own || changes[i].Tree) {
			return true
		}
		if p == "." {
			return false
		}
		p = parentPath(p)
	}
}
