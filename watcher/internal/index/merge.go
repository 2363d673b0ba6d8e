package index

import (
	"bytes"
	"slices"
	"unsafe"
)

// Difference says that what is at Path is not what the index held.
type Difference struct {
	Path    string
	Tree    bool // a directory came, went or was replaced: everything below may differ, too
	Content bool // a regular file is or was there (with Tree: below it): its bytes may differ
	Gone    bool // nothing is there
}

// merger makes the records of directories what listings say, and tells what differed.
type merger struct {
	x      *Index
	report func(Difference) // nil: differences are known already
	mark   bool             // new directories are changed: who lists them reports them
	keep   bool             // a directory that went or was replaced stays as it is held
	out    records
	subs   []*dir
	made   []chunk

	// Of the merge that is going on:
	path    string // of the directory
	partial bool   // what the listing does not name stays as it is; else it is gone
	differs bool   // out is not what the chunk held
	entries int    // how many more there are
}

// merge makes the records of d, at path, what the sorted listing l says. A directory that is new is
// empty, and not reported: see mark.
func (m *merger) merge(d *dir, path string, l *listing, partial bool) {
	m.path, m.partial, m.entries = path, partial, 0
	before := cap(d.chunks)
	bytes := 0
	items := l.items
	for i := 0; i < max(1, len(d.chunks)); {
		if partial {
			if len(items) == 0 {
				break
			}
			i = d.chunkOf(string(l.name(items[0])))
		}
		n := len(items)
		if i+1 < len(d.chunks) {
			next := d.chunks[i+1].recs.at(0).name
			n = 0
			for n < len(items) && string(l.name(items[n])) < string(next) {
				n++
			}
		}
		var delta int
		i, delta = m.mergeChunk(d, i, l, items[:n])
		bytes += delta
		items = items[n:]
	}
	m.x.account(m.entries, bytes+(cap(d.chunks)-before)*int(unsafe.Sizeof(chunk{})))
}

// mergeChunk replaces chunk i of d by what comes of merging it with items, if that differs, and returns
// the index of the chunk to do next and how many bytes more are kept.
func (m *merger) mergeChunk(d *dir, i int, l *listing, items []item) (next, bytes int) {
	var old []chunk
	if i < len(d.chunks) {
		old = d.chunks[i : i+1]
	}
	m.differs, m.made = false, m.made[:0]
	m.out, m.subs = m.out[:0], m.subs[:0]
	m.mergeRecords(old, l, items)
	if !m.differs && len(m.made) == 0 {
		return i + 1, 0
	}
	m.cut()
	for _, c := range old {
		bytes -= c.size()
	}
	for _, c := range m.made {
		bytes += c.size()
	}
	if len(m.made) == 1 && len(old) == 1 {
		d.chunks[i] = m.made[0]
	} else if len(old) == 0 {
		d.chunks = append(d.chunks, m.made...)
	} else {
		d.chunks = slices.Replace(d.chunks, i, i+1, m.made...)
	}
	next = i + len(m.made)
	if len(d.chunks) == 0 {
		d.chunks = nil
		return 1, bytes
	}
	if len(m.made) > 0 && i > 0 {
		joined, delta := d.join(i - 1)
		return next - joined, bytes + delta
	}
	return next, bytes
}

// join puts chunk i and the next into one if that is small, so that many removals leave no crumbs. It
// returns how many chunks there are less, and how many bytes more.
func (d *dir) join(i int) (less, bytes int) {
	a, b := d.chunks[i], d.chunks[i+1]
	if len(a.recs)+len(b.recs) > maxChunk/2 {
		return 0, 0
	}
	c := chunk{
		recs: append(append(records(nil), a.recs...), b.recs...),
		subs: append(append([]*dir(nil), a.subs...), b.subs...),
	}
	d.chunks[i] = c
	d.chunks = slices.Delete(d.chunks, i+1, i+2)
	return 1, c.size() - a.size() - b.size()
}

// mergeRecords goes through a chunk's records and the items side by side.
func (m *merger) mergeRecords(old []chunk, l *listing, items []item) {
	var recs records
	var subs []*dir
	if len(old) > 0 {
		recs, subs = old[0].recs, old[0].subs
	}
	for off := 0; off < len(recs); {
		r := recs.at(off)
		off += r.size
		var sub *dir
		if r.kind == directory {
			sub, subs = subs[0], subs[1:]
		}
		order := 1
		for len(items) > 0 {
			if order = bytes.Compare(l.name(items[0]), r.name); order >= 0 {
				break
			}
			m.added(l, items[0])
			items = items[1:]
			order = 1
		}
		switch {
		case len(items) > 0 && order == 0:
			m.both(r, sub, l, items[0])
			items = items[1:]
		case m.partial:
			m.put(r.name, r.kind, r.print, sub)
		default:
			m.removed(r, sub)
		}
	}
	for _, it := range items {
		m.added(l, it)
	}
}

func (m *merger) added(l *listing, it item) {
	name := l.name(it)
	switch it.state {
	case absent:
		return
	case unseen:
		m.tell(name, Difference{})
		m.put(name, other, unknown, nil)
	case isDir:
		m.put(name, directory, l.print(it), m.newDir(l.identity(it)))
	default:
		m.tell(name, Difference{Content: it.state == isFile})
		m.put(name, kind(it.state), l.print(it), nil)
	}
	m.differs = true
	m.entries++
}

func (m *merger) removed(r record, sub *dir) {
	if sub != nil {
		m.x.drop(sub)
	}
	m.tell(r.name, Difference{Tree: sub != nil, Content: r.kind != other, Gone: true})
	m.differs = true
	m.entries--
}

// both handles a name that the index holds and the listing, too.
func (m *merger) both(r record, sub *dir, l *listing, it item) {
	print := l.print(it)
	switch {
	case m.keep && sub != nil && it.state != unseen && (it.state != isDir || sub.id != l.identity(it)):
		m.put(r.name, r.kind, r.print, sub)
		return
	case it.state == absent:
		m.removed(r, sub)
		return
	case it.state == unseen:
		m.put(r.name, r.kind, r.print, sub)
		return
	case it.state == isDir && (sub == nil || sub.id != l.identity(it)):
		if sub != nil {
			m.x.drop(sub)
		}
		sub = m.newDir(l.identity(it))
	case it.state == isDir:
		if !print.same(r.print) && !sub.changed {
			m.tell(r.name, Difference{})
		}
	case sub != nil:
		m.x.drop(sub)
		m.tell(r.name, Difference{Tree: true, Content: true})
		sub = nil
	case !print.same(r.print):
		m.tell(r.name, Difference{Content: r.kind == regular || it.state == isFile})
	}
	if print != r.print || kind(it.state) != r.kind {
		m.differs = true
	}
	m.put(r.name, kind(it.state), print, sub)
}

func (m *merger) newDir(id identity) *dir {
	m.differs = true
	d := &dir{id: id, changed: m.mark}
	m.x.account(0, d.size())
	return d
}

func (m *merger) put(name []byte, k kind, p fingerprint, sub *dir) {
	if len(m.out) > 0 && len(m.out)+len(name)+printSize+2 > maxChunk {
		m.cut()
	}
	m.out = m.out.append(name, k, p)
	if sub != nil {
		m.subs = append(m.subs, sub)
	}
}

// cut makes a chunk of what was put since the last one. Appending to nil makes capacities that fill the
// allocator's size classes, so that capacities tell the memory in use.
func (m *merger) cut() {
	if len(m.out) == 0 {
		return
	}
	m.made = append(m.made, chunk{recs: append(records(nil), m.out...), subs: append([]*dir(nil), m.subs...)})
	m.out, m.subs = m.out[:0], m.subs[:0]
}

// tell reports d of the entry name. Most are told nobody, and need no path.
func (m *merger) tell(name []byte, d Difference) {
	if m.report != nil {
		d.Path = joinPath(m.path, string(name))
		m.report(d)
	}
}
