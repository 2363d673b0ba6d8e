package sender

import (
	"iter"
	"slices"
	"sort"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
)

// chunkLen is how many entries stand together. The list of a full push is the largest
// thing in memory: in chunks it grows without being copied.
const chunkLen = 1 << 12

// Entries gathers what is to be listed. The zero value is empty.
type Entries struct {
	chunks [][]flist.Entry
	n      int
}

// Add adds e, and returns where it is kept.
func (s *Entries) Add(e flist.Entry) *flist.Entry {
	if s.n%chunkLen == 0 {
		// The first chunk grows: most pushes are of a few paths.
		size := chunkLen
		if s.n == 0 {
			size = 0
		}
		s.chunks = append(s.chunks, make([]flist.Entry, 0, size))
	}
	last := &s.chunks[len(s.chunks)-1]
	*last = append(*last, e)
	s.n++
	return &(*last)[len(*last)-1]
}

// Len is the number of entries.
func (s *Entries) Len() int { return s.n }

// At is entry i.
func (s *Entries) At(i int) *flist.Entry { return &s.chunks[i/chunkLen][i%chunkLen] }

// All goes through the entries.
func (s *Entries) All() iter.Seq[*flist.Entry] {
	return func(yield func(*flist.Entry) bool) {
		for _, c := range s.chunks {
			for i := range c {
				if !yield(&c[i]) {
					return
				}
			}
		}
	}
}

// List is a file list ready to be sent: in order, without duplicates.
type List struct {
	Entries
	missing int
}

// NewList brings entries into order and drops entries of a name that is in the list
// already; the more complete one stays: a directory with all its content before the same
// alone, a file marked Content before the same unmarked. It owns entries from here on.
func NewList(entries Entries) List {
	l := List{Entries: entries}
	if !l.inOrder() {
		l.Entries = merged(entries)
	}
	for e := range l.All() {
		if e.Missing() {
			l.missing++
		}
	}
	return l
}

// inOrder says whether the entries are in order without duplicates, as a walk of the
// tree yields them.
func (s *Entries) inOrder() bool {
	var prev *flist.Entry
	for e := range s.All() {
		if prev != nil && flist.Compare(prev.Name, prev.IsDir(), e.Name, e.IsDir()) >= 0 {
			return false
		}
		prev = e
	}
	return true
}

// merged sorts entries and merges those of one name.
func merged(entries Entries) Entries {
	flat := slices.Concat(entries.chunks...)
	flist.Sort(flat)
	var out Entries
	var last *flist.Entry
	for _, e := range flat {
		if last != nil && last.Name == e.Name {
			*last = merge(*last, e)
			continue
		}
		last = out.Add(e)
	}
	return out
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

// markTops marks as Top each directory that is to be pruned and stands below none that is. With
// --one-file-system a receiver takes the file systems it may prune from these (rsync 3.5.0
// generator.c, delete_in_dir): below others it deletes nothing.
func (j *Job) markTops(o *Options) {
	if !o.OneFileSystem || !j.Prune {
		return
	}
	top := ""
	for e := range j.List.All() {
		if !e.IsDir() || e.Flags&flist.Partial != 0 || top == "." || top != "" && strings.HasPrefix(e.Name, top+"/") {
			continue
		}
		e.Flags |= flist.Top
		top = e.Name
	}
}

// Has says whether name is listed.
func (l *List) Has(name string) bool {
	for _, isDir := range []bool{false, true} {
		i := sort.Search(l.Len(), func(i int) bool {
			e := l.At(i)
			return flist.Compare(e.Name, e.IsDir(), name, isDir) >= 0
		})
		if i < l.Len() && l.At(i).Name == name {
			return true
		}
	}
	return false
}

// Missing is the number of names to be deleted.
func (l *List) Missing() int { return l.missing }
