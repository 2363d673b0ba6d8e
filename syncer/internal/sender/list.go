package sender

import "github.com/lockstep-sync/lockstep/syncer/internal/flist"

// List is a file list ready to be sent: in order, without duplicates.
type List struct {
	entries []flist.Entry
	missing int
}

// NewList sorts entries and drops entries of a name that is in the list already; the
// more complete one stays: a directory with all its content before the same alone, a
// file marked Content before the same unmarked. It owns entries from here on.
func NewList(entries []flist.Entry) List {
	flist.Sort(entries)
	l := List{entries: entries[:0]}
	for i := range entries {
		e := entries[i]
		if n := len(l.entries); n > 0 && l.entries[n-1].Name == e.Name {
			l.entries[n-1] = merge(l.entries[n-1], e)
			continue
		}
		l.entries = append(l.entries, e)
	}
	for i := range l.entries {
		if l.entries[i].Missing() {
			l.missing++
		}
	}
	return l
}

// merge joins two entries of one name.
func merge(a, b flist.Entry) flist.Entry {
	if a.IsDir() != b.IsDir() {
		if a.IsDir() { // the name changed its type while the list was made: rsync keeps the directory
			return a
		}
		return b
	}
	if b.Missing() { // it was gone when one looked, and there when the other did
		return a
	}
	partial := a.Flags & b.Flags & flist.Partial
	b.Flags = (a.Flags|b.Flags)&^flist.Partial | partial
	return b
}

// Len is the number of entries.
func (l *List) Len() int { return len(l.entries) }

// At is entry i: i is its file index.
func (l *List) At(i int) *flist.Entry { return &l.entries[i] }

// Missing is the number of names to be deleted.
func (l *List) Missing() int { return l.missing }

// Content counts the files whose bytes may differ whatever size and time say.
func (l *List) Content() int {
	n := 0
	for i := range l.entries {
		if l.entries[i].Flags&flist.Content != 0 {
			n++
		}
	}
	return n
}
