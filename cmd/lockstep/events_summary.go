package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io/fs"
	"math/bits"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep-sync/lockstep/watcher"
)

// eventTable counts events by what was watched and by kind, as inotifywatch does.
type eventTable struct {
	rows map[string]*eventCounts // by %w
}

type eventCounts struct {
	watched string
	total   int
	of      [eventColumns]int // in the order of eventNames
}

func newEventTable() *eventTable { return &eventTable{rows: map[string]*eventCounts{}} }

func (t *eventTable) row(watched string) *eventCounts {
	r := t.rows[watched]
	if r == nil {
		r = &eventCounts{watched: watched}
		t.rows[watched] = r
	}
	return r
}

func (t *eventTable) count(o *occurrence, wanted watcher.Op) {
	r := t.row(o.watched)
	r.total += bits.OnesCount32(uint32(o.op & wanted))
	for i, e := range eventNames[:eventColumns] {
		if o.op&wanted&e.op != 0 {
			r.of[i]++
		}
	}
}

// expect makes a row of everything that is watched.
func (t *eventTable) expect(s *eventSource) {
	for _, f := range s.files {
		t.row(f.arg)
	}
	if s.files != nil {
		return
	}
	// What cannot be read has no row until something is told of it.
	_ = filepath.WalkDir(s.root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.IsDir():
			return nil
		case s.leavesOut(path) || path != s.root && !s.recursive:
			return fs.SkipDir
		}
		watched := s.below
		if rel := strings.TrimPrefix(path[len(strings.TrimSuffix(s.root, "/")):], "/"); rel != "" {
			watched += rel + "/"
		}
		t.row(watched)
		return nil
	})
}

// empty reports that nothing was counted: inotifywatch prints no table then, whatever is asked for.
func (t *eventTable) empty() bool {
	for _, r := range t.rows {
		if r.total > 0 {
			return false
		}
	}
	return true
}

// write prints the table. Rows and columns of zeros are left out unless they were asked for.
func (t *eventTable) write(w *bufio.Writer, o *eventsOptions) {
	var rows []*eventCounts
	for _, r := range t.rows {
		if o.zero || r.total > 0 {
			rows = append(rows, r)
		}
	}
	by := slices.IndexFunc(eventNames[:eventColumns], func(e struct {
		name string
		op   watcher.Op
	}) bool {
		return e.name == o.sortBy
	})
	slices.SortFunc(rows, func(a, b *eventCounts) int {
		order := cmp.Compare(a.at(by), b.at(by))
		if !o.ascending {
			order = -order
		}
		return cmp.Or(order, strings.Compare(a.watched, b.watched))
	})
	columns := []int{-1} // the total
	for i, e := range eventNames[:eventColumns] {
		seen := slices.ContainsFunc(rows, func(r *eventCounts) bool { return r.of[i] > 0 })
		if seen || o.zero && o.wanted()&e.op != 0 && e.op != watcher.OpUnmount {
			columns = append(columns, i)
		}
	}
	writeCounts(w, rows, columns)
}

// at is a column's count, or the total for one that there is not.
func (r *eventCounts) at(column int) int {
	if column < 0 {
		return r.total
	}
	return r.of[column]
}

func writeCounts(w *bufio.Writer, rows []*eventCounts, columns []int) {
	lines := make([]strings.Builder, len(rows)+1)
	for _, c := range columns {
		cells := []string{"total"}
		if c >= 0 {
			cells[0] = eventNames[c].name
		}
		width := len(cells[0])
		for _, r := range rows {
			cells = append(cells, strconv.Itoa(r.at(c)))
			width = max(width, len(cells[len(cells)-1]))
		}
		for i, cell := range cells {
			fmt.Fprintf(&lines[i], "%-*s", width+2, cell)
		}
	}
	fmt.Fprintln(w, lines[0].String()+"filename")
	for i, r := range rows {
		fmt.Fprintln(w, lines[i+1].String()+r.watched)
	}
}
